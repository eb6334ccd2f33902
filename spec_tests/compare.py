"""The main job: several backends on the same weights and the same batches, and one table of what came out.

Behaviours are put to each backend in float32 and float64 and held against the float64 oracle; then MNIST and the series
are trained by each from the same weights on the same batches of the real data.
"""

from __future__ import annotations

import itertools
import time
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import numpy as np

from data.programs import MNIST_ITERATIONS_PER_EPOCH
from spec_tests import cases, makers, oracle
from spec_tests.tolerances import LIMITS
from spec_tests.trajectories import SERIES_CHUNK, mnist_epochs, series_losses

TRAINING_STEPS = 60
PROJECTIONS = ("stacked", "wrapped")
ERRORS = "largest error against the float64 oracle, relative to the largest magnitude"

# Behaviours: how a case's name in `cases.small_cases` begins -> how the table calls it, and the quantity of its limit.
BEHAVIOURS: dict[str, tuple[str, str]] = {
    "two_step": ("two-step cell by hand", "outputs"),
    "static_rnn": ("static unrolling", "outputs"),
    "dynamic_rnn": ("dynamic unrolling", "outputs"),
    "static_gradients": ("gradients, static unrolling", "gradients"),
    "dynamic_gradients": ("gradients, dynamic unrolling", "gradients"),
    "in_top_k": ("in_top_k", "outputs"),
}


class Row(NamedTuple):
    """One line of the table.

    values: one per backend. difference: the largest between any two backends, relative. limit: for the values, where
    they are errors; None where nothing is promised and the line is information.
    """

    section: str
    name: str
    values: list[Any]
    difference: float | None = None
    limit: float | None = None

    @property
    def within(self) -> bool:
        return self.limit is None or all(value is None or value <= self.limit for value in self.values)


Progress = Callable[[str, int, int], Any]  # what is running, units of work just done, units in all


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected magnitude; infinite where either is not finite."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(found - expected)
    if not np.isfinite(error).all():
        return float("inf")
    largest = float(error.max()) if error.size else 0.0
    scale = float(np.abs(expected).max()) if error.size else 0.0
    return largest / scale if largest and scale else largest


def between(answers: Sequence[dict[str, np.ndarray]]) -> float | None:
    """The largest relative difference of any tensor between any two backends; None when fewer than two answered."""
    pairs = list(itertools.combinations(answers, 2))
    return max(relative(one[key], other[key]) for one, other in pairs for key in one) if pairs else None


def offers(backend: Any, method: str, dtype: str) -> bool:
    """Whether a backend declares the method of a case, with lengths and initial states, in the dtype."""
    needed = {"rnn_gradients": {"gradients"}, "train": {"training", "classifier", "regressor"}}.get(method, {method})
    return needed | {dtype, "lengths", "initial_state", "tanh", "relu"} <= set(backend.capabilities)


def answers_of(backends: Sequence[Any], case: cases.Case, dtype: str) -> list[dict[str, np.ndarray] | None]:
    """What each backend answers, by tensor; None for one that does not offer it."""
    return [
        cases.named_results(case, getattr(backend, case.method)(**case.arguments))
        if offers(backend, case.method, dtype)
        else None
        for backend in backends
    ]


class Errors:
    """The largest error of each backend, and between them, over the cases of one behaviour."""

    def __init__(self, backends: Sequence[Any]) -> None:
        self.values: list[float | None] = [None] * len(backends)
        self.difference: float | None = None

    def add(self, answers: list[dict[str, np.ndarray] | None], expected: dict[str, np.ndarray]) -> None:
        for place, answer in enumerate(answers):
            if answer is not None:
                error = max(relative(answer[key], expected[key]) for key in expected)
                self.values[place] = max(self.values[place] or 0.0, error)
        apart = between([answer for answer in answers if answer is not None])
        if apart is not None:
            self.difference = max(self.difference or 0.0, apart)


def behaviour_rows(backends: Sequence[Any]) -> Iterator[Row]:
    """Programs 1 to 4 and 6, over activations, lengths, initial state and both dtypes."""
    judge = oracle.backend()
    for dtype in cases.DTYPES:
        found = {start: Errors(backends) for start in BEHAVIOURS}
        for case in cases.small_cases(dtype):
            # The oracle computes in float64 from the very values that the backends were given.
            expected = cases.named_results(case, _ask_oracle(judge, case))
            found[case.name.split("-")[0]].add(answers_of(backends, case, dtype), expected)
        for start, (name, quantity) in BEHAVIOURS.items():
            limit = getattr(LIMITS[quantity], dtype)
            yield Row(ERRORS, "%s, %s" % (name, dtype), found[start].values, found[start].difference, limit)


