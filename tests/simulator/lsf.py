"""LSF and its relatives as their clients speak. Texts, exit codes and layouts of volclava are those of recorded answers
(tests/scheduler/captures/volclava); those of IBM's are in the form of public examples (captures/lsf, captures/lsf-9.1)."""

import json
import os
import pwd
import re
import shlex
import sys
import time

from book import LIVE, Reply, matches, request_end

KINDS = {"bsub": "submit", "bjobs": "list", "bhist": "books"}
REFUSALS = {
    "limit": "User <{user}>: Pending job threshold reached", "queue": "nosuch: No such queue",
    "policy": "RUNLIMIT: Cannot exceed queue's hard limit(s)", "busy": "closed: Queue has been closed",
}
REASONS = {
    "WALLTIME": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "MEMORY": "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
    "PREEMPTED": "TERM_PREEMPT: job killed after preemption", "CANCELLED": "TERM_OWNER: job killed by owner",
    "NODE_FAILURE": "TERM_ZOMBIE: job exited while LSF is not available",
}
WITH_VALUE = "-J -W -o -e -q -n -M -R -P -m -w -b".split()
SWITCHES = "-x -H -r -N -B".split()
# Of IBM's only; volclava takes most of them for something else.
NEW_WITH_VALUE, NEW_SWITCHES = "-sla -wa -wt -gpu -app -U".split(), ["-rn"]
AWAY = "Connection refused by server"
SECOND_TRY = "batch system daemon not responding ... still trying\n"


class Product:
    """Which of the relatives this is: `LSF 10.1.0.9`, `LSF 9.1.3.0`, `openlava 4.0`, `volclava 2.2`."""

    def __init__(self, text):
        self.name, self.version = text.split()
        numbers = [int(part) for part in self.version.split(".")]
        self.is_ibm = self.name == "LSF"
        self.has_columns = self.is_ibm and numbers >= [9, 1]
        self.has_json = self.is_ibm and numbers >= [10, 1, 0, 2]
        self.unit_of_memory = "MB" if self.name == "volclava" else "KB"

    def lsid(self):
        title = f"{self.name} project {self.version}, Nov 21 2026"
        if self.is_ibm:
            title = f"IBM Spectrum LSF Standard {self.version}, Oct 16 2019\nCopyright International Business Machines Corp. 1992, 2016."
        return f"{title}\n\nMy cluster name is {self.name.lower()}\nMy master name is node1\n"


def kind(program):
    return KINDS.get(program, "other")


def server_away(program, arguments):
    if program in ("lsid", "bhist"):
        return None
    if program in ("bkill", "bstop", "bresume"):
        return Reply(err="".join(f"Job <{word}>: {AWAY}\n" for word in arguments), code=255)
    if "-json" in arguments:
        return Reply(out='{\n\t"COMMAND":"bjobs",\n\t"JOBS":0,\n\t"RECORDS":[\n\t]\n}\n', err=AWAY + "\n", code=255)
    return Reply(err=AWAY + (". Job not submitted.\n" if program == "bsub" else "\n"), code=255)


def refusal(_program, which):
    return not_submitted(REFUSALS[which].format(user=user_name()))


def answer_lost(_program):
    """The server took the job; its answer did not arrive in time."""
    return not_submitted("Failed in an LSF library call: Communication time out")


def not_submitted(why):
    return Reply(err=f"{why}. Job not submitted.\n", code=255)


def user_name():
    return pwd.getpwuid(os.geteuid()).pw_name


def run(book, mischief, program, arguments, product="LSF 10.1.0.9"):
    product = Product(mischief.get("product", product))
    if program == "lsid":
        return Reply(out=product.lsid())
    return {
        "bsub": bsub, "bjobs": bjobs, "bhist": bhist, "bkill": bkill, "bstop": bstop, "bresume": bresume,
        "bparams": bparams, "bqueues": bqueues, "busers": busers, "badmin": badmin,
    }[program](book, mischief, product, arguments)


# -- submitting


class Refused(Exception):
    """What stands on standard error."""


