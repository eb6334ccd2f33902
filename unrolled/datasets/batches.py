"""The one batch stream: the order in which TensorFlow 1's MNIST reader hands out its rows.

From `DataSet.next_batch` in tensorflow/contrib/learn/python/learn/datasets/mnist.py: the rows are shuffled before the
first batch. A batch that reaches past the end takes the rest of the old order and then the first rows of the new one,
and every reshuffle permutes the order that is already permuted. TF1 draws from NumPy's global generator; a stream here
has a private RandomState, whose numbers NumPy keeps the same in all versions (NEP 19), so that two frameworks, under
two Pythons, see the same batches.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Mapping

import numpy as np

from unrolled.errors import DataError

__all__ = ["BatchStream", "bucketed", "padding_share"]

_SCHEMA = "unrolled.batches/1"
_SEED_LIMIT = 2**32  # what RandomState takes


class BatchStream:
    """Row numbers, batch by batch, without end.

    rows: size of the data set, at least 1. batch: rows per batch, 1 to rows (TF1 hands out wrong batches beyond that).
    seed: 0 to 2**32 - 1. Raises TypeError for anything but integers, ValueError for one out of range.
    """

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self.rows = _integer("rows", rows, 1, None)
        self.batch = _integer("batch", batch, 1, None)
        self.seed = _integer("seed", seed, 0, _SEED_LIMIT - 1)
        if self.batch > self.rows:
            raise ValueError("batch is %d, but there are only %d rows; expected 1 to %d" % (batch, rows, rows))
        self._random = np.random.RandomState(self.seed)
        self._order = np.arange(self.rows, dtype=np.int64)
        self._batches = 0
        self._shuffle()

    @property
    def epochs_completed(self) -> int:
        """How often the end of an order has been passed. A batch that ends exactly there has not passed it yet."""
        return max(self._batches * self.batch - 1, 0) // self.rows

    def next(self) -> np.ndarray:
        """The row numbers of the next batch, int64 [batch]."""
        start = self._batches * self.batch - self.epochs_completed * self.rows
        self._batches += 1
        if start + self.batch <= self.rows:
            return self._order[start : start + self.batch].copy()
        rest = self._order[start:]
        self._shuffle()
        return np.concatenate([rest, self._order[: self.batch - len(rest)]])

    def take(self, count: int) -> np.ndarray:
        """The next `count` batches, int64 [count, batch]."""
        batches = np.empty((_integer("count", count, 0, None), self.batch), dtype=np.int64)
        for row in range(len(batches)):
            batches[row] = self.next()
        return batches

    def state(self) -> dict[str, Any]:
        """Where the stream stands, as plain values for JSON: some 300 bytes, whatever the number of rows."""
        state = {
            "schema": _SCHEMA,
            "rows": self.rows,
            "batch": self.batch,
            "seed": self.seed,
            "batches": self._batches,
            "order_sha256": hashlib.sha256(self._order.astype("<i8").tobytes()).hexdigest(),
        }
        return dict(state, sha256=_digest(state))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BatchStream:
        """A stream that goes on with the very rows which the one that gave `state` would have handed out next.

        It repeats the shuffles of all epochs so far: about a millisecond each for 55,000 rows. Raises DataError when
        the state is altered or of another format, or when this NumPy shuffles otherwise.
        """
        fields = {"schema", "rows", "batch", "seed", "batches", "order_sha256", "sha256"}
        if not isinstance(state, Mapping) or set(state) != fields:
            found = ", ".join(sorted(map(str, state))) if isinstance(state, Mapping) else type(state).__name__
            raise DataError(
                "the state of a batch stream has %s, expected %s; start again or use another copy"
                % (found or "no fields", ", ".join(sorted(fields)))
            )
        if state["schema"] != _SCHEMA:
            raise DataError(
                "the state of a batch stream has the schema %r, expected %r; use the version of unrolled that wrote it"
                % (state["schema"], _SCHEMA)
            )
        if state["sha256"] != _digest({name: state[name] for name in fields - {"sha256"}}):
            raise DataError("the state of a batch stream is altered: its checksum is wrong; use another copy")
        try:
            stream = cls(state["rows"], state["batch"], state["seed"])
            stream._batches = _integer("batches", state["batches"], 0, None)
        except (TypeError, ValueError) as error:
            raise DataError("the state of a batch stream is wrong: %s; use another copy" % error) from None
        for _ in range(stream.epochs_completed):
            stream._shuffle()
        if stream.state()["order_sha256"] != state["order_sha256"]:
            raise DataError(
                "the state of a batch stream gives another order of rows under NumPy %s; resume with the NumPy that "
                "wrote it, or start again" % np.__version__
            )
        return stream

    def _shuffle(self) -> None:
        permutation = np.arange(self.rows)
        self._random.shuffle(permutation)
        self._order = self._order[permutation]


def bucketed(batches: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The same rows in batches of like lengths, so that little is padded when a batch is as long as its longest row.

    batches: row numbers [count, batch], such as an epoch of a BatchStream. lengths: integers by row. Rows of one length
    stay in the order drawn, and so does the order of the new batches, by their first rows: it is as random as theirs.
    """
    drawn = np.asarray(batches).ravel()
    order = np.argsort(np.asarray(lengths)[drawn], kind="stable").reshape(np.shape(batches))
    return drawn[order[np.argsort(order[:, 0], kind="stable")]]


def padding_share(batches: np.ndarray, lengths: np.ndarray) -> float:
    """The share of steps that are padding, from 0 to below 1, when each batch is as long as its longest row."""
    found = np.asarray(lengths)[np.asarray(batches)]
    computed = int(found.max(axis=1).sum()) * found.shape[1]
    return 1.0 - float(found.sum()) / computed if computed else 0.0


def _digest(state: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(state, sort_keys=True)
    except (TypeError, ValueError):
        return ""  # not plain values, so not a state of ours
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _integer(name: str, value: Any, low: int, high: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError("%s is %r, expected an integer" % (name, value))
    if value < low or (high is not None and value > high):
        bounds = "at least %d" % low if high is None else "%d to %d" % (low, high)
        raise ValueError("%s is %d, expected %s" % (name, value, bounds))
    return int(value)
