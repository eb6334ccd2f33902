"""What a worker does for the study, in the process of the backend itself: one task, plain values and arrays out.

Every task is a function of the backend and its arguments; it returns {"values": plain values, "arrays": name -> array}.
Python 3.7 syntax, standard library and NumPy: it also runs beside TensorFlow 1.15.5.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from spec_tests.questions import behaviours, cases, makers
from spec_tests.questions.trajectories import MNIST_CHUNK, SERIES_CHUNK, accuracy
from unrolled.datasets import mnist, series
from unrolled.datasets.batches import BatchStream
from unrolled.models import Model
from unrolled.programs import MNIST
from unrolled.reading import read_whole

Task = Any
# The code that computes a piece's numbers, beside the backend's own: all else (command lines, reports, tests) may be
# edited, and a kept piece stays.
COMPUTING = (
    "unrolled.networks",
    "unrolled.models",
    "unrolled.programs",
    "unrolled.initial_values",
    "unrolled.datasets",
    "spec_tests.checks",
    "spec_tests.questions",
    "spec_tests.study.work",
)
SETTINGS = ("UNROLLED_PATH", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", "NVIDIA_TF32_OVERRIDE")  # change numbers
SOURCE_BYTES = 1 << 26  # of one of them
SOURCE_FILES = 2000  # of a backend's own package that count for its fingerprint


def run(backend: Any, task: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do a task of TASKS. "seconds" among the values is how long it took here. Raises ValueError for an unknown one."""
    if task not in TASKS:
        raise ValueError("task is %r, expected one of %s" % (task, ", ".join(TASKS)))
    started = time.perf_counter()
    values, arrays = TASKS[task](backend, **arguments)
    return {"values": dict(values, seconds=time.perf_counter() - started), "arrays": arrays}


def facts(backend: Any) -> Task:
    """Where this runs, and a hash of the sources that its numbers come from: another one is another study."""
    module = type(getattr(backend, "inner", backend)).__module__  # of the backend itself, not of what checks it
    digest = hashlib.sha256()
    for path in sources(module):
        digest.update(("%s\n" % path.name).encode("utf-8") + read_whole(path, SOURCE_BYTES))
    values = {
        "sources": digest.hexdigest()[:16],
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "environment": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        "cpus": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
    }
    return values, {}


def sources(module: str) -> list[Path]:
    """The files that the numbers of a backend of that module come from: those of COMPUTING, the module's own, and those
    of its package; of a backend among the suite's own, only of the folder that it is in."""
    package, _, _ = module.rpartition(".") if module.startswith("spec_tests.") else module.partition(".")
    found = {path for name in (*COMPUTING, package) for path in _files(name)}
    file = getattr(sys.modules.get(module), "__file__", None)
    return sorted({*found, *([Path(file).resolve()] if file else [])}, key=lambda path: path.parts[-3:])


