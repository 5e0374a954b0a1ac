"""The one truth: the table of jobs, in STATE/jobs.json under a lock. Knows no scheduler's words."""

import contextlib
import fcntl
import json
import os
import time

# States: QUEUED HELD RUNNING SUSPENDED, and the ends below.
LIVE = ("QUEUED", "HELD", "RUNNING", "SUSPENDED")
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "WALLTIME", "MEMORY", "PREEMPTED", "NODE_FAILURE")


class Reply:
    """What a command answers."""

    def __init__(self, out="", err="", code=0):
        self.out, self.err, self.code = out, err, code


class Book:
    """Opens the table for one change at a time."""

    def __init__(self, state):
        self.state = state

    @contextlib.contextmanager
    def open(self):
        """The table as a dictionary; what is changed in it is kept, unless the block raises."""
        with open(os.path.join(self.state, "jobs.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = os.path.join(self.state, "jobs.json")
            try:
                with open(path) as file:
                    before = file.read()
            except FileNotFoundError:
                before = '{"next_id": 1, "serial": 0, "jobs": []}'
            table = json.loads(before)
            yield table
            after = json.dumps(table)
            if after != before:
                with open(path + ".new", "w") as file:
                    file.write(after)
                os.replace(path + ".new", path)

    def jobs(self):
        """A copy of all jobs, oldest first."""
        with self.open() as table:
            return table["jobs"]

    def submit(self, mischief, request, indexes=(None,)):
        """Takes one job for each index (None = no array) and gives the submission's number."""
        with self.open() as table:
            number = table["next_id"]
            table["next_id"] = number + 1 if number < mischief.get("id_max", 1 << 40) else 1
            now = time.time()
            for index in indexes:
                table["serial"] += 1
                table["jobs"].append({
                    "serial": table["serial"], "id": number, "index": index, "array_size": len(indexes),
                    "name": "", "user": "", "queue": "", "script": "", "directory": "/", "log": None, "environment": {},
                    "arguments": [], "walltime": 3600.0, "warning": None, "cores": 1, "memory_mib": None,
                    "reason": None, "submitted": now, "started": None, "ended": None, "pid": None, "code": None,
                    "signal": None, "end_as": None, "kill_at": None, "warned": False, "runs": 0, "earlier": [],
                    "forgotten": False, "hostname": "node1", "state": "HELD" if request.get("held") else "QUEUED",
                    # What is sent before the kill, by how the job shall end; whether its walltime kills it at all.
                    "asks": {}, "asked": 0, "asked_since": None, "killed_at_walltime": True,
                    # Its host cannot be reached; why it waits for ever when its directory is not there.
                    "unreachable": False, "stuck_without_directory": None, **request,
                })
            return number

    def live(self, queue=None):
        """How many jobs are not over, in one queue or in all."""
        return sum(job["state"] in LIVE and queue in (None, job["queue"]) for job in self.jobs())


def matches(job, number, index=None):
    """Whether the job is this one, or an element of this submission when no index is given."""
    return job["id"] == number and (index is None or job["index"] == index)


def request_end(job, how, patience=0.0):
    """Ends a job: at once when it waits, by the controller when it runs."""
    if job["state"] in ("QUEUED", "HELD"):
        job.update(state=how, ended=time.time(), code=0)
    elif job["state"] in ("RUNNING", "SUSPENDED") and job["end_as"] is None:
        now = time.time()
        job.update(end_as=how, asked_since=now, kill_at=now + patience)
