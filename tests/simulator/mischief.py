"""What goes wrong on request: STATE/mischief.json. A number where a switch stands = so many times, then no more."""

import fcntl
import json
import os
import time

from book import Reply

# How each dialect sorts its programs: submit, list (what lists jobs), books (accounting), other.


class Mischief:
    """Reads what a test asked for; wraps each command in it."""

    def __init__(self, state):
        self.state, self.path = state, os.path.join(state, "mischief.json")
        self.wanted = self._read()

    def _read(self):
        try:
            with open(self.path) as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def get(self, name, default):
        """A setting."""
        return self.wanted.get(name, default)

    def broken_limit(self, book, queue, size, walltime):
        """The first limit of a queue that a submission breaks: array_size, submitted or walltime."""
        limits = self.get("queue_limits", {}).get(queue, {})
        most = lambda name: limits.get(name, 1 << 40)
        if size > most("array_size"):
            return "array_size"
        if book.live(queue) + size > most("submitted"):
            return "submitted"
        return "walltime" if walltime > most("walltime") else None

    def takes(self, name):
        """Whether this goes wrong now; a number counts down."""
        if not self.wanted.get(name):
            return False
        if self.wanted[name] is True:
            return True
        with open(os.path.join(self.state, "mischief.lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.wanted = self._read()
            left = self.wanted.get(name, 0)
            if left is True or left <= 0:
                return left is True
            self.wanted[name] = left - 1
            with open(self.path + ".new", "w") as file:
                json.dump(self.wanted, file)
            os.replace(self.path + ".new", self.path)
        return True

    def around(self, dialect, program, arguments, command):
        """Runs the command and spoils its answer as asked."""
        kind = dialect.kind(program)
        if self.takes("down"):
            # Some commands read files and need no server.
            return dialect.server_away(program, arguments) or command()
        if kind == "submit" and self.takes("refuses"):
            return dialect.refusal(program, self.get("refusal", "policy"))
        reply = command()
        if kind == "submit" and reply.code == 0 and self.takes("submits_twice"):
            reply = command()
            reply.err += dialect.SECOND_TRY
        if kind == "submit" and reply.code == 0:
            if self.takes("answer_lost"):
                return dialect.answer_lost(program)
            if self.takes("id_unreadable"):
                reply.out = "Welcome to the machine\n"
            if self.takes("hangs_after_accepting"):
                time.sleep(3600)
        if kind == "list":
            if self.takes("empty"):
                return Reply()
            if self.takes("torn"):
                reply.out = reply.out[: max(1, len(reply.out) // 2 + 1)]
            reply.out += self.get("listed_too", "")
        if self.get("banner", ""):
            reply.out = self.get("banner", "") + reply.out
        if self.get("complains", ""):
            reply.err = self.get("complains", "") + reply.err
        return reply

    def listed(self, jobs, kept_seconds):
        """The jobs that a listing shows: not the forgotten, not the old, at times only every second."""
        now, forgets = time.time(), self.get("forget_finished", False)
        shown = [
            job for job in jobs
            if not job["forgotten"] and (job["ended"] is None or (not forgets and now - job["ended"] < kept_seconds))
        ]
        return shown[::2] if self.takes("half") else shown

    def booked(self, jobs):
        """The jobs that the books know."""
        return [job for job in jobs if not job["forgotten"] and not (job["ended"] and self.get("forget_finished", False))]
