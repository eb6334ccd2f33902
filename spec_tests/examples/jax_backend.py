"""A backend of the shared spec in JAX, written from outside: it knows the contract, its argument checks, and no other
backend.

Needs the extra `jax`: pip install 'unrolled[jax]', then pytest --unrolled-suite --backend
spec_tests.examples.jax_backend:backend. The network itself is in `jax_rnn`, the kinds of cell in `jax_cells`.
"""

from __future__ import annotations

import platform
from typing import Any

import jax
import numpy as np

from spec_tests import checks
from spec_tests.capabilities import CAPABILITIES, NETWORKS
from spec_tests.contract import Slots, State, Weights
from spec_tests.examples import jax_rnn
from unrolled.models import Model
from unrolled.networks import BasicRNN, Network
from unrolled.programs import Adam

KINDS = frozenset(["basic_rnn", "lstm", "lstm_options", "projection", "gru", "gru_reset_after"])


def full_lengths(inputs: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    return np.full(len(inputs), inputs.shape[1]) if lengths is None else np.asarray(lengths)


class JaxBackend:
    """The contract's methods; their docstrings are the contract's."""

    name = "jax"
    contract = 2
    # Three cells, one at a time, and the chapter's models of them.
    capabilities = frozenset(CAPABILITIES) - (NETWORKS - KINDS) - {"activations", "tagger", "embedding", "hidden"}

    def __init__(self, device: str = "cpu") -> None:
        """device: a platform of JAX, such as "cpu" or "cuda". Raises RuntimeError when JAX has none of it."""
        self.expected_failures: dict[str, str] = {}
        self._device = jax.devices(device)[0]

    def describe(self) -> dict[str, str]:
        facts = {"framework": "JAX", "version": jax.__version__, "python": platform.python_version()}
        return dict(facts, device=self._device.device_kind)

    def _ask(self, function: Any, *arguments: Any) -> Any:
        """Run in full precision on the device; the results are NumPy arrays of the caller's own."""
        with jax.enable_x64(True), jax.default_matmul_precision("highest"), jax.default_device(self._device):
            return jax.tree.map(np.array, function(*arguments))

    def _unroll(self, network: Network, unrolling: str, weights: Weights, inputs: Any, lengths: Any, state: Any) -> Any:
        dtype = checks.check_sequences(network, weights, inputs, lengths, state)
        state = jax_rnn.zero_state(network, len(inputs), dtype) if state is None else state
        return self._ask(jax_rnn.unroll, network, unrolling, weights, inputs, full_lengths(inputs, lengths), state)

    def two_step(self, network: Network, weights: Weights, x0: np.ndarray, x1: np.ndarray) -> Any:
        checks.check_network(network, [BasicRNN.kind])
        dtype = checks.check_two_step(network, weights, x0, x1)
        state = jax_rnn.zero_state(network, len(x0), dtype)
        y0, state = self._ask(jax_rnn.step, network, weights, x0, state)
        return y0, self._ask(jax_rnn.step, network, weights, x1, state)[0]

    def static_rnn(
        self, network: Network, weights: Weights, inputs: Any, lengths: Any = None, initial_state: Any = None
    ) -> Any:
        checks.check_steps(inputs)
        outputs, state = self._unroll(network, "static", weights, np.stack(inputs, axis=1), lengths, initial_state)
        return list(outputs.swapaxes(0, 1)), state

    def dynamic_rnn(
        self, network: Network, weights: Weights, inputs: Any, lengths: Any = None, initial_state: Any = None
    ) -> Any:
        return self._unroll(network, "dynamic", weights, inputs, lengths, initial_state)

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
    ) -> dict[str, np.ndarray]:
        dtype = checks.check_sequences(network, weights, inputs, lengths, initial_state)
        checks.check_cost(network, inputs, output_gradients, state_gradients, unrolling, dtype)
        zeros = jax_rnn.zero_state(network, len(inputs), dtype)
        state = zeros if initial_state is None else initial_state
        if output_gradients is None:
            output_gradients = np.zeros((*inputs.shape[:2], network.output_size), dtype)
        cost = (output_gradients, zeros if state_gradients is None else state_gradients)
        lengths = full_lengths(inputs, lengths)
        return self._ask(jax_rnn.rnn_gradients, network, unrolling, weights, inputs, lengths, state, cost)

    def decode(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, max_steps: int
    ) -> Any:
        checks.check_decoding(network, weights, initial_state, start, end)
        checks.need(max_steps >= 1, "max_steps", max_steps, "at least 1")
        found = self._ask(jax_rnn.decode, network, max_steps, weights, initial_state, start, end)
        tokens, lengths, finished, outputs, state, _ = found
        steps = lengths.max()
        return tokens[:, :steps], lengths, finished, outputs[:, :steps], state

    def decode_gradients(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, Weights]:
        checks.check_decoding(network, weights, initial_state, start, end)
        checks.check_tokens("tokens", tokens, checks.batch_of(initial_state), np.size(weights["dense/bias"]))
        value, gradients = self._ask(jax_rnn.decode_gradients, network, weights, initial_state, start, end, tokens)
        return float(value), gradients

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        checks.check_logits(logits, targets, k)
        return self._ask(jax_rnn.in_top_k, logits, targets, k)

    def initial_weights(self, model: Model, seed: int) -> Weights:
        checks.check_model(model)
        return self._ask(jax_rnn.initial_weights, model.weights(), seed)

    def forward(self, model: Model, weights: Weights, inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
        checks.check_rows(model, weights, inputs, lengths=lengths)
        return self._ask(jax_rnn.forward, model, weights, inputs, full_lengths(inputs, lengths))

    def predict(self, model: Model, weights: Weights, inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
        y = self.forward(model, weights, inputs, lengths)
        return y if model.kind == "regressor" else y.argmax(axis=-1)

    def loss(self, model: Model, weights: Weights, inputs: Any, targets: Any, lengths: Any = None) -> float:
        checks.check_rows(model, weights, inputs, targets, lengths)
        return float(self._ask(jax_rnn.loss, model, weights, inputs, targets, full_lengths(inputs, lengths)))

    def loss_gradients(
        self, model: Model, weights: Weights, inputs: np.ndarray, targets: np.ndarray, lengths: Any = None
    ) -> tuple[float, Weights]:
        checks.check_rows(model, weights, inputs, targets, lengths)
        value, gradients = self._ask(
            jax_rnn.loss_gradients, model, weights, inputs, targets, full_lengths(inputs, lengths)
        )
        return float(value), gradients

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
        dtype = checks.check_rows(model, weights, inputs, targets, lengths)
        checks.check_batches(batches, len(inputs))
        if slots is None:
            slots = {name + slot: np.zeros_like(weights[name]) for name in weights for slot in ("/Adam", "/Adam_1")}
            slots.update(zip(("beta1_power", "beta2_power"), np.array(optimizer[1:3], np.float32)))
        else:
            checks.check_slots(slots, model, dtype)
        lengths = full_lengths(inputs, lengths)
        return self._ask(jax_rnn.train, model, optimizer, weights, slots, inputs, targets, lengths, batches)


backend = JaxBackend
