"""PyTorch's own nn.RNN, nn.LSTM and nn.GRU as a backend: packed sequences for lengths, PyTorch's own gradients."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from spec_tests.field.frame import COMMON, Field
from unrolled.networks import below

# Of each kind, the gates as PyTorch has them: i, f, g, o for TensorFlow 1's i, j, f, o.
LSTM_GATES = (0, 2, 1, 3)


class TorchBackend(Field):
    name = "torch.nn"
    capabilities = COMMON | {"gru_reset_after", "projection", "gradients", "float64"}

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
    options = {"batch_first": True, "bidirectional": both}
    if cell.kind == "basic_rnn":
        return nn.RNN(inputs, cell.units, nonlinearity=cell.activation, **options)
    if cell.kind == "lstm":
        return nn.LSTM(inputs, cell.units, proj_size=cell.projection or 0, **options)
    return nn.GRU(inputs, cell.units, **options)


def converted(cell: Any, weights: dict[str, Tensor], suffix: str) -> dict[str, Tensor]:
    """PyTorch's parameters for a cell's weights."""
    if cell.kind == "gru":
        kernel, bias = weights["gates/kernel"], weights["gates/bias"]
        x, h = (below("candidate/%s_projection/" % part, weights) for part in ("input", "hidden"))
        size = len(x["kernel"])
        ih, hh = torch.cat([kernel[:size], x["kernel"]], 1), torch.cat([kernel[size:], h["kernel"]], 1)
        biases = torch.cat([bias, x["bias"]]), torch.cat([torch.zeros_like(bias), h["bias"]])
    else:
        kernel, bias = weights["kernel"], weights["bias"]
        if cell.kind == "lstm":
            kernel, bias = gates(kernel), gates(bias)
            ones = torch.zeros_like(bias)
            ones[cell.units : 2 * cell.units] = cell.forget_bias
            bias = bias + ones
        size = len(kernel) - cell.output_size
        ih, hh, biases = kernel[:size], kernel[size:], (bias, torch.zeros_like(bias))
    found = {"weight_ih_l0": ih.T, "weight_hh_l0": hh.T, "bias_ih_l0": biases[0], "bias_hh_l0": biases[1]}
    if "projection/kernel" in weights:
        found["weight_hr_l0"] = weights["projection/kernel"].T
    return {name + suffix: tensor for name, tensor in found.items()}


def gates(tensor: Tensor) -> Tensor:
    parts = tensor.chunk(4, dim=-1)
    return torch.cat([parts[place] for place in LSTM_GATES], -1)


backend = TorchBackend
