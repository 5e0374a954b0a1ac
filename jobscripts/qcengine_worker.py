"""The long-lived Python worker of the node runner: imports QCEngine once, then answers one task after another.

It is started by `qcbatch node` and talks to nobody else. One JSON line in, one JSON line out:

    stdin   {"calculation": {...}, "cores": 1, "memory_bytes": 1073741824, "nodes": 1, "mpiexec": null,
             "scratch_directory": "/scratch/..."}
    stdout  {"ready": {"qcengine_version": "..."}}                                      once, after the imports
            {"broken": "why QCEngine cannot be imported here"}                              instead, before it ends
            {"progress": {"geometry": [...], "energy": -1.0, "gradients": 2}}               now and then, of an optimization
            {"result": {...} | null, "error": {"error_type": "...", "error_message": "..."} | null, "stdout": ...,
             "stderr": ..., "native_files": {...}, "cpu_seconds": 0.1, "program": ..., "program_version": ...,
             "exit_code": what the last program ended with, of a failure only}

Both pipes are moved to private descriptors, so that programs printing to descriptor 1 or reading descriptor 0 cannot
disturb them; descriptor 1 becomes standard error. Runs on both generations of QCEngine: 0.29 (QCSchema v1 models) and
0.50 or later (v1 and v2 models). Inputs and results are QCSchema v1 in both.
"""

import contextlib
import functools
import importlib
import inspect
import io
import json
import math
import os
import re
import resource
import select
import signal
import sys
import tempfile
import threading
import traceback
import types

os.umask(0o077)
REQUESTS = os.fdopen(os.dup(0), "rb")
ANSWERS = os.fdopen(os.dup(1), "wb")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)

# Of every node: the job's own directory in it, which its script makes, is on this node only.
NODE_TMPDIR = re.sub(r"/qcbatch\.[^/]*$", "", tempfile.gettempdir())

# Psi4 before 1.4 reads QCSchema v1 only, QCEngine 0.50 and later send it v2.
PSI4_TOO_OLD = "Schema name of 'qcschema_atomic_input' not understood"

# QCEngine does not say what of a program it lacks.
NOT_FOUND = "is registered with QCEngine, but cannot be found"

# The runner reads it when a task was stopped.
PRINTED = ".qcbatch-printed"

# What is kept of each text that a program printed; the node runner keeps as much of the programs that it runs itself.
MOST_TEXT = 64 << 20

busy = threading.Event()


def answer(document):
    """Writes one line; NaN and infinities, which JSON does not have, become null."""
    # Characters stand for themselves, so that half a surrogate, which no JSON reader takes, becomes a question mark.
    options = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    try:
        text = json.dumps(document, **options)
    except ValueError:
        text = json.dumps(without_nan(document), **options)
    ANSWERS.write(text.encode("utf-8", "replace") + b"\n")
    ANSWERS.flush()


def without_nan(value):
    """`value` with null for every number that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return value


def die_with_the_runner():
    """Kills this process group when the runner is gone, so that no program goes on computing for nobody."""
    watched = select.poll()
    watched.register(REQUESTS.fileno(), 0)
    watched.poll()
    if busy.is_set() and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)


def v1_models():
    """QCSchema v1's models, wherever this generation keeps them."""
    try:
        from qcelemental.models import v1 as models
    except ImportError:
        from qcelemental import models
    return models


def model_of(specification):
    """QCSchema's `model`; an empty basis means none."""
    model = {"method": specification["method"]}
    if specification["basis"]:
        model["basis"] = specification["basis"]
    return model


def molecule_of(calculation):
    """The molecule without the members that say nothing."""
    return {key: value for key, value in calculation["molecule"].items() if value is not None}


def build(calculation):
    """The QCSchema v1 input of a calculation, and the program or procedure that computes it."""
    models = v1_models()
    specification = calculation["specification"]
    if specification["record_type"] == "singlepoint":
        request = models.AtomicInput(
            molecule=molecule_of(calculation),
            driver=specification["driver"],
            model=model_of(specification),
            keywords=specification["keywords"],
            protocols=specification["protocols"],
            extras=calculation["extras"],
        )
        return request, specification["program"]
    inner = specification["qc_specification"]
    request = models.OptimizationInput(
        initial_molecule=molecule_of(calculation),
        input_specification={"driver": "gradient", "model": model_of(inner), "keywords": inner["keywords"]},
        keywords={**specification["keywords"], "program": inner["program"]},
        protocols=specification["protocols"],
        extras=calculation["extras"],
    )
    return request, specification["program"]


