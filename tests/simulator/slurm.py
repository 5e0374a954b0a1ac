"""Slurm 22.05 as its clients speak. Texts and layouts were recorded from 22.05.8; the test target `it` holds them against a real one."""

import datetime
import os
import pwd
import time

from book import LIVE, Reply, matches, request_end

KINDS = {"sbatch": "submit", "squeue": "list", "sacct": "books"}
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
FAILED = "sbatch: error: Batch job submission failed: "
AWAY = "Unable to contact slurm controller (connect failure)"
REFUSALS = {
    "limit": f"sbatch: error: AssocMaxSubmitJobLimit\n{FAILED}{POLICY}\n",
    "policy": f"sbatch: error: AssocMaxWallDurationPerJobLimit\n{FAILED}{POLICY}\n",
    "queue": f"sbatch: error: invalid partition specified: nowhere\n{FAILED}Invalid partition name specified\n",
    "busy": f"{FAILED}I/O error writing script/environment to file\n",
}
ENDS = {
    "COMPLETED": "COMPLETED", "FAILED": "FAILED", "CANCELLED": "CANCELLED", "WALLTIME": "TIMEOUT",
    "MEMORY": "OUT_OF_MEMORY", "PREEMPTED": "PREEMPTED", "NODE_FAILURE": "NODE_FAIL", "REQUEUED": "REQUEUED",
}
COLUMNS = (
    "Account AllocTRES Cluster Comment ConsumedEnergyRaw CPUTimeRAW DerivedExitCode ElapsedRaw End ExitCode JobID "
    "JobIDRaw JobName MaxRSS NodeList Partition Reason ReqMem Start State Submit TimelimitRaw TotalCPU User"
).split()


def kind(program):
    return KINDS.get(program, "other")


def server_away(program, _arguments):
    lines = {
        "sbatch": FAILED + AWAY, "squeue": f"slurm_load_jobs error: {AWAY}", "scancel": f"scancel: error: {AWAY}",
        "sacct": "sacct: error: Problem talking to the database: Connection refused",
        "scontrol": f"slurm_load_ctl_conf error: {AWAY}",
    }
    return Reply(err=lines.get(program, AWAY) + "\n", code=1)


def refusal(_program, which):
    return Reply(err=REFUSALS[which], code=1)


def answer_lost(_program):
    return Reply(err=f"{FAILED}Socket timed out on send/recv operation\n", code=1)


def run(book, mischief, program, arguments):
    return {
        "sbatch": sbatch, "squeue": squeue, "sacct": sacct, "scancel": scancel, "scontrol": scontrol,
        "sacctmgr": sacctmgr,
    }[program](book, mischief, arguments)


