#!/usr/bin/env python3
"""Writes specification_hashes.json: specifications as QCArchive keeps them and its hashes of them (standard library only).

    python make_specification_hashes.py > specification_hashes.json
"""

import hashlib
import json
import random

KEYWORDS = [
    {},
    {"scf_type": "df", "e_convergence": 1e-8, "maxiter": 100},
    {"b": {"z": [1, 2.0, -0.0, 1e16, 1e-5, 0.0001, 1.5e-7], "a": None}, "a": [True, False]},
    {"Größe": "ä€😀\u007f\t\"\\/", "": ""},
    {"big": 9007199254740993, "max": 18446744073709551615, "min": -9223372036854775808},
    {"tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3},
]


def digest(members):
    return hashlib.sha256(json.dumps(members, sort_keys=True, ensure_ascii=True).encode("utf-8")).hexdigest()


def main():
    rng = random.Random(3)
    floats = [{f"k{i}": rng.choice([rng.random(), rng.uniform(-1e20, 1e20), 10 ** rng.uniform(-30, 30)])} for i in range(60)]
    cases = []
    for keywords in KEYWORDS + floats:
        program, method, basis = rng.choice([("psi4", "b3lyp-d3bj", "def2-svp"), ("mopac", "pm7", "")])
        single_point = {
            "program": program,
            "driver": rng.choice(["energy", "gradient", "hessian", "properties", "deferred"]),
            "method": method,
            "basis": basis,
            "keywords": keywords,
            "protocols": rng.choice([{}, {"stdout": False}, {"wavefunction": "all", "native_files": "input"}]),
        }
        optimization = {
            "program": rng.choice(["geometric", "optking", "berny"]),
            "keywords": keywords,
            "protocols": rng.choice([{}, {"trajectory": "none"}]),
        }
        cases.append({"specification": {"record_type": "singlepoint", **single_point}, "hash": digest(single_point)})
        full = {"record_type": "optimization", **optimization, "qc_specification": single_point}
        cases.append({"specification": full, "hash": digest(optimization)})
    print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
