"""Makes the recordings beside it: real programs, asked for what they cannot do. No test runs it; it is run by hand
when a program of another version is to be recorded, as root (it mounts small file systems), and takes minutes:

    python3 record.py PYTHON_WITH_QCENGINE_0.29 PYTHON_WITH_QCENGINE_0.50 [PROGRAM...]

Each file is a list of cases. A case is what the node runner knows of a failed attempt: QCEngine's type and message or
its own, what the program printed, how it ended. Texts are lists of lines; of long ones the middle is left out. `says`
and `class` are what a person is to be told and what follows: they are written by hand, and kept when a case is recorded
anew.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "../../../jobscripts/qcengine_worker.py")
FIRST, LAST = 3, 36
GIB = 1 << 30


def molecule(symbols, geometry, charge=0, multiplicity=1):
    return {"symbols": symbols, "geometry": geometry, "molecular_charge": charge,
            "molecular_multiplicity": multiplicity}


WATER = molecule(["O", "H", "H"], [0, 0, 0.22166, 0, 1.4309, -0.8867, 0, -1.4309, -0.8867])
HYDROXYL = molecule(["O", "H"], [0, 0, 0, 0, 0, 1.8], 0, 2)
OXYGEN = molecule(["O", "O"], [0, 0, -1.14, 0, 0, 1.14], 0, 3)
URANIUM = molecule(["U", "H"], [0, 0, 0, 0, 0, 3.5], 0, 2)
ON_TOP = molecule(["O", "H", "H"], [0, 0, 0.22166, 0, 0, 0.22166, 0, -1.4309, -0.8867])
NEAR = molecule(["O", "H", "H"], [0, 0, 0.22166, 0, 0, 0.42, 0, -1.4309, -0.8867])


def point(program, method, basis="", driver="energy", **keywords):
    return {"record_type": "singlepoint", "program": program, "driver": driver, "method": method, "basis": basis,
            "keywords": keywords, "protocols": {}}


def optimization(inner, **keywords):
    return {"record_type": "optimization", "program": "geometric", "keywords": keywords, "protocols": {},
            "qc_specification": {**inner, "driver": "deferred"}}


def lines(text, places):
    if not text:
        return None
    for place in places:
        text = text.replace(place, "/scratch")
    text = re.sub(r"(/scratch/)tmp\w+", r"\1tmp", text)
    found = text.split("\n")
    if len(found) > FIRST + LAST + 1:
        found = [*found[:FIRST], f"[{len(found) - FIRST - LAST} lines]", *found[-LAST:]]
    return [line if len(line) < 400 else line[:200] + "[...]" + line[-180:] for line in found]


def wrapped(program, script, only=""):
    """A folder for PATH with a stand-in of `program` that does `script` instead of computing."""
    folder = tempfile.mkdtemp(prefix="wrapped")
    real = shutil.which(program)
    path = os.path.join(folder, program)
    test = f'case " $* " in *"{only}"*) ;; *) exec {real} "$@" ;; esac\n' if only else ""
    with open(path, "w") as file:
        file.write(f"#!/bin/sh\n{test}{script.replace('REAL', real)}\n")
    os.chmod(path, 0o755)
    return folder


def without_a_library():
    """A program one of whose libraries is missing."""
    data = open(os.path.realpath(shutil.which("mopac")), "rb").read()
    path = os.path.join(tempfile.mkdtemp(prefix="lib"), "program")
    with open(path, "wb") as file:
        file.write(data.replace(b"libgfortran.so.5", b"libmissing1.so.5"))
    os.chmod(path, 0o755)
    return path


class Small:
    """A file system that is full at once."""

    def __init__(self, size):
        self.path = tempfile.mkdtemp(prefix="small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)


def ask(python, specification, molecule, memory=GIB, path=None, scratch=None, environment=None):
    """What the worker answers, as the runner sees it."""
    own = scratch or tempfile.mkdtemp(prefix="record")
    variables = {**os.environ, "XTBPATH": "/usr/share/xtb", "OMP_NUM_THREADS": "1", **(environment or {})}
    if path:
        variables["PATH"] = f"{path}:{variables['PATH']}"
    worker = subprocess.Popen([python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=variables)
    order = {"calculation": {"extras": {}, "specification": specification, "molecule": molecule}, "cores": 1,
             "memory_bytes": memory, "nodes": 1, "mpiexec": None, "scratch_directory": own}
    out, err = worker.communicate(json.dumps(order).encode() + b"\n")
    answers = [json.loads(line) for line in out.splitlines()]
    version = answers[0]["ready"]["qcengine_version"] if "ready" in answers[0] else None
    reply = next((answer for answer in answers if "error" in answer), None)
    places = [own, path or "/no/such/place"]
    if reply is None:
        return {"way": f"QCEngine {version}", "ending": {"signal": -worker.returncode},
                "message": None, "stderr": lines(err.decode(errors="replace"), places)}
    error = reply["error"]
    if error is None:
        print("   no failure:", str(reply["result"]["return_result"])[:70], file=sys.stderr)
        return None
    inner = specification.get("qc_specification", {}).get("program")
    programs = [inner] * bool(inner) + [specification["program"]]
    code = reply.get("exit_code")
    ending = None if code is None else {"signal": -code} if code < 0 else {"code": code}
    return {"way": f"QCEngine {version}", "programs": programs, "error_type": error["error_type"], "ending": ending,
            "message": lines(error["error_message"], places), "stdout": lines(reply["stdout"], places),
            "stderr": lines("\n".join(filter(None, [reply["stderr"], err.decode(errors="replace")])), places)}


def natively(command, files, outputs, path=None, scratch=None):
    """A program as the node runner starts it: how it ended and what it left."""
    own = scratch or tempfile.mkdtemp(prefix="record")
    for name, text in files.items():
        with open(os.path.join(own, name), "w") as file:
            file.write(text)
    variables = {**os.environ, "XTBPATH": "/usr/share/xtb", "OMP_NUM_THREADS": "1"}
    if path:
        variables["PATH"] = f"{path}:{variables['PATH']}"
    ran = subprocess.run(command, cwd=own, env=variables, capture_output=True, stdin=subprocess.DEVNULL)
    code = ran.returncode
    found = {}
    for name in outputs:
        try:
            with open(os.path.join(own, name), errors="replace") as file:
                found[name] = lines(file.read(), [own]) or []
        except OSError:
            pass
    return {"way": "native", "ending": {"signal": -code} if code < 0 else {"code": code}, "files": found,
            "stdout": lines(ran.stdout.decode(errors="replace"), [own]),
            "stderr": lines(ran.stderr.decode(errors="replace"), [own])}


def mopac(method, molecule, more="", **options):
    spin = (molecule["molecular_multiplicity"] - 1) / 2
    text = (f"{method} CHARGE={float(molecule['molecular_charge'])} MS={spin}&\n"
            f"1SCF GRADIENTS AUX(PRECISION=9, XP, XS, XW) A0 PULAY ITER=100{more}&\n\n")
    points = [f"{symbol}  {x:17.12f}  {y:17.12f}  {z:17.12f}" for symbol, (x, y, z) in
              zip(molecule["symbols"], zip(*[iter(molecule["geometry"])] * 3))]
    return natively(["mopac", "dispatch.mop"], {"dispatch.mop": text + "\n".join(points)},
                    ["dispatch.out", "dispatch.aux"], **options)


def xtb(method, molecule, *more, **options):
    rows = zip(molecule["symbols"], zip(*[iter(molecule["geometry"])] * 3))
    text = "$coord\n" + "".join(f"{x} {y} {z} {symbol.lower()}\n" for symbol, (x, y, z) in rows) + "$end\n"
    command = ["xtb", "coord", "--grad", "--json", "--norestart", *method, "--chrg", str(molecule["molecular_charge"]),
               "--uhf", str(molecule["molecular_multiplicity"] - 1), *more]
    return natively(command, {"coord": text}, [], **options)


GFN2 = ["--gfn", "2"]
KILLED = "kill -9 $$"
CRASHED = "kill -SEGV $$"


def cases_of_mopac(old, new, library):
    yield "odd electrons", lambda: mopac("PM7", {**WATER, "molecular_multiplicity": 2})
    yield "impossible multiplicity", lambda: mopac("PM7", {**WATER, "molecular_multiplicity": 7})
    yield "triplet without configuration interaction", lambda: mopac("PM3", OXYGEN)
    yield "unsupported element", lambda: mopac("PM7", URANIUM)
    yield "unsupported element of an older method", lambda: mopac("AM1", URANIUM)
    yield "wrong method", lambda: mopac("PM6-3DH4X", WATER)
    yield "unknown keyword", lambda: mopac("PM7", WATER, " NONSENSE=3")
    yield "atoms on top of each other", lambda: mopac("PM7", ON_TOP)
    yield "atoms too close", lambda: mopac("PM7", NEAR)
    yield "not converged", lambda: mopac("PM7", WATER, " ITRY=3")
    yield "missing library", lambda: mopac("PM7", WATER, path=wrapped("mopac", f'exec {library} "$@"'))
    yield "missing library under QCEngine", lambda: ask(
        new, point("mopac", "pm7"), WATER, path=wrapped("mopac", f'exec {library} "$@"'))
    yield "wrong method under QCEngine", lambda: ask(new, point("mopac", "pm8"), WATER)
    yield "unknown keyword under QCEngine", lambda: ask(old, point("mopac", "pm7", precise=True), WATER)
    yield "wrong driver under QCEngine", lambda: ask(old, point("mopac", "pm7", driver="hessian"), WATER)
    yield "odd electrons under QCEngine", lambda: ask(
        new, point("mopac", "pm7", iter=100), OXYGEN)
    yield "disk full", lambda: on_small("8k", lambda place: mopac("PM7", WATER, scratch=place))
    yield "killed under QCEngine", lambda: ask(old, point("mopac", "pm7"), WATER, path=wrapped("mopac", KILLED))


def cases_of_xtb(old, new, library):
    yield "not converged", lambda: xtb(GFN2, WATER, "--iterations", "2")
    yield "not converged under QCEngine", lambda: ask(new, point("xtb", "gfn2-xtb", max_iterations=2), WATER)
    yield "impossible multiplicity", lambda: xtb(GFN2, {**WATER, "molecular_multiplicity": 21})
    yield "unknown solvent", lambda: xtb(GFN2, WATER, "--gbsa", "wine")
    yield "unknown solvent under QCEngine", lambda: ask(new, point("xtb", "gfn2-xtb", solvent="wine"), WATER)
    yield "atoms on top of each other", lambda: xtb(GFN2, ON_TOP)
    yield "unsupported element", lambda: xtb(GFN2, URANIUM)
    yield "unsupported element under QCEngine", lambda: ask(old, point("xtb", "gfn2-xtb"), URANIUM)
    yield "parameters missing", lambda: xtb_without_parameters()
    yield "wrong method under QCEngine", lambda: ask(old, point("xtb", "gfn9-xtb"), WATER)
    yield "wrong driver under QCEngine 0.29", lambda: ask(old, point("xtb", "gfn2-xtb", driver="hessian"), WATER)
    yield "wrong driver under QCEngine", lambda: ask(new, point("xtb", "gfn2-xtb", driver="hessian"), WATER)
    yield "keyword of another type under QCEngine", lambda: ask(new, point("xtb", "gfn2-xtb", accuracy="high"), WATER)
    yield "missing library", lambda: xtb(GFN2, WATER, path=wrapped("xtb", f'exec {library} "$@"'))
    yield "disk full", lambda: on_small("4k", lambda place: xtb(GFN2, WATER, scratch=place))


def xtb_without_parameters():
    return xtb(["--gfn", "0"], WATER, path=wrapped("xtb", 'XTBPATH=/nowhere exec REAL "$@"'))


def on_small(size, run):
    place = Small(size)
    try:
        return run(place.path)
    finally:
        place.close()


def cases_of_psi4(old, new, library):
    scf = lambda **keywords: point("psi4", "scf", "sto-3g", **keywords)
    only = "--json"
    yield "missing basis", lambda: ask(old, point("psi4", "scf", "no-such-basis"), WATER)
    yield "element not in the basis", lambda: ask(old, scf(), URANIUM)
    yield "wrong method", lambda: ask(old, point("psi4", "nosuchmethod", "sto-3g"), WATER)
    yield "method not for the reference", lambda: ask(
        old, point("psi4", "fno-ccsd", "sto-3g", reference="uhf"), HYDROXYL)
    yield "not converged", lambda: ask(old, scf(maxiter=1), WATER)
    yield "closed shells for a doublet", lambda: ask(old, scf(reference="rhf"), HYDROXYL)
    yield "odd electrons", lambda: ask(old, scf(), {**WATER, "molecular_multiplicity": 2})
    yield "impossible multiplicity", lambda: ask(old, scf(), molecule(["H", "H"], [0, 0, 0, 0, 0, 1.4], 0, 5))
    yield "unknown keyword", lambda: ask(old, scf(nosuchkeyword=1), WATER)
    yield "wrong value of a keyword", lambda: ask(old, scf(scf_type="fast"), WATER)
    yield "atoms on top of each other", lambda: ask(old, scf(), ON_TOP)
    yield "too little memory", lambda: ask(
        old, scf(), WATER, path=wrapped("psi4", 'ulimit -v 330000; exec REAL "$@"', only))
    yield "memory that Psi4 does not take", lambda: ask(old, scf(), WATER, memory=2 << 20)
    yield "disk full", lambda: on_small("1m", lambda place: ask(
        old, point("psi4", "scf", "cc-pvtz", scf_type="out_of_core"), WATER, scratch=place))
    yield "missing library", lambda: ask(old, scf(), WATER, path=wrapped("psi4", f'exec {library} "$@"', only))
    yield "killed", lambda: ask(old, scf(), WATER, path=wrapped("psi4", KILLED, only))
    yield "crashed", lambda: ask(old, scf(), WATER, path=wrapped("psi4", CRASHED, only))
    yield "too old for QCEngine", lambda: ask(new, scf(), WATER)


def cases_of_nwchem(old, new, library):
    scf = lambda **keywords: point("nwchem", "scf", "sto-3g", **keywords)
    yield "missing basis", lambda: ask(new, point("nwchem", "scf", "no-such-basis"), WATER)
    yield "element not in the basis", lambda: ask(new, scf(), URANIUM)
    yield "wrong method", lambda: ask(new, point("nwchem", "nosuchmethod", "sto-3g"), WATER)
    yield "unknown keyword", lambda: ask(new, scf(nosuchkeyword=1), WATER)
    yield "wrong value of a keyword", lambda: ask(new, scf(scf__maxiter="many"), WATER)
    yield "not converged", lambda: ask(new, point("nwchem", "b3lyp", "sto-3g", dft__iterations=1), WATER)
    yield "not converged under QCEngine 0.29", lambda: ask(
        old, point("nwchem", "b3lyp", "sto-3g", dft__iterations=1), WATER)
    yield "coupled cluster not converged", lambda: ask(new, point("nwchem", "ccsd", "sto-3g", ccsd__maxiter=1), WATER)
    yield "odd electrons", lambda: ask(new, scf(scf__nopen=1), WATER)
    yield "impossible multiplicity", lambda: ask(new, point("nwchem", "b3lyp", "sto-3g", dft__mult=9), WATER)
    yield "atoms on top of each other", lambda: ask(new, scf(), NEAR)
    yield "memory that NWChem does not take", lambda: ask(new, scf(), WATER, memory=1 << 20)
    yield "too little memory", lambda: ask(new, point("nwchem", "ccsd(t)", "cc-pvtz"), WATER, memory=24 << 20)
    yield "disk full", lambda: on_small("48k", lambda place: ask(new, scf(), WATER, scratch=place))
    yield "missing library", lambda: ask(new, scf(), WATER, path=wrapped("nwchem", f'exec {library} "$@"'))
    yield "killed", lambda: ask(new, scf(), WATER, path=wrapped("nwchem", KILLED))
    yield "gradient not available", lambda: ask(new, point("nwchem", "ccsd(t)", "sto-3g", "hessian"), WATER)


def cases_of_geometric(old, new, library):
    pm7 = point("mopac", "pm7")
    bent = molecule(["O", "H", "H"], [0, 0, 0.1, 0, 1.6, -0.7, 0.2, -1.5, -0.9])
    yield "not converged", lambda: ask(new, optimization(pm7, maxiter=1), bent)
    yield "not converged under QCEngine 0.29", lambda: ask(old, optimization(pm7, maxiter=1), bent)
    yield "inner program refuses", lambda: ask(new, optimization(point("mopac", "pm8")), bent)
    yield "inner program refuses the molecule", lambda: ask(old, optimization(point("mopac", "pm3")), OXYGEN)
    yield "inner program has not the basis", lambda: ask(old, optimization(point("psi4", "scf", "no-such-basis")), bent)
    yield "wrong coordinates", lambda: ask(new, optimization(pm7, coordsys="spherical"), bent)
    frozen = {"freeze": [{"type": "angle", "indices": [0]}]}
    yield "wrong constraints", lambda: ask(old, optimization(pm7, constraints=frozen), bent)
    yield "unknown convergence set", lambda: ask(old, optimization(pm7, convergence_set="PERFECT"), bent)


def cases_of_qcengine(old, new, library):
    scf = lambda program: point(program, "scf", "sto-3g")
    yield "unknown program", lambda: ask(new, scf("nosuchprogram"), WATER)
    yield "unknown program under QCEngine 0.29", lambda: ask(old, scf("nosuchprogram"), WATER)
    yield "program not in PATH", lambda: ask(new, scf("cfour"), WATER)
    yield "program not in PATH under QCEngine 0.29", lambda: ask(old, scf("cfour"), WATER)
    yield "package not installed", lambda: ask(new, scf("torchani"), WATER)
    yield "unknown optimizer", lambda: ask(new, {**optimization(scf("psi4")), "program": "nosuchoptimizer"}, WATER)
    yield "optimizer not installed", lambda: ask(new, {**optimization(scf("psi4")), "program": "berny"}, WATER)
    yield "program that ends without a word", lambda: ask(old, point("mopac", "pm7"), WATER,
                                                          path=wrapped("mopac", "exit 3"))


def main():
    old, new, *chosen = sys.argv[1:]
    library = without_a_library()
    for program in chosen or ["mopac", "xtb", "psi4", "nwchem", "geometric", "qcengine"]:
        path = os.path.join(HERE, f"{program}.json")
        known = {}
        if os.path.exists(path):
            with open(path) as file:
                known = {case["case"]: case for case in json.load(file)}
        recorded = []
        for name, make in globals()[f"cases_of_{program}"](old, new, library):
            print(program, name, file=sys.stderr)
            case = make()
            if case is not None:
                judged = {key: known.get(name, {}).get(key) for key in ("says", "class")}
                case = {key: value for key, value in case.items() if value}
                recorded.append({"case": name, "programs": case.pop("programs", [program]), **judged, **case})
        with open(path, "w") as file:
            json.dump(recorded, file, indent=1, ensure_ascii=False)
            file.write("\n")


if __name__ == "__main__":
    main()
