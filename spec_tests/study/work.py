"""What a worker does for the study, in the process of the backend itself: one task, plain values and arrays out.

Every task is a function of the backend and its arguments; it returns {"values": plain values, "arrays": name -> array}.
Python 3.7 syntax, standard library and NumPy: it also runs beside TensorFlow 1.15.5.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from spec_tests.questions import behaviours, makers
from spec_tests.questions.trajectories import MNIST_CHUNK, SERIES_CHUNK
from spec_tests.study import imports, programs
from unrolled.datasets import mnist, series, vowels
from unrolled.datasets.batches import BatchStream
from unrolled.models import Model
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
    "spec_tests.study.programs",
    "spec_tests.study.work",
)
SETTINGS = ("UNROLLED_PATH", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", "NVIDIA_TF32_OVERRIDE")  # change numbers
SOURCE_BYTES = 1 << 26  # of one of them
PREDICTED = 1000  # rows at a time


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
    """The files that the numbers of a backend of that module come from: those of COMPUTING, the module's own, those of
    its package, and all that these import which is not installed; of a backend among the suite's own, only the folder
    that it is in."""
    package, _, _ = module.rpartition(".") if module.startswith("spec_tests.") else module.partition(".")
    found = {path for name in COMPUTING for path in imports.files(name)}
    file = getattr(sys.modules.get(module), "__file__", None)
    own = [*imports.files(package), *([Path(file).resolve()] if file else [])]
    found.update(own, imports.imported(own))
    return sorted(found, key=lambda path: path.parts[-3:])


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
    perturbed: int = 0,
) -> Task:
    """`steps` optimizer steps of one of `programs.PROGRAMS` from fixed weights on fixed batches.

    checkpoints: ascending numbers of steps, the last being `steps`, after which the weights are kept, as "<weight>"
    [checkpoints, ...]; evaluate: those after which the accuracies are measured (of classifiers). perturbed: where not
    0, from weights one unit in the last place away, another draw for each number. The losses, each before its step,
    are "losses" [steps].
    """
    seed, chosen = programs.seed_of(program), programs.studied(program)
    model, slots = chosen.model, None
    weights = makers.initial_weights(model, dtype, seed)
    if perturbed:
        weights = one_ulp_away(weights, 1000 * seed + perturbed)
    rows = Rows(program, dtype)
    batches = BatchStream(rows.count, chosen.batch, seed).take(steps)
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
    """Every weight one unit in its last place up or down, as the seed's coin falls; zeros stay."""
    random, moved = np.random.RandomState(seed), {}
    for name in sorted(weights):
        array = weights[name]
        towards = np.where(random.randint(0, 2, array.shape), np.inf, -np.inf).astype(array.dtype)
        moved[name] = np.where(array == 0.0, array, np.nextafter(array, towards))
    return moved


def alone(
    backend: Any, program: str, own: bool, weights_seed: int, batches_seed: int, epochs: int, epoch_steps: int
) -> Task:
    """A classifier trained for some epochs. own: from the backend's own initial values; else from those that NumPy
    draws by TensorFlow 1's rule, the same for every backend.

    Arrays: "losses" of the first epoch, and by epoch "loss", "train_accuracy", "test_accuracy".
    """
    chosen, rows = programs.studied(program), Rows(program, "float32")
    model = chosen.model
    weights = (
        backend.initial_weights(model, weights_seed) if own else makers.initial_weights(model, "float32", weights_seed)
    )
    stream, slots = BatchStream(rows.count, chosen.batch, batches_seed), None
    curves: dict[str, list[float]] = {"loss": [], "train_accuracy": [], "test_accuracy": []}
    first = None
    for _ in range(epochs):
        batches = stream.take(epoch_steps)
        losses, weights, slots = rows.train(backend, model, weights, batches, slots)
        first = losses if first is None else first
        curves["loss"].append(float(np.mean(losses, dtype=np.float64)))
        curves["train_accuracy"].append(rows.accuracy(backend, weights, batches[-1]))
        curves["test_accuracy"].append(rows.test_accuracy(backend, weights))
    arrays = {name: np.array(values) for name, values in curves.items()}
    return {}, dict(arrays, losses=np.zeros(0, np.float32) if first is None else first)