def options(words, product):
    """Options, and the command behind them."""
    found, rest = {}, list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in SWITCHES or (word in NEW_SWITCHES and product.is_ibm):
            found[word] = True
        elif word in WITH_VALUE or (word in NEW_WITH_VALUE and product.is_ibm):
            if word == "-R" and word in found:
                if not product.is_ibm:
                    raise Refused("Invalid syntax; the -R option was used more than once.\n. Job not submitted.\n")
                found[word] += " "
            found[word] = (found.get(word, "") if word == "-R" else "") + rest.pop(0)
        else:
            raise Refused(f"bsub: option cannot have an argument -- {word[1]}\nUsage: bsub [-h] [-V] [-x] [-H] [-r]\n")
    return found, rest


def bsub(book, mischief, product, arguments):
    try:
        return submitted(book, mischief, product, arguments)
    except Refused as refused:
        return Reply(err=str(refused), code=255)


def submitted(book, mischief, product, arguments):
    given, command = options(arguments, product)
    text = f"#!/bin/sh\n{' '.join(command)}\n" if command else standard_input()
    if not command and not any(line.strip() and not line.startswith("#") for line in text.splitlines()):
        return not_submitted("No command is specified in the script file")
    lines = [] if command else [line[6:] for line in text.splitlines() if line.startswith("#BSUB ")]
    asked, _ = options([word for line in lines for word in shlex.split(line)], product)
    asked.update(given)
    name = asked.get("-J", ";".join(text.splitlines()))
    if len(name) > (4094 if product.is_ibm else 254):
        return not_submitted("Bad job name")
    queue = asked.get("-q", "normal")
    if queue not in mischief.get("queues", ["normal"]):
        return not_submitted(f"{queue}: No such queue")
    walltime = asked.get("-W", "0")
    if not re.fullmatch(r"\d+|\d+:\d\d", walltime):
        return not_submitted(f"{walltime}: Bad RUNLIMIT specification")
    if int(asked.get("-n", "1")) > mischief.get("slots", 8):
        return not_submitted("Too many processors requested")
    array = re.fullmatch(r"(.*)\[(\d+)-(\d+)\](?:%\d+)?", name)
    # One that is too large is taken for a plain job.
    is_array = bool(array) and int(array[3]) <= mischief.get("array_size_max", 1000)
    indexes = list(range(int(array[2]), int(array[3]) + 1)) if is_array else [None]
    if book.live() + len(indexes) > mischief.get("submit_limit", 1 << 30):
        who = f"User <{user_name()}>" if product.is_ibm else "System"
        return not_submitted(f"{who}: Pending job threshold reached")
    request = request_of(asked, product, mischief, name, is_array)
    broken = mischief.broken_limit(book, queue, len(indexes), request["walltime"] if request["walltime"] < 1e9 else 0)
    if broken:
        return not_submitted({
            "array_size": "Job array index too large", "submitted": f"Queue <{queue}>: Pending job threshold reached",
            "walltime": "RUNLIMIT: Cannot exceed queue's hard limit(s)"}[broken])
    request["script"] = spooled(book, text)
    request["command"] = " ".join(command) or ";".join(line for line in text.splitlines() if line)
    number = book.submit(mischief, request, indexes)
    return Reply(out=f"Job <{number}> is submitted to {'' if '-q' in asked else 'default '}queue <{queue}>.\n")


READ = []


def standard_input():
    """The same for a client that sends its request a second time."""
    if not READ:
        READ.append(sys.stdin.read())
    return READ[0]


def spooled(book, text):
    """The script is copied when it is submitted."""
    path = os.path.join(book.state, f"script-{os.getpid()}-{time.time_ns()}")
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o700)) as file:
        file.write(text if text.startswith("#!") else "#!/bin/sh\n" + text)
    return path


