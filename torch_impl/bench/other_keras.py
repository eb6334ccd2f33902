"""The programs in Keras 3, on the backend that KERAS_BACKEND names: SimpleRNN, LSTM or GRU and Dense,
trained by model.fit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from torch_impl.bench.worker import batches


def open_rival(workload: dict[str, Any], inputs: np.ndarray, targets: np.ndarray) -> tuple[str, Any]:
    """(version, function of a number of training steps)."""
    classifier = workload["kind"] == "classifier"
    options = {"units": workload["units"], "activation": workload["activation"], "return_sequences": not classifier}
    layer = {"basic_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}.get(workload["cell"], keras.layers.GRU)
    if layer is keras.layers.GRU:
        options["reset_after"] = workload["cell"] == "gru_after"
    model = keras.Sequential(
        [
            keras.Input((workload["steps"], workload["inputs"])),
            layer(**options),
            keras.layers.Dense(workload["outputs"]),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classifier else "mse"
    model.compile(keras.optimizers.Adam(0.001), loss)

    def train(steps: int) -> None:
        rows = batches(workload, steps).ravel()
        model.fit(inputs[rows], targets[rows], batch_size=workload["batch"], epochs=1, shuffle=False, verbose=0)

    return f"Keras {keras.__version__} on {keras.backend.backend()}", train
