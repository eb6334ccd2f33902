"""How far tf_reference is from TensorFlow 1.15.5's own classes, and what these have for defaults, as JSON:

python3.7 -m tf_reference.tests.against_genuine
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import numpy as np

from tf_reference.adapter import TensorFlowBackend
from tf_reference.tests.genuine import backend
from tf_reference.tf1 import tf
from unrolled.networks import (
    GRU,
    LSTM,
    Bidirectional,
    Dropout,
    KerasGRU,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    Residual,
    prefixed,
)

LENGTHS = np.array([6, 0, 3, 1])


def _everywhere(network: Any, **options: Any) -> Dropout:
    return Dropout(network, 0.7, 0.6, 0.5, **options)


CASES: dict[str, tuple[str, Any]] = {
    "BasicLSTMCell": ("basic", LSTM(4, forget_bias=0.5)),
    "LSTMBlockCell": ("block", LSTM(4, peepholes=True, cell_clip=0.3, straight_through=True)),
    "LSTMBlockFusedCell": ("fused", LSTM(4, peepholes=True, cell_clip=0.3, straight_through=True)),
    "GRUBlockCellV2": ("block", GRU(4)),
    "CudnnCompatibleLSTMCell": ("cudnn", LSTM(4, forget_bias=0.0)),
    "CudnnCompatibleGRUCell": ("", GRU(4, reset_after=True)),
    "LayerNormBasicLSTMCell": ("", LayerNormLSTM(7, candidate_keep=0.6)),
    "keras.layers.LSTM": ("layer", KerasLSTM(4)),
    "keras.layers.GRU": ("layer", KerasGRU(4)),
    "keras.layers.GRU reset after": ("layer", KerasGRU(4, reset_after=True)),
    "DropoutWrapper": ("", _everywhere(Layers((LSTM(4), Residual(_everywhere(GRU(4))))))),
    "DropoutWrapper variational": ("", Bidirectional(_everywhere(LSTM(4), variational=True), GRU(2))),
    "stack_bidirectional_dynamic_rnn": ("", Layers((Bidirectional(LSTM(4), GRU(2)), Bidirectional(GRU(2), GRU(3))))),
}


def difference(name: str) -> tuple[str, float]:
    """The dtype, and how far tf_reference is from the class: the largest difference of an output, a part of the state
    or a gradient, relative to the largest magnitude of its tensor."""
    form, network = CASES[name]
    dtype = "float32" if form in ("block", "fused", "cudnn") else "float64"
    random = np.random.RandomState(1)
    inputs = random.normal(size=(4, 6, 3)).astype(dtype)
    weights = {key: random.uniform(-0.7, 0.7, each.shape).astype(dtype) for key, each in network.weights(3).items()}
    state = {key: random.uniform(-0.7, 0.7, (4, width)).astype(dtype) for key, width in network.state.items()}
    masks = {
        key: (random.uniform(size=(4, 6, mask.width) if mask.per_step else mask.width) < mask.keep).astype(dtype)
        for key, mask in network.masks(3).items()
    }
    answers = []
    for asked in (backend(form=form), TensorFlowBackend("cpu")):
        outputs, final = asked.dynamic_rnn(network, weights, inputs, LENGTHS, state, masks)
        cost = np.ones_like(outputs), {key: part[::-1] for key, part in state.items()}
        found = asked.rnn_gradients(network, weights, inputs, *cost, LENGTHS, state, masks=masks)
        answers.append(dict(found, outputs=outputs, **prefixed("state/", final)))
    genuine, ours = answers
    return dtype, max(float(np.abs(ours[key] - each).max() / np.abs(each).max()) for key, each in genuine.items())


def defaults() -> dict[str, dict[str, Any]]:
    """The defaults of the arguments of TensorFlow's classes and functions; a function's is its name."""
    from tensorflow.contrib import cudnn_rnn, rnn

    classes = [getattr(tf.nn.rnn_cell, name) for name in ("BasicRNNCell", "BasicLSTMCell", "LSTMCell", "GRUCell")]
    classes += [getattr(tf.nn.rnn_cell, name) for name in ("MultiRNNCell", "ResidualWrapper", "DropoutWrapper")]
    classes += [rnn.LSTMBlockCell, rnn.LSTMBlockFusedCell, rnn.GRUBlockCell, rnn.GRUBlockCellV2]
    classes += [rnn.LayerNormBasicLSTMCell, cudnn_rnn.CudnnCompatibleLSTMCell, cudnn_rnn.CudnnCompatibleGRUCell]
    classes += [tf.nn.bidirectional_dynamic_rnn, rnn.stack_bidirectional_dynamic_rnn]
    return {each.__name__: _arguments(each) for each in classes}


def _arguments(asked: Any) -> dict[str, Any]:
    """Those that are named; a wrapper that passes all of them on has those of the class below."""
    for each in getattr(asked, "__mro__", (asked,)):
        named = [
            argument
            for argument in inspect.signature(each).parameters.values()
            if argument.kind is argument.POSITIONAL_OR_KEYWORD
        ]
        if named:
            return {each.name: None if each.default is each.empty else _plain(each.default) for each in named}
    return {}


def _plain(value: Any) -> Any:
    return getattr(value, "__name__", value) if callable(value) else value


def too_long() -> None:
    network = LSTM(4)
    weights = {name: np.zeros(weight.shape, "float32") for name, weight in network.weights(3).items()}
    backend(form="fused").dynamic_rnn(network, weights, np.zeros((4, 5, 3), "float32"), LENGTHS)


if __name__ == "__main__":
    if "--too-long" in sys.argv:
        too_long()
    else:
        json.dump({"differences": {name: difference(name) for name in CASES}, "defaults": defaults()}, sys.stdout)
