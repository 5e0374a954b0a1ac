"""Son of Grid Engine 8.1.9 as its clients speak. Texts, exit codes and layouts are held against a real one
(tests/it/conformance/fidelity.rs) and against recorded answers (tests/scheduler/captures/sge)."""

import grp
import os
import pwd
import shlex
import signal
import time

from book import LIVE, Reply, matches, request_end

HOST, PORT = "localhost", 6444
KINDS = {"qsub": "submit", "qstat": "list", "qacct": "books"}
REFUSALS = {
    "limit": ("job rejected: only 1 jobs are allowed per user (current job count: 1)", 25),
    "queue": ('Job was rejected because job requests unknown queue "nowhere"', 1), "policy": ('unknown resource "nosuch"', 1),
    # It says nothing of the kind "not now"; this leaves open whether it was taken.
    "busy": (f'unable to send message to qmaster using port {PORT} on host "{HOST}": got send error', 1),
}
# The field `failed` of the books, by how a job ended. Who killed it, they do not say.
KILLED = "100 : assumedly after job"
FAILED = {
    "WALLTIME": "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "MEMORY": "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit",
    "NODE_FAILURE": "21  : in recognizing job",
    "REQUEUED": "25  : rescheduling", "PREEMPTED": "24  : migrating",
}
SWITCHES, WITH_VALUE = ["-terse", "-notify", "-h", "-V", "-cwd"], "-N -w -r -S -wd -o -e -j -l -q -t -pe -P -ar -p".split()
RESOURCES = ("h_rt", "h_vmem", "gpu", "gpu_type", "exclusive")
SENT = f'unable to send message to qmaster using port {PORT} on host "{HOST}": got send error\n'


def kind(program):
    return KINDS.get(program, "other")


def server_away(program, _arguments):
    refused = "error: commlib error: got select error (Connection refused)\n"
    if program == "qsub":
        return Reply(err=f"{refused}Unable to run job: {SENT}Exiting.\n", code=1)
    if program == "qstat":
        return Reply(err=f"{refused}error: {SENT}", code=1)
    if program == "qconf":
        return Reply(err=refused + SENT, code=1)
    # qacct reads a file.
    return Reply(out=SENT, err=refused, code=1 if program == "qdel" else 11) if program != "qacct" else None


def rejected(why, code=1):
    return Reply(err=f"Unable to run job: {why}\nExiting.\n", code=code)


def refusal(_program, which):
    return rejected(*REFUSALS[which])


def answer_lost(_program):
    return rejected("failed receiving gdi request response for mid=1 (got syncron message receive timeout error).")


def run(book, mischief, program, arguments):
    return {
        "qsub": qsub, "qstat": qstat, "qacct": qacct, "qdel": qdel, "qhold": qhold, "qrls": qrls, "qconf": qconf,
    }[program](book, mischief, arguments)


def user_name():
    return pwd.getpwuid(os.geteuid()).pw_name


# -- submitting


class Refused(Exception):
    """An answer instead of a job."""


def options(words):
    """Options, and the script with its arguments. `-l` may come many times; `-pe` has two values."""
    found, rest = {"-l": []}, list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in SWITCHES:
            found[word] = True
        elif word == "-l":
            found["-l"] += rest.pop(0).split(",")
        elif word == "-pe":
            found["-pe"] = (rest.pop(0), int(rest.pop(0)))
        elif word in WITH_VALUE:
            found[word] = rest.pop(0)
        else:
            raise Refused(Reply(err=f'qsub: invalid option argument "{word}"\n', code=2))
    return found, rest


def qsub(book, mischief, arguments):
    try:
        return submitted(book, mischief, arguments)
    except Refused as refused:
        return refused.args[0]