def request_of(asked, product, mischief, name, is_array):
    cores, queue = int(asked.get("-n", "1")), asked.get("-q", "normal")
    hours, _, minutes = asked.get("-W", "0").rpartition(":")
    walltime = (int(hours or 0) * 60 + int(minutes)) * 60.0
    # All of the environment goes along.
    environment = {**os.environ, "LSB_JOBID": "{id}", "LSB_JOBINDEX": "{index}" if is_array else "0", "LSB_QUEUE": queue,
                   "LSB_JOBNAME": name, "LSB_HOSTS": " ".join(["node1"] * cores), "LS_SUBCWD": os.getcwd()}
    killed = ["INT", "TERM"]
    return {
        "name": name.partition("[")[0] if is_array else name, "user": user_name(), "queue": queue, "directory": os.getcwd(),
        "log": asked.get("-o"), "output": [asked.get("-o"), asked.get("-e")], "walltime": walltime or 1e9, "cores": cores,
        "memory_mib": memory_mib(asked.get("-M"), product, mischief), "environment": environment, "held": "-H" in asked,
        "warning": {"signal": asked["-wa"], "before": int(asked["-wt"]) * 60.0} if "-wa" in asked else None,
        "asks": {"CANCELLED": killed, "MEMORY": killed, "PREEMPTED": killed, "WALLTIME": ["USR2"] + (killed if product.is_ibm else [])},
        "killed_at_walltime": product.is_ibm,
    }


def memory_mib(text, product, mischief):
    """`8193MB`, or a number in the unit of the site."""
    if text is None:
        return None
    number, unit = re.fullmatch(r"(\d+)([KMG]B?)?", text).groups()
    if unit and not product.has_json:
        raise Refused(f"{text}: MEMLIMT value should be a positive integer. Job not submitted.\n")
    unit = unit or mischief.get("limit_unit", product.unit_of_memory)
    return int(number) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit[0]]


# -- asking


def stat(job, product):
    if job["state"] in ("QUEUED", "HELD"):
        # Held for a reason = it waits for what will never be.
        return "PSUSP" if job["state"] == "HELD" and not job["reason"] else "PEND"
    if job["state"] in LIVE:
        if job["unreachable"]:
            return "ZOMBI" if job["end_as"] and product.is_ibm else "EXIT" if job["end_as"] else "UNKWN"
        return {"RUNNING": "RUN", "SUSPENDED": "USUSP"}[job["state"]]
    return "DONE" if job["started"] and job["code"] == 0 and job["signal"] is None else "EXIT"


def exit_code(job):
    """What is shown as one; none of a job that never ran or went with its host."""
    if job["started"] is None or job["state"] == "NODE_FAILURE":
        return None
    return job["code"] if job["signal"] is None else 128 + job["signal"]


def index_of(job):
    return "" if job["index"] is None else f"[{job['index']}]"


def ident(job):
    return f"{job['id']}{index_of(job)}"


def date(moment):
    return time.strftime("%b %e %H:%M", time.localtime(moment))


def chosen_jobs(jobs, words):
    """The jobs that the words name, and the words that name none."""
    chosen, unknown = [], []
    for word in words:
        number, _, index = word.rstrip("]").partition("[")
        found = [job for job in jobs if matches(job, int(number), int(index) if index else None)]
        chosen += [job for job in found if job not in chosen]
        unknown += [] if found else [word]
    return chosen, unknown


