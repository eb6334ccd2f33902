"""Cells of TensorFlow 1 that are no kind of network here, by what it calls their variables' scope."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["foreign_cell"]

# Of tf.contrib.rnn, in lower case without underscores, as scopes of TensorFlow 1.0 and of later versions agree in.
_CELLS = {
    name.lower(): name
    for name in (
        "NASCell", "UGRNNCell", "IntersectionRNNCell", "PhasedLSTMCell", "TimeFreqLSTMCell", "GridLSTMCell",
        "BidirectionalGridLSTMCell", "GLSTMCell", "SRUCell", "CoupledInputForgetGateLSTMCell", "IndRNNCell",
        "IndyGRUCell", "IndyLSTMCell", "ConvLSTMCell", "Conv1DLSTMCell", "Conv2DLSTMCell", "Conv3DLSTMCell",
        "AttentionCellWrapper", "AttentionWrapper",
    )
}  # fmt: skip
_CELLS["convlstm2d"] = "ConvLSTM2D"  # of Keras
_LEAVES = {"carry_w": "HighwayWrapper"}


def foreign_cell(names: Iterable[str]) -> str:
    """What to say of the first such cell among these variables; empty for none."""
    for name in names:
        *scopes, leaf = name.split("/")
        for number, scope in enumerate(scopes):
            found = _CELLS.get(re.sub(r"_\d+$", "", scope).lower().replace("_", ""))
            if found:
                return _told("/".join(scopes[: number + 1]), found)
        if leaf in _LEAVES:
            return _told("/".join(scopes) or name, _LEAVES[leaf])
    return ""


def _told(scope: str, cell: str) -> str:
    article = "an" if cell[0] in "AEIO" else "a"
    return (
        f"{scope} is of {article} {cell}, which is no kind of network here (RNN, LSTM, GRU, layer-normalised LSTM, and "
        "Keras's LSTM and GRU are); --list shows its variables, for a module of your own"
    )