def inner_program(calculation):
    """The program that gives an optimizer its gradients, if there is one."""
    return calculation["specification"].get("qc_specification", {}).get("program")


class Refused(Exception):
    """What is not begun."""


def refusal(calculation):
    """Why a calculation is not begun: QCEngine would do something else than was asked, and not say so."""
    specification = calculation["specification"]
    specification = specification.get("qc_specification", specification)
    if specification["program"] != "xtb":
        return None
    if specification["driver"] == "hessian":
        return "xtb has no driver under QCEngine that computes a hessian"
    solvent = specification["keywords"].get("solvent", "none")
    if solvent != "none":
        try:
            from xtb.utils import get_solvent
        except Exception:  # QCEngine says what is missing
            return None
        if not isinstance(solvent, str) or get_solvent(solvent) is None:
            return f"solvent: '{solvent}' is not parametrized"
    return None


def member(thing, name):
    """A member of a QCSchema document, be it a dictionary or a model."""
    return thing[name] if isinstance(thing, dict) else getattr(thing, name)


class Watched:
    """Tells of each gradient that an optimizer asks for, from the second one on: the first is where it begins.

    Optimizers call `qcengine.compute` for their gradients, in both generations of QCEngine.
    """

    def __init__(self, qcengine):
        self.qcengine, self.compute, self.gradients = qcengine, qcengine.compute, 0

    def __enter__(self):
        self.qcengine.compute = functools.wraps(self.compute)(self)
        return self

    def __exit__(self, *_):
        self.qcengine.compute = self.compute

    def __call__(self, *arguments, **options):
        result = self.compute(*arguments, **options)
        try:
            self.tell(result)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # it failed, or has another form: the optimizer sees to that
        return result

    def tell(self, result):
        if not member(result, "success"):
            return
        rows = member(member(result, "molecule"), "geometry")
        self.gradients += 1
        if self.gradients > 1:
            geometry = [float(number) for row in rows for number in (row if hasattr(row, "__iter__") else [row])]
            if not all(map(math.isfinite, geometry)):
                return
            energy = member(member(result, "properties"), "return_energy")
            answer({"progress": {"geometry": geometry, "energy": energy, "gradients": self.gradients}})


class Printed(bytes):
    """What a program printed. It may be in any encoding: one byte that is not UTF-8 must not cost the result."""

    def decode(self, encoding="utf-8", errors="replace"):
        return super().decode(encoding, errors)


class Kept(io.BytesIO):
    """What a program prints, also in a file of the task's scratch: there it outlives a worker that is killed.

    Two are made for each program, the second one for standard error. What an earlier one printed makes room.
    """

    made = 0

    def __init__(self):
        super().__init__()
        mode = "ab" if Kept.made % 2 else "wb"
        Kept.made += 1
        try:
            self.file = open(os.path.join(os.environ["PSI_SCRATCH"], PRINTED), mode, buffering=0)
        except (KeyError, OSError):
            self.file = None  # the output is in memory all the same

    def write(self, data):
        if self.file:
            try:
                self.file.write(data)
            except OSError:
                self.file = None
        return super().write(data)


    def getvalue(self):
        return Printed(super().getvalue())


def open_leniently(file, mode="r", **options):
    """`open` that reads text of any encoding."""
    if "b" not in mode:
        options.setdefault("errors", "replace")
    return open(file, mode, **options)


def follow_programs(qcengine):
    """QCEngine runs programs by `qcengine.util` in both generations. It collects what they print in `io.BytesIO`, decodes
    that and their files strictly, and drops their exit codes.
    """
    util = getattr(qcengine, "util", None)
    if getattr(util, "io", None) is not io:
        return
    util.io = types.SimpleNamespace(**{**vars(io), "BytesIO": Kept})
    util.open = open_leniently
    if hasattr(util, "popen"):
        util.popen = remembering(util.popen)


# The last program that ran for the present task: its exit code and what it printed.
last_program = {}


def remembering(popen):
    """QCEngine's `popen`, which leaves in `last_program` how the program ended."""

    @contextlib.contextmanager
    @functools.wraps(popen)
    def remembered(*arguments, **options):
        program = {}
        last_program.clear()
        try:
            with popen(*arguments, **options) as program:
                yield program
        finally:
            if "proc" in program:
                last_program["exit_code"] = program["proc"].poll()
            last_program.update({name: program[name] for name in ("stdout", "stderr") if program.get(name)})

    return remembered


