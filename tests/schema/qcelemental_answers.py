"""What QCElemental says of documents: reads lines of JSON (`kind`, `document`), writes a line of JSON for each.

Started once by `tests/schema/differential.rs` for all documents. Kinds are those of `Kind` there.
"""

import contextlib
import io
import json
import sys
import warnings

warnings.simplefilter("ignore")
import qcelemental  # noqa: E402
from qcelemental import models as v1  # noqa: E402

try:
    from qcelemental.models import v2
except ImportError:
    v2 = None

MODELS = {
    "molecule": lambda: v1.Molecule,
    "atomic 1": lambda: v1.AtomicInput,
    "optimization 1": lambda: v1.OptimizationInput,
    "atomic 2": lambda: v2.AtomicInput,
    "optimization 2": lambda: v2.OptimizationInput,
}


def plain(value):
    return json.loads(json.dumps(value, default=lambda other: other.tolist()))


def answer(kind, document):
    if kind.endswith("2") and v2 is None:
        return {"unknown": True}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model = MODELS[kind]()(**document)
        if kind == "molecule":
            return {"hash": model.get_hash(), "formula": model.get_molecular_formula()}
        molecule = model.molecule if kind.startswith("atomic") else model.initial_molecule
        if kind == "atomic 1":
            qc = model
        elif kind == "atomic 2":
            qc = model.specification
        elif kind == "optimization 1":
            qc = model.input_specification
        else:
            qc = model.specification.specification
        return {
            "hash": molecule.get_hash(),
            "formula": molecule.get_molecular_formula(),
            "driver": str(getattr(qc.driver, "value", qc.driver)),
            "method": qc.model.method,
            "basis": qc.model.basis if isinstance(qc.model.basis, (str, type(None))) else {},
            "keywords": plain(qc.keywords),
        }


for line in sys.stdin:
    asked = json.loads(line)
    try:
        told = answer(asked["kind"], asked["document"])
    except Exception as error:
        told = {"refused": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(told), flush=True)