def _files(name: str) -> list[Path]:
    """A module's file, or the files of a package that its answers come from: no tests, and no command line."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # of a module that was made, not found
        return []
    if spec is None or not spec.submodule_search_locations:
        return [Path(spec.origin).resolve()] if spec is not None and spec.has_location and spec.origin else []
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    found = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
    kept = [path for path in found if "tests" not in path.parts and not path.name.startswith(("test_", "__main__"))]
    return [folder / path for path in kept[:SOURCE_FILES]]


def parity(backend: Any, dtype: str, widened: list[str] | None = None) -> Task:
    """Answers to every question that the backend offers, "<question>|<tensor>"; widened: to those on these behaviours
    alone, whose values of that dtype are handed over in float64.

    An answer that raises is among the values' "failed": question -> reason.
    """
    arrays, failed = {}, {}
    asked = behaviours.offered(backend.capabilities, dtype) if widened is None else widened
    for case in behaviours.questions(dtype, asked):
        given = behaviours.widened(case.arguments) if widened is not None else case.arguments
        try:
            answer = behaviours.named_answer(case, getattr(backend, case.method)(**given))
        except Exception as error:
            failed[case.name] = "%s: %s" % (type(error).__name__, error)
            continue
        arrays.update({"%s|%s" % (case.name, tensor): array for tensor, array in answer.items()})
    return {"failed": failed}, arrays


def lockstep(
    backend: Any,
    program: str,
    dtype: str,
    steps: int,
    checkpoints: list[int],
    evaluate: list[int],
    perturbed: bool = False,
) -> Task:
    """`steps` optimizer steps of one of `makers.TRAINING` from fixed weights on fixed batches.

    checkpoints: ascending numbers of steps, the last being `steps`, after which the weights are kept, as "<weight>"
    [checkpoints, ...]; evaluate: those after which the accuracies are measured (MNIST). perturbed: from weights one
    unit in the last place away. The losses, each before its step, are "losses" [steps].
    """
    seed, model = cases.SEEDS[program], makers.TRAINING[program].model
    weights, slots = makers.initial_weights(model, dtype, seed), None
    if perturbed:
        weights = one_ulp_away(weights, seed)
    rows = Rows(program, dtype)
    batches = BatchStream(rows.count, makers.TRAINING[program].batch, seed).take(steps)
    losses, kept, train_accuracy, test_accuracy, done = [], [], [], [], 0
    for end in checkpoints:
        some, weights, slots = rows.train(backend, model, weights, batches[done:end], slots)
        losses.append(some)
        kept.append(weights)
        done = end
        if end in evaluate:
            train_accuracy.append(rows.accuracy(backend, weights, batches[end - 1]))
            test_accuracy.append(rows.test_accuracy(backend, weights))
    arrays = {name: np.stack([each[name] for each in kept]) for name in weights}
    arrays["losses"] = np.concatenate(losses)
    return {"train_accuracy": train_accuracy, "test_accuracy": test_accuracy}, arrays


def one_ulp_away(weights: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Every weight one unit in its last place up or down, as a fixed coin falls; zeros stay."""
    random, moved = np.random.RandomState(seed), {}
    for name in sorted(weights):
        array = weights[name]
        towards = np.where(random.randint(0, 2, array.shape), np.inf, -np.inf).astype(array.dtype)
        moved[name] = np.where(array == 0.0, array, np.nextafter(array, towards))
    return moved


def alone(backend: Any, weights_seed: int, batches_seed: int, epochs: int, epoch_steps: int) -> Task:
    """MNIST from the backend's own initial values, on a batch order of its own.

    Arrays: "initial/<weight>", "losses" of the first epoch, and by epoch "loss", "train_accuracy", "test_accuracy".
    """
    model, rows = MNIST.model, Rows("mnist", "float32")
    weights = initial = backend.initial_weights(model, weights_seed)
    stream, slots = BatchStream(rows.count, MNIST.batch, batches_seed), None
    curves: dict[str, list[float]] = {"loss": [], "train_accuracy": [], "test_accuracy": []}
    first = None
    for _ in range(epochs):
        batches = stream.take(epoch_steps)
        losses, weights, slots = rows.train(backend, model, weights, batches, slots)
        first = losses if first is None else first
        curves["loss"].append(float(np.mean(losses, dtype=np.float64)))
        curves["train_accuracy"].append(rows.accuracy(backend, weights, batches[-1]))
        curves["test_accuracy"].append(rows.test_accuracy(backend, weights))
    arrays: dict[str, Any] = {"initial/" + name: array for name, array in initial.items()}
    arrays["losses"] = np.zeros(0, np.float32) if first is None else first
    arrays.update({name: np.array(values) for name, values in curves.items()})
    return {}, arrays


def series_alone(backend: Any, projection: str, iterations: int, weights_seed: int) -> Task:
    """The series from the backend's own initial values: "initial/<weight>", "losses" [iterations], and the
    "prediction" [100] of the last 100 points afterwards."""
    program = makers.TRAINING["series-" + projection]
    rows = Rows("series-" + projection, "float32")
    weights = initial = backend.initial_weights(program.model, weights_seed)
    losses, weights, _ = rows.train(backend, program.model, weights, np.zeros((iterations, 1), np.int64), None)
    prediction = backend.predict(program.model, weights, series.prediction_pair("float32").inputs)
    arrays = {"initial/" + name: array for name, array in initial.items()}
    return {}, dict(arrays, losses=losses, prediction=prediction[0, :, 0])


