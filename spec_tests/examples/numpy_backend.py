"""A backend of the shared spec in plain NumPy. It offers a part of the contract; the rest is skipped by name."""

import numpy as np


def expect(condition, sentence, *values):
    if not condition:
        raise ValueError(sentence % values)


class NumpyBackend:
    name = "numpy"
    contract = 2  # the version of the contract that it keeps
    capabilities = frozenset(
        ["basic_rnn", "dynamic_rnn", "lengths", "initial_state", "in_top_k", "tanh", "relu", "float32", "float64"]
    )

    def __init__(self):
        self.expected_failures: dict[str, str] = {}  # test function's name -> why this backend is known to fail it

    def describe(self):
        return {"framework": "NumPy", "version": np.__version__}

    def dynamic_rnn(self, network, weights, inputs, lengths=None, initial_state=None):
        """inputs [batch, steps, inputs] -> outputs [batch, steps, units], state {"h": [batch, units]}."""
        expect(network.kind == "basic_rnn", "network kind must be 'basic_rnn' here, got %r", network.kind)
        expect(inputs.ndim == 3, "inputs have shape %s, expected [batch, steps, inputs]", inputs.shape)
        batch, steps, size = inputs.shape
        shapes = {name: weight.shape for name, weight in network.weights(size).items()}
        expect(set(weights) == set(shapes), "weights are %s, expected %s", sorted(weights), sorted(shapes))
        state = {"h": np.zeros((batch, network.units), inputs.dtype)} if initial_state is None else initial_state
        expect(set(state) == {"h"}, "initial_state has %s, expected h", sorted(state))
        lengths = np.full(batch, steps) if lengths is None else lengths
        shapes.update({"inputs": inputs.shape, "initial_state/h": (batch, network.units)})
        for name, array in {**weights, "inputs": inputs, "initial_state/h": state["h"]}.items():
            fits = array.shape == shapes[name] and array.dtype == weights["kernel"].dtype
            expect(fits, "%s is %s %s, expected %s in the kernel's dtype", name, array.dtype, array.shape, shapes[name])
        expect(lengths.shape == (batch,) and lengths.dtype.kind in "iu", "lengths must be %d integers", batch)
        expect(((lengths >= 0) & (lengths <= steps)).all(), "lengths are %s, expected 0 to %d", lengths, steps)

        valid = (np.arange(steps) < lengths[:, None])[:, :, None]
        inputs, h, outputs = np.where(valid, inputs, 0), state["h"], []
        for t in range(steps):
            z = np.concatenate([inputs[:, t], h], axis=1) @ weights["kernel"] + weights["bias"]
            y = np.tanh(z) if network.activation == "tanh" else np.maximum(z, 0)
            h = np.where(valid[:, t], y, h)
            outputs.append(np.where(valid[:, t], y, 0))
        return np.stack(outputs, axis=1), {"h": h}

    def in_top_k(self, logits, targets, k=1):
        """Whether fewer than k logits are strictly above the target's; never for a non-finite row. bool [batch]."""
        expect(k >= 1, "k is %d, expected at least 1", k)
        expect(targets.shape == logits.shape[:1], "targets have shape %s, expected one per row", targets.shape)
        inside = (targets >= 0) & (targets < logits.shape[1])
        target = np.take_along_axis(logits, np.where(inside, targets, 0)[:, None], axis=1)
        return inside & np.isfinite(logits).all(axis=1) & ((logits > target).sum(axis=1) < k)


backend = NumpyBackend  # what --backend names: a factory, called without arguments
