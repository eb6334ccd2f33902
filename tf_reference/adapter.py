"""This package as the shared test spec sees it: NumPy arrays and plain values in and out.

Networks, models and optimizers arrive as values of `unrolled`. Weights are in canonical form, and their dtype is that
of the whole call; a state is a dict of its parts. Every argument that breaks a rule raises ValueError, but for those
that TF1 itself takes: see `EXPECTED_FAILURES`.
"""

from __future__ import annotations

import platform
from typing import Any, Dict, Mapping

import numpy as np

from tf_reference import checks, models, training
from tf_reference.adapter_decoding import DecodingMethods
from tf_reference.build import KINDS
from tf_reference.graphs import in_top_k_graph, model_graph, rnn_graph, two_step_graph
from tf_reference.sessions import Graph, GraphCache
from tf_reference.tf1 import resolve_device, session_config, tf
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import BasicRNN, Network
from unrolled.programs import Adam

Array = np.ndarray
Arrays = Dict[str, Array]

CAPABILITIES = frozenset(
    [*KINDS, "tanh", "relu", "activations"]
    + ["two_step", "static_rnn", "dynamic_rnn", "lengths", "initial_state", "gradients", "in_top_k"]
    + ["initial_weights", "classifier", "regressor", "tagger", "speller", "embedding", "hidden", "decoding"]
    + ["training", "mnist"]
    + ["lstm_options", "projection", "gru_reset_after", "directions"]
    + ["float32", "float64"]
)
# Where TF1's own semantics differ from the contract they are kept, for this is the reference.
_CLIPPED = "TF1 takes a length above the number of steps as all of them, and a negative one as 0, without a word"
EXPECTED_FAILURES = {
    "test_length_out_of_range_is_an_error": _CLIPPED,
    "test_length_out_of_range_is_an_error_for_a_model_too": _CLIPPED,
    "test_nan_in_padding_leaves_gradients_finite": (
        "TF1 multiplies the NaN of the masked branch by zero, which is NaN, in the gradients of weights and inputs"
    ),
}


def backend(device: str = "cpu", threads: int | None = None) -> TensorFlowBackend:
    """The backend on a device ("cpu", "cuda", "auto"); threads: None for every CPU that the process may use.

    TensorFlow sets its threads once in a process, so a second backend with other threads is refused.
    Raises ValueError for a device that is not there.
    """
    return TensorFlowBackend(device, threads)