def options(arguments, with_value):
    """Splits `--name=value`, `-x value` and words; -x stands for itself, switches have the value True."""
    found, words, rest = {}, [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and "=" in word:
            name, _, value = word.partition("=")
            found[name] = value
        elif word.startswith("-") and word in with_value:
            found[word] = rest.pop(0)
        elif word.startswith("-") and len(word) > 1:
            found[word] = True
        else:
            words.append(word)
            words += rest if "sbatch" in with_value else []
            rest = [] if "sbatch" in with_value else rest
    return found, words


def minutes(text):
    """Slurm's times: minutes, H:MM:SS, D-H."""
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:
        parts = (parts + [0, 0])[:3]
        seconds = parts[0] * 3600 + parts[1] * 60 + parts[2] + int(days) * 86400
    elif len(parts) == 3:
        seconds = parts[0] * 3600 + parts[1] * 60 + parts[2]
    else:
        seconds = parts[0] * 60 + (parts[1] if len(parts) > 1 else 0)
    return float(seconds)


def directives(script):
    with open(script) as file:
        lines = file.read().splitlines()
    return [line.split("#SBATCH ", 1)[1].strip() for line in lines if line.startswith("#SBATCH ")]


def indexes_of(text):
    """`0-3,7` without the limit behind `%`."""
    found = []
    for part in text.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def sbatch(book, mischief, arguments):
    given, words = options(arguments, {"sbatch", "-p", "-J", "-t", "-o", "-D", "-a", "-c", "-n", "-N", "-d"})
    script = words[0]
    if not os.path.exists(script):
        return Reply(err=f"sbatch: error: Unable to open file {script}\n", code=1)
    with open(script, newline="") as file:
        text = file.read()
    if "\r\n" in text:
        return Reply(
            err="sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
            "sbatch: error: instead of expected UNIX line breaks (\\n).\n", code=1)
    if not text.startswith("#!"):
        return Reply(
            err="sbatch: error: This does not look like a batch script.  The first\nsbatch: error: line must start with "
            "#! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh\n", code=1)
    asked, _ = options(directives(script), set())
    asked.update(given)
    queue = asked.get("--partition", asked.get("-p", "main"))
    if queue not in mischief.get("queues", ["main"]):
        return Reply(err=f"sbatch: error: invalid partition specified: {queue}\n{FAILED}Invalid partition name specified\n", code=1)
    indexes = indexes_of(asked["--array"]) if "--array" in asked else [None]
    if max(index or 0 for index in indexes) >= mischief.get("array_size_max", 1001):
        return Reply(err=f"{FAILED}Invalid job array specification\n", code=1)
    if book.live() + len(indexes) > mischief.get("submit_limit", 1 << 30):
        return refusal("sbatch", "limit")
    request = request_of(asked, script, queue, words[1:])
    broken = mischief.broken_limit(book, queue, len(indexes), request["walltime"])
    if broken:
        return Reply(err={
            "array_size": f"{FAILED}Invalid job array specification\n", "submitted": f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED}{POLICY}\n",
            "walltime": f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)\n"}[broken], code=1)
    number = book.submit(mischief, request, indexes)
    return Reply(out=f"{number}\n" if "--parsable" in asked else f"Submitted batch job {number}\n")


def request_of(asked, script, queue, arguments):
    request = {
        "name": asked.get("--job-name", os.path.basename(script)), "user": pwd.getpwuid(os.geteuid()).pw_name,
        "queue": queue, "script": script, "arguments": arguments, "directory": asked.get("--chdir", os.getcwd()),
        "log": asked.get("--output"), "walltime": minutes(asked.get("--time", "60")), "cores": int(asked.get("--cpus-per-task", 1)),
        "environment": {"SLURM_CPUS_PER_TASK": str(asked.get("--cpus-per-task", 1)), "SLURM_JOB_ID": "{id}"},
        "held": "--hold" in asked or "-H" in asked,
    }
    if "--array" in asked:
        request["environment"].update(SLURM_ARRAY_JOB_ID="{id}", SLURM_ARRAY_TASK_ID="{index}")
    if request["held"]:
        request["reason"] = "JobHeldUser"
    signal = asked.get("--signal", "")
    if signal:
        name, _, before = signal.rpartition(":")[2].partition("@")
        request["warning"] = {"signal": name, "before": float(before or 60)}
    return request


def ident(job):
    return str(job["id"]) if job["index"] is None else f"{job['id']}_{job['index']}"


def own_id(job):
    """The last element keeps the submission's number, others have their own."""
    last = job["index"] is None or job["index"] == job["array_size"] - 1
    return str(job["id"] if last else 100_000 + job["serial"])


def state_of(job):
    if job["state"] in ("QUEUED", "HELD"):
        return "PENDING"
    if job["state"] in LIVE:
        return "COMPLETING" if job["end_as"] else job["state"]
    return ENDS[job["state"]]


def reason_of(job):
    if job["state"] in ("QUEUED", "HELD"):
        return job["reason"] or "None"
    return {"FAILED": "NonZeroExitCode", "WALLTIME": "TimeLimit", "MEMORY": "OutOfMemory"}.get(job["state"], "None")


def moment(seconds, otherwise="N/A"):
    if seconds is None:
        return otherwise
    form = os.environ.get("SLURM_TIME_FORMAT", "standard")
    if form == "%s":
        return str(int(seconds))
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S")


def elapsed(job):
    if job["started"] is None:
        return "0:00"
    seconds = int((job["ended"] or time.time()) - job["started"])
    hours = f"{seconds // 3600}:" if seconds >= 3600 else ""
    return f"{hours}{seconds // 60 % 60:02d}:{seconds % 60:02d}" if hours else f"{seconds // 60}:{seconds % 60:02d}"


def squeue_field(job, letter):
    end = job["ended"] or (job["started"] + job["walltime"] if job["started"] else None)
    return {
        "i": ident, "A": own_id, "F": lambda job: str(job["id"]), "T": state_of, "S": lambda job: moment(job["started"]),
        "K": lambda job: "N/A" if job["index"] is None else str(job["index"]), "e": lambda job: moment(end),
        "M": elapsed, "r": reason_of, "j": lambda job: job["name"], "u": lambda job: job["user"],
        "P": lambda job: job["queue"], "V": lambda job: moment(job["submitted"]),
    }[letter](job)


def layout(form, job):
    out, letters = "", iter(form)
    for letter in letters:
        out += squeue_field(job, next(letters)) if letter == "%" else letter
    return out


def squeue(book, mischief, arguments):
    asked, _ = options(arguments, {"-t", "-o", "-j", "-u", "-n", "-p"})
    jobs = mischief.listed(book.jobs(), mischief.get("finished_kept", 300))
    if "-j" in asked:
        numbers = asked["-j"].split(",")
        if len(numbers) == 1 and not any(str(job["id"]) == numbers[0] for job in jobs):
            return Reply(err="slurm_load_jobs error: Invalid job id specified\n", code=1)
        jobs = [job for job in jobs if str(job["id"]) in numbers]
    if "--name" in asked:
        jobs = [job for job in jobs if job["name"] == asked["--name"]]
    if asked.get("-t") is None:
        jobs = [job for job in jobs if job["state"] in LIVE]
    elif asked["-t"] != "all":
        jobs = [job for job in jobs if state_of(job) in asked["-t"].split(",")]
    return Reply(out="".join(layout(asked["-o"], job) + "\n" for job in jobs))


def exit_of(job):
    ends = {"CANCELLED": "0:15" if job["started"] else "0:0", "MEMORY": "0:125", "NODE_FAILURE": "1:0"}
    if job["state"] in ("COMPLETED", "FAILED"):
        return f"{job['code']}:{job['signal'] or 0}"
    return ends.get(job["state"], "0:0")


def sacct_row(job, run, columns, step=""):
    state = state_of(run) if "id" in run else ENDS[run["state"]]
    if state == "CANCELLED":
        state = f"CANCELLED by {os.geteuid()}"
    started, ended = run["started"], run["ended"]
    texts = {
        "JobID": ident(job) + step, "JobIDRaw": own_id(job) + step, "JobName": "batch" if step else job["name"], "State": state,
        "ExitCode": exit_of(job), "DerivedExitCode": "" if step else "0:0", "Submit": moment(run["submitted"]),
        "Start": moment(started, "Unknown"), "End": moment(ended, "Unknown"),
        "ElapsedRaw": str(int(ended - started)) if started and ended else "0", "TimelimitRaw": str(int(job["walltime"] // 60)),
        "ReqMem": "", "MaxRSS": "1024K" if step else "", "TotalCPU": "00:00:00", "CPUTimeRAW": "0", "NodeList": job["hostname"] if started else "None assigned",
        "Reason": "" if step else reason_of(job), "AllocTRES": "", "ConsumedEnergyRaw": "", "User": job["user"], "Partition": job["queue"],
        "Account": "", "Cluster": "cluster", "Comment": "",
    }
    return "|".join(texts[column] for column in columns) + "\n"


def sacct(book, mischief, arguments):
    if mischief.get("no_accounting", False):
        return Reply(err="Slurm accounting storage is disabled\n", code=1)
    asked, _ = options(arguments, {"-j", "-o", "-S", "-E", "-s"})
    if "--helpformat" in asked:
        return Reply(out="".join(f"{name:<20}" + ("\n" if at % 4 == 3 else "") for at, name in enumerate(COLUMNS)) + "\n")
    columns = asked["-o"].split(",")
    for column in columns:
        if column not in COLUMNS:
            return Reply(err=f'sacct: fatal: Invalid field requested: "{column}"\n', code=1)
    jobs = mischief.booked(book.jobs())
    if "-j" in asked:
        numbers = asked["-j"].split(",")
        jobs = [job for job in jobs if str(job["id"]) in numbers or ident(job) in numbers]
    if "--name" in asked:
        # Held jobs are never shown within a span of time.
        jobs = [job for job in jobs if job["name"] == asked["--name"] and job["state"] != "HELD"]
    out = ""
    for job in jobs:
        for run in (job["earlier"] if "-D" in asked else []):
            out += sacct_row(job, run, columns)
        out += sacct_row(job, job, columns)
        if "-X" not in asked and job["started"]:
            out += sacct_row(job, job, columns, ".batch")
    return Reply(out=out)


def chosen(jobs, word):
    number, _, index = word.partition("_")
    return [job for job in jobs if number.isdigit() and matches(job, int(number), int(index) if index else None)]


def scancel(book, mischief, arguments):
    asked, words = options(arguments, {"-s", "-u"})
    with book.open() as table:
        for word in words:
            for job in chosen(table["jobs"], word):
                request_end(job, "CANCELLED", mischief.get("kill_wait", 2.0))
        if "--name" in asked:
            for job in table["jobs"]:
                if job["name"] == asked["--name"]:
                    request_end(job, "CANCELLED", mischief.get("kill_wait", 2.0))
    return Reply()


def scontrol(book, mischief, arguments):
    if arguments == ["--version"]:
        return Reply(out="slurm 22.05.8\n")
    if arguments == ["ping"]:
        return Reply(out="Slurmctld(primary) at node1 is UP\n")
    if arguments == ["show", "config"]:
        storage = "(null)" if mischief.get("no_accounting", False) else "accounting_storage/slurmdbd"
        settings = {
            "AccountingStorageType": storage, "ClusterName": "cluster", "KillWait": "2 sec",
            "MaxArraySize": str(mischief.get("array_size_max", 1001)), "MessageTimeout": "10 sec",
            "MinJobAge": f"{mischief.get('finished_kept', 300)} sec", "SLURM_VERSION": "22.05.8",
        }
        lines = "".join(f"{name:<23} = {value}\n" for name, value in settings.items())
        return Reply(out=f"Configuration data as of {moment(time.time())}\n{lines}\nSlurmctld(primary) at node1 is UP\n")
    if arguments == ["--oneliner", "show", "partition"]:
        return Reply(out="".join(partition(name, mischief) for name in mischief.get("queues", ["main"])))
    if arguments[0] in ("hold", "release"):
        return hold(book, arguments[0] == "hold", arguments[1].split(","))
    return Reply(err=f"invalid keyword: {arguments[0]}\n", code=1)


def partition(name, mischief):
    """One line of `scontrol --oneliner show partition`."""
    limits = mischief.get("queue_limits", {}).get(name, {})
    most = days(limits["walltime"]) if "walltime" in limits else "UNLIMITED"
    return (
        f"PartitionName={name} AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL Default=YES QoS=N/A DefaultTime=NONE "
        f"DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO MaxNodes=UNLIMITED MaxTime={most} MinNodes=0 LLN=NO "
        f"MaxCPUsPerNode=UNLIMITED Nodes=node1 PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO "
        f"OverTimeLimit=NONE PreemptMode=OFF State={limits.get('state', 'UP')} TotalCPUs={mischief.get('slots', 8)} TotalNodes=1 SelectTypeParameters=NONE "
        "JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED\n")


def days(seconds):
    seconds = int(seconds)
    return f"{seconds // 86400}-{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def hold(book, wanted, words):
    with book.open() as table:
        jobs = [job for word in words for job in chosen(table["jobs"], word)]
        if not jobs:
            return Reply(err=f"Invalid job id specified for job {words[0]}\nslurm_suspend error: Invalid job id specified\n", code=1)
        for job in jobs:
            if wanted and job["state"] == "QUEUED":
                job.update(state="HELD", reason="JobHeldUser")
            elif not wanted and job["state"] == "HELD":
                job.update(state="QUEUED", reason=None)
            elif job["state"] not in ("QUEUED", "HELD"):
                return Reply(err=f"Job is no longer pending execution for job {words[0]}\nslurm_suspend error: Job is no longer pending execution\n", code=1)
    return Reply()


def sacctmgr(_book, mischief, arguments):
    if mischief.get("no_accounting", False):
        return Reply(err="You are not running a supported accounting_storage plugin\nOnly 'accounting_storage/slurmdbd' is supported.\n", code=1)
    most = mischief.get("submit_limit", "")
    if arguments[-1] == "format=name,maxwall,maxjobspu,maxsubmitpu,grpsubmit":
        limits = mischief.get("qos_limits", {})
        rows = {"normal": {}, **limits}
        return Reply(out="".join(
            f"{name}|{days(of['walltime']) if 'walltime' in of else ''}|{of.get('running', '')}|{of.get('submitted', '')}|\n" for name, of in rows.items()))
    if arguments[-1] == "format=account,partition,maxwall,maxjobs,maxsubmit":
        return Reply(out=f"chem|||{mischief.get('slots', '')}|{most}\n")
    return Reply(out=f"cluster|chem|{pwd.getpwuid(os.geteuid()).pw_name}||{mischief.get('slots', '')}|{most}\n")
