"""This package as the shared test spec sees it: NumPy arrays and plain values in and out.

Cells, models and optimizers arrive as named tuples, of which only the attributes are used:
cell (kind, units, activation), model (kind, cell, inputs, outputs, projection), optimizer (learning_rate, beta1, beta2,
epsilon). Weights are in canonical form, and their dtype is that of the whole call. Every argument that breaks a rule
raises ValueError, but for those that TF1 itself takes: see `EXPECTED_FAILURES`.
"""

from __future__ import annotations

import platform
from typing import Any, Dict, Mapping

import numpy as np

from tf_reference import checks, training
from tf_reference.adapter_decoding import DecodingMethods
from tf_reference.graphs import in_top_k_graph, model_graph, rnn_graph, two_step_graph
from tf_reference.sessions import Graph, GraphCache
from tf_reference.tf1 import resolve_device, session_config, tf

Arrays = Dict[str, np.ndarray]

CAPABILITIES = frozenset(
    ["two_step", "static_rnn", "dynamic_rnn", "lengths", "initial_state", "gradients", "in_top_k", "initial_weights"]
    + ["classifier", "regressor", "speller", "decoding", "training", "tanh", "relu", "float32", "float64"]
)
# Where TF1's own semantics differ from the contract they are kept, for this is the reference.
_CLIPPED = "TF1 takes a length above the number of steps as all of them, and a negative one as 0, without a word"
EXPECTED_FAILURES = {
    "test_length_out_of_range_is_an_error": _CLIPPED,
    "test_length_out_of_range_is_an_error_for_a_model_too": _CLIPPED,
    "test_nan_in_padding_leaves_gradients_finite": (
        "TF1 multiplies the NaN of the masked branch by zero, which is NaN, in the gradients of kernel, bias and inputs"
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

    def two_step(self, cell: Any, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x0, x1 [batch, inputs] -> (y0, y1), each [batch, units]."""
        inputs = _last_size("x0", x0, 2)
        dtype = _check_cell_weights(cell, weights, inputs)
        checks.check_array("x0", x0, dtype, ("batch", inputs))
        checks.check_array("x1", x1, dtype, x0.shape)
        graph = self._graphs.get(two_step_graph, cell, inputs, dtype.name)
        graph.load(weights)
        y0, y1 = graph.run(["y0", "y1"], {"x0": x0, "x1": x1})
        return y0, y1

    def static_rnn(
        self,
        cell: Any,
        weights: Arrays,
        inputs: list[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """inputs: a list of `steps` arrays [batch, inputs] -> (list of [batch, units], state [batch, units])."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError(f"inputs must be a list of arrays [batch, inputs], got {checks.shown(inputs)}")
        dtype = _check_cell_weights(cell, weights, _last_size("inputs[0]", inputs[0], 2))
        for step, array in enumerate(inputs):
            checks.check_array(f"inputs[{step}]", array, dtype, inputs[0].shape)
        outputs, state = self._rnn(
            cell, weights, ["outputs", "state"], np.stack(inputs, axis=1), lengths, initial_state, static=True
        )
        return outputs, state

    def dynamic_rnn(
        self,
        cell: Any,
        weights: Arrays,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """inputs [batch, steps, inputs] -> (outputs [batch, steps, units], state [batch, units])."""
        outputs, state = self._rnn(cell, weights, ["outputs", "state"], inputs, lengths, initial_state, static=False)
        return outputs, state

    def rnn_gradients(
        self,
        cell: Any,
        weights: Arrays,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradient: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
        unrolling: str = "dynamic",
    ) -> Arrays:
        """A cost's gradients by kernel, bias, inputs and initial_state, from its derivatives by outputs and state."""
        if output_gradients is None and state_gradient is None:
            raise ValueError("one of output_gradients and state_gradient must be given, got neither")
        if unrolling not in ("static", "dynamic"):
            raise ValueError(f"unrolling must be 'static' or 'dynamic', got {unrolling!r}")
        names = ["kernel", "bias", "inputs", "initial_state"]
        fetches = ["gradients/" + name for name in names]
        costs = {"output_gradients": output_gradients, "state_gradient": state_gradient}
        static = unrolling == "static"
        found = self._rnn(cell, weights, fetches, inputs, lengths, initial_state, static=static, costs=costs)
        return dict(zip(names, found))

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        """logits [batch, classes], targets [batch] -> bool [batch]."""
        k = checks.check_integer("k", k, 1)
        if getattr(logits, "dtype", None) not in (np.dtype("float32"), np.dtype("float64")):
            raise ValueError(f"logits must be a float32 or float64 array, got {checks.shown(logits)}")
        checks.check_array("logits", logits, logits.dtype, ("batch", "classes"))
        targets = checks.check_integers("targets", targets, (len(logits),))
        graph = self._graphs.get(in_top_k_graph, logits.shape[1], logits.dtype.name)
        return graph.run(["hits"], {"logits": logits, "targets": targets, "k": np.array(k, np.int64)})[0]

    def initial_weights(self, model: Any, seed: int) -> Arrays:
        """Freshly drawn float32 weights: TensorFlow's own initializers, in a fresh graph with this graph-level seed."""
        checks.check_model(model)
        seed = checks.check_integer("seed", seed, 0)
        if seed >= 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed}")
        graph = Graph(lambda: model_graph(model, "float32", False), self._config, seed)
        try:
            graph.initialize()
            return graph.read(checks.weight_shapes(model))
        finally:
            graph.close()

    def forward(self, model: Any, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """inputs [batch, steps, inputs] -> logits [batch, outputs], predictions [batch, steps, outputs], or the
        logits [batch, max_steps, outputs] of a speller's own decoding."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        return training.forward(graph, feeds["inputs"], feeds["lengths"])

    def predict(self, model: Any, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """A classifier's classes, int64 [batch]; a regressor's predictions; a speller's tokens [batch, max_steps]."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        return training.forward(graph, feeds["inputs"], feeds["lengths"], fetch="predict")

    def loss(
        self,
        model: Any,
        weights: Arrays,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> float:
        """The mean loss."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        feeds["targets"] = checks.check_targets(model, targets, inputs)
        return float(graph.run(["loss"], feeds)[0])

    def loss_gradients(
        self,
        model: Any,
        weights: Arrays,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> tuple[float, Arrays]:
        """The mean loss and its gradient by each weight."""
        graph, feeds = self._loaded(model, weights, inputs, lengths)
        feeds["targets"] = checks.check_targets(model, targets, inputs)
        names = list(checks.weight_shapes(model))
        found = graph.run(["loss"] + ["gradients/" + name for name in names], feeds)
        return float(found[0]), dict(zip(names, found[1:]))

    def train(
        self,
        model: Any,
        weights: Arrays,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
    ) -> tuple[np.ndarray, Arrays, Arrays]:
        """One optimizer step per row of batches -> (losses [iterations], weights, slots)."""
        dtype = _check_model_weights(model, weights)
        graph = self._graphs.get(model_graph, model, dtype.name, lengths is not None, optimizer)
        trainer = training.Trainer(graph, model, weights, inputs, targets, lengths, slots)
        losses = trainer.run(batches)
        return losses, trainer.weights(), trainer.slots()

    def trainer(
        self,
        model: Any,
        weights: Arrays,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
    ) -> training.Trainer:
        """A training that goes on from call to call, in a graph and session of its own."""
        dtype = _check_model_weights(model, weights)
        graph = Graph(lambda: model_graph(model, dtype.name, lengths is not None, optimizer), self._config)
        return training.Trainer(graph, model, weights, inputs, targets, lengths, slots)

    def _rnn(
        self,
        cell: Any,
        weights: Arrays,
        fetches: list[str],
        inputs: np.ndarray,
        lengths: np.ndarray | None,
        initial_state: np.ndarray | None,
        static: bool,
        costs: dict[str, np.ndarray | None] | None = None,
    ) -> list[Any]:
        """Fetches of the graph that a cell, its unrolling and the presence of lengths determine."""
        size = _last_size("inputs", inputs, 3)
        dtype = _check_cell_weights(cell, weights, size)
        batch, steps, _ = checks.check_inputs(inputs, size, dtype).shape
        feeds = dict(costs or {}, initial_state=initial_state)
        shapes = {"output_gradients": (batch, steps, cell.units)}
        for name, array in feeds.items():
            if array is not None:
                checks.check_array(name, array, dtype, shapes.get(name, (batch, cell.units)))
        feeds.update(inputs=inputs, lengths=checks.check_lengths(lengths, batch))
        graph = self._graphs.get(
            rnn_graph, cell, size, dtype.name, steps if static else None, lengths is not None, costs is not None
        )
        graph.load(weights)
        return graph.run(fetches, feeds)

    def _loaded(
        self, model: Any, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None
    ) -> tuple[Graph, dict[str, Any]]:
        """A model's graph with these weights, and what to feed it."""
        dtype = _check_model_weights(model, weights)
        checks.check_inputs(inputs, model.inputs, dtype)
        lengths = checks.check_lengths(lengths, len(inputs))
        graph = self._graphs.get(model_graph, model, dtype.name, lengths is not None)
        graph.load(weights)
        return graph, {"inputs": inputs, "lengths": lengths}


def _last_size(name: str, array: Any, rank: int) -> int:
    """The number of inputs per step, or ValueError for what is no array of this rank."""
    if not isinstance(array, np.ndarray) or array.ndim != rank:
        raise ValueError(f"{name} must be an array of rank {rank}, got {checks.shown(array)}")
    return array.shape[-1]


def _check_cell_weights(cell: Any, weights: Any, inputs: int) -> np.dtype:
    checks.check_cell(cell)
    return checks.check_weights(weights, checks.cell_shapes(inputs, cell.units))


def _check_model_weights(model: Any, weights: Any) -> np.dtype:
    checks.check_model(model)
    return checks.check_weights(weights, checks.weight_shapes(model))
