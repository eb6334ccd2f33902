"""The oracle as a backend of the contract: checks its arguments, asks `oracle`, gives the answer the weights' dtype."""

from __future__ import annotations

import platform

import numpy as np

from spec_tests import oracle
from spec_tests.checks import (
    batch_of,
    check_batches,
    check_cost,
    check_decoding,
    check_logits,
    check_model,
    check_rows,
    check_sequences,
    check_slots,
    check_steps,
    check_tokens,
    check_two_step,
    need,
)
from spec_tests.contract import Masks, Slots, State, Weights
from spec_tests.oracle.cells import CELLS
from spec_tests.oracle.structures import STRUCTURES
from unrolled import initial_values
from unrolled.models import Model
from unrolled.networks import Network
from unrolled.programs import Adam

# What these pages have formulas for.
CAPABILITIES = frozenset(
    [
        *CELLS,
        *STRUCTURES,
        "two_step",
        "static_rnn",
        "dynamic_rnn",
        "lengths",
        "initial_state",
        "gradients",
        "in_top_k",
        "initial_weights",
    ]
    + ["classifier", "regressor", "tagger", "speller", "embedding", "hidden", "decoding", "training", "mnist"]
    + ["lstm_options", "projection", "gru_reset_after", "directions"]
    + ["tanh", "relu", "activations", "float32", "float64"]
)


def _cast(arrays: Weights, dtype: np.dtype) -> Weights:
    return {name: np.asarray(array, dtype) for name, array in arrays.items()}


class OracleBackend:
    """The contract's methods; their docstrings are the contract's."""

    name = "oracle"
    contract = 2
    capabilities = CAPABILITIES

    def __init__(self, device: str = "cpu") -> None:
        self.expected_failures: dict[str, str] = {}
        need(device == "cpu", "device", repr(device), "'cpu': the oracle is NumPy")

    def describe(self) -> dict[str, str]:
        return {"framework": "NumPy", "version": np.__version__, "python": platform.python_version(), "device": "cpu"}

    def two_step(
        self, network: Network, weights: Weights, x0: np.ndarray, x1: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dtype = check_two_step(network, weights, x0, x1)
        y0, y1 = oracle.two_step(network, weights, x0, x1)
        return y0.astype(dtype), y1.astype(dtype)

    def static_rnn(
        self,
        network: Network,
        weights: Weights,
        inputs: list[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        masks: Masks | None = None,
    ) -> tuple[list[np.ndarray], State]:
        check_steps(inputs)
        outputs, state = self.dynamic_rnn(network, weights, np.stack(inputs, axis=1), lengths, initial_state, masks)
        return list(outputs.transpose(1, 0, 2)), state

    def dynamic_rnn(
        self,
        network: Network,
        weights: Weights,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        masks: Masks | None = None,
    ) -> tuple[np.ndarray, State]:
        dtype = check_sequences(network, weights, inputs, lengths, initial_state, masks)
        outputs, state = oracle.unroll(network, weights, inputs, lengths, initial_state, masks)
        return outputs.astype(dtype), _cast(state, dtype)

    def rnn_gradients(
        self,
        network: Network,
        weights: Weights,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradients: State | None = None,
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        unrolling: str = "dynamic",
        masks: Masks | None = None,
    ) -> dict[str, np.ndarray]:
        dtype = check_sequences(network, weights, inputs, lengths, initial_state, masks)
        check_cost(network, inputs, output_gradients, state_gradients, unrolling, dtype)
        cost = (output_gradients, state_gradients)
        return _cast(oracle.bptt(network, weights, inputs, *cost, lengths, initial_state, masks), dtype)

    def decode(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, State]:
        dtype = check_decoding(network, weights, initial_state, start, end)
        need(max_steps >= 1, "max_steps", max_steps, "at least 1")
        found = oracle.decode(network, weights, initial_state, start, end, max_steps)
        return (*found[:3], found[3].astype(dtype), _cast(found[4], dtype))

    def decode_gradients(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Weights]:
        dtype = check_decoding(network, weights, initial_state, start, end)
        check_tokens("tokens", tokens, batch_of(initial_state), np.size(weights["dense/bias"]))
        value, gradients = oracle.decode_gradients(network, weights, initial_state, start, end, tokens)
        return value, _cast(gradients, dtype)

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        check_logits(logits, targets, k)
        return oracle.in_top_k(logits, targets, k)

    def initial_weights(self, model: Model, seed: int) -> Weights:
        check_model(model)
        return initial_values.draw(model.weights(), np.random.RandomState(seed))

    def forward(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        dtype = check_rows(model, weights, inputs, lengths=lengths)
        return oracle.forward(model, weights, inputs, lengths).astype(dtype)

    def predict(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        dtype = check_rows(model, weights, inputs, lengths=lengths)
        found = oracle.predict(model, weights, inputs, lengths)
        return found.astype(dtype if model.kind == "regressor" else np.int64)

    def loss(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> float:
        check_rows(model, weights, inputs, targets, lengths)
        return oracle.loss(model, weights, inputs, targets, lengths)

    def loss_gradients(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> tuple[float, Weights]:
        dtype = check_rows(model, weights, inputs, targets, lengths)
        value, gradients = oracle.loss_gradients(model, weights, inputs, targets, lengths)
        return value, _cast(gradients, dtype)

    def train(
        self,
        model: Model,
        weights: Weights,
        optimizer: Adam,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Slots | None = None,
    ) -> tuple[np.ndarray, Weights, Slots]:
        dtype = check_rows(model, weights, inputs, targets, lengths)
        check_batches(batches, len(inputs))
        if slots is not None:
            check_slots(slots, model, dtype)
        losses, weights, slots = oracle.train(model, weights, optimizer, inputs, targets, batches, lengths, slots)
        kinds = {name: np.float32 if name.endswith("_power") else dtype for name in slots}
        return (
            losses.astype(dtype),
            _cast(weights, dtype),
            {name: np.asarray(slots[name], kinds[name]) for name in slots},
        )


def backend(device: str = "cpu") -> OracleBackend:
    """These pages as a backend of the contract, named "oracle"."""
    return OracleBackend(device)
