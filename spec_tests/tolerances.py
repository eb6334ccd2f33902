"""Tolerance is data: one table by quantity and dtype, and the one comparison that uses it.

An error is relative to the largest magnitude of the expected tensor: max|found - expected| / max|expected|. Where the
expected tensor is all zero, only exact zeros pass. The error seen is reported beside its limit; loosening a limit needs
a written reason here. Python 3.7 syntax.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple

import numpy as np


class Limit(NamedTuple):
    """The largest relative error allowed by dtype (None: not compared in it), and why it has this size."""

    float32: float | None
    float64: float | None
    reason: str


# One float32 rounding is 6e-8, one float64 rounding 1.1e-16.
LIMITS: dict[str, Limit] = {
    "outputs": Limit(2e-6, 1e-12, "a few steps, each a dot product and a tanh within a few roundings"),
    "state": Limit(2e-6, 1e-12, "the last of the outputs"),
    "gradients": Limit(2e-6, 1e-12, "the forward pass and as many steps back, summed over rows and steps"),
    "predictions": Limit(2e-6, 1e-12, "one dense layer on outputs or state"),
    "loss": Limit(2e-6, 1e-12, "a mean over the predictions"),
    "weights after 1 step": Limit(2e-6, 1e-12, "one step of 0.001 on weights near 0.1 to 1"),
    "slots after 1 step": Limit(2e-6, 1e-12, "the gradients, and their squares"),
    "losses over 60 steps": Limit(
        2e-6,
        1e-13,
        "in float64, TF 1.15.5 differs by 4e-16 when its float32 roundings are followed, by 6e-8 when they are not",
    ),
    "weights after 60 steps": Limit(
        2e-3,
        1e-11,
        "Adam divides a gradient by its own size, so one that is mostly rounding moves its weight by a whole step of "
        "0.001, 5e-3 of the largest weight; TF 1.15.5 and the oracle are 3e-4 apart in float32, it and PyTorch 1e-12 "
        "in float64",
    ),
    "series losses, 150 steps": Limit(2e-6, 1e-12, "as over 60 steps; TF 2.21 differs by 6e-7 and 9e-16"),
    "series losses, 500 steps": Limit(
        5e-2,
        1e-8,
        "100 ReLU steps on inputs from 12 to 15: a unit that passes its corner within a rounding sends two runs apart; "
        "TF 2.21 and the oracle are then 1.2e-2 apart in float32 and 6e-10 in float64",
    ),
    "mnist losses, 1 epoch": Limit(
        2e-5, None, "roundings add up over 366 steps; TF 2.21 and TF 1.15.5 are 2.6e-6 apart, PyTorch 1e-6"
    ),
    "mnist loss curve, 3 epochs": Limit(
        5e-3,
        None,
        "and grow over 1,098; means of 61 losses of TF 2.21 and TF 1.15.5 are 2.2e-4 apart, single ones 9e-3",
    ),
}


class Difference(NamedTuple):
    """How far one tensor is from what was expected."""

    quantity: str
    dtype: str
    tensor: str
    absolute: float
    relative: float
    limit: float
    where: tuple[int, ...]
    found: float
    expected: float

    @property
    def within(self) -> bool:
        return self.relative <= self.limit  # False for NaN

    def sentence(self) -> str:
        return (
            "%s differs from what is expected: the largest absolute error is %.3g, relative to the largest expected "
            "magnitude %.3g, above the limit %.3g for %s in %s; it is at %s: found %r, expected %r"
            % (
                self.tensor,
                self.absolute,
                self.relative,
                self.limit,
                self.quantity,
                self.dtype,
                "index %s" % list(self.where) if self.where else "the value itself",
                self.found,
                self.expected,
            )
        )


def measure(quantity: str, found: Any, expected: Any, dtype: str, tensor: str = "") -> Difference:
    """Compare one tensor (or plain number) with the expected one, after shape and dtype.

    A tensor must have the dtype asked for; a plain Python number has none. NaN and infinities never equal anything.
    Raises AssertionError when shape or dtype differ, KeyError for a quantity without a limit.
    """
    tensor = tensor or quantity
    limit = getattr(LIMITS[quantity], dtype)
    if limit is None:
        raise KeyError("%s has no limit in %s" % (quantity, dtype))
    expected = np.asarray(expected, np.float64)
    assert np.shape(found) == expected.shape, "%s has shape %s, expected %s" % (
        tensor,
        list(np.shape(found)),
        list(expected.shape),
    )
    if not isinstance(found, float) or isinstance(found, np.floating):
        kind = getattr(found, "dtype", type(found).__name__)
        assert isinstance(found, (np.ndarray, np.floating)) and found.dtype == dtype, "%s is %s, expected %s" % (
            tensor,
            kind,
            dtype,
        )
    found = np.asarray(found, np.float64)
    if found.size == 0:
        return Difference(quantity, dtype, tensor, 0.0, 0.0, limit, (), 0.0, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(found - expected)
    errors = np.where(np.isfinite(errors), errors, np.inf)
    where = tuple(int(i) for i in np.unravel_index(np.argmax(errors), errors.shape))
    absolute, scale = float(errors[where]), float(np.max(np.abs(expected)))
    relative = 0.0 if absolute == 0.0 else (absolute / scale if scale > 0.0 and np.isfinite(scale) else np.inf)
    return Difference(
        quantity, dtype, tensor, absolute, relative, limit, where, float(found[where]), float(expected[where])
    )


def _tensors(found: Any, expected: Any, tensor: str) -> Iterator[tuple[str, Any, Any]]:
    """Pairs of tensors by name, through dictionaries and lists, whose names and lengths must be the same."""
    if isinstance(expected, dict):
        assert isinstance(found, dict) and set(found) == set(expected), "%s: found the names %s, expected %s" % (
            tensor,
            sorted(found) if isinstance(found, dict) else type(found).__name__,
            sorted(expected),
        )
        for name in expected:
            for triple in _tensors(found[name], expected[name], "%s of %s" % (tensor, name)):
                yield triple
    elif isinstance(expected, (list, tuple)):
        assert isinstance(found, (list, tuple)) and len(found) == len(expected), (
            "%s: found %s, expected a list of %d"
            % (
                tensor,
                "a list of %d" % len(found) if isinstance(found, (list, tuple)) else type(found).__name__,
                len(expected),
            )
        )
        for i, (one, other) in enumerate(zip(found, expected)):
            for triple in _tensors(one, other, "%s[%d]" % (tensor, i)):
                yield triple
    else:
        yield tensor, found, expected


def compare(
    quantity: str,
    found: Any,
    expected: Any,
    dtype: str,
    tensor: str | None = None,
    record: Callable[[Difference], None] | None = None,
) -> list[Difference]:
    """Compare a tensor, or dictionaries and lists of tensors, within the quantity's limit for the dtype.

    record is called with each difference before it is judged. Raises AssertionError with a sentence that names the
    tensor, the errors, where they are and the limit.
    """
    differences = []
    for name, one, other in _tensors(found, expected, tensor or quantity):
        difference = measure(quantity, one, other, dtype, name)
        if record is not None:
            record(difference)
        assert difference.within, difference.sentence()
        differences.append(difference)
    return differences


def exact(found: Any, expected: Any, tensor: str) -> None:
    """The same shape and the same values, without any tolerance, of a tensor or of dictionaries of them. Raises
    AssertionError with a sentence."""
    if isinstance(expected, dict):
        for name, one, other in _tensors(found, expected, tensor):
            exact(one, other, name)
        return
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, "%s has shape %s, expected %s" % (
        tensor,
        list(found.shape),
        list(expected.shape),
    )
    wrong = np.argwhere(found != expected)
    if len(wrong):
        where = tuple(int(i) for i in wrong[0])
        raise AssertionError(
            "%s must be exactly as expected, but differs in %d of %d values; first at index %s: found %r, expected %r"
            % (tensor, len(wrong), found.size, list(where), found[where].item(), expected[where].item())
        )


def near(found: Any, expected: float, relative: float, what: str) -> None:
    """A number within a share of what was worked out by hand. Raises AssertionError with a sentence."""
    away = abs(float(found) - expected) / expected
    assert away <= relative, "%s is %.4g, expected %.4g within %g%%" % (what, found, expected, 100 * relative)
