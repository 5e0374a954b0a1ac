#!/usr/bin/env python3
"""Writes psi4_molecules.json: molecules in Psi4's words and the hashes that QCElemental gives them.

    pip install 'qcelemental==0.28.*'
    python make_psi4_molecules.py > psi4_molecules.json

Each case has `text`, and `hash`, `charge` and `multiplicity`, or `refused`. `tests/schema/formats.rs` reads the file.
"""

import contextlib
import io
import json

import qcelemental

WATER = "O 0.0 0.0 0.1173\nH 0.0 0.7572 -0.4692\nH 0.0 -0.7572 -0.4692\n"
TEXTS = [
    f"0 1\n{WATER}",
    f"1 2\n{WATER}",
    f"-1 2\n{WATER}units angstrom\n",
    f"units au\n{WATER.replace('0.7572', '1.4309')}",
    f"# a comment\n\n0 3\n{WATER}no_com\nno_reorient\nsymmetry c1\n",
    "0 1\nHe 0 0 0\n--\n0 1\nHe 0 0 3.0\n",
    "1 1\n--\n1 1\nLi 0 0 0\n--\n0 1\nHe 0 0 3.0\n",
    "Li 0 0 0\n--\n0 1\nHe 0 0 3.0\n",
    "0 1\nHe 0 0 0\nGh(He) 0 0 3.0\n",
    "0 1\n@He 0 0 0\nHe_far 0 0 3.0\n",
    "0 1\nHe 0 0 0\n--\n@He 0 0 3.0\n",
    "0 1\n2H 0 0 0\nH1 0 0 0.74\n",
    "0 1\nGh(2H) 0 0 0\nHe 0 0 3\n",
    "0 1\nO\nH 1 0.96\nH 1 0.96 2 104.5\n",
    "0 2\nHe 0 0 0\n",
    "0 1\nHe 0 0 0\n--\n--\nHe 0 0 3\n",
]


def verdict(text):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            molecule = qcelemental.models.Molecule.from_data(text, dtype="psi4", fix_com=True, fix_orientation=True)
    except Exception:
        return {"refused": True}
    return {
        "hash": molecule.get_hash(),
        "charge": molecule.molecular_charge,
        "multiplicity": molecule.molecular_multiplicity,
    }


def main():
    print('{"qcelemental": "%s", "cases": [' % qcelemental.__version__)
    print(",\n".join(json.dumps({"text": text, **verdict(text)}) for text in TEXTS))
    print("]}")


if __name__ == "__main__":
    main()
