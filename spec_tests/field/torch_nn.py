"""PyTorch's own nn.RNN, nn.LSTM and nn.GRU as a backend: packed sequences for lengths, PyTorch's own gradients."""

from __future__ import annotations

import functools
from typing import Any, Callable, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from spec_tests.field.frame import COMMON, Field, split_rows
from unrolled.networks import GRU, LSTM, BasicRNN, below

# The gates as PyTorch has them: i, f, g, o for TensorFlow 1's i, j, f, o.
LSTM_GATES = (0, 2, 1, 3)


class TorchBackend(Field):
    name = "torch.nn"
    capabilities = COMMON | {"gru_reset_after", "projection", "gradients", "float64"}
    differences: ClassVar[dict[str, str]] = {
        "test_length_zero_keeps_the_initial_state": (
            "pack_padded_sequence refuses a row of length 0; such rows run one step, and get their initial state back"
        ),
        "test_all_steps_are_kept": (
            "pad_packed_sequence pads to the longest length there is, not to all steps; it is told total_length"
        ),
    }

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)

    def describe(self) -> dict[str, str]:
        return self.facts("PyTorch", torch.__version__, str(self._device))

    def array(self, value: np.ndarray) -> Tensor:
        return torch.tensor(value, device=self._device)

    def cell(self, network: Any, weights: Any, inputs: Tensor, lengths: Any, state: Any) -> Any:
        outputs, after = self._run(network, False, converted(network, weights, ""), inputs, lengths, state, [""])
        return outputs, after

    def both(self, network: Any, weights: Any, inputs: Tensor, lengths: Any, state: Any) -> Any:
        cell = network.forward
        found = converted(cell, below("fw/", weights), "")
        found.update(converted(cell, below("bw/", weights), "_reverse"))
        return self._run(cell, True, found, inputs, lengths, state, ["fw/", "bw/"])

    def _run(
        self, cell: Any, both: bool, weights: Any, inputs: Tensor, lengths: Any, state: Any, prefixes: list[str]
    ) -> Any:
        batch, steps, size = inputs.shape
        layer = module(cell, size, both).to(dtype=inputs.dtype, device=self._device)
        if state is None:
            first = None
        else:
            parts = [
                torch.stack([state[prefix + name] for prefix in prefixes]) for name in ("h", "c")[: len(cell.state)]
            ]
            first = parts[0] if len(parts) == 1 else tuple(parts)
        full = torch.full((batch,), steps) if lengths is None else torch.as_tensor(np.array(lengths), dtype=torch.int64)
        # A packed sequence has no row of length 0: such rows are run for one step, and mended.
        some = (full > 0).to(self._device)[:, None]
        inputs = torch.where(some[:, :, None], inputs, 0.0)
        packed = pack_padded_sequence(inputs, full.clamp(min=1), batch_first=True, enforce_sorted=False)
        outputs, after = functional_call(layer, weights, (packed, first))
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=steps)
        outputs = torch.where(some[:, :, None], outputs, 0.0)
        found = {}
        for name, part in zip(("h", "c"), after if isinstance(after, tuple) else (after,), strict=False):
            for prefix, one in zip(prefixes, part, strict=True):
                before = torch.zeros_like(one) if state is None else state[prefix + name]
                found[prefix + name] = torch.where(some, one, before)
        return outputs, found

    def pull_back(self, function: Callable[[Any], Any], given: dict[str, Tensor], costs: list[Any]) -> Any:
        for tensor in given.values():
            tensor.requires_grad_()
        results = function(given)
        gradients = torch.autograd.grad(results, list(given.values()), costs, materialize_grads=True)
        return results, dict(zip(given, gradients, strict=True))

    def cross_entropy(self, logits: Tensor, targets: np.ndarray) -> Tensor:
        return nn.functional.cross_entropy(logits, torch.as_tensor(targets.astype(np.int64), device=self._device))

    def mean(self, values: Tensor) -> Tensor:
        return values.mean()

    def beside(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, 1)


def module(cell: Any, inputs: int, both: bool) -> nn.Module:
    """PyTorch's layer for a cell."""
    return MODULES[cell.kind](cell)(inputs, cell.units, batch_first=True, bidirectional=both)


MODULES: dict[str, Callable[[Any], Any]] = {
    BasicRNN.kind: lambda cell: functools.partial(nn.RNN, nonlinearity=cell.activation),
    LSTM.kind: lambda cell: functools.partial(nn.LSTM, proj_size=cell.projection or 0),
    GRU.kind: lambda cell: nn.GRU,
}


def converted(cell: Any, weights: dict[str, Tensor], suffix: str) -> dict[str, Tensor]:
    """PyTorch's parameters for a cell's weights."""
    found = CONVERTED[cell.kind](cell, weights)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0")
    return {name + suffix: tensor for name, tensor in zip(names, found, strict=False)}


def _one_bias(cell: Any, kernel: Tensor, bias: Tensor) -> list[Tensor]:
    x, h = split_rows(kernel, cell.output_size)
    return [x.T, h.T, bias, torch.zeros_like(bias)]


def _plain(cell: Any, weights: dict[str, Tensor]) -> list[Tensor]:
    return _one_bias(cell, weights["kernel"], weights["bias"])


def _lstm(cell: Any, weights: dict[str, Tensor]) -> list[Tensor]:
    kernel, bias = gates(weights["kernel"]), gates(weights["bias"])
    forget = torch.zeros_like(bias)
    forget[cell.units : 2 * cell.units] = cell.forget_bias
    projection = [weights["projection/kernel"].T] if "projection/kernel" in weights else []
    return [*_one_bias(cell, kernel, bias + forget), *projection]


def _gru(cell: Any, weights: dict[str, Tensor]) -> list[Tensor]:
    """r, u, and the candidate, as PyTorch has them."""
    bias, (by_x, by_h) = weights["gates/bias"], split_rows(weights["gates/kernel"], cell.units)
    x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
    kernels = [torch.cat(pair, 1).T for pair in ((by_x, x["kernel"]), (by_h, h["kernel"]))]
    return [*kernels, torch.cat([bias, x["bias"]]), torch.cat([torch.zeros_like(bias), h["bias"]])]


CONVERTED: dict[str, Callable[[Any, Any], list[Tensor]]] = {BasicRNN.kind: _plain, LSTM.kind: _lstm, GRU.kind: _gru}


def gates(tensor: Tensor) -> Tensor:
    parts = tensor.chunk(4, dim=-1)
    return torch.cat([parts[place] for place in LSTM_GATES], -1)


backend = TorchBackend
