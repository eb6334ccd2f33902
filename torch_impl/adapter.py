"""This library as the shared test spec sees it: NumPy arrays and plain values in and out.

Networks, models and optimizers are the values of `unrolled`; weights, states and gradients are arrays by name. Weights
are in canonical form (see `conversion`), and their dtype is that of the whole call. Every argument that breaks a rule
raises ValueError.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl import build, devices, states
from torch_impl.adapter_decoding import Arrays, DecodingMethods, initial_gradients, state_arrays
from torch_impl.arrays import (
    floats,
    floats_like,
    inputs_of,
    integers,
    masks_of,
    optional_lengths,
    state_of,
    targets_of,
    to_numpy,
)
from torch_impl.cells import CELLS
from torch_impl.cells.basic_rnn import BasicRNNCell, two_step
from torch_impl.losses import in_top_k
from torch_impl.models import AnyModel
from torch_impl.structures import STRUCTURES
from torch_impl.training.adam import Settings
from torch_impl.training.numpy_trainer import NumpyTrainer
from torch_impl.training.trainer import Trainer
from torch_impl.unrolling.dynamic import dynamic_rnn
from torch_impl.unrolling.paths import wanted_path
from torch_impl.unrolling.static import static_rnn
from unrolled.models import Model
from unrolled.networks import Network

CAPABILITIES = (
    frozenset([*CELLS, *STRUCTURES])
    | {"two_step", "static_rnn", "dynamic_rnn", "lengths", "initial_state", "gradients", "in_top_k", "initial_weights"}
    | {"classifier", "regressor", "tagger", "speller", "embedding", "hidden", "decoding", "training", "mnist"}
    | {"lstm_options", "projection", "gru_reset_after", "directions"}
    | {"tanh", "relu", "activations", "float32", "float64"}
)


def backend(device: str = "cpu", threads: int | None = None) -> TorchBackend:
    """The backend on a device ("cpu", "cuda", "cuda:1"); threads: of PyTorch's CPU kernels, None to leave them.

    On a GPU, TF32 is switched off for the process. Raises ValueError for a device that is not there.
    """
    _live_beside_tensorflow()
    return TorchBackend(device, threads)


def _live_beside_tensorflow() -> None:
    """Keep a process that holds both frameworks from aborting.

    PyTorch's optimizers import Triton where it is installed. Triton and TensorFlow each bring an LLVM, and the process
    ends with "LLVM ERROR: inconsistency in registered CommandLine options" when Triton's is loaded second. So it is
    loaded here, before TensorFlow; where TensorFlow came first it is left out, which nothing here misses.
    """
    if "tensorflow" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton._C.libtriton")
    elif "triton._C.libtriton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own mark of a module not to import


class TorchBackend(DecodingMethods):
    """See `backend`. No method depends on an earlier call, or touches the global random state."""

    name = "torch_impl"
    contract = 2
    capabilities = CAPABILITIES
    expected_failures: Mapping[str, str] = {}

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        self.device = devices.prepared(device, threads)
        wanted_path()  # a wrong UNROLLED_PATH is found here, not in the middle of a training

    def describe(self) -> dict[str, str]:
        """Plain facts for the header of a run."""
        return devices.described(self.device)

    def two_step(
        self, network: Network, weights: Arrays, x0: np.ndarray, x1: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """x0, x1 [batch, inputs] -> (y0, y1), each [batch, units]."""
        if network.kind != BasicRNNCell.kind:
            raise ValueError(f"network must be of kind {BasicRNNCell.kind!r} for two_step, got {network.kind!r}")
        module = self._cell(network, weights, x0, "x0")
        first = floats_like("x0", x0, module.bias, ("batch", module.inputs))
        second = floats_like("x1", x1, module.bias, (len(x0), module.inputs))
        with torch.no_grad():
            y0, y1 = two_step(first, second, module.weight_ih.T, module.weight_hh.T, module.bias, module.activation)
        return to_numpy(y0), to_numpy(y1)

    def static_rnn(
        self,
        network: Network,
        weights: Arrays,
        inputs: list[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: Arrays | None = None,
        masks: Arrays | None = None,
    ) -> tuple[list[np.ndarray], Arrays]:
        """inputs: a list of `steps` arrays [batch, inputs] -> (list of outputs [batch, width], state)."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            found = "an empty one" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            raise ValueError(f"inputs must be a list of arrays [batch, inputs], one per step, got {found}")
        module = self._cell(network, weights, inputs[0], "inputs[0]")
        like = next(module.parameters())
        steps = [floats_like(f"inputs[{i}]", x, like, ("batch", module.inputs)) for i, x in enumerate(inputs)]
        state = None if initial_state is None else state_of(network, initial_state, len(steps[0]), like)
        given = masks_of(module, masks, len(steps[0]), len(steps))
        with torch.no_grad():
            outputs, last = static_rnn(module, steps, optional_lengths(lengths), state, given)
        return [to_numpy(y) for y in outputs], state_arrays(network, last)

    def dynamic_rnn(
        self,
        network: Network,
        weights: Arrays,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: Arrays | None = None,
        masks: Arrays | None = None,
    ) -> tuple[np.ndarray, Arrays]:
        """inputs [batch, steps, inputs] -> (outputs [batch, steps, width], state)."""
        module = self._cell(network, weights, inputs, "inputs")
        like = next(module.parameters())
        x = floats_like("inputs", inputs, like, ("batch", "steps", module.inputs))
        state = None if initial_state is None else state_of(network, initial_state, len(x), like)
        given = masks_of(module, masks, *x.shape[:2])
        with torch.no_grad():
            outputs, last = dynamic_rnn(module, x, optional_lengths(lengths), state, masks=given)
        return to_numpy(outputs), state_arrays(network, last)

    def rnn_gradients(
        self,
        network: Network,
        weights: Arrays,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradients: Arrays | None = None,
        lengths: np.ndarray | None = None,
        initial_state: Arrays | None = None,
        unrolling: str = "dynamic",
        masks: Arrays | None = None,
    ) -> Arrays:
        """A cost's gradients by weights, inputs and initial state, from its derivatives by outputs and final state."""
        if output_gradients is None and state_gradients is None:
            raise ValueError("one of output_gradients and state_gradients must be given, got neither")
        if unrolling not in ("static", "dynamic"):
            raise ValueError(f"unrolling must be 'static' or 'dynamic', got {unrolling!r}")
        module = self._cell(network, weights, inputs, "inputs")
        like = next(module.parameters())
        x = floats_like("inputs", inputs, like, ("batch", "steps", module.inputs)).requires_grad_()
        batch, steps, _ = x.shape
        zeros = module.zero_state(batch)
        state = zeros if initial_state is None else state_of(network, initial_state, batch, like)
        state = states.mapped(Tensor.requires_grad_, state)
        limits, dropped = optional_lengths(lengths), masks_of(module, masks, batch, steps)
        if unrolling == "static":
            listed, last = static_rnn(module, list(x.unbind(1)), limits, state, dropped)
            outputs = torch.stack(listed, 1)
        else:
            outputs, last = dynamic_rnn(module, x, limits, state, masks=dropped)
        costs, derivatives = [], []
        if output_gradients is not None:
            costs.append(outputs)
            shape = (batch, steps, network.output_size)
            derivatives.append(floats_like("output_gradients", output_gradients, like, shape))
        if state_gradients is not None:
            given = state_of(network, state_gradients, batch, like, "state_gradients")
            costs += states.parts(network, last).values()
            derivatives += states.parts(network, given).values()
        torch.autograd.backward(costs, derivatives)
        assert x.grad is not None
        return {**module.canonical_gradients(), "inputs": to_numpy(x.grad), **initial_gradients(network, state)}

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        """logits [batch, classes], targets [batch] -> bool [batch]."""
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k must be an integer of at least 1, got {k!r}")
        labels = integers("targets", targets)
        return to_numpy(in_top_k(floats("logits", logits, self.device), labels.to(self.device), int(k)))

    def initial_weights(self, model: Model, seed: int) -> Arrays:
        """Freshly drawn float32 weights, TF1's defaults; drawn on the CPU, so that a seed means the same everywhere."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed!r}")
        module = build.model(model, dtype=torch.float32)
        module.reset_parameters(torch.Generator().manual_seed(int(seed)))
        return module.canonical_weights()

    def forward(
        self, model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        """inputs [batch, steps, inputs], or tokens [batch, steps] -> logits [batch, outputs], predictions or logits
        [batch, steps, outputs], or the logits [batch, max_steps, outputs] of a speller's own decoding."""
        module = self._model(model, weights)
        with torch.no_grad():
            return to_numpy(module(inputs_of(module, inputs), optional_lengths(lengths)))

    def predict(
        self, model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        """A classifier's classes, int64 [batch]; a tagger's [batch, steps]; a regressor's predictions; a speller's
        tokens [batch, max_steps]."""
        module = self._model(model, weights)
        with torch.no_grad():
            return to_numpy(module.predict(inputs_of(module, inputs), optional_lengths(lengths)))

    def loss(
        self, model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
    ) -> float:
        """The mean loss."""
        with torch.no_grad():
            return float(_loss(self._model(model, weights), inputs, targets, lengths))

    def loss_gradients(
        self, model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
    ) -> tuple[float, Arrays]:
        """The mean loss and its gradient by each weight."""
        module = self._model(model, weights)
        loss = _loss(module, inputs, targets, lengths)
        loss.backward()
        return float(loss.detach()), module.canonical_gradients()

    def train(
        self,
        model: Model,
        weights: Arrays,
        optimizer: Settings,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
    ) -> tuple[np.ndarray, Arrays, Arrays]:
        """One optimizer step per row of batches -> (losses [iterations], weights, slots)."""
        trainer = self.trainer(model, weights, optimizer, inputs, targets, lengths, slots)
        losses = trainer.run(batches)
        return losses, trainer.weights(), trainer.slots()

    def trainer(
        self,
        model: Model,
        weights: Arrays,
        optimizer: Settings,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
    ) -> NumpyTrainer:
        """What `train` does, kept: `run(batches)` as often as wanted, `forward`, `weights` and `slots` in between."""
        module = self._model(model, weights)
        x, limits = inputs_of(module, inputs), optional_lengths(lengths)
        values = x, targets_of(module, targets, x, limits), limits
        return NumpyTrainer(Trainer(module, optimizer, *values, slots=slots))

    def _model(self, model: Model, weights: Mapping[str, Any]) -> AnyModel:
        """The model with these weights; it drops nothing, whatever its network has."""
        return build.loaded(model, weights, self.device).eval()

    def _cell(self, network: Network, weights: Mapping[str, Any], inputs: Any, name: str) -> Any:
        """The cell of these weights, for an array of inputs [..., inputs], of which only that size is used."""
        if not isinstance(inputs, np.ndarray) or inputs.ndim == 0 or inputs.shape[-1] == 0:
            found = list(inputs.shape) if isinstance(inputs, np.ndarray) else type(inputs).__name__
            raise ValueError(f"{name} must be a NumPy array [..., inputs], at least 1 value per step, got {found}")
        return build.filled(build.cell(network, inputs.shape[-1], "meta"), weights, self.device).eval()


def _loss(module: AnyModel, inputs: Any, targets: Any, lengths: Any) -> Tensor:
    x, limits = inputs_of(module, inputs), optional_lengths(lengths)
    return module.training_loss(x, targets_of(module, targets, x, limits), limits)
