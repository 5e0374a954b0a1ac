"""Torque 6 as its clients speak, by its manual pages, its table of error codes and its sources: none runs here. What it shares with
its relative PBS (ids, options, durations) is pbs.py's."""

import os
import pwd
import time

from book import LIVE, Reply, request_end
from pbs import SERVER, clock, date, each_named, full, ident, parent, parse, seconds

KINDS = {"qsub": "submit", "qstat": "list"}
# Numbers and words of the table of error codes; commands exit with what is left of the number in a byte.
UNKNOWN_JOB, BAD_STATE, AWAY = (15001, "Unknown Job Id Error"), (15018, "Request invalid for state of job"), (111, "Connection refused")
SECOND_TRY = "Connection to server timed out. Trying again"
WHOSE = f"user alice@{SERVER}, queue batch"
REFUSALS = {
    "limit": (15076, f"Maximum number of jobs already in queue for user MSG=total number of current user's jobs exceeds the queue limit: {WHOSE}"),
    "queue": (15020, "Unknown queue MSG=cannot locate queue"),
    "policy": (15038, "Job exceeds queue resource limits MSG=cannot satisfy queue max walltime requirement"),
    "busy": (15023, f"Queue is not enabled MSG=queue is disabled: {WHOSE}"),
    "array": (15083, "Bad Job Array Request"), "lost": (15114, "Premature End of File"),
}
SWITCHES = {"-f", "-1", "-t", "-B", "-Q", "-h", "-V", "-z"}


def kind(program):
    return KINDS.get(program, "other")


def server_away(program, _arguments):
    return Reply(err=f"{program}: cannot connect to server {SERVER} (errno={AWAY[0]}) {AWAY[1]}\n", code=AWAY[0])


def refusal(program, which):
    number, text = REFUSALS[which]
    return Reply(err=f"{program}: submit error ({text})\n", code=number % 256)


def answer_lost(program):
    return refusal(program, "lost")


