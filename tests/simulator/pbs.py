"""OpenPBS 23 as its clients speak. Texts, exit codes and layouts are those of recorded answers (tests/scheduler/captures/openpbs)."""

import os
import pwd
import time

from book import LIVE, Reply, request_end

SERVER = "pbshost"
KINDS = {"qsub": "submit", "qstat": "list", "qselect": "list"}
REFUSALS = {
    "limit": ("would exceed queue generic's per-user limit", 38), "queue": ("Unknown queue", 170),
    "policy": ("Job violates queue and/or server resource limits", 188), "busy": ("Queue is not enabled", 185),
    "array": ("Array job exceeds server or queue size limit", 3),
    "user": (f"Maximum number of jobs for user {pwd.getpwuid(os.geteuid()).pw_name} already in queue", 38),
}
USAGE = """usage: qsub [-a date_time] [-A account_string] [-c interval]
\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""


def kind(program):
    return KINDS.get(program, "other")


def server_away(program, _arguments):
    if program == "qdel":
        return Reply(err=f"Connection refused\nCouldn't connect to cluster: {SERVER}\n", code=162)
    return Reply(
        err=f"Connection refused\n{program}: cannot connect to server {SERVER} (errno=15010)\n",
        code=255 if program == "qstat" else 162)


def refusal(_program, which):
    text, code = REFUSALS[which]
    return Reply(err=f"qsub: {text}\n", code=code)


def answer_lost(_program):
    return Reply(err="qsub: End of File\n", code=1)


def run(book, mischief, program, arguments):
    return {"qsub": qsub, "qstat": qstat, "qselect": qselect, "qdel": qdel, "qhold": qhold, "qrls": qrls}[program](
        book, mischief, arguments)


def parse(arguments, switches):
    """Options with a value each, but for the switches; -l may come many times."""
    found, words, rest = {"-l": []}, [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in switches or word.startswith("--"):
            found[word] = True
        elif word == "-l":
            found["-l"].append(rest.pop(0))
        elif word.startswith("-"):
            found[word] = rest.pop(0)
        else:
            words.append(word)
    return found, words


def seconds(text):
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def qsub(book, mischief, arguments):
    given, words = parse(arguments, {"-f", "-h", "-V", "-z"})
    if not os.path.exists(words[0]):
        return Reply(err="qsub: script file:: No such file or directory\n", code=1)
    with open(words[0]) as file:
        lines = [line[5:].split("#")[0].split() for line in file.read().splitlines() if line.startswith("#PBS ")]
    asked, _ = parse([word for line in lines for word in line], {"-f", "-h", "-V", "-z"})
    resources = ",".join(asked["-l"] + given["-l"])
    asked.update(given)
    if asked.get("-q", "workq") not in mischief.get("queues", ["workq"]):
        return refusal("qsub", "queue")
    indexes = [None]
    if "-J" in asked:
        first, _, last = asked["-J"].partition("-")
        if int(first) >= int(last):
            return Reply(err=f"qsub: illegal -J value\n{USAGE}", code=2)
        indexes = list(range(int(first), int(last) + 1))
    if book.live() + len(indexes) > mischief.get("submit_limit", 1 << 30):
        return refusal("qsub", "limit")
    request = request_of(asked, resources, words[0], len(indexes) > 1)
    broken = mischief.broken_limit(book, request["queue"], len(indexes), request["walltime"])
    if broken:
        return refusal("qsub", {"array_size": "array", "submitted": "user", "walltime": "policy"}[broken])
    number = book.submit(mischief, request, indexes)
    return Reply(out=f"{number}{'[]' if len(indexes) > 1 else ''}.{SERVER}\n")


def request_of(asked, resources, script, is_array):
    user = pwd.getpwuid(os.geteuid())
    limits = dict(part.split("=", 1) for item in resources.split(",") for part in [item] if "=" in item)
    chunk = dict(part.split("=", 1) for part in limits.get("select", "1").split(":")[1:] if "=" in part)
    environment = {"PBS_JOBID": "{id}" + ("[{index}]" if is_array else "") + f".{SERVER}", "PBS_O_WORKDIR": os.getcwd()}
    if is_array:
        environment["PBS_ARRAY_INDEX"] = "{index}"
    return {
        "name": asked.get("-N", os.path.basename(script)), "user": user.pw_name, "queue": asked.get("-q", "workq"),
        "script": os.path.abspath(script), "directory": user.pw_dir, "log": asked.get("-o", "").replace("^array_index^", "%a") or None,
        "walltime": seconds(limits.get("walltime", "1:00:00")), "cores": int(chunk.get("ncpus", 1)),
        "environment": environment, "held": "-h" in asked, "hostname": SERVER,
    }


def ident(job):
    return f"{job['id']}.{SERVER}" if job["index"] is None else f"{job['id']}[{job['index']}].{SERVER}"


def parent(job):
    return f"{job['id']}.{SERVER}" if job["index"] is None else f"{job['id']}[].{SERVER}"


def full(word):
    return word if word.endswith(f".{SERVER}") else f"{word}.{SERVER}"


def over(jobs, number):
    """Whether every job of the submission is over."""
    return all(job["state"] not in LIVE for job in jobs if job["id"] == number)


def state_of(job, whole_is_over):
    if job["state"] not in LIVE:
        return "F" if job["index"] is None or whole_is_over else "X"
    if job["end_as"]:
        return "E"
    # Elements of a held array wait, held as they are.
    held = "H" if job["index"] is None else "Q"
    return {"QUEUED": "Q", "HELD": held, "RUNNING": "R", "SUSPENDED": "S"}[job["state"]]


def ending(job):
    """Substate, exit status and the end of the comment."""
    status = job["code"] if job["signal"] is None else 128 + job["signal"]
    return {
        "COMPLETED": (92, 0, "and finished"), "FAILED": (93, status, "and failed"), "WALLTIME": (93, -29, "and exceeded resource walltime"),
        "MEMORY": (93, -27, "and exceeded resource mem"), "NODE_FAILURE": (93, -4, "and failed"),
        "CANCELLED": (91, 143 if job["started"] else None, f"and terminated by {job['user']}@{SERVER}"),
    }[job["state"]]


def date(moment):
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(moment))


def attributes(job, whole_is_over, no_history=False):
    """The attributes of `qstat -f` in its order."""
    substate = {"QUEUED": 10, "HELD": 20, "RUNNING": 42, "SUSPENDED": 43}.get(job["state"])
    status, comment = None, job["reason"]
    if job["started"]:
        begun = time.strftime("%a %b %d at %H:%M", time.localtime(job["started"]))
        comment = f"Job run at {begun} on ({SERVER}:ncpus={job['cores']})"
    if substate is None:
        substate, status, how = ending(job)
        comment = f"{comment} {how}" if comment else None
        if job["index"] is not None and no_history:
            # Nothing is kept of an element: its array's attributes are shown, with a state and a comment of its own.
            comment = {91: "Subjob terminated", 92: "Subjob finished", 93: "Subjob failed"}[substate]
            substate, status = 70, 1
    pairs = [
        ("Job_Name", job["name"]), ("Job_Owner", f"{job['user']}@{SERVER}"),
        ("resources_used.cput", "00:00:00" if job["started"] else None), ("resources_used.mem", "1024kb" if job["started"] else None),
        ("job_state", state_of(job, whole_is_over)), ("queue", job["queue"]), ("server", SERVER), ("ctime", date(job["submitted"])),
        ("exec_host", f"{SERVER}/0" if job["started"] else None), ("Hold_Types", "u" if job["state"] == "HELD" else "n"),
        ("mtime", date(job["ended"] or job["started"] or job["submitted"])), ("qtime", date(job["submitted"])), ("Rerunable", "False"),
        ("stime", date(job["started"]) if job["started"] else None), ("obittime", date(job["ended"]) if job["ended"] and job["started"] else None),
        ("substate", substate), ("comment", comment), ("run_count", job["runs"] or None), ("Exit_status", status),
        ("history_timestamp", int(job["ended"]) if job["ended"] else None), ("project", "_pbs_project_default"), ("Submit_Host", SERVER),
    ]
    return [(name, value) for name, value in pairs if value is not None]


def qstat(book, mischief, arguments):
    asked, words = parse(arguments, {"-E", "-t", "-f", "-x", "-B", "-Q"})
    if "--version" in asked:
        return Reply(out="pbs_version = 23.06.06\n")
    if "-B" in asked:
        return server(book, mischief, "-f" in asked)
    if "-Q" in asked:
        return Reply(out="".join(queue_attributes(book, name, mischief) for name in mischief.get("queues", ["workq"])))
    if "-x" in asked and mischief.get("no_accounting", False):
        return Reply(err="qstat: PBS is not configured to maintain job history \n")
    every = book.jobs()
    known = mischief.booked(every) if "-x" in asked else [
        job for job in mischief.listed(every, 0) if not over(every, job["id"])
    ]
    if "-x" not in asked:
        live = {job["id"] for job in known}
        known = [job for job in every if job["id"] in live and not job["forgotten"] and (job in known or job["index"] is not None)]
    out, err = "", ""
    for word in words:
        chosen = [job for job in known if full(word) == ident(job) or ("-t" in asked and full(word) == parent(job))]
        if full(word).endswith(f"[].{SERVER}") and chosen:
            out += f"Job Id: {full(word)}\x1fJob_Name={chosen[0]['name']}\x1fjob_state=B\x1farray=True\n"
        if not chosen and "-E" not in asked:
            err += f"qstat: Unknown Job Id {full(word)}\n"
        for job in chosen:
            pairs = attributes(job, over(every, job["id"]), mischief.get("no_accounting", False))
            out += f"Job Id: {ident(job)}\x1f" + "\x1f".join(f"{name}={value}" for name, value in pairs) + "\n"
    return Reply(out=out, err=err, code=153 if err else 0)


def queue_attributes(book, name, mischief):
    """One queue of `qstat -Q -f`."""
    limits = {} if mischief.get("tells_no_limits", False) else mischief.get("queue_limits", {}).get(name, {})
    user = pwd.getpwuid(os.geteuid()).pw_name
    pairs = [
        ("queue_type", "Execution"), ("total_jobs", book.live(name)),
        ("state_count", "Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Begun:0 "),
        ("resources_max.walltime", clock(limits["walltime"]) if "walltime" in limits else None),
        ("max_array_size", limits.get("array_size")), ("enabled", "True"), ("started", "True"),
        ("max_queued", f"[u:PBS_GENERIC=1],[u:{user}={limits['submitted']}]" if "submitted" in limits else None),
        ("kill_delay", limits.get("kill_wait")),
    ]
    return f"Queue: {name}\n" + "".join(f"    {key} = {value}\n" for key, value in pairs if value is not None) + "\n"


def clock(seconds):
    return f"{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def server(book, mischief, in_full):
    live = book.live()
    if not in_full:
        return Reply(out=(
            "Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status\n"
            "---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------\n"
            f"{SERVER:<16} {0:>5} {live:>5} {0:>5} {live:>5} {0:>5} {0:>5} {0:>5} {0:>5} {'Active':<10}\n"))
    history = "" if mischief.get("no_accounting", False) else "    job_history_enable = True\n"
    limit = mischief.get("submit_limit", None)
    queued = f"    max_queued = [u:PBS_GENERIC={limit}]\n" if limit else ""
    return Reply(out=(
        f"Server: {SERVER}\n    server_state = Active\n    server_host = {SERVER}\n    scheduling = True\n"
        f"    total_jobs = {live}\n    default_queue = workq\n{queued}"
        f"    max_array_size = {mischief.get('array_size_max', 10000)}\n    pbs_version = 23.06.06\n{history}\n"))


def qselect(book, mischief, arguments):
    asked, _ = parse(arguments, {"-x"})
    if "-x" in asked and mischief.get("no_accounting", False):
        return Reply(err="qselect: PBS is not configured to maintain job history \n")
    every = book.jobs()
    jobs = mischief.booked(every) if "-x" in asked else [
        job for job in mischief.listed(every, 1 << 30) if not over(every, job["id"])
    ]
    if "-N" in asked:
        jobs = [job for job in jobs if job["name"] == asked["-N"]]
    return Reply(out="".join(f"{word}\n" for word in dict.fromkeys(parent(job) for job in jobs)))


def each(book, program, words, act):
    """Does something to each job named, and complains as PBS does."""
    unknown = lambda word: (f"{program}: Unknown Job Id {full(word)}\n", 15001)
    finished = lambda word: (f"{program}: Job has finished {full(word)}\n", 15139)
    return each_named(book, words, unknown, finished, act)


def each_named(book, words, unknown, finished, act):
    """Does something to each job named; complains about the unknown and the finished. The last complaint gives the exit code:
    what is left of its number in a byte."""
    err, code = "", 0
    with book.open() as table:
        for word in words:
            chosen = [job for job in table["jobs"] if full(word) in (ident(job), parent(job)) and not job["forgotten"]]
            live = [job for job in chosen if job["state"] in LIVE]
            if not live:
                complaint, number = (finished if chosen else unknown)(word)
                err, code = err + complaint, number % 256
            for job in live:
                act(job)
    return Reply(err=err, code=code)


def qdel(book, mischief, arguments):
    return each(book, "qdel", arguments, lambda job: request_end(job, "CANCELLED", mischief.get("kill_wait", 2.0)))


def qhold(book, _mischief, arguments):
    def hold(job):
        if job["state"] == "QUEUED":
            job["state"] = "HELD"
    return each(book, "qhold", arguments, hold)


def qrls(book, _mischief, arguments):
    def release(job):
        if job["state"] == "HELD":
            job.update(state="QUEUED", reason=None)
    return each(book, "qrls", arguments, release)
