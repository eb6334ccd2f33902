"""The programs in Keras 3, on the backend that KERAS_BACKEND names: SimpleRNN, LSTM or GRU and Dense,
trained by model.fit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from torch_impl.bench.worker import batches, lengths_of


def _layer(workload: dict[str, Any], sequences: bool) -> Any:
    layer = {"basic_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}.get(workload["cell"], keras.layers.GRU)
    options = {"activation": workload["activation"], "return_sequences": sequences}
    if layer is keras.layers.GRU:
        options["reset_after"] = workload["cell"] == "gru_after"
    made = layer(workload["units"], **options)
    return keras.layers.Bidirectional(made) if workload["directions"] == 2 else made


def open_rival(workload: dict[str, Any], inputs: np.ndarray, targets: np.ndarray) -> tuple[str, Any]:
    """(version, function of a number of training steps)."""
    classifier, lengths, layers = workload["kind"] == "classifier", lengths_of(workload), workload["layers"]
    values = keras.Input((workload["steps"], workload["inputs"]))
    valid = None if lengths is None else keras.Input((workload["steps"],), dtype="bool")
    found = values
    for number in range(layers):
        layer = _layer(workload, number < layers - 1 or not classifier)
        found = layer(found) if valid is None else layer(found, mask=valid)
    given = values if valid is None else [values, valid]
    model = keras.Model(given, keras.layers.Dense(workload["outputs"])(found))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classifier else "mse"
    model.compile(keras.optimizers.Adam(0.001), loss)
    masks = None if lengths is None else np.arange(workload["steps"]) < lengths[:, None]

    def train(steps: int) -> None:
        rows = batches(workload, steps).ravel()
        read = inputs[rows] if masks is None else [inputs[rows], masks[rows]]
        model.fit(read, targets[rows], batch_size=workload["batch"], epochs=1, shuffle=False, verbose=0)

    return f"Keras {keras.__version__} on {keras.backend.backend()}", train
