"""What administrators and machines do to jobs: requeue, preempt, kill for memory, lose a node or its net, move, suspend, forget."""

import time

from book import matches, request_end


def act(book, verb, job_id, *arguments):
    """Does `verb` to `7` (all of a submission) or `7_3`."""
    number, _, index = job_id.partition("_")
    with book.open() as table:
        if verb == "next-id":
            table["next_id"] = int(number)
            return 0
        chosen = [job for job in table["jobs"] if matches(job, int(number), int(index) if index else None)]
        for job in chosen:
            ACTIONS[verb](job, *arguments)
    return 0 if chosen else 1


def ends(how):
    """Kills without asking, as the kernel or a dead machine does, unless its scheduler asks jobs that shall end so."""
    return lambda job: request_end(job, how, patience=2.0 if how in job["asks"] else 0.0)


def move(job, queue):
    job["queue"] = queue


def suspend(job):
    job["state"] = "SUSPENDED"


def resume(job):
    job["state"] = "RUNNING"


def forget(job):
    job["forgotten"] = True


def unreachable(job):
    """Nobody hears of its host; the job runs on there."""
    job["unreachable"] = True


def reachable(job):
    job["unreachable"] = False


def block(job, reason):
    """A waiting job that will never start."""
    job.update(state="HELD", reason=reason)


def age(job, seconds):
    """As if it had ended so long ago."""
    job["ended"] = (job["ended"] or time.time()) - float(seconds)


ACTIONS = {
    "requeue": ends("REQUEUED"), "requeue-preempted": ends("REQUEUED_PREEMPTED"),
    "requeue-node-failure": ends("REQUEUED_NODE_FAILURE"), "preempt": ends("PREEMPTED"), "memory": ends("MEMORY"),
    "node-failure": ends("NODE_FAILURE"), "cancel": ends("CANCELLED"), "move": move, "suspend": suspend,
    "complete": ends("COMPLETED"), "resume": resume, "forget": forget, "block": block, "age": age, "unreachable": unreachable, "reachable": reachable,
}
