"""`show lstm`, `gru`, `layers`, `bidirectional`, `dropout`: a small network on sequences of different lengths.

As in `show`, NumPy draws all values and everything is computed in float64, so that all print the same.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from unrolled.command_line.tables import heading, table
from unrolled.networks import GRU, LSTM, Bidirectional, Dropout, Layers, Network

__all__ = ["NETWORKS"]

INPUTS, LENGTHS = 3, np.array([3, 1, 2], dtype=np.int64)
STEPS = int(LENGTHS.max())


def _program(title: str, network: Network, text: str) -> Callable[[Any, np.random.RandomState], list[str]]:
    """What `show` runs: (backend, random numbers) -> blocks of text."""

    def run(opened: Any, random: np.random.RandomState) -> list[str]:
        shapes = {name: weight.shape for name, weight in network.weights(INPUTS).items()}
        weights = {name: random.normal(0.0, 0.8, shape) for name, shape in shapes.items()}
        inputs = random.normal(size=(len(LENGTHS), STEPS, INPUTS)).round(2)
        drawn = {}
        for name, mask in network.masks(INPUTS).items():
            shape = (len(LENGTHS), STEPS, mask.width) if mask.per_step else (mask.width,)
            drawn[name] = (random.uniform(size=shape) < mask.keep).astype(np.float64)
        given = {"masks": drawn} if drawn else {}
        outputs, state = opened.dynamic_rnn(network, weights, inputs, lengths=LENGTHS, **given)
        blocks = [heading("%s: lengths %s" % (title, LENGTHS.tolist()))]
        blocks.append("weights\n" + "".join("  %-28s %s\n" % (name, list(shape)) for name, shape in shapes.items()))
        past = [["padding" if step >= length else "" for length in LENGTHS] for step in range(STEPS)]
        blocks += [table("inputs[:, %d]" % step, inputs[:, step], past[step]) for step in range(STEPS)]
        blocks += _masks(drawn)
        for step in range(STEPS):
            zeros = ["zero" if not row.any() else "" for row in outputs[:, step]]
            blocks.append(table("outputs[:, %d]" % step, outputs[:, step], zeros))
        blocks += [table("state %s" % name, part, _sources(part, outputs)) for name, part in state.items()]
        return [*blocks, text]

    return run


def _masks(drawn: dict[str, np.ndarray]) -> list[str]:
    tables = []
    for name, mask in drawn.items():
        if mask.ndim == 1:
            tables.append(table("mask %s, for all rows and steps" % name, mask[None]))
        else:
            tables += [table("mask %s[:, %d]" % (name, step), mask[:, step]) for step in range(STEPS)]
    return tables


def _sources(part: np.ndarray, outputs: np.ndarray) -> list[str]:
    """Which output a row of the state is, or which part of one: looked up, not assumed."""
    return [_source(values, outputs[row], row) for row, values in enumerate(part)]


def _source(values: np.ndarray, outputs: np.ndarray, row: int) -> str:
    for step in range(STEPS):
        for first in range(outputs.shape[1] - len(values) + 1):
            if np.array_equal(outputs[step, first : first + len(values)], values):
                whole = len(values) == outputs.shape[1]
                columns = "" if whole else ", %d:%d" % (first, first + len(values))
                return "is outputs[%d, %d%s]" % (row, step, columns)
    return ""


_LSTM = (
    "The state has two parts: c, which is carried on, and h, which is the output. Past the end of its\n"
    "sequence an output is zero, and both parts stay as they are. The forget bias, 1, is in no weight.\n"
)
_GRU = (
    "One part, which is the output. The reset gate comes before the candidate's product, as in\n"
    "TensorFlow 1's GRUCell; cuDNN and PyTorch multiply after it.\n"
)
_LAYERS = (
    "The second layer reads the outputs of the first; the outputs are the second's. Each has a state\n"
    "of its own, and each stops at the end of a sequence.\n"
)
_BOTH = (
    "The outputs are side by side, forward first. The backward cell begins at a sequence's own last\n"
    "step, not in the padding: its final state is its output at step 0.\n"
)
_DROPOUT = (
    "A mask for each step and row: what it keeps is divided by the share kept, the rest is zero. The\n"
    "outputs that are dropped do not enter the state. The state is dropped on its way to the next step:\n"
    "its h, never its c. Without masks, as when a trained model is used, nothing is dropped or scaled.\n"
)

NETWORKS: dict[str, Callable[[Any, np.random.RandomState], list[str]]] = {
    "lstm": _program("An LSTM", LSTM(4), _LSTM),
    "gru": _program("A GRU", GRU(4), _GRU),
    "layers": _program("Two layers of GRUs", Layers((GRU(4), GRU(2))), _LAYERS),
    "bidirectional": _program("An LSTM in both directions", Bidirectional(LSTM(3), LSTM(3)), _BOTH),
    "dropout": _program(
        "Dropout around an LSTM, kept of outputs 0.5, of the state 0.75",
        Dropout(LSTM(4), output_keep=0.5, state_keep=0.75),
        _DROPOUT,
    ),
}
