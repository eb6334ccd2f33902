"""Lockstep: the same weights, the same batches, many optimizer steps, and how far two runs drift apart.

Two right implementations drift apart too: every rounding is a small perturbation, and training amplifies it. So the
drift between two backends is shown beside the drift of one backend against itself, started one unit in the last place
away, several times. A fault shows where the former leaves the latter behind.
"""

from __future__ import annotations

import itertools
from typing import Any, Mapping, Sequence

import numpy as np

from spec_tests.study.parity import error_of
from spec_tests.study.store import Found
from unrolled.datasets import recorded

# The drift of a backend against itself, one unit in the last place apart at the start, is what rounding makes of a run;
# FACTORS are how many times as far two backends may part. The ratio was measured with PyTorch, TensorFlow 2.21 and the
# oracle over six draws of weights and batches (the oracle over two; MNIST 366 steps in float32 and 183 in float64, the
# series up to 1000 and 500), and with Adam's epsilon planted wrong in the oracle over two draws:
#
#                    right backends            wrong epsilon
#   mnist   float32  at most 1.9, 10 pairs     at least 63
#   mnist   float64  at most 2.0, 10 pairs     at least 4.4e10
#   series  float32  at most 331, 16 pairs     at least 3.8e3
#   series  float64  at most 2.0, 16 pairs     at least 1.8e12
#
# And by `python -m spec_tests.tests.drift_limits` over two draws of 90 steps (vowels) and 40 (MNIST), each with two
# perturbed runs, beside two more faults: a bias that is trained twice as fast, which a GRU has none of, and a tenth
# less of the bias of one gate.
#
#                                   right    wrong epsilon    double bias    bias of a gate
#   vowels, LSTM   float32   at most 0.72       661 or more    518 or more      2.1e3 or more
#   vowels, LSTM   float64   at most 0.92           4.4e11         3.4e11             1.4e12
#   vowels, GRU    float32   at most 0.57              925                            7.0e4
#   vowels, GRU    float64   at most 1.3            4.3e11                            3.2e13
#   MNIST, LSTM    float32   at most 0.85            3.8e3          4.2e3             1.7e4
#   MNIST, LSTM    float64   at most 0.63           2.1e12         2.3e12             9.2e12
#   MNIST, GRU     float32   at most 1.7             3.9e3                            2.1e5
#   MNIST, GRU     float64   at most 1.0           1.8e12                            9.5e13
#
# Each limit lies between the two. That of the series in float32 is wide, and a verdict there is worth less: a ReLU unit
# that comes within a rounding of its corner makes one run jump where the other does not, so that the drift of two
# backends against themselves, too, differs by up to 3000 times. In float64 that comes later; room is left for it.
FACTORS = {
    ("mnist", "float32"): 10.0,
    ("mnist", "float64"): 100.0,
    ("series", "float32"): 1500.0,
    ("series", "float64"): 1e5,
    ("vowels", "float32"): 10.0,
    ("vowels", "float64"): 100.0,
}
# Where a verdict of no more than rounding is worth less than elsewhere, and why.
WEAK = {
    ("series", "float32"): "a ReLU unit within a rounding of its corner makes two right runs jump apart, so the limit "
    "is wide: it tells faults that part the weights 1500 times as far as rounding, and no smaller ones"
}
POINTS = 120  # of a loss curve in the results
RECORDED = "tf-1.15.5-curve-float32/mnist-3-epochs"


def drift(one: Found, other: Found, steps: Sequence[int]) -> dict[str, list[float]]:
    """By checkpoint: `loss`, the largest relative difference of any loss since the checkpoint before; `weights`, the
    largest error of any weight, relative to its tensor's largest magnitude."""
    losses, weights, done = [], [], 0
    names = sorted(set(one.arrays) - {"losses"})
    for place, end in enumerate(steps):
        first, second = one.arrays["losses"][done:end], other.arrays["losses"][done:end]
        scale = np.maximum(np.abs(first), np.abs(second)).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(first.astype(np.float64) - second) / np.where(scale == 0.0, 1.0, scale)
        losses.append(float(np.where(np.isfinite(apart), apart, np.inf).max()))
        weights.append(max(error_of(one.arrays[name][place], other.arrays[name][place])[1] for name in names))
        done = end
    return {"loss": losses, "weights": weights}