def run(book, mischief, program, arguments):
    return {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qhold": qhold, "qrls": qrls}[program](book, mischief, arguments)


# -- submitting


def qsub(book, mischief, arguments):
    given, words = parse(arguments, SWITCHES - {"-t"})
    try:
        with open(words[0]) as file:
            lines = [line[5:].split("#")[0].split() for line in file.read().splitlines() if line.startswith("#PBS ")]
    except OSError as error:
        return Reply(err=f"qsub: script file '{words[0]}' cannot be loaded - {error.strerror}\n", code=1)
    asked, _ = parse([word for line in lines for word in line], SWITCHES - {"-t"})
    resources = ",".join(asked["-l"] + given["-l"])
    asked.update(given)
    if asked.get("-q", "batch") not in mischief.get("queues", ["batch"]):
        return refusal("qsub", "queue")
    first, _, last = asked.get("-t", "").partition("-")
    indexes = list(range(int(first), int(last or first) + 1)) if first else [None]
    if not indexes or len(indexes) > mischief.get("array_size_max", 10000):
        return refusal("qsub", "array")
    if book.live() + len(indexes) > mischief.get("submit_limit", 1 << 30):
        return refusal("qsub", "limit")
    request = request_of(asked, resources, words[0], bool(first))
    broken = mischief.broken_limit(book, request["queue"], len(indexes), request["walltime"])
    if broken:
        return refusal("qsub", {"array_size": "array", "submitted": "limit", "walltime": "policy"}[broken])
    number = book.submit(mischief, request, indexes)
    return Reply(out=f"{number}{'[]' if first else ''}.{SERVER}\n")


def request_of(asked, resources, script, is_array):
    user = pwd.getpwuid(os.geteuid())
    # `nodes=1:ppn=4`, `mem=…`, `walltime=…`.
    items = dict(item.split("=", 1) for item in resources.split(",") if "=" in item)
    properties = dict(item.split("=", 1) for item in items.get("nodes", "1").split(":")[1:] if "=" in item)
    environment = {"PBS_JOBID": "{id}" + ("[{index}]" if is_array else "") + f".{SERVER}", "PBS_O_WORKDIR": os.getcwd()}
    if is_array:
        environment["PBS_ARRAYID"] = "{index}"
    log = asked.get("-o")
    return {
        "name": asked.get("-N", os.path.basename(script)), "user": user.pw_name, "queue": asked.get("-q", "batch"),
        "script": os.path.abspath(script), "directory": asked.get("-d", user.pw_dir), "log": log and (f"{log}-%a" if is_array else log),
        "walltime": seconds(items.get("walltime", "1:00:00")), "cores": int(properties.get("ppn", 1)),
        "environment": environment, "held": "-h" in asked, "hostname": SERVER,
    }


# -- asking


def letter(job):
    if job["state"] not in LIVE:
        return "C"
    if job["end_as"]:
        return "E"
    return {"QUEUED": "Q", "HELD": "H", "RUNNING": "R", "SUSPENDED": "S"}[job["state"]]


def exit_status(job):
    """A signal counts from 256; negative numbers are the execution server's own."""
    status = job["code"] if job["signal"] is None else 256 + job["signal"]
    return {
        "COMPLETED": 0, "FAILED": status, "WALLTIME": -11, "MEMORY": -10, "NODE_FAILURE": -4,
        "CANCELLED": 271 if job["started"] else None,
    }.get(job["state"])


def attributes(job, name, state):
    """The attributes of `qstat -f` in its order."""
    ran = job["started"] is not None
    pairs = [
        ("Job_Name", name), ("Job_Owner", f"{job['user']}@{SERVER}"), ("resources_used.cput", "00:00:00" if ran else None),
        ("resources_used.mem", "1024kb" if ran else None), ("job_state", state), ("queue", job["queue"]), ("server", SERVER),
        ("ctime", date(job["submitted"])), ("exec_host", f"{SERVER}/0" if ran else None), ("Hold_Types", "u" if job["state"] == "HELD" else "n"),
        ("mtime", date(job["ended"] or job["started"] or job["submitted"])), ("qtime", date(job["submitted"])), ("Rerunable", "False"),
        ("Resource_List.walltime", time.strftime("%H:%M:%S", time.gmtime(job["walltime"]))),
        ("Variable_List", f"PBS_O_QUEUE={job['queue']},PBS_O_HOME=/home/{job['user']}"), ("comment", job["reason"]),
        ("exit_status", exit_status(job)), ("start_time", date(job["started"]) if ran else None), ("start_count", job["runs"] or None),
        ("comp_time", date(job["ended"]) if job["ended"] else None),
    ]
    lines = "".join(f"    {key} = {value}\n" for key, value in pairs if value is not None)
    return lines + "\n"


def of_element(job):
    name = job["name"] if job["index"] is None else f"{job['name']}-{job['index']}"
    return f"Job Id: {ident(job)}\n" + attributes(job, name, letter(job))


def of_array(jobs):
    """An array as the one job that it is without -t; it is complete when all of it is."""
    first = min(jobs, key=lambda job: "RQHSEC".index(letter(job)))
    return f"Job Id: {parent(first)}\n" + attributes(first, first["name"], letter(first))


def qstat(book, mischief, arguments):
    asked, words = parse(arguments, SWITCHES)
    if "--version" in asked:
        return Reply(err="Version: 6.1.3\nCommit: 662fc7cb0a2b5f4f3b5bd3b5b5c2a1b0c5a0e2ad\n")
    if "-B" in asked:
        return server(book, mischief, "-f" in asked)
    if "-Q" in asked:
        return Reply(out="".join(queue_attributes(book, name, mischief) for name in mischief.get("queues", ["batch"])))
    kept = 0 if mischief.get("no_accounting", False) else mischief.get("finished_kept", 300)
    known = mischief.listed(book.jobs(), kept)
    if not words:
        if "-t" in asked:
            return Reply(out="".join(of_element(job) for job in known))
        groups = dict.fromkeys(parent(job) for job in known)
        return Reply(out="".join(whole([job for job in known if parent(job) == group]) for group in groups))
    out, err = "", ""
    for word in words:
        chosen = [job for job in known if full(word) in (ident(job), parent(job))]
        if not chosen:
            err += f"qstat: {UNKNOWN_JOB[1]} {full(word)}\n"
        elif full(word) == parent(chosen[0]) and "-t" not in asked:
            out += whole(chosen)
        else:
            out += "".join(of_element(job) for job in chosen)
    return Reply(out=out, err=err, code=UNKNOWN_JOB[0] % 256 if err else 0)


def whole(jobs):
    return of_array(jobs) if jobs[0]["index"] is not None else "".join(of_element(job) for job in jobs)


def queue_attributes(book, name, mischief):
    """One queue of `qstat -Q -f`."""
    limits = mischief.get("queue_limits", {}).get(name, {})
    pairs = [
        ("queue_type", "Execution"), ("max_user_queuable", limits.get("submitted")), ("total_jobs", book.live(name)),
        ("resources_max.walltime", clock(limits["walltime"]) if "walltime" in limits else None),
        ("kill_delay", limits.get("kill_wait")), ("mtime", 1400000000), ("enabled", True), ("started", True),
    ]
    return f"Queue: {name}\n" + "".join(f"    {key} = {value}\n" for key, value in pairs if value is not None) + "\n"


def server(book, mischief, in_full):
    live = book.live()
    if not in_full:
        head = "Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext   Com Status\n"
        rule = "----------------   ---   ---   ---   ---   ---   ---   ---   ---   --- ----------\n"
        return Reply(out=f"{head}{rule}{SERVER:<16} {0:>5} {live:>5}" + f" {0:>5}" * 7 + " Active\n")
    kept = 0 if mischief.get("no_accounting", False) else mischief.get("finished_kept", 300)
    return Reply(out=(
        f"Server: {SERVER}\n    server_state = Active\n    scheduling = True\n    total_jobs = {live}\n"
        f"    default_queue = batch\n    keep_completed = {kept}\n    kill_delay = 2\n"
        f"    max_job_array_size = {mischief.get('array_size_max', 10000)}\n    pbs_version = 6.1.3\n\n"))


# -- acting


def qdel(book, mischief, arguments):
    gone = lambda word: (f"qdel: nonexistent job id: {word}\n", UNKNOWN_JOB[0])
    over = lambda word: (f"qdel: {BAD_STATE[1]} MSG=invalid state for job - COMPLETE {full(word)}\n", BAD_STATE[0])
    return each_named(book, arguments, gone, over, lambda job: request_end(job, "CANCELLED", mischief.get("kill_wait", 2.0)))


def complaints(program):
    return (
        lambda word: (f"{program}: {UNKNOWN_JOB[1]} {full(word)}\n", UNKNOWN_JOB[0]),
        lambda word: (f"{program}: {BAD_STATE[1]} {full(word)}\n", BAD_STATE[0]),
    )


def qhold(book, _mischief, arguments):
    def hold(job):
        if job["state"] == "QUEUED":
            job["state"] = "HELD"
    return each_named(book, arguments, *complaints("qhold"), hold)


def qrls(book, _mischief, arguments):
    def release(job):
        if job["state"] == "HELD":
            job.update(state="QUEUED", reason=None)
    return each_named(book, arguments, *complaints("qrls"), release)