def bjobs(book, mischief, product, arguments):
    asked, words, rest = {}, [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-u", "-J", "-o", "-q"):
            asked[word] = rest.pop(0)
        elif word.startswith("-"):
            asked[word] = True
        else:
            words.append(word)
    if ("-o" in asked and not product.has_columns) or ("-json" in asked and not product.has_json):
        return Reply(err=f"bjobs: illegal option -- {'o' if '-o' in asked else 'j'}\nUsage: bjobs [-h] [-V] [-w]\n", code=255)
    jobs, unknown = mischief.listed(book.jobs(), mischief.get("finished_kept", 3600)), []
    if words:
        jobs, unknown = chosen_jobs(jobs, words)
    elif "-a" not in asked:
        jobs = [job for job in jobs if job["state"] in LIVE]
    if "-J" in asked:
        jobs = [job for job in jobs if job["name"] == asked["-J"]]
        unknown = [] if jobs else [asked["-J"]]
    err = "".join(f"Job <{word}> is not found\n" for word in unknown)
    if not jobs:
        err = err or f"No {'' if '-a' in asked else 'unfinished '}job found\n"
        return Reply(err=err, code=0 if product.is_ibm and not words else 255 if unknown else 254)
    # What runs comes first, what is over last.
    ranks = {"RUNNING": 0, "SUSPENDED": 0, "QUEUED": 1, "HELD": 1}
    jobs = sorted(jobs, key=lambda job: ranks.get(job["state"], 2))
    layout = records if "-json" in asked else columns if "-o" in asked else table
    return Reply(out=layout(jobs, product, asked.get("-o", "")), err=err, code=255 if unknown else 0)


def table(jobs, product, _form):
    form = "{:<7} {:<7} {:<5} {:<10} {:<11} {:<11} {:<10} {}\n"
    out = form.format("JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME")
    for job in jobs:
        hosts = ":".join([job["hostname"]] * job["cores"]) if job["started"] else "   -"
        out += form.format(
            str(job["id"])[-7:], job["user"][-7:], stat(job, product), job["queue"], job["hostname"], hosts,
            job["name"] + index_of(job), date(job["submitted"]))
    return out


def fields(job, product):
    """What `-o` can name; empty when there is nothing to tell."""
    over = job["state"] not in LIVE
    code = exit_code(job) if over and stat(job, product) == "EXIT" else None
    waits = job["reason"] or {"QUEUED": "New job is waiting for scheduling;", "HELD": "Job was suspended by the user while pending;"}.get(job["state"], "")
    return {
        "jobid": str(job["id"]), "jobindex": str(job["index"] or 0), "stat": stat(job, product), "exit_code": "" if code is None else str(code),
        "start_time": date(job["started"]) + (time.strftime(":%S %Y", time.localtime(job["started"])) if product.has_json else "") if job["started"] else "",
        "exec_host": (f"{job['cores']}*" if job["cores"] > 1 else "") + job["hostname"] if job["started"] else "",
        "exit_reason": REASONS.get(job["state"], "") if over and stat(job, product) == "EXIT" else "",
        "pend_reason": "" if job["started"] else waits if not over else "", "job_name": job["name"] + index_of(job),
        "submit_time": date(job["submitted"]),
    }


def columns(jobs, product, form):
    names, _, delimiter = form.partition(" delimiter=")
    delimiter, names = delimiter.strip('"'), names.split()
    rows = [[fields(job, product)[name] or "-" for name in names] for job in jobs]
    return "".join(delimiter.join(row) + "\n" for row in [[name.upper() for name in names], *rows])


def records(jobs, product, form):
    rows = [{name.upper(): fields(job, product)[name] for name in form.split()} for job in jobs]
    text = json.dumps({"COMMAND": "bjobs", "JOBS": len(rows), "RECORDS": rows}, indent=2, separators=(",", ":"))
    return text + "\n"


# -- the history


def wrapped(text):
    """A line of an event: 79 columns, then 58 behind an indent; a full line is followed by another, even an empty one."""
    lines, text = [text[:79]], text[79:] if len(text) >= 79 else None
    while text is not None:
        lines.append(" " * 21 + text[:58])
        text = text[58:] if len(text) >= 58 else None
    return "\n".join(lines) + "\n"


def event(moment, text):
    return wrapped(time.strftime("%a %b %e %H:%M:%S: ", time.localtime(moment)) + text)


def beginning(run, job, product):
    host, home = f"<{job['hostname']}>", f"</{job['directory'].strip('/')}>"
    dispatched = f"Dispatched to {host};"
    if product.is_ibm:
        hosts = " ".join([host] * job["cores"])
        dispatched = f"Dispatched {job['cores']} Task(s) on Host(s) {hosts}, Allocated {job['cores']} Slot(s) on Host(s) {hosts};"
    pid = job["serial"] + 4000
    return event(run["started"], dispatched) + event(run["started"], f"Starting (Pid {pid});") + event(
        run["started"], f"Running with execution home <{os.environ.get('HOME', '/')}>, Execution CWD {home}, Execution Pid <{pid}>;")


def ending(job, product):
    out, used = "", "The CPU time used is 0.0 seconds;"
    if job["state"] == "CANCELLED":
        out += event(job["ended"], f"Signal <KILL> requested by user or administrator <{job['user']}>;")
    if stat(job, product) == "DONE":
        return out + event(job["ended"], f"Done successfully. {used}")
    if job["started"] is None:
        out += event(job["ended"], "Exited;")
    elif job["state"] == "NODE_FAILURE":
        out += event(job["ended"], "Exited. The CPU time used is unknown;")
    elif job["signal"] == 9 and job["state"] != "FAILED":
        out += event(job["ended"], f"Exited by signal 9. {used}")
    else:
        out += event(job["ended"], f"Exited with exit code {exit_code(job)}. {used}")
    if product.is_ibm and job["state"] in REASONS:
        out += event(job["ended"], f"Completed <exit>; {REASONS[job['state']]};")
    return out


def history(job, product):
    """One job of `bhist -l`."""
    title = f"Job <{ident(job)}>, Job Name <{job['name']}{index_of(job)}>, User <{job['user']}>, Project <default>, Command <{job['command']}>"
    files = [f"{name} File <{path}>" for name, path in zip(("Output", "Error"), job["output"]) if path]
    submission = ", ".join([f"Submitted from host <{job['hostname']}>, to Queue <{job['queue']}>, CWD <{job['directory']}>", *files])
    first = (job["earlier"] or [job])[0]
    # Neither is wrapped.
    out = f"\n{title}\n{time.strftime('%a %b %e %H:%M:%S', time.localtime(first['submitted']))}: {submission};\n"
    limits = [("RUNLIMIT", f"{job['walltime'] / 60:.1f} min")] if job["walltime"] < 1e9 else []
    limits += [("MEMLIMIT", f"{int(job['memory_mib'] * 1024)} K")] if job["memory_mib"] else []
    for name, value in limits:
        out += f"\n {name:<24}\n {value:<24}\n"
    for run in job["earlier"]:
        out += beginning(run, job, product)
        out += event(run["ended"], "Pending: Requeued job is waiting for rescheduling: 1 host;(exit code 99)")
    out += beginning(job, job, product) if job["started"] else ""
    out += ending(job, product) if job["state"] not in LIVE else ""
    until = job["ended"] or time.time()
    waited, ran = int((job["started"] or until) - first["submitted"]), int(until - (job["started"] or until))
    now = time.strftime("%a %b %e %H:%M:%S", time.localtime(until))
    return out + (
        f"\nSummary of time in seconds spent in various states by  {now}\n"
        "  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL\n"
        f"  {waited:<8} {0:<8} {ran:<8} {0:<8} {0:<8} {0:<8} {waited + ran:<12}\n\n")


def bhist(book, mischief, product, arguments):
    rest = [word for at, word in enumerate(arguments) if not word.startswith("-") and arguments[at - 1] != "-n"]
    known = [] if mischief.get("no_accounting", False) else mischief.booked(book.jobs())
    if "-n" not in arguments:
        # Logs of before are read only when asked for.
        known = [job for job in known if (job["ended"] or time.time()) >= mischief.get("events_since", 0)]
    jobs, _ = chosen_jobs(known, rest)
    if not jobs:
        return Reply(out="No matching job found\n", code=255)
    return Reply(out="".join(history(job, product) for job in jobs))


# -- acting


def each(book, product, words, done, act):
    """Does something to each job named. What failed is told on standard error."""
    out, err = "", ""
    with book.open() as table:
        for word in words:
            chosen, _ = chosen_jobs([job for job in table["jobs"] if not job["forgotten"]], [word])
            live = [job for job in chosen if job["state"] in LIVE]
            for job in live:
                act(job)
            if not chosen:
                err += f"Job <{word}>: No matching job found\n"
            elif not live:
                err += f"Job <{word}>: Job has already finished\n"
            # It happens all the same.
            elif not product.is_ibm and (len(chosen) > 1 or live[0]["unreachable"]):
                err += f"Job <{word}>: Operation is in progress\n"
            else:
                out += f"Job <{word}> is being {done}\n"
    return Reply(out=out, err=err, code=255 if err else 0)


def bkill(book, mischief, product, arguments):
    patience = mischief.get("kill_wait", 2.0)
    return each(book, product, arguments, "terminated", lambda job: request_end(job, "CANCELLED", patience))


def bstop(book, _mischief, product, arguments):
    def stop(job):
        job["state"] = {"QUEUED": "HELD", "RUNNING": "SUSPENDED"}.get(job["state"], job["state"])
    return each(book, product, arguments, "stopped", stop)


def bresume(book, _mischief, product, arguments):
    def resume(job):
        job.update(state={"HELD": "QUEUED", "SUSPENDED": "RUNNING"}.get(job["state"], job["state"]), reason=None)
    return each(book, product, arguments, "resumed", resume)


# -- settings


def bqueues(book, mischief, _product, _arguments):
    """`bqueues -l`."""
    out = ""
    for name in mischief.get("queues", ["normal"]):
        limits, live = mischief.get("queue_limits", {}).get(name, {}), book.live(name)
        most = f"\nMAXIMUM LIMITS:\n {'RUNLIMIT':<24}\n {limits['walltime'] / 60:.1f} min{'':<17}\n" if "walltime" in limits else ""
        out += (
            f"\nQUEUE: {name}\n  -- A queue.\n\nPARAMETERS/STATISTICS\n"
            "PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV \n"
            f" 30    0  Open:Active       -    {limits.get('running', '-')}    -    - {live:>5}     0     0     0     0    0\n"
            f"Interval for a host to accept two jobs is 0 seconds\n{most}\nSCHEDULING PARAMETERS\n"
            "           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem\n"
            " loadSched   -     -     -     -       -     -    -     -     -      -      -  \n"
            " loadStop    -     -     -     -       -     -    -     -     -      -      -  \n\nUSERS:  all\nHOSTS:  all\n\n"
            + "-" * 79 + "\n")
    return Reply(out=out)


def bparams(_book, mischief, _product, arguments):
    if "-l" not in arguments:
        return Reply(out=(
            "Default Queues:  normal\nJob Dispatch Interval:  2 seconds\nJob Checking Interval:  2 seconds\n"
            "Job Accepting Interval:  0 seconds\n"))
    return Reply(out=(
        "\nSystem default queues for automatic queue selection:\n    DEFAULT_QUEUE = normal\n\n"
        "The amount of time during which finished jobs are kept in core:\n"
        f"    CLEAN_PERIOD = {mischief.get('finished_kept', 3600)} (seconds)\n\n"
        "The interval to terminate a job.\n    JOB_TERMINATE_INTERVAL = 10 \n\n"
        "The maximum number of jobs in a job array.\n"
        f"    MAX_JOB_ARRAY_SIZE = {mischief.get('array_size_max', 1000)}\n\n"
        "Mbatchd reserves resources based on job tasks:\n    RESOURCE_RESERVE_PER_TASK = N\n\n"))


def badmin(_book, mischief, _product, _arguments):
    unit = mischief.get("limit_unit", None)
    line = f"  LSF_UNIT_FOR_LIMITS = {unit}\n" if unit else ""
    return Reply(out=f"MBATCHD configuration at {time.ctime()}\n{line}")


def busers(book, mischief, _product, _arguments):
    form, live = "{:<18} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}\n", [job for job in book.jobs() if job["state"] in LIVE]
    waiting = sum(job["state"] in ("QUEUED", "HELD") for job in live)
    return Reply(out="USER/GROUP          JL/P    MAX  NJOBS   PEND    RUN  SSUSP  USUSP    RSV \n" + form.format(
        user_name(), "-", mischief.get("submit_limit", "-"), len(live), waiting, len(live) - waiting, 0, 0, 0))