@functools.lru_cache(maxsize=1)
def _images() -> Any:
    return mnist.load()


class Rows:
    """The training rows of a program, those of a few batches at a time in the dtype asked for."""

    def __init__(self, program: str, dtype: str) -> None:
        self._optimizer = makers.TRAINING[program].optimizer
        self._dtype = dtype
        self._chunk = MNIST_CHUNK if program == "mnist" else SERIES_CHUNK
        if program == "mnist":
            self._inputs, self._targets = _images().train
        else:
            self._inputs, self._targets = series.training_pair(dtype)
        self.count = len(self._inputs)

    def train(
        self, backend: Any, model: Model, weights: dict[str, np.ndarray], batches: np.ndarray, slots: Any
    ) -> tuple[np.ndarray, dict[str, np.ndarray], Any]:
        """The contract's `train`, in chunks that are given only the rows which their batches name."""
        losses = []
        for start in range(0, len(batches), self._chunk):
            chunk = batches[start : start + self._chunk]
            used, places = np.unique(chunk, return_inverse=True)
            inputs, targets = self._inputs[used].astype(self._dtype), self._targets[used]
            where = places.reshape(chunk.shape).astype(np.int64)
            some, weights, slots = backend.train(model, weights, self._optimizer, inputs, targets, where, slots=slots)
            losses.append(some)
        return np.concatenate(losses), weights, slots

    def accuracy(self, backend: Any, weights: dict[str, np.ndarray], rows: np.ndarray) -> float:
        return accuracy(backend, weights, self._inputs[rows].astype(self._dtype), self._targets[rows])

    def test_accuracy(self, backend: Any, weights: dict[str, np.ndarray]) -> float:
        test = _images().test
        return accuracy(backend, weights, test.images.astype(self._dtype), test.labels)


def time_training(backend: Any, program: str, steps: int) -> Task:
    """Seconds per optimizer step: the time of a call of `steps` + 1 steps less that of a call of one, so that setting
    up is not counted; "call" is the latter. On random rows of the program's shapes, as many as fill a batch."""
    model, weights, optimizer, inputs, targets = _timed(program)
    rows = np.arange(len(inputs))
    one, many = rows[None], np.tile(rows, (steps + 1, 1))
    seconds = []
    for batches in (one, many):
        started = time.perf_counter()
        backend.train(model, weights, optimizer, inputs, targets, batches)
        seconds.append(time.perf_counter() - started)
    return {"step": (seconds[1] - seconds[0]) / steps, "call": seconds[0]}, {}


def time_prediction(backend: Any, program: str, calls: int) -> Task:
    """Seconds per call of `predict` on one batch of the program, the weights handed over each time."""
    model, weights, _, inputs, _ = _timed(program)
    started = time.perf_counter()
    for _ in range(calls):
        backend.predict(model, weights, inputs)
    return {"call": (time.perf_counter() - started) / calls}, {}


@functools.lru_cache(maxsize=None)
def _timed(name: str) -> tuple[Any, ...]:
    program, random = makers.TRAINING[name], np.random.RandomState(1)
    inputs = random.uniform(0.0, 1.0, (program.batch, program.steps, program.model.inputs)).astype("float32")
    targets = makers.targets_for(program.model, random, program.batch, program.steps, "float32")
    return program.model, makers.initial_weights(program.model, "float32", 1), program.optimizer, inputs, targets


def memory(backend: Any) -> Task:
    """The most memory that this process has held, in bytes; None where the system does not say.

    Linux's VmHWM, not getrusage: the latter starts from what the parent held when it forked.
    """
    status = Path("/proc/self/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    held = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return {"peak": held[0] if held else None}, {}


TASKS: dict[str, Any] = {
    "facts": facts,
    "parity": parity,
    "lockstep": lockstep,
    "alone": alone,
    "series": series_alone,
    "time_training": time_training,
    "time_prediction": time_prediction,
    "memory": memory,
}
