#!/usr/bin/env python3
"""Writes xyz_frames.json: frames of extended XYZ and what ASE and extxyz read in them.

    pip install 'ase==3.29.0' 'extxyz==0.4.6'
    python make_xyz_frames.py > xyz_frames.json

Each case has `text`, and for each library `charge` and `multiplicity` (null where there is none), `periodic`, `symbols` and
`positions`, or `refused`. `tests/schema/xyz.rs` reads the file, so that the Rust tests need no Python.
"""

import io
import json
import sys
import warnings

import ase
import ase.io.extxyz
import extxyz
import numpy

PLAIN = "O 0.0 0.0 0.1\nH 0.0 0.76 -0.47\nH 0.0 -0.76 -0.47\n"
COMMENTS = [
    "",
    "water",
    "charge=1",
    "charge=-1 multiplicity=2",
    "charge = -1 multiplicity = 2",
    'charge="2"',
    "charge='2'",
    "charge={2}",
    'charge="-1" name="the anion"',
    'charge=0 comment="fragment of the charge=2 ion"',
    "charge=0 comment='fragment of the charge=2 ion'",
    "charge=0 comment={fragment of the charge=2 ion}",
    'comment="charge=2" charge=0',
    'comment="charge=2"',
    'comment="multiplicity=3 charge=-1" charge=1',
    'comment="a \\"quoted\\" charge=2 word" charge=1',
    'comment="Lattice=none" charge=1',
    'comment="pbc=T" charge=1',
    'config_type=dimer charge=1 energy=-76.4',
    'energy=-76.4 virial="1 0 0 0 1 0 0 0 1" charge=-1',
    'Properties=species:S:1:pos:R:3 charge=1',
    'Properties=species:S:1:pos:R:3 charge=1 pbc="F F F"',
    'pbc="F F F" charge=1',
    'pbc="T T T" Lattice="9 0 0 0 9 0 0 0 9" charge=1',
    'Lattice="9 0 0 0 9 0 0 0 9" charge=1',
    'Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F" charge=1',
    'Lattice="9 0 0 0 9 0 0 0 9" pbc="F F T"',
    "charge=1.0 multiplicity=2",
    "charge=+1",
    "charge=1e0",
    "not_charge=3 charge=1",
    "charge_of_ion=3 charge=1",
    "xcharge=3",
    "dipole=[0.0, 0.0, 0.7] charge=1",
    "list=[1,2,3] charge=2",
    'smiles="C=C" charge=1',
    "a=b c=d charge=-2",
    "flag charge=1",
    "charge=1 flag",
    'title="" charge=1',
]
COLUMNS = [
    ("Properties=species:S:1:pos:R:3:forces:R:3 charge=1", ["O 0 0 0.1 1 2 3", "H 0 0.76 -0.47 4 5 6"]),
    ("Properties=pos:R:3:species:S:1 charge=1", ["0 0 0.1 O", "0 0.76 -0.47 H"]),
    ("Properties=Z:I:1:pos:R:3 charge=-1", ["8 0 0 0.1", "1 0 0.76 -0.47"]),
    ("Properties=tag:I:1:species:S:1:charges:R:1:pos:R:3 charge=-1", ["7 O -0.8 0 0 0.1", "8 H 0.8 0 0.76 -0.47"]),
    ("Properties=species:S:1:pos:R:3:Z:I:1 charge=-1", ["O 0 0 0.1 8", "H 0 0.76 -0.47 1"]),
    ("Properties=fixed:L:1:species:S:1:pos:R:3 charge=1", ["T O 0 0 0.1", "F H 0 0.76 -0.47"]),
    ("Properties=species:S:1 charge=1", ["O", "H"]),
    ("Properties=species:S:1:pos:R:3:forces:R:3 charge=1", ["O 0 0 0.1", "H 0 0.76 -0.47"]),
    ("Properties=species:X:1:pos:R:3 charge=1", ["O 0 0 0.1", "H 0 0.76 -0.47"]),
]


def plain(value):
    """A number as JSON has it, null for what is none."""
    value = numpy.asarray(value)
    if value.size != 1 or value.dtype.kind not in "if":
        return None
    return float(value.ravel()[0])


def told(info, symbols, positions, periodic):
    return {
        "charge": plain(info.get("charge")) if "charge" in info else None,
        "multiplicity": plain(info.get("multiplicity")) if "multiplicity" in info else None,
        "periodic": bool(periodic),
        "symbols": [str(symbol) for symbol in symbols],
        "positions": [[round(float(x), 9) for x in row] for row in positions],
    }


def by_ase(text):
    atoms = next(ase.io.extxyz.read_xyz(io.StringIO(text), index=0))
    info = dict(atoms.info)
    if atoms.calc is not None:
        info.update({key: value for key, value in atoms.calc.results.items() if key not in info})
    return told(info, atoms.get_chemical_symbols(), atoms.positions, any(atoms.pbc))


def by_extxyz(text):
    with open("frame.xyz", "w") as file:
        file.write(text)
    frame = extxyz.read_dicts("frame.xyz", use_cextxyz=False)
    frame = frame[0] if isinstance(frame, list) else frame
    if "species" in frame.arrays:
        symbols = frame.arrays["species"]
    else:
        symbols = [ase.data.chemical_symbols[number] for number in frame.arrays["Z"]]
    # without a lattice its `pbc` is a default that means nothing
    periodic = "Lattice=\"" in text and '="Lattice' not in text and any(frame.pbc)
    return told(frame.info, symbols, frame.arrays["pos"], periodic)


def verdict(read, text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(text)
    except Exception as error:
        print(f"{read.__name__}: {text!r}: {error}", file=sys.stderr)
        return {"refused": True}


def main():
    texts = [f"3\n{comment}\n{PLAIN}" for comment in COMMENTS]
    texts += ["{}\n{}\n{}\n".format(len(atoms), comment, "\n".join(atoms)) for comment, atoms in COLUMNS]
    cases = [
        json.dumps({"text": text, "ase": verdict(by_ase, text), "extxyz": verdict(by_extxyz, text)}) for text in texts
    ]
    print('{"ase": "%s", "extxyz": "%s", "cases": [' % (ase.__version__, extxyz.__version__))
    print(",\n".join(cases))
    print("]}")


if __name__ == "__main__":
    main()