def read_xtb_leniently():
    """The library of xtb prints into a temporary file, which its harness decodes strictly."""
    try:
        from xtb.qcschema import harness
    except Exception:  # it is not installed, or broken: QCEngine says so
        return
    made = harness.NamedTemporaryFile
    if getattr(made, "of_qcbatch", False):
        return

    def lenient(*arguments, **options):
        file = made(*arguments, **options)
        read = file.read
        file.read = lambda *size: Printed(read(*size))
        return file

    lenient.of_qcbatch = True
    harness.NamedTemporaryFile = lenient


def give_mopac_atoms_a_gradient():
    """MOPAC prints no gradient of a single atom, and QCEngine's harness takes that for a failure. It is zero."""
    try:
        from qcengine.programs.mopac import MopacHarness
    except ImportError:
        return
    parse = MopacHarness.parse_output
    zero = " GRADIENTS:KCAL/MOL/ANGSTROM[3]=\n 0.0 0.0 0.0\n"

    @functools.wraps(parse)
    def parse_output(self, outfiles, input_model):
        text = outfiles.get("dispatch.aux") or ""
        members = set(re.findall(r"^\s*(GRADIENTS|HEAT_OF_FORMATION|ERROR_MESSAGE)\b", text, re.MULTILINE))
        if members == {"HEAT_OF_FORMATION"} and len(input_model.molecule.symbols) == 1:
            outfiles = {**outfiles, "dispatch.aux": text.rstrip("\n") + "\n" + zero}
        return parse(self, outfiles, input_model)

    MopacHarness.parse_output = parse_output


def compute(qcengine, request, program, task_config):
    """Runs QCEngine; the result is a QCSchema v1 model in both generations."""
    if not request.schema_name.startswith("qcschema_optimization"):
        return compute_once(qcengine, request, program, task_config)
    with Watched(qcengine) as watched:
        return compute_once(qcengine, request, program, task_config, watched.compute)


def compute_once(qcengine, request, program, task_config, compute=None):
    """The same, unwatched; `compute` is QCEngine's own where another stands in its place."""
    compute = compute or qcengine.compute
    options = {"raise_error": False, "task_config": task_config}
    if "return_version" in inspect.signature(compute).parameters:
        return compute(request, program, return_version=1, **options)
    if request.schema_name.startswith("qcschema_optimization"):
        return qcengine.compute_procedure(request, program, **options)
    return compute(request, program, **options)


def failure_outputs(document):
    """stdout and stderr of a FailedOperation: its input data's, or those of the results that failed inside it."""
    outputs = {"stdout": [], "stderr": []}
    for _ in range(8):
        if not isinstance(document, dict):
            break
        carrier = document.get("input_data") if isinstance(document.get("input_data"), dict) else document
        for name, texts in outputs.items():
            if isinstance(carrier.get(name), str):
                texts.append(carrier[name])
        error = document.get("error") or {}
        document = (error.get("extras") or {}).get("failed_result")
    return {name: "\n".join(texts) or None for name, texts in outputs.items()}


def shortened(text):
    """A text of at most so many characters; the end is kept, which says more."""
    if not text or len(text) <= MOST_TEXT:
        return text
    return f"[qcbatch: {len(text) - MOST_TEXT} characters before this were left out]\n{text[-MOST_TEXT:]}"


def what_is_missing(message):
    """What QCEngine's harness needs and does not find, in its own words."""
    match = re.search(r"(?:Program|Procedure) (\S+) is registered", message)
    name = match.group(1).lower() if match else ""
    for room, kind in (("programs", "programs"), ("procedures", "procedures")):
        try:
            base = importlib.import_module(f"qcengine.{room}.base")
            harness = getattr(base, kind, {}).get(name)
            if harness is not None:
                harness.found(raise_error=True)
        except Exception as error:  # of whatever kind: it is only told
            yield str(error)


def reply_of_failure(document, program):
    """The reply for a FailedOperation."""
    error = document.get("error") or {}
    error_type, message = error.get("error_type") or "unknown_error", error.get("error_message") or ""
    if PSI4_TOO_OLD in message:
        error_type = "resource_error"
        message = "this Psi4 is older than 1.4 and needs QCEngine 0.29: set the pool's worker_python\n" + message
    if NOT_FOUND in message:
        message = "\n".join([message, *what_is_missing(message), f"QCEngine runs in {sys.executable}"])
    outputs = failure_outputs(document)
    return {
        "result": None,
        "error": {"error_type": error_type, "error_message": shortened(message)},
        "stdout": shortened(outputs["stdout"] or last_program.get("stdout")),
        "stderr": shortened(outputs["stderr"] or last_program.get("stderr")),
        "exit_code": last_program.get("exit_code"),
        "native_files": {},
        "program": program,
        "program_version": None,
    }