def _ask_oracle(judge: Any, case: cases.Case) -> Any:
    return getattr(judge, case.method)(**{name: _widened(value) for name, value in case.arguments.items()})


def _widened(value: Any) -> Any:
    """Float arrays as float64, whatever holds them."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value
    if isinstance(value, dict):
        return {name: _widened(each) for name, each in value.items()}
    return [_widened(each) for each in value] if isinstance(value, list) else value


def step_rows(backends: Sequence[Any], progress: Progress) -> Iterator[Row]:
    """The losses of the first Adam steps of each training program."""
    judge = oracle.backend()
    for dtype in cases.DTYPES:
        for name in makers.TRAINING:
            case = cases.training_case(name, dtype, TRAINING_STEPS)
            expected = _ask_oracle(judge, case)[0]
            errors = Errors(backends)
            losses = [answer and {"losses": answer["losses"]} for answer in answers_of(backends, case, dtype)]
            errors.add(losses, {"losses": expected})
            limit = getattr(LIMITS["losses over 60 steps"], dtype)
            title = "losses of %d Adam steps, %s, %s" % (TRAINING_STEPS, name, dtype)
            yield Row(ERRORS, title, errors.values, errors.difference, limit)
            progress("Adam steps", 1, len(cases.DTYPES) * len(makers.TRAINING))


def mnist_rows(backends: Sequence[Any], epochs: int, progress: Progress) -> Iterator[Row]:
    """Learning curves and accuracies of program 7."""
    section = "MNIST, float32, same weights and batches"
    total, curves, seconds = epochs * MNIST_ITERATIONS_PER_EPOCH, [], []
    for backend in backends:
        started = time.perf_counter()
        count = _counter(progress, "MNIST, " + backend.name, total)
        curves.append(list(mnist_epochs(backend, epochs, progress=count)))
        seconds.append(time.perf_counter() - started)
    for number, same_epoch in enumerate(zip(*curves), 1):
        apart = between([{"losses": epoch.losses} for epoch in same_epoch])
        means = [float(epoch.losses.mean()) for epoch in same_epoch]
        yield Row(section, "epoch %d: mean loss (difference: of any one batch)" % number, means, apart)
        for name in ("train_accuracy", "test_accuracy"):
            values = [getattr(epoch, name) for epoch in same_epoch]
            title = "epoch %d: accuracy, %s" % (number, "last batch" if name[1] == "r" else "10,000 test images")
            yield Row(section, title, values, max(values) - min(values) if len(values) > 1 else None)
    yield Row(section, "seconds, test images and start-up included", seconds)


def series_rows(backends: Sequence[Any], iterations: int, progress: Progress) -> Iterator[Row]:
    """The MSE curves of program 8 in both forms, at the first iteration and every so often after it."""
    for projection in PROJECTIONS:
        section = "series, %s projection, float32, same weights" % projection
        curves, seconds = [], []
        for backend in backends:
            started = time.perf_counter()
            count = _counter(progress, "series %s, %s" % (projection, backend.name), iterations)
            curves.append(series_losses(backend, projection, iterations, progress=count))
            seconds.append(time.perf_counter() - started)
        stride = max(SERIES_CHUNK, iterations // 5 // SERIES_CHUNK * SERIES_CHUNK)
        for at in [0, *range(stride, iterations, stride), iterations - 1]:
            values = [float(curve[at]) for curve in curves]
            apart = between([{"mse": np.array(value)} for value in values])
            yield Row(section, "MSE at iteration %d" % (at + 1), values, apart)
        yield Row(
            section, "largest difference over the curve", [None] * len(curves), between([{"": c} for c in curves])
        )
        yield Row(section, "seconds, start-up included", seconds)


def _counter(progress: Progress, name: str, total: int) -> Callable[[int], Any]:
    return lambda done: progress(name, done, total)


def compare(backends: Sequence[Any], epochs: int, iterations: int, progress: Progress) -> list[Row]:
    """Every row of the table. epochs of MNIST and iterations of the series; 0 leaves one out."""
    rows = [*behaviour_rows(backends), *step_rows(backends, progress)]
    if epochs:
        rows += mnist_rows(backends, epochs, progress)
    if iterations:
        rows += series_rows(backends, iterations, progress)
    return rows