def submitted(book, mischief, arguments):
    given, words = options(arguments)
    try:
        with open(words[0]) as file:
            text = file.read()
    except OSError as error:
        return Reply(err=f"Unable to read script file because of error: error opening {words[0]}: {error.strerror}\n", code=14)
    lines = [shlex.split(line[3:]) for line in text.splitlines() if line.startswith("#$ ")]
    asked, _ = options([word for line in lines for word in line])
    resources = dict(item.partition("=")[::2] for item in asked["-l"] + given["-l"])
    asked.update(given)
    name, queue = asked.get("-N", os.path.basename(words[0])), asked.get("-q", "main")
    if name[0].isdigit():
        return rejected(f'denied: "{name}" is not a valid object name (cannot start with a digit)')
    for resource, value in resources.items():
        if resource not in RESOURCES:
            return rejected(f'unknown resource "{resource}"')
        if resource == "h_rt" and not value.replace(":", "").isdigit():
            return rejected(f'attribute "{resource}" is not a time value')
    if queue not in mischief.get("queues", ["main"]):
        return rejected(f'Job was rejected because job requests unknown queue "{queue}"')
    if asked.get("-pe", ("smp", 1))[0] != "smp":
        return rejected(f'job rejected: the requested parallel environment "{asked["-pe"][0]}" does not exist')
    if "-P" in asked:
        return rejected(f'job rejected: the requested project "{asked["-P"]}" does not exist')
    first, _, last = asked.get("-t", "").partition("-")
    indexes = list(range(int(first), int(last or first) + 1)) if first else [None]
    most = mischief.get("array_size_max", 75000)
    if len(indexes) > most:
        return rejected(f"job rejected: you tried to submit a job with more than {most} tasks")
    live, limit = len({job["id"] for job in book.jobs() if job["state"] in LIVE}), mischief.get("submit_limit", 0)
    if limit and live >= limit:
        return rejected(f"job rejected: only {limit} jobs are allowed per user (current job count: {live})", 25)
    request = request_of(asked, resources, queue, name, bool(first))
    request["arguments"] = [spooled(book, text), *words[1:]]
    number = book.submit(mischief, request, indexes)
    whole = f"{number}.{first}-{last or first}:1" if first else str(number)
    if "-terse" in asked:
        return Reply(out=f"{whole}\n")
    return Reply(out=f'Your job{"-array" if first else ""} {whole} ("{name}") has been submitted\n')


def spooled(book, text):
    """The script is copied when it is submitted."""
    path = os.path.join(book.state, f"script-{os.getpid()}-{time.time_ns()}")
    with open(path, "w") as file:
        file.write(text)
    return path


def seconds(text):
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def mib(text):
    units = {"K": 1 / 1024, "M": 1, "G": 1024}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text) / 1024**2


def request_of(asked, resources, queue, name, is_array):
    cores = asked.get("-pe", ("smp", 1))[1]
    log = asked.get("-o", os.devnull).replace("$TASK_ID", "%I").replace("$JOB_ID", "%J")
    # USR2 before the kill, whatever it is for.
    asks = ["USR2"] if "-notify" in asked else []
    return {
        "name": name, "user": user_name(), "queue": queue, "script": asked.get("-S", "/bin/sh"), "hostname": HOST,
        "directory": asked.get("-wd", os.getcwd() if "-cwd" in asked else os.environ.get("HOME", "/")), "log": log,
        "walltime": seconds(resources.get("h_rt", "86400")), "cores": cores, "memory_mib": mib(resources.get("h_vmem", "0")) * cores or None, "held": "-h" in asked,
        "environment": {"JOB_ID": "{id}", "SGE_TASK_ID": "{index}" if is_array else "undefined", "NSLOTS": str(cores)},
        "asks": {"CANCELLED": asks, "WALLTIME": asks, "MEMORY": asks}, "stuck_without_directory": "Eqw",
        "category": " ".join([f"-l {','.join(f'{key}={value}' for key, value in sorted(resources.items()))}"]
                             + ([f"-pe smp {cores}"] if "-pe" in asked else [])),
    }


# -- asking


def letters(job):
    if job["state"] == "HELD":
        return job["reason"] or "hqw"
    if job["state"] == "QUEUED":
        return "Rq" if job["runs"] else "qw"
    state = "s" if job["state"] == "SUSPENDED" else "Rr" if job["runs"] > 1 else "r"
    return "d" + state if job["end_as"] == "CANCELLED" else state


def moment(value):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(value))


def element(job, tasks, state):
    runs = state == "running"
    name, value = ("JAT_start_time", job["started"]) if runs else ("JB_submission_time", job["submitted"])
    pairs = [
        ("JB_job_number", job["id"]), ("JAT_prio", "0.55500" if runs else "0.00000"), ("JB_name", job["name"]), ("JB_owner", job["user"]),
        ("state", letters(job)), (name, moment(value)), ("queue_name", f"{job['queue']}@{HOST}" if runs else ""), ("slots", job["cores"]),
    ] + ([("tasks", tasks)] if tasks else [])
    lines = "".join(f"      <{name}>{value}</{name}>\n" for name, value in pairs)
    return f'    <job_list state="{state}">\n{lines}    </job_list>\n'


def together(indexes):
    """Waiting tasks of one array, as they are listed without `-g d`."""
    if len(indexes) < 3:
        return ",".join(str(index) for index in indexes)
    return f"{indexes[0]}-{indexes[-1]}:1"