def reply_of(result, program):
    """The reply for what QCEngine returned."""
    document = json.loads(result.json())
    if not document.get("success"):
        return reply_of_failure(document, program)
    provenance = document.get("provenance") or {}
    native_files = document.pop("native_files", None) or {}
    document.pop("error", None)
    return {
        "stdout": shortened(document.pop("stdout", None)),
        "stderr": shortened(document.pop("stderr", None)),
        "native_files": {name: shortened(text) for name, text in native_files.items() if isinstance(text, str)},
        "result": document,
        "error": None,
        "program": provenance.get("creator") or program,
        "program_version": provenance.get("version"),
    }


def cpu_seconds():
    """User and system time of this process and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(qcengine, order):
    """Computes one order."""
    # Over several nodes each core has a rank of its own.
    cores = str(order["cores"] if order["nodes"] == 1 else 1)
    os.environ.update(OMP_NUM_THREADS=cores, MKL_NUM_THREADS=cores, OPENBLAS_NUM_THREADS=cores)
    # A scratch directory that several nodes see is no place for what MPI keeps of each of them.
    temporary = order["scratch_directory"] if order["nodes"] == 1 else NODE_TMPDIR
    os.environ.update(TMPDIR=temporary, PSI_SCRATCH=order["scratch_directory"])
    tempfile.tempdir = temporary
    os.chdir(order["scratch_directory"])
    program = order["calculation"]["specification"]["program"]
    last_program.clear()
    if "xtb" in (program, inner_program(order["calculation"])):
        read_xtb_leniently()
    task_config = {
        "ncores": order["cores"],
        "nnodes": order["nodes"],
        "memory": order["memory_bytes"] / 1024**3,
        "scratch_directory": order["scratch_directory"],
    }
    if order["nodes"] > 1:
        task_config["mpiexec_command"] = order["mpiexec"]
        # QCEngine says "per node" and shares it among the ranks of all nodes.
        task_config["memory"] *= order["nodes"]
    started = cpu_seconds()
    try:
        request, program = build(order["calculation"])
    except Exception as error:  # pydantic.v1 and pydantic have one validation error each
        reply = reply_of_failure({"error": {"error_type": "input_error", "error_message": str(error)}}, program)
    else:
        try:
            refused = refusal(order["calculation"])
            if refused:
                raise Refused(refused)
            reply = reply_of(compute(qcengine, request, program, task_config), program)
        except Refused as error:
            reply = reply_of_failure({"error": {"error_type": "input_error", "error_message": str(error)}}, program)
        except MemoryError as error:
            reply = reply_of_failure({"error": {"error_type": "memory_error", "error_message": repr(error)}}, program)
        except Exception as error:  # QCEngine returns its errors; what it raises is a fault of its own
            message = f"{type(error).__name__}: {error}"
            reply = reply_of_failure({"error": {"error_type": "unknown_error", "error_message": message}}, program)
    finally:
        os.chdir("/")
        last_program.clear()
    reply["cpu_seconds"] = cpu_seconds() - started
    return reply


def why_broken(error):
    """Why QCEngine cannot be imported, in a sentence that says what to do."""
    python = sys.executable
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.split(".")[0]
        if missing == "qcengine":
            return f"QCEngine is not installed in {python}; install it with `{python} -m pip install qcengine`"
        return (f"QCEngine in {python} lacks the Python package `{missing}`; "
                f"install it with `{python} -m pip install {missing}`")
    return f"QCEngine cannot be imported by {python}: {type(error).__name__}: {' '.join(str(error).split())}"


def main():
    """Answers until the runner closes the pipe."""
    try:
        import qcengine
    except BaseException as error:  # whatever the import of somebody else's packages raises
        traceback.print_exc()
        answer({"broken": why_broken(error)})
        sys.exit(1)
    follow_programs(qcengine)
    give_mopac_atoms_a_gradient()
    threading.Thread(target=die_with_the_runner, daemon=True).start()
    answer({"ready": {"qcengine_version": qcengine.__version__.lstrip("v")}})
    for line in REQUESTS:
        busy.set()
        reply = run(qcengine, json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        busy.clear()
        answer(reply)
    os._exit(0)


if __name__ == "__main__":
    main()