class TensorFlowBackend(DecodingMethods):
    """See `backend`. No result depends on an earlier call: what is kept between calls is graphs, not values."""

    name = "tf_reference"
    contract = 2
    capabilities = CAPABILITIES
    expected_failures: Mapping[str, str] = EXPECTED_FAILURES

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        self.device = resolve_device(device)
        self._config = session_config(self.device, threads)
        self._graphs = GraphCache(self._config)

    def describe(self) -> dict[str, str]:
        """Plain facts for the header of a run."""
        return {
            "framework": "TensorFlow",
            "version": tf.__version__,
            "python": platform.python_version(),
            "device": self.device,
            "threads": str(self._config.intra_op_parallelism_threads),
        }

    def two_step(self, network: Network, weights: Arrays, x0: Array, x1: Array) -> tuple[Array, Array]:
        """x0, x1 [batch, inputs] -> (y0, y1), each [batch, units]."""
        checks.check_kind(network, [BasicRNN.kind])
        inputs = _last_size("x0", x0, 2)
        dtype = _check_weights(network, weights, inputs)
        checks.check_array("x0", x0, dtype, ("batch", inputs))
        checks.check_array("x1", x1, dtype, x0.shape)
        graph = self._graphs.get(two_step_graph, network, inputs, dtype.name)
        graph.load(weights)
        y0, y1 = graph.run(["y0", "y1"], {"x0": x0, "x1": x1})
        return y0, y1

    def static_rnn(
        self,
        network: Network,
        weights: Arrays,
        inputs: list[Array],
        lengths: Array | None = None,
        initial_state: Arrays | None = None,
        masks: Arrays | None = None,
    ) -> tuple[list[Array], Arrays]:
        """inputs: a list of `steps` arrays [batch, inputs] -> (list of [batch, output_size], final state)."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError("inputs must be a list of arrays [batch, inputs], got %s" % checks.shown(inputs))
        dtype = _check_weights(network, weights, _last_size("inputs[0]", inputs[0], 2))
        for step, array in enumerate(inputs):
            checks.check_array("inputs[%d]" % step, array, dtype, inputs[0].shape)
        outputs, state = self._rnn(
            network, weights, ["outputs", "state"], np.stack(inputs, axis=1), lengths, initial_state, masks, static=True
        )
        return outputs, state

    def dynamic_rnn(
        self,
        network: Network,
        weights: Arrays,
        inputs: Array,
        lengths: Array | None = None,
        initial_state: Arrays | None = None,
        masks: Arrays | None = None,
    ) -> tuple[Array, Arrays]:
        """inputs [batch, steps, inputs] -> (outputs [batch, steps, output_size], final state)."""
        outputs, state = self._rnn(
            network, weights, ["outputs", "state"], inputs, lengths, initial_state, masks, static=False
        )
        return outputs, state

    def rnn_gradients(
        self,
        network: Network,
        weights: Arrays,
        inputs: Array,
        output_gradients: Array | None = None,
        state_gradients: Arrays | None = None,
        lengths: Array | None = None,
        initial_state: Arrays | None = None,
        unrolling: str = "dynamic",
        masks: Arrays | None = None,
    ) -> Arrays:
        """A cost's gradients by weights, inputs and initial state, from its derivatives by outputs and final state."""
        if output_gradients is None and state_gradients is None:
            raise ValueError("one of output_gradients and state_gradients must be given, got neither")
        if unrolling not in ("static", "dynamic"):
            raise ValueError("unrolling must be 'static' or 'dynamic', got %r" % (unrolling,))
        costs = (output_gradients, state_gradients)
        static = unrolling == "static"
        return self._rnn(network, weights, ["gradients"], inputs, lengths, initial_state, masks, static, costs)[0]

    def in_top_k(self, logits: Array, targets: Array, k: int = 1) -> Array:
        """logits [batch, classes], targets [batch] -> bool [batch]."""
        k = checks.check_integer("k", k, 1)
        if getattr(logits, "dtype", None) not in (np.dtype("float32"), np.dtype("float64")):
            raise ValueError("logits must be a float32 or float64 array, got %s" % checks.shown(logits))
        checks.check_array("logits", logits, logits.dtype, ("batch", "classes"))
        targets = checks.check_integers("targets", targets, (len(logits),))
        graph = self._graphs.get(in_top_k_graph, logits.shape[1], logits.dtype.name)
        return graph.run(["hits"], {"logits": logits, "targets": targets, "k": np.array(k, np.int64)})[0]

    def initial_weights(self, model: Model, seed: int) -> Arrays:
        """Freshly drawn float32 weights: TensorFlow's own initializers, in a fresh graph with this graph-level seed."""
        checks.check_kind(model.network, KINDS)
        seed = checks.check_integer("seed", seed, 0)
        if seed >= 2**63:
            raise ValueError("seed must be an integer from 0 to 2**63 - 1, got %d" % seed)
        graph = Graph(lambda: model_graph(model, "float32", False), self._config, seed)
        try:
            graph.initialize()
            return graph.read(model.weights())
        finally:
            graph.close()

    def forward(self, model: Model, weights: Arrays, inputs: Array, lengths: Array | None = None) -> Array:
        """inputs [batch, steps, inputs] -> logits [batch, outputs], predictions [batch, steps, outputs], or the
        logits [batch, max_steps, outputs] of a speller's own decoding."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        return training.forward(graph, feeds["inputs"], feeds["lengths"])

    def predict(self, model: Model, weights: Arrays, inputs: Array, lengths: Array | None = None) -> Array:
        """A classifier's classes, int64 [batch]; a regressor's predictions; a speller's tokens [batch, max_steps]."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        return training.forward(graph, feeds["inputs"], feeds["lengths"], fetch="predict")

    def loss(self, model: Model, weights: Arrays, inputs: Array, targets: Array, lengths: Array | None = None) -> float:
        """The mean loss."""
        graph, feeds = self._supervised(model, weights, inputs, targets, lengths)
        return float(graph.run(["loss"], feeds)[0])

    def loss_gradients(
        self, model: Model, weights: Arrays, inputs: Array, targets: Array, lengths: Array | None = None
    ) -> tuple[float, Arrays]:
        """The mean loss and its gradient by each weight."""
        graph, feeds = self._supervised(model, weights, inputs, targets, lengths)
        loss, gradients = graph.run(["loss", "gradients"], feeds)
        return float(loss), gradients

    def train(
        self,
        model: Model,
        weights: Arrays,
        optimizer: Adam,
        inputs: Array,
        targets: Array,
        batches: Array,
        lengths: Array | None = None,
        slots: Arrays | None = None,
    ) -> tuple[Array, Arrays, Arrays]:
        """One optimizer step per row of batches -> (losses [iterations], weights, slots)."""
        dtype = _check_model_weights(model, weights)
        graph = self._graphs.get(model_graph, model, dtype.name, lengths is not None, optimizer)
        trainer = training.Trainer(graph, model, weights, inputs, targets, lengths, slots)
        losses = trainer.run(batches)
        return losses, trainer.weights(), trainer.slots()

    def trainer(
        self,
        model: Model,
        weights: Arrays,
        optimizer: Adam,
        inputs: Array,
        targets: Array,
        lengths: Array | None = None,
        slots: Arrays | None = None,
        seed: int = 0,
    ) -> training.Trainer:
        """A training that goes on from call to call, in graphs and sessions of its own. seed: of what it drops."""
        dtype = _check_model_weights(model, weights)
        given = (model, dtype.name, lengths is not None)
        drops = bool(models.masks_of(model))
        graph = Graph(lambda: model_graph(*given, optimizer, drops), self._config)
        dropless = Graph(lambda: model_graph(*given), self._config) if drops else None
        return training.Trainer(graph, model, weights, inputs, targets, lengths, slots, dropless, seed)

    def _rnn(
        self,
        network: Network,
        weights: Arrays,
        fetches: list[str],
        inputs: Array,
        lengths: Array | None,
        initial_state: Arrays | None,
        masks: Arrays | None,
        static: bool,
        costs: tuple[Array | None, Arrays | None] | None = None,
    ) -> list[Any]:
        """Fetches of the graph that a network, its unrolling and the presence of lengths and masks determine.

        costs: a cost's derivatives by the outputs and by the final state, where its gradients are among the fetches.
        """
        size = _last_size("inputs", inputs, 3)
        dtype = _check_weights(network, weights, size)
        batch, steps, _ = checks.check_inputs(inputs, size, dtype).shape
        feeds = {"inputs": inputs, "lengths": checks.check_lengths(lengths, batch)}
        output_gradients, state_gradients = costs or (None, None)
        for name, state in (("initial_state", initial_state), ("state_gradients", state_gradients)):
            if state is not None:
                feeds.update(checks.check_state(name, state, network, dtype, batch))
        if output_gradients is not None:
            shape = (batch, steps, network.output_size)
            feeds["output_gradients"] = checks.check_array("output_gradients", output_gradients, dtype, shape)
        found = checks.check_masks(masks, network, size, dtype, [batch, steps])
        feeds.update(found)
        unrolled = (steps if static else None, lengths is not None, bool(found), costs is not None)
        graph = self._graphs.get(rnn_graph, network, size, dtype.name, *unrolled)
        graph.load(weights)
        return graph.run(fetches, feeds)

    def _loaded(
        self, model: Model, weights: Arrays, inputs: Array, lengths: Array | None
    ) -> tuple[Graph, dict[str, Any]]:
        """A model's graph with these weights, and what to feed it."""
        dtype = _check_model_weights(model, weights)
        inputs = checks.check_model_inputs(model, inputs, dtype)
        lengths = checks.check_lengths(lengths, len(inputs))
        graph = self._graphs.get(model_graph, model, dtype.name, lengths is not None)
        graph.load(weights)
        return graph, {"inputs": inputs, "lengths": lengths}

    def _supervised(
        self, model: Model, weights: Arrays, inputs: Array, targets: Array, lengths: Array | None
    ) -> tuple[Graph, dict[str, Any]]:
        """The same with targets."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        dtype = _check_model_weights(model, weights)
        feeds["targets"] = checks.check_targets(model, targets, feeds["inputs"], feeds["lengths"], dtype)
        return graph, feeds


def _last_size(name: str, array: Any, rank: int) -> int:
    """The number of inputs per step, or ValueError for what is no array of this rank."""
    if not isinstance(array, np.ndarray) or array.ndim != rank:
        raise ValueError("%s must be an array of rank %d, got %s" % (name, rank, checks.shown(array)))
    return array.shape[-1]


def _check_weights(network: Network, weights: Any, inputs: int) -> np.dtype:
    checks.check_kind(network, KINDS)
    return checks.check_weights(weights, networks.shapes(network.weights(inputs)))


def _check_model_weights(model: Model, weights: Any) -> np.dtype:
    checks.check_kind(model.network, KINDS)
    return checks.check_weights(weights, networks.shapes(model.weights()))
