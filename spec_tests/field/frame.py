"""What the backends of the field share: the contract's methods, over the few things that a framework does its own way.

A framework's arrays are what its `array` makes. Shapes: inputs [batch, steps, values]; lengths are integers [batch] in
NumPy; a state is a dict, each part [batch, width]. Layers are layers on each other, and two directions are the
framework's own form of them, as its users write it; what a framework has no layer or function for is not offered.
Arguments are checked here, by `spec_tests.checks`: what the suite shows of refusals is so of these modules, not of the
frameworks.
"""

from __future__ import annotations

import platform
from typing import Any, Callable, ClassVar

import numpy as np

from spec_tests import checks
from spec_tests.capabilities import needs_of
from spec_tests.contract import State, Weights
from unrolled.models import Model
from unrolled.networks import Bidirectional, Layers, Network, below

Array = Any  # of the framework, or from NumPy on its way in

# What all of them offer: the rest depends on what their layers can do.
COMMON = frozenset(
    ["basic_rnn", "lstm", "layers", "bidirectional", "tanh", "relu", "dynamic_rnn", "lengths", "initial_state"]
    + ["classifier", "regressor", "float32"]
)


class Field:
    """The contract's methods; their docstrings are the contract's."""

    name: str
    contract: ClassVar[int] = 2
    capabilities: frozenset[str]
    expected_failures: ClassVar[dict[str, str]] = {}

    # ------------------------------------------------------------- what a framework does its own way

    def array(self, value: np.ndarray) -> Array:
        """An array of the framework."""
        raise NotImplementedError

    def cell(self, network: Any, weights: Any, inputs: Array, lengths: np.ndarray | None, state: Any) -> Any:
        """(outputs [batch, steps, width], state) of a layer of one cell; `state` has each part, or is None."""
        raise NotImplementedError

    def both(self, network: Any, weights: Any, inputs: Array, lengths: np.ndarray | None, state: Any) -> Any:
        """The same of a cell in both directions; names of weights and parts begin with fw/ and bw/."""
        raise NotImplementedError

    def pull_back(self, function: Callable[[Any], Any], given: dict[str, Array], costs: list[Any]) -> Any:
        """(results, gradients by name): of function(given), a list of arrays, the gradients by each array given of a
        cost whose derivatives by the results are `costs`."""
        raise NotImplementedError

    def beside(self, parts: list[Array]) -> Array:
        """Arrays [batch, width] side by side."""
        raise NotImplementedError

    def mean(self, values: Array) -> Array:
        """Over all of them."""
        raise NotImplementedError

    def cross_entropy(self, logits: Array, targets: np.ndarray) -> Array:
        """The mean sparse softmax cross-entropy."""
        raise NotImplementedError

    # ------------------------------------------------------------- what is the same for all

    def facts(self, framework: str, version: str, device: str) -> dict[str, str]:
        return {"framework": framework, "version": version, "python": platform.python_version(), "device": device}

    def unroll(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        """(outputs, state) of any network that is offered."""
        ways = {Layers.kind: self._layers, Bidirectional.kind: self.both}
        return ways.get(network.kind, self.cell)(network, weights, inputs, lengths, state)

    def _layers(self, network: Any, weights: Any, inputs: Array, lengths: Any, state: Any) -> Any:
        found: dict[str, Array] = {}
        for number, layer in enumerate(network.layers):
            prefix = "cell_%d/" % number
            inputs, after = self.unroll(layer, below(prefix, weights), inputs, lengths, state and below(prefix, state))
            found.update((prefix + name, part) for name, part in after.items())
        return inputs, found

    def _arrays(self, values: dict[str, np.ndarray]) -> dict[str, Array]:
        return {name: self.array(value) for name, value in values.items()}

    def _check_offered(self, network: Network) -> None:
        absent = sorted(needs_of(network) - self.capabilities)
        checks.need(not absent, "network kind", repr(network), "one without %s" % ", ".join(absent))

    def dynamic_rnn(
        self, network: Network, weights: Weights, inputs: Any, lengths: Any = None, initial_state: Any = None
    ) -> Any:
        self._check_offered(network)
        checks.check_sequences(network, weights, inputs, lengths, initial_state)
        state = None if initial_state is None else self._arrays(initial_state)
        outputs, after = self.unroll(network, self._arrays(weights), self.array(inputs), lengths, state)
        return own(outputs), {name: own(after[name]) for name in network.state}

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
        self._check_offered(network)
        dtype = checks.check_sequences(network, weights, inputs, lengths, initial_state)
        checks.check_cost(network, inputs, output_gradients, state_gradients, unrolling, dtype)
        zeros = {name: np.zeros((len(inputs), width), dtype) for name, width in network.state.items()}
        state = {"initial_state/" + name: part for name, part in (initial_state or zeros).items()}
        if output_gradients is None:
            output_gradients = np.zeros((*inputs.shape[:2], network.output_size), dtype)

        def run(given: dict[str, Array]) -> list[Array]:
            own_weights = {name: given[name] for name in weights}
            first = below("initial_state/", given)
            outputs, after = self.unroll(network, own_weights, given["inputs"], lengths, first)
            return [outputs, *(after[name] for name in network.state)]

        costs = [output_gradients, *((state_gradients or zeros)[name] for name in network.state)]
        given = self._arrays(dict(weights, inputs=inputs, **state))
        _, gradients = self.pull_back(run, given, [self.array(cost) for cost in costs])
        return {name: own(gradient) for name, gradient in gradients.items()}

    def _predictions(self, model: Any, weights: Any, inputs: Array, lengths: Any) -> Array:
        self._check_offered(model.network)
        network = {name: weights[name] for name in model.network.weights(model.inputs)}
        outputs, state = self.unroll(model.network, network, inputs, lengths, None)
        if model.kind == "classifier":
            parts = [state[name] for name in model.network.read_out]
            outputs = parts[0] if len(parts) == 1 else self.beside(parts)
        found = outputs @ weights["dense/kernel"] + weights["dense/bias"]
        if model.projection == "wrapped" and lengths is not None:
            going = np.arange(inputs.shape[1]) < np.asarray(lengths)[:, None]
            found = found * self.array(going[:, :, None].astype(own(inputs).dtype))
        return found

    def forward(self, model: Model, weights: Weights, inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
        checks.check_rows(model, weights, inputs, lengths=lengths)
        return own(self._predictions(model, self._arrays(weights), self.array(inputs), lengths))

    def predict(self, model: Model, weights: Weights, inputs: np.ndarray, lengths: Any = None) -> np.ndarray:
        found = self.forward(model, weights, inputs, lengths)
        return found.argmax(axis=-1) if model.kind == "classifier" else found

    def loss(self, model: Model, weights: Weights, inputs: Any, targets: Any, lengths: Any = None) -> float:
        checks.check_rows(model, weights, inputs, targets, lengths)
        return float(own(self._loss(model, self._arrays(weights), self.array(inputs), targets, lengths)))

    def _loss(self, model: Model, weights: Any, inputs: Array, targets: np.ndarray, lengths: Any) -> Array:
        found = self._predictions(model, weights, inputs, lengths)
        if model.kind == "classifier":
            return self.cross_entropy(found, targets)
        return self.mean((found - self.array(targets)) ** 2)

    def loss_gradients(
        self, model: Model, weights: Weights, inputs: np.ndarray, targets: np.ndarray, lengths: Any = None
    ) -> tuple[float, Weights]:
        dtype = checks.check_rows(model, weights, inputs, targets, lengths)
        rows = self.array(inputs)

        def run(given: dict[str, Array]) -> list[Array]:
            return [self._loss(model, given, rows, targets, lengths)]

        (value,), gradients = self.pull_back(run, self._arrays(weights), [self.array(np.ones((), dtype))])
        return float(own(value)), {name: own(gradient) for name, gradient in gradients.items()}


def split_rows(kernel: Array, units: int) -> tuple[Array, Array]:
    """A kernel's rows for the inputs, and those for the output of the step before."""
    size = kernel.shape[0] - units
    return kernel[:size], kernel[size:]


def own(array: Array) -> np.ndarray:
    """A NumPy array of the caller's own."""
    return np.array(array.detach().cpu().numpy() if hasattr(array, "detach") else array)