def qstat(book, mischief, arguments):
    if arguments == ["-help"]:
        return Reply(out="SGE 8.1.9\nusage: qstat [options]\n        [-ext]                            view additional attributes\n")
    jobs = [job for job in mischief.listed(book.jobs(), 0) if job["state"] in LIVE]
    if "-j" in arguments:
        # Exit code 0 whether it knows the job or not.
        word = arguments[arguments.index("-j") + 1]
        if not any(str(job["id"]) == word for job in jobs):
            return Reply(out=f"<?xml version='1.0'?>\n<unknown_jobs >\n    <ST_name>{word}</ST_name>\n</unknown_jobs>\n")
    running = [job for job in jobs if job["state"] in ("RUNNING", "SUSPENDED")]
    waiting = [job for job in jobs if job not in running]
    out = "".join(element(job, job["index"], "running") for job in running)
    pending = ""
    if "-g" in arguments:
        pending = "".join(element(job, job["index"], "pending") for job in waiting)
    else:
        for number in dict.fromkeys(job["id"] for job in waiting):
            same = [job for job in waiting if job["id"] == number]
            tasks = together([job["index"] for job in same]) if same[0]["index"] else None
            pending += element(same[0], tasks, "pending")
    schema = "http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd"
    return Reply(out=(
        f"<?xml version='1.0'?>\n<job_info  xmlns:xsd=\"{schema}\">\n  <queue_info>\n{out}  </queue_info>\n"
        f"  <job_info>\n{pending}  </job_info>\n</job_info>\n"))


# -- the books


def failed_and_exit(run):
    """The fields `failed` and `exit_status`."""
    number = run.get("signal")
    code = f"{run.get('code') or 0:<20}" if number is None else f"{128 + number:<20} ({signal.strsignal(number)})"
    if run["state"] in FAILED:
        return FAILED[run["state"]], code
    return KILLED if number is not None else "0    ", code


def entry(job, run):
    def date(value):
        return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(value))

    def wide(value):
        return f"{value:<20}"

    failed, code = failed_and_exit(run)
    # Who is killed for its memory had more than it asked for.
    used = f"{(job['memory_mib'] or 0) * 1.5 + 1:.3f}MB" if run["state"] == "MEMORY" else "5.449MB"
    group = grp.getgrgid(pwd.getpwnam(job["user"]).pw_gid).gr_name
    pairs = [
        ("qname", wide(job["queue"])), ("hostname", wide(HOST)), ("group", wide(group)), ("owner", wide(job["user"])), ("project", wide("NONE")),
        ("department", wide("defaultdepartment")), ("jobname", wide(job["name"])), ("jobnumber", wide(job["id"])),
        ("taskid", "undefined" if job["index"] is None else wide(job["index"])), ("account", wide("sge")), ("priority", wide(0)),
        ("qsub_time", date(job["submitted"])), ("start_time", date(run["started"])), ("end_time", date(run["ended"])),
        ("granted_pe", wide("smp" if "-pe" in job["category"] else "NONE")), ("slots", wide(job["cores"])), ("failed", failed),
        ("exit_status", code), ("ru_wallclock", f"{int(run['ended'] - run['started'])}s"), ("ru_utime", "0.012s"), ("ru_stime", "0.007s"),
        ("ru_maxrss", "4.598KB"), ("ru_ixrss", "0.000B"), ("ru_ismrss", "0.000B"), ("ru_idrss", "0.000B"), ("ru_isrss", "0.000B"),
        ("ru_minflt", wide(1481)), ("ru_majflt", wide(0)), ("ru_nswap", wide(0)), ("ru_inblock", wide(0)), ("ru_oublock", wide(24)),
        ("ru_msgsnd", wide(0)), ("ru_msgrcv", wide(0)), ("ru_nsignals", wide(0)), ("ru_nvcsw", wide(18)), ("ru_nivcsw", wide(9)),
        ("cpu", "0.018s"), ("mem", "0.000Bs"), ("io", "78.643KB"), ("iow", "0.000s"), ("maxvmem", used), ("arid", "undefined"),
        ("ar_sub_time", "undefined"), ("category", job["category"]),
    ]
    return "=" * 62 + "\n" + "".join(f"{name:<12} {value}\n" for name, value in pairs)


