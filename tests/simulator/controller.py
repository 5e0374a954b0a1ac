"""The server of the simulator: starts waiting jobs, warns, kills at the walltime, and writes down how they ended."""

import fcntl
import os
import signal
import time

from book import Book
from mischief import Mischief

TICK_SECONDS = 0.05


def lock(state):
    """The server's lock; none when another has it."""
    file = open(os.path.join(state, "controller.lock"), "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def runs(state):
    """Whether a server has the lock."""
    held = lock(state)
    if held is None:
        return True
    held.close()
    return False


def serve(state):
    """Runs until the directory is gone."""
    held = lock(state)
    if held is None:
        return 0
    book, children = Book(state), {}
    while os.path.isdir(state):
        try:
            with book.open() as table:
                tick(table["jobs"], Mischief(state), children)
        except FileNotFoundError:
            break
        time.sleep(TICK_SECONDS)
    for child in children.values():
        signal_session(child.pid, signal.SIGKILL)
    return 0


def tick(jobs, mischief, children):
    now = time.time()
    for job in jobs:
        if job["state"] in ("RUNNING", "SUSPENDED"):
            look_after(job, mischief, children, now)
    free = mischief.get("slots", 8) - sum(job["cores"] for job in jobs if job["state"] in ("RUNNING", "SUSPENDED"))
    for job in jobs:
        if job["state"] == "QUEUED" and job["cores"] <= free and not mischief.get("starts_nothing", False):
            if job["stuck_without_directory"] and not os.path.isdir(job["directory"]):
                job.update(state="HELD", reason=job["stuck_without_directory"])
                continue
            free -= job["cores"]
            start(job, children, now)


def start(job, children, now):
    number, index = job["id"], job["index"]
    path = job["log"] or os.devnull
    for letters, value in (("%a", index), ("%A", number), ("%j", number), ("%I", index), ("%J", number)):
        path = path.replace(letters, str(value))
    # Only here: the commands import this module as well, and pay for what it imports.
    import subprocess
    log = open(path, "ab")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "USER": job["user"]}
    for name, value in job["environment"].items():
        environment[name] = value.replace("{id}", str(number)).replace("{index}", str(index))
    child = subprocess.Popen(
        [job["script"], *job["arguments"]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
        cwd=job["directory"] if os.path.isdir(job["directory"]) else "/tmp", start_new_session=True, preexec_fn=default_signals,
    )
    log.close()
    children[job["serial"]] = child
    job.update(state="RUNNING", started=now, pid=child.pid, runs=job["runs"] + 1, reason=None, warned=False)


def default_signals():
    """Whoever started the tests in the background had INT ignored, which would be inherited."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)


def look_after(job, mischief, children, now):
    child = children.get(job["serial"])
    code = child.poll() if child else -signal.SIGKILL
    if code is not None:
        signal_session(job["pid"], signal.SIGKILL)
        return end(job, code, now)
    scale = mischief.get("walltime_scale", 1.0)
    runtime, walltime = now - job["started"], job["walltime"] * scale
    warning = job["warning"]
    if warning and not job["warned"] and runtime >= walltime - warning["before"] * scale:
        os.kill(job["pid"], getattr(signal, "SIG" + warning["signal"]))
        job["warned"] = True
    if job["end_as"] is None and runtime >= walltime:
        job.update(end_as="WALLTIME", asked_since=now, kill_at=now + mischief.get("kill_wait", 2.0))
    if job["end_as"] is not None and not job["unreachable"]:
        if now >= job["kill_at"] and (job["end_as"] != "WALLTIME" or job["killed_at_walltime"]):
            signal_session(job["pid"], signal.SIGKILL)
        else:
            ask(job, now)


def ask(job, now):
    """The signals before the kill, spread over the time until then."""
    asks = job["asks"].get(job["end_as"], ["TERM"])
    share = (now - job["asked_since"]) / max(job["kill_at"] - job["asked_since"], 0.001)
    for name in asks[job["asked"]:int(share * len(asks)) + 1]:
        job["asked"] += 1
        signal_session(job["pid"], signal.SIGCONT)
        signal_session(job["pid"], getattr(signal, "SIG" + name))


def end(job, code, now):
    """Writes down how a run ended. A requeued job goes back to the queue, its run to the books."""
    how, job["asked"] = job["end_as"], 0
    job.update(end_as=None, pid=None, ended=now)
    if how in ("REQUEUED", "REQUEUED_PREEMPTED", "REQUEUED_NODE_FAILURE"):
        old = {"REQUEUED": "REQUEUED", "REQUEUED_PREEMPTED": "PREEMPTED"}.get(how, "NODE_FAILURE")
        job["earlier"].append({key: job[key] for key in ("started", "ended", "submitted")} | {"state": old})
        job.update(state="QUEUED", started=None, ended=None, submitted=now)
        return
    job.update(code=max(code, 0), signal=-code if code < 0 else None)
    job["state"] = how or ("COMPLETED" if code == 0 else "FAILED")


def signal_session(leader, number):
    """Signals every process of a job: those of the session that its script leads."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                session = int(file.read().rsplit(")", 1)[1].split()[3])
            if session == leader:
                os.kill(int(name), number)
        except (OSError, ValueError, IndexError):
            continue