def pair_of(
    runs: Mapping[Any, Found], one: str, other: str, program: str, dtype: str, steps: Sequence[int]
) -> dict[str, Any]:
    """The drift between two backends, the largest drift of each against itself over its perturbed runs, the verdict."""
    pair: dict[str, Any] = {"one": one, "other": other, "program": program, "dtype": dtype, "steps": list(steps)}
    pair.update(drift(runs[one, program, dtype, 0], runs[other, program, dtype, 0], steps))
    itself = {}
    for label in (one, other):
        own = runs[label, program, dtype, 0]
        moved = [found for (*key, draw), found in runs.items() if key == [label, program, dtype] and draw]
        if moved:
            several = [drift(own, found, steps) for found in moved]
            largest = {name: np.max([each[name] for each in several], axis=0).tolist() for name in several[0]}
            itself[label] = dict(largest, runs=len(moved))
    pair["itself"] = itself
    pair.update(verdict_of(pair))
    return pair


def verdict_of(pair: Mapping[str, Any]) -> dict[str, Any]:
    """ratio: the largest, over checkpoints, of the drift of the weights to the larger of the backends' own drifts up to
    there, at least one unit in the last place; at: its number of steps; limit: that of FACTORS. verdict: "rounding",
    "more than rounding", or "not measured"."""
    limit = FACTORS[pair["program"].split("-")[0], pair["dtype"]]
    if not pair["itself"]:
        return {"ratio": None, "at": None, "limit": limit, "verdict": "not measured"}
    ulp = float(np.finfo(pair["dtype"]).eps)
    own = np.max([each["weights"] for each in pair["itself"].values()], axis=0)
    ratios = np.asarray(pair["weights"]) / np.maximum(np.maximum.accumulate(own), ulp)
    place = int(np.argmax(ratios))
    verdict = "rounding" if ratios[place] <= limit else "more than rounding"
    return {"ratio": float(ratios[place]), "at": pair["steps"][place], "limit": limit, "verdict": verdict}


def curve(losses: np.ndarray) -> dict[str, list[float]]:
    """At most POINTS means of neighbouring losses, and the step in their middle."""
    parts = np.array_split(np.arange(len(losses)), min(POINTS, len(losses)))
    means = [float(np.mean(losses[part], dtype=np.float64)) for part in parts]
    return {"steps": [float(part.mean()) + 1 for part in parts], "loss": means}


def recorded_drift(found: Found, steps: Sequence[int]) -> dict[str, Any] | None:
    """Against the losses that TensorFlow 1.15.5 had on MNIST from the same weights, as far as they go."""
    expected = recorded.load(RECORDED).answer["losses"]
    losses, apart, done = found.arrays["losses"], [], 0
    within = [step for step in steps if step <= min(len(expected), len(losses))]
    for end in within:
        apart.append(float(np.max(np.abs(losses[done:end] / expected[done:end] - 1.0))))
        done = end
    return {"steps": within, "loss": apart} if within else None


def summarize(runs: Mapping[Any, Found], checkpoints: Mapping[tuple[str, str], Sequence[int]]) -> dict[str, Any]:
    """runs: by (label, program, dtype, perturbed), the last 0 or the number of a draw; checkpoints by (program, dtype).

    Returns "runs" (curves, epochs, seconds of each unperturbed run) and "pairs" (drift of every two).
    """
    described, pairs = [], []
    for (label, program, dtype, perturbed), found in runs.items():
        if perturbed:
            continue
        steps = checkpoints[program, dtype]
        run: dict[str, Any] = {"backend": label, "program": program, "dtype": dtype, "steps": steps[-1]}
        run["curve"] = curve(found.arrays["losses"])
        run["train_accuracy"], run["test_accuracy"] = found.values["train_accuracy"], found.values["test_accuracy"]
        if program == "mnist" and dtype == "float32":
            run["epoch_loss"] = _epoch_losses(found)
            run["recorded"] = recorded_drift(found, steps)
        run["seconds"] = found.values["seconds"]
        described.append(run)
    for (program, dtype), steps in checkpoints.items():
        labels = [run["backend"] for run in described if (run["program"], run["dtype"]) == (program, dtype)]
        pairs += [pair_of(runs, one, other, program, dtype, steps) for one, other in itertools.combinations(labels, 2)]
    return {"runs": described, "pairs": pairs}


def _epoch_losses(found: Found) -> list[float]:
    epochs = len(found.values["test_accuracy"])
    if not epochs:
        return []
    size = len(found.arrays["losses"]) // epochs
    return [float(part.mean(dtype=np.float64)) for part in found.arrays["losses"][: size * epochs].reshape(epochs, -1)]