def qacct(book, mischief, arguments):
    # Jobs that never ran leave nothing here.
    jobs = [job for job in mischief.booked(book.jobs()) if job["started"] or job["earlier"]]
    if mischief.get("no_accounting", False) or not any(job["ended"] or job["earlier"] for job in jobs):
        return Reply(
            out="no jobs running since startup\n", err="/cell/main/common/accounting: No such file or directory\n", code=1)
    if mischief.get("books_late", False):
        jobs = []
    word = arguments[-1] if arguments[-1] != "-j" else None
    if word:
        jobs = [job for job in jobs if word in (str(job["id"]), job["name"])]
    owner = arguments[arguments.index("-o") + 1]
    runs = [(job, run) for job in jobs for run in [*job["earlier"], job] if run["state"] not in LIVE and job["user"] == owner]
    # As they ended.
    out = "".join(entry(job, run) for job, run in sorted(runs, key=lambda pair: pair[1]["ended"]))
    if word and not out:
        return Reply(err=f"error: job {'id' if word.isdigit() else 'name'} {word} not found\n", code=1)
    return Reply(out=out if word else out + sums(owner, bool(out)))


def sums(owner, has_jobs):
    """What stands below all entries: the owner with the sums of its jobs."""
    def line(words):
        return words[0].ljust(max(5, len(owner))) + "".join(" " + word.rjust(width) for word, width in zip(words[1:], [13] * 4 + [18] * 3))
    head = line("OWNER WALLCLOCK UTIME STIME CPU MEMORY IO IOW".split())
    row = [owner, "8", "0.012", "0.007", "0.018", "0.000", "0.000", "0.000"]
    return f"{head}\n{'=' * len(head)}\n" + (line(row) + "\n" if has_jobs else "")


# -- acting


def ident(job):
    return f"job {job['id']}" if job["index"] is None else f"job-array task {job['id']}.{job['index']}"


def each(book, words, code, act):
    """Does something to each job named; `act` gives the line that tells of it. All of it goes to standard output."""
    out, worst = "", 0
    with book.open() as table:
        for word in words:
            number, _, index = word.partition(".")
            live = [job for job in table["jobs"] if job["state"] in LIVE and matches(job, int(number), int(index) if index else None)]
            if not live:
                out, worst = out + f'denied: job "{number}" does not exist\n', code
            # The same is said once: of an array that waits as a whole.
            out += "".join(dict.fromkeys([act(job, bool(index)) for job in live]))
    return Reply(out=out, code=worst)


def qdel(book, mischief, arguments):
    def delete(job, one_task):
        if job["end_as"]:
            return f"job {job['id']} is already in deletion\n"
        waited = job["state"] in ("QUEUED", "HELD")
        request_end(job, "CANCELLED", mischief.get("kill_wait", 2.0))
        which = ident(job) if one_task else f"job {job['id']}"
        return f"{user_name()} has {f'deleted {which}' if waited else f'registered the {ident(job)} for deletion'}\n"
    return each(book, arguments, 1, delete)


def qhold(book, _mischief, arguments):
    def hold(job, _one_task):
        if job["state"] == "QUEUED":
            job["state"] = "HELD"
        return f"modified hold of {ident(job)}\n"
    return each(book, arguments, 3, hold)


def qrls(book, _mischief, arguments):
    def release(job, _one_task):
        if job["state"] == "HELD" and not job["reason"]:
            job["state"] = "QUEUED"
        return f"modified hold of {ident(job)}\n"
    return each(book, arguments, 3, release)


def queue_settings(name, mischief):
    """One queue of `qconf -sq`."""
    limits = mischief.get("queue_limits", {}).get(name, {})
    clock = lambda seconds: f"{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"
    settings = {
        "qname": name, "hostlist": "@allhosts", "seq_no": "0", "load_thresholds": "np_load_avg=1.75", "notify": clock(limits.get("kill_wait", 60)),
        "slots": mischief.get("slots", 8), "shell": "/bin/sh", "s_rt": "INFINITY",
        "h_rt": clock(limits["walltime"]) if "walltime" in limits else "INFINITY", "h_vmem": "INFINITY",
    }
    return "".join(f"{key:<21} {value}\n" for key, value in settings.items())


def qconf(_book, mischief, arguments):
    if arguments == ["-sss"]:
        return Reply(out=f"{HOST}\n")
    if arguments[0] == "-sq":
        return Reply(out="\n".join(queue_settings(name, mischief) for name in mischief.get("queues", ["main"])))
    if arguments == ["-ssconf"]:
        return Reply(out=f"algorithm                         default\nmaxujobs                          {mischief.get('running_limit', 0)}\n")
    settings = {
        "execd_spool_dir": "/cell/spool/execd", "reporting_params": "accounting=true reporting=false \\\n                             flush_time=00:00:00",
        "max_aj_instances": "2000", "max_aj_tasks": mischief.get("array_size_max", 75000), "max_u_jobs": mischief.get("submit_limit", 0),
    }
    return Reply(out="#global:\n" + "".join(f"{name:<28} {value}\n" for name, value in settings.items()) + "\n")
