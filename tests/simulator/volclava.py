"""volclava 2.2, which descends from openlava: LSF's commands with fewer options (see lsf.py)."""

import lsf
from lsf import SECOND_TRY, answer_lost, kind, refusal, server_away  # noqa: F401: what main.py asks of a dialect


def run(book, mischief, program, arguments):
    return lsf.run(book, mischief, program, arguments, "volclava 2.2")
