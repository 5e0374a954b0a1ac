#!/usr/bin/env python3
"""Writes molecule_hashes.json: molecules as QCSchema documents and what QCElemental says of them.

    pip install 'qcelemental==0.28.*'
    python make_molecule_hashes.py > molecule_hashes.json      # write
    python make_molecule_hashes.py --check                     # compare another QCElemental with the file

Each case has `molecule` (the document), and either `hash`, `formula` (alphabetical), `charge`, `multiplicity` or `refused`.
`tests/schema.rs` reads the file, so that the Rust tests need no Python.
"""

import contextlib
import io
import json
import pathlib
import random
import sys

import qcelemental
from qcelemental import periodictable

FILE = pathlib.Path(__file__).with_name("molecule_hashes.json")
COMMON = "H H H H C C C N O O F P S Cl Br I Na Si Fe Cu Zn Au U".split()


def geometry(rng, atoms):
    """Atoms on a jittered grid: never too close; digits from 1 to 17."""
    digits = rng.choice([1, 3, 4, 8, 9, 12, 17])
    points = []
    for atom in range(atoms):
        for axis in (atom % 3, atom // 3 % 3, atom // 9):
            points.append(round(2.3 * axis + rng.uniform(-1, 1), digits))
    if rng.random() < 0.4:
        points[rng.randrange(len(points))] = rng.choice([0.0, -0.0, 1e-9, -4e-7, 5.2e-7, -3e-5, 0.000099, 1e-5])
    return points


def parts(rng, atoms, count):
    cuts = sorted(rng.sample(range(1, atoms), count - 1))
    edges = [0, *cuts, atoms]
    return [list(range(a, b)) for a, b in zip(edges, edges[1:])]


def maybe(rng, share):
    return rng.random() < share


def molecule(rng):
    atoms = rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 9, 12])
    symbols = [rng.choice(COMMON) if maybe(rng, 0.9) else periodictable.to_E(rng.randrange(1, 118)) for _ in range(atoms)]
    doc = {"symbols": symbols, "geometry": geometry(rng, atoms)}
    if maybe(rng, 0.3):
        doc["symbols"] = [rng.choice([s, s.lower(), s.upper()]) for s in symbols]
    if maybe(rng, 0.3):
        doc["geometry"] = [doc["geometry"][i : i + 3] for i in range(0, 3 * atoms, 3)]
    if maybe(rng, 0.4):
        doc["molecular_charge"] = rng.choice([0, 0.0, -0.0, 1, -1.0, 2, 0.5, -0.33333, 0.03125, 1e-5])
    if maybe(rng, 0.4):
        doc["molecular_multiplicity"] = rng.choice([1, 1, 2, 2, 3, 4])
    if maybe(rng, 0.2):
        doc["real"] = [maybe(rng, 0.7) for _ in range(atoms)]
    if maybe(rng, 0.15):
        doc["masses"] = [mass(rng, s) for s in symbols]
    elif maybe(rng, 0.15):
        doc["mass_numbers"] = [number(rng, s) for s in symbols]
    if maybe(rng, 0.2) and atoms > 1:
        bonds = [rng.sample(range(atoms), 2) for _ in range(rng.randrange(1, 6))]
        doc["connectivity"] = [[a, b, rng.choice([1, 1.0, 1.5, 2, 3.0, 0.1])] for a, b in bonds]
    if maybe(rng, 0.35) and atoms > 1:
        count = rng.randrange(1, min(atoms, 4) + 1)
        doc["fragments"] = parts(rng, atoms, count)
        if maybe(rng, 0.5):
            doc["fragment_charges"] = [rng.choice([0, 0.0, 1, -1, 0.25]) for _ in range(count)]
            if maybe(rng, 0.5):
                doc.pop("molecular_charge", None)
        if maybe(rng, 0.4):
            doc["fragment_multiplicities"] = [rng.choice([1, 1, 2, 2, 3]) for _ in range(count)]
    if maybe(rng, 0.1):
        doc["name"] = "molécule"
    if maybe(rng, 0.1):
        doc["fix_com"] = doc["fix_orientation"] = maybe(rng, 0.5)
    return doc


def mass(rng, symbol):
    own = periodictable.to_mass(symbol)
    return rng.choice([own, own, round(own, 4), own + 0.0005, own + 1.00783, own - 0.3, own * 2])


def number(rng, symbol):
    own = periodictable.to_A(symbol)
    return rng.choice([own, own, -1, own + 1, own + 2, own - 1, own + 60])


def verdict(doc):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            molecule = qcelemental.models.Molecule(**json.loads(json.dumps(doc)))
    except Exception:
        return {"refused": True}
    return {
        "hash": molecule.get_hash(),
        "formula": molecule.get_molecular_formula(),
        "charge": molecule.molecular_charge,
        "multiplicity": molecule.molecular_multiplicity,
    }


def main():
    if "--check" in sys.argv:
        cases = json.loads(FILE.read_text())["cases"]
        wrong = [case for case in cases if {"molecule": case["molecule"], **verdict(case["molecule"])} != case]
        print(f"qcelemental {qcelemental.__version__}: {len(cases)} cases, {len(wrong)} differ")
        for case in wrong[:5]:
            print(json.dumps(case), "->", verdict(case["molecule"]))
        return 1 if wrong else 0
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        doc = molecule(rng)
        lines.append(json.dumps({"molecule": doc, **verdict(doc)}))
    print('{"qcelemental": "%s", "cases": [' % qcelemental.__version__)
    print(",\n".join(lines))
    print("]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