def drawn(backend: Any, program: str, seeds: list[int]) -> Task:
    """The backend's own initial weights for a program, "<weight>" [seeds, ...]."""
    several = [backend.initial_weights(programs.studied(program).model, seed) for seed in seeds]
    return {}, {name: np.stack([each[name] for each in several]) for name in several[0]}


def series_alone(backend: Any, projection: str, iterations: int, weights_seed: int) -> Task:
    """The series from the backend's own initial values: "losses" [iterations], and the "prediction" [100] of the last
    100 points afterwards."""
    program = makers.TRAINING["series-" + projection]
    rows = Rows("series-" + projection, "float32")
    weights = backend.initial_weights(program.model, weights_seed)
    losses, weights, _ = rows.train(backend, program.model, weights, np.zeros((iterations, 1), np.int64), None)
    prediction = backend.predict(program.model, weights, series.prediction_pair("float32").inputs)
    return {}, {"losses": losses, "prediction": prediction[0, :, 0]}


@functools.lru_cache(maxsize=1)
def _images() -> Any:
    return mnist.load()


@functools.lru_cache(maxsize=1)
def _utterances() -> Any:
    return vowels.standardized(vowels.load())


class Rows:
    """The rows of a program: to train on, in the dtype asked for and those of a few batches at a time, and to test."""

    def __init__(self, program: str, dtype: str) -> None:
        chosen, data = programs.studied(program), programs.data_of(program)
        self._model, self._optimizer, self._dtype = chosen.model, chosen.optimizer, dtype
        self._chunk = MNIST_CHUNK if data == "mnist" else SERIES_CHUNK
        self._lengths: Any = None
        self._test: Any = None
        if data == "mnist":
            (self._inputs, self._targets), test = _images().train, _images().test
            self._test = (test.images, test.labels, None)
        elif data == "vowels":
            train, test = _utterances()
            self._inputs, self._targets, self._lengths = train.inputs, train.speaker, train.lengths
            self._test = (test.inputs, test.speaker, test.lengths)
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
            given = {} if self._lengths is None else {"lengths": self._lengths[used]}
            some, weights, slots = backend.train(
                model, weights, self._optimizer, inputs, targets, where, slots=slots, **given
            )
            losses.append(some)
        return np.concatenate(losses), weights, slots

    def accuracy(self, backend: Any, weights: dict[str, np.ndarray], rows: np.ndarray) -> float:
        lengths = None if self._lengths is None else self._lengths[rows]
        return self._right(backend, weights, (self._inputs[rows], self._targets[rows], lengths))

    def test_accuracy(self, backend: Any, weights: dict[str, np.ndarray]) -> float:
        return self._right(backend, weights, self._test)

    def _right(self, backend: Any, weights: dict[str, np.ndarray], rows: Any) -> float:
        """The share of rows (inputs, labels, lengths) whose largest logit is that of their label."""
        inputs, labels, lengths = rows
        right = 0
        for start in range(0, len(inputs), PREDICTED):
            some = slice(start, start + PREDICTED)
            given = {} if lengths is None else {"lengths": lengths[some]}
            found = backend.predict(self._model, weights, inputs[some].astype(self._dtype), **given)
            right += int(np.sum(found == labels[some]))
        return right / len(labels)


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
    """Seconds of `predict` on one batch of the program, without handing over the weights: a call over all steps less
    one over the first quarter of them, and as much for a step of that quarter; the median of such pairs of calls."""
    model, weights, _, inputs, _ = _timed(program)
    steps, less = inputs.shape[1], []
    few = max(1, steps // 4)
    for _ in range(calls):
        seconds = []
        for some in (inputs[:, :few], inputs):
            started = time.perf_counter()
            backend.predict(model, weights, some)
            seconds.append(time.perf_counter() - started)
        less.append(seconds[1] - seconds[0])
    return {"call": float(np.median(less)) * steps / (steps - few)}, {}


@functools.lru_cache(maxsize=None)
def _timed(name: str) -> tuple[Any, ...]:
    program, random = programs.studied(name), np.random.RandomState(1)
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
    "drawn": drawn,
    "series": series_alone,
    "time_training": time_training,
    "time_prediction": time_prediction,
    "memory": memory,
}
