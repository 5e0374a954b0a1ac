"""A scheduler for tests: stands in for the commands of Slurm, PBS, Torque, LSF and Grid Engine, and runs job scripts for real.

usage: main.py STATE DIALECT PROGRAM [ARGUMENT ...]    a command of a scheduler, as the links in a test's PATH call it
       main.py STATE control VERB JOB [ARGUMENT]       what an administrator or the machine does to a job (see control.py)
       main.py STATE controller                        the server; the first command starts it
STATE is a directory: jobs.json holds the truth, mischief.json what shall go wrong, calls what was called. README.md tells more.
"""

import importlib
import os
import sys

import control
import controller
from book import Book
from mischief import Mischief


def start_controller(state):
    """Starts the server unless it runs; it ends itself when the directory is gone."""
    if controller.runs(state):
        return
    # Only here: every command of every test pays for what is imported.
    import subprocess
    log = open(os.path.join(state, "controller.log"), "ab")
    subprocess.Popen(
        [sys.executable, "-S", "-E", "-X", f"pycache_prefix={state}/pycache", os.path.abspath(__file__), state, "controller"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
    )


def main(argv):
    state, role, *rest = argv
    if role == "controller":
        return controller.serve(state)
    start_controller(state)
    book = Book(state)
    if role == "control":
        return control.act(book, *rest)
    program, *arguments = rest
    with open(os.path.join(state, "calls"), "a") as calls:
        calls.write(" ".join([program, *arguments]).replace("\n", "\\n") + "\n")
    dialect = importlib.import_module(role)
    mischief = Mischief(state)
    reply = mischief.around(dialect, program, arguments, lambda: dialect.run(book, mischief, program, arguments))
    sys.stdout.write(reply.out)
    sys.stdout.flush()
    sys.stderr.write(reply.err)
    return reply.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
