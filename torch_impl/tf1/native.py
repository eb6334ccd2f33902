"""Networks as PyTorch's own nn.RNN, nn.LSTM and nn.GRU, where these compute the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from unrolled import networks
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, Layers, Network

__all__ = ["Stage", "canonical", "stages"]

_MARK = 2.0**40  # above what a constant is, and all that are counted from there are exact


class Stage(NamedTuple):
    """One of PyTorch's modules: its class, its arguments, and its state_dict."""

    module: str
    inputs: int
    units: int
    layers: int
    both: bool
    options: dict[str, Any]
    weights: dict[str, np.ndarray]

    @property
    def call(self) -> str:
        """The expression that makes it."""
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        layers = f", num_layers={self.layers}" if self.layers > 1 else ""
        both = ", bidirectional=True" if self.both else ""
        return f"nn.{self.module}({self.inputs}, {self.units}{layers}{both}{options}, batch_first=True)"


def stages(network: Network, inputs: int, weights: Mapping[str, np.ndarray]) -> list[Stage] | None:
    """The modules, one on the other, that compute a network; None where PyTorch has none for a part of it.

    weights: canonical. An LSTM's forget bias, which TensorFlow adds and does not store, is the second bias.
    """
    found: list[Stage] = []
    layers = network.layers if isinstance(network, Layers) else (network,)
    for number, layer in enumerate(layers):
        own = networks.below(f"cell_{number}/", weights) if isinstance(network, Layers) else weights
        stage = _layer(layer, inputs, own)
        if stage is None:
            return None
        below = found[-1] if found else None
        if below is not None and _alike(below, stage):
            more = {name.replace("_l0", f"_l{below.layers}"): each for name, each in stage.weights.items()}
            found[-1] = below._replace(layers=below.layers + 1, weights={**below.weights, **more})
        else:
            found.append(stage)
        inputs = layer.output_size
    return found


def canonical(
    network: Network, inputs: int, shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The canonical weights, of these shapes, of a state_dict of what `stages` gives ("stages.0.weight_ih_l0").

    Each entry goes to where a number that stands for it came from. What a constant second bias moved by is added to the
    first. Raises KeyError or ValueError for what does not fit.
    """
    marks, mark = {}, _MARK
    for name, shape in shapes.items():
        size = math.prod(shape)
        marks[name] = (mark + np.arange(size, dtype=np.float64)).reshape(shape)
        mark += size
    made = stages(network, inputs, marks)
    if made is None:
        raise ValueError("no modules of PyTorch's")
    flat = np.zeros(int(mark - _MARK), next(iter(state.values())).dtype)
    moved = flat.copy()
    for k, stage in enumerate(made):
        for name, where in stage.weights.items():
            values = state[f"stages.{k}.{name}"]
            if values.shape != where.shape:
                raise ValueError(f"stages.{k}.{name} is {list(values.shape)}, expected {list(where.shape)}")
            stored = where >= _MARK
            flat[(where[stored] - _MARK).astype(np.int64)] = values[stored]
            if not stored.all():
                first = stage.weights[name.replace("bias_hh", "bias_ih")]
                moved[(first[~stored] - _MARK).astype(np.int64)] = (values - where.astype(values.dtype))[~stored]
    flat = np.where(moved == 0, flat, flat + moved)
    return {name: flat[(where - _MARK).astype(np.int64)] for name, where in marks.items()}


def _alike(below: Stage, above: Stage) -> bool:
    """Whether a stage is one more layer of the one below."""
    same = ("module", "units", "both", "options")
    return all(getattr(below, name) == getattr(above, name) for name in same)


def _layer(layer: Network, inputs: int, weights: Mapping[str, np.ndarray]) -> Stage | None:
    if not isinstance(layer, Bidirectional):
        return _cell(layer, inputs, weights)
    forward = _cell(layer.forward, inputs, networks.below("fw/", weights))
    backward = _cell(layer.backward, inputs, networks.below("bw/", weights))
    if forward is None or backward is None or not _alike(forward, backward):
        return None
    turned = {f"{name}_reverse": each for name, each in backward.weights.items()}
    return forward._replace(both=True, weights={**forward.weights, **turned})


def _cell(cell: Network, inputs: int, weights: Mapping[str, np.ndarray]) -> Stage | None:
    if isinstance(cell, BasicRNN) and cell.activation in ("tanh", "relu"):
        ih, hh = np.split(weights["kernel"], [inputs])
        return Stage("RNN", inputs, cell.units, 1, False, {"nonlinearity": cell.activation},
                     _named(ih, hh, weights["bias"], np.zeros_like(weights["bias"])))  # fmt: skip
    if isinstance(cell, LSTM) and _plain(cell):
        order = [0, 2, 1, 3]  # i j f o, which PyTorch calls i g f o, in its order i f g o
        bias = weights["bias"]
        constant = np.zeros_like(bias)
        constant[2 * cell.units : 3 * cell.units] = cell.forget_bias
        kernel = _blocks(weights["kernel"], order)
        options = {} if cell.projection is None else {"proj_size": cell.projection}
        ih, hh = np.split(kernel, [inputs])
        found = _named(ih, hh, _blocks(bias, order), _blocks(constant, order))
        if cell.projection is not None:
            found["weight_hr_l0"] = np.ascontiguousarray(weights["projection/kernel"].T)
        return Stage("LSTM", inputs, cell.units, 1, False, options, found)
    if isinstance(cell, GRU) and cell.reset_after and cell.activation == "tanh":
        ih, hh = np.split(weights["gates/kernel"], [inputs])
        one, other = (f"candidate/{name}_projection/" for name in ("input", "hidden"))
        gates = weights["gates/bias"]
        return Stage("GRU", inputs, cell.units, 1, False, {}, _named(
            np.concatenate([ih, weights[one + "kernel"]], 1), np.concatenate([hh, weights[other + "kernel"]], 1),
            np.concatenate([gates, weights[one + "bias"]]),
            np.concatenate([np.zeros_like(gates), weights[other + "bias"]]),
        ))  # fmt: skip
    return None


def _plain(cell: LSTM) -> bool:
    """Whether nn.LSTM computes it."""
    if cell.peepholes or cell.cell_clip is not None or cell.projection_clip is not None or cell.activation != "tanh":
        return False
    return cell.projection is None or cell.projection < cell.units


def _blocks(array: np.ndarray, order: list[int]) -> np.ndarray:
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[k] for k in order], axis=-1)


def _named(ih: np.ndarray, hh: np.ndarray, bias_ih: np.ndarray, bias_hh: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "weight_ih_l0": np.ascontiguousarray(ih.T),
        "weight_hh_l0": np.ascontiguousarray(hh.T),
        "bias_ih_l0": bias_ih,
        "bias_hh_l0": bias_hh,
    }
