"""What is recorded of TensorFlow 1.15.5's classes: a network of every kind, and by TF1's own names what shares its law.

An answer is arrays by name: outputs, states and gradients together. Python 3.7 syntax.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spec_tests.questions import kinds, makers
from spec_tests.questions.makers import LENGTHS, UNITS, only_given
from unrolled.networks import KerasGRU, KerasLSTM, Network, tf1

__all__ = ["CLASSES", "UNROLLINGS", "model_answer", "network_answer", "training_answer"]

UNROLLINGS = ("dynamic", "static")

# Name -> which form of TensorFlow's classes (see tf_reference/tests/genuine.py) computes which network. A fused cell
# and a Keras layer unroll themselves, dynamically.
CLASSES: dict[str, tuple[str, Network]] = {name: ("", network) for name, network in kinds.NETWORKS.items()}
CLASSES.update(
    {
        "BasicLSTMCell": ("basic", tf1.BasicLSTMCell(UNITS, forget_bias=0.5)),
        "LSTMBlockCell": ("block", tf1.LSTMBlockCell(UNITS)),
        "LSTMBlockCell with options": ("block", tf1.LSTMBlockCell(UNITS, 0.5, 0.4, use_peephole=True)),
        "LSTMBlockFusedCell": ("fused", tf1.LSTMBlockFusedCell(UNITS)),
        "LSTMBlockFusedCell with options": ("fused", tf1.LSTMBlockFusedCell(UNITS, 0.5, 0.4, use_peephole=True)),
        "GRUBlockCellV2": ("block", tf1.GRUBlockCellV2(UNITS)),
        "CudnnCompatibleLSTMCell": ("cudnn", tf1.CudnnCompatibleLSTMCell(UNITS)),
        "keras.layers.LSTM": ("layer", KerasLSTM(UNITS)),
        "keras.layers.GRU": ("layer", KerasGRU(UNITS)),
        "keras.layers.GRU reset after": ("layer", KerasGRU(UNITS, reset_after=True)),
    }
)
WHOLE = ("fused", "layer")  # the forms that have no static unrolling


def network_answer(backend: Any, network: Network, dtype: str, unrolling: str) -> dict[str, np.ndarray]:
    """Outputs, final state and every gradient, with lengths, an initial state, and masks where there is dropout."""
    case = makers.sequences_of(network, dtype)
    lengths, masks = LENGTHS["unsorted"], case.masks
    given = (network, case.weights, case.inputs)
    outputs, state = makers.run(backend, unrolling, *given, lengths, case.initial_state, masks)
    gradients = backend.rnn_gradients(*given, *case.cost, lengths, case.initial_state, unrolling, **only_given(masks))
    return dict(_below("state", state), outputs=outputs, **_below("gradients", gradients))


def model_answer(backend: Any, name: str, dtype: str) -> dict[str, np.ndarray]:
    """What one of `kinds.MODELS` gives, its loss, and the loss's gradients, with lengths."""
    case, lengths = kinds.supervised(name, dtype), LENGTHS["unsorted"]
    forward = backend.forward(case.model, case.weights, case.inputs, lengths)
    loss, gradients = backend.loss_gradients(*case, lengths)
    return dict(_below("gradients", gradients), forward=forward, loss=np.array(loss, dtype))


def training_answer(backend: Any, name: str, dtype: str, iterations: int) -> dict[str, np.ndarray]:
    """The losses of one of `kinds.MODELS` over Adam's first steps, with lengths."""
    return {"losses": backend.train(*kinds.training(name, dtype, iterations), lengths=LENGTHS["unsorted"])[0]}


def _below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + "/" + name: np.asarray(array) for name, array in arrays.items()}
