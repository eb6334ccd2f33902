"""The recurrent cells of a checkpoint, by names that TensorFlow 0.12 to 1.15 gave, and what they are together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.foreign import foreign_cell
from torch_impl.tf1.inferred import TrainedAs
from torch_impl.tf1.sources import Source
from unrolled.networks import (
    GRU,
    LSTM,
    BasicRNN,
    Bidirectional,
    KerasGRU,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    Network,
    Residual,
    within,
)
from unrolled.networks import shapes as shapes_of

__all__ = ["NamedCells"]

_CELLS = {
    "basic_rnn_cell": "basic_rnn", "basicrnncell": "basic_rnn", "basic_lstm_cell": "lstm", "basiclstmcell": "lstm",
    "lstm_cell": "lstm", "lstmcell": "lstm", "lstm_block_cell": "lstm", "lstmblockcell": "lstm",
    "lstm_fused_cell": "lstm", "lstm_block_wrapper": "lstm", "lstmblockfusedcell": "lstm",
    "cudnn_compatible_lstm_cell": "cudnn_lstm", "gru_cell": "gru", "grucell": "gru", "gru_block_cell": "gru",
    "grublockcell": "gru", "grublockcellv2": "gru", "cudnn_compatible_gru_cell": "cudnn_gru",
    "layer_norm_basic_lstm_cell": "layer_norm_lstm",
}  # fmt: skip
_LEAVES = {
    "weights": "kernel", "matrix": "kernel", "w_0": "kernel", "biases": "bias", "b": "bias", "w": "kernel",
    "linear/matrix": "kernel", "linear/bias": "bias", "linear/weights": "kernel", "linear/biases": "bias",
    "projection/weights": "projection/kernel", "w_p_0": "projection/kernel",
    "gates/weights": "gates/kernel", "gates/biases": "gates/bias", "candidate/weights": "candidate/kernel",
    "candidate/biases": "candidate/bias", "gates/linear/matrix": "gates/kernel", "gates/linear/bias": "gates/bias",
    "candidate/linear/matrix": "candidate/kernel", "candidate/linear/bias": "candidate/bias",
    "w_ru": "gates/kernel", "b_ru": "gates/bias", "w_c": "candidate/kernel", "b_c": "candidate/bias",
}  # fmt: skip
_LAYER = re.compile(r"cell_?(\d+)", re.IGNORECASE)


@dataclass
class _Cell:
    """The variables of a cell: canonical name -> variable. place: where it is among layers and directions."""

    kind: str
    scope: str
    place: tuple[str, ...]
    weights: dict[str, str]


class NamedCells:
    """The cells among variables of these names, and the network that they make.

    entries: by TensorFlow's name; names: that -> the variable's own. taken: what was used. assumed: what no name tells.
    """

    names: dict[str, str]
    entries: dict[str, BundleEntry]
    told: TrainedAs
    taken: set[str]
    assumed: list[str]

    def _cells(self, variables: list[str]) -> list[_Cell]:
        foreign = foreign_cell(variables)
        if foreign:
            raise CheckpointError(foreign)
        found: dict[str, _Cell] = {}
        keras = {name[: -len("recurrent_kernel")] for name in variables if name.endswith("recurrent_kernel")}
        for name in variables:
            scope = next((each for each in keras if name.startswith(each) and "/" not in name[len(each) :]), None)
            if scope is not None:
                cell = found.setdefault(scope, _Cell("keras", scope, _place(scope), {}))
                cell.weights[name[len(scope) :]] = name
                self.taken.add(name)
                continue
            parts = name.split("/")
            for k, part in enumerate(parts[:-1]):
                base = re.sub(r"_\d+$", "", part.lower())
                if base in _CELLS or part.lower() in _CELLS:
                    kind = _CELLS.get(base, _CELLS.get(part.lower(), ""))
                    scope = "/".join(parts[: k + 1])
                    leaf = "/".join(parts[k + 1 :])
                    cell = found.setdefault(scope, _Cell(kind, scope, _place(scope), {}))
                    cell.weights[
                        _LEAVES.get(leaf.lower(), leaf.lower() if leaf.lower().endswith("_diag") else leaf)
                    ] = name
                    self.taken.add(name)
                    break
        return list(found.values())

    def _network(self, cells: list[_Cell]) -> tuple[Network, dict[str, Source], int]:
        """The network of these cells, where its weights are, and its inputs."""
        roots = {_root(cell.scope) for cell in cells}
        if len(roots) > 1:
            raise CheckpointError(
                f"it holds {len(roots)} recurrent networks, in "
                f"{', '.join(sorted(root or '(no scope)' for root in roots))}; name one with --scope"
            )
        tree: dict[str, Any] = {}
        for cell in cells:
            at = tree
            for step in cell.place[:-1]:
                at = at.setdefault(step, {})
                if isinstance(at, _Cell):
                    raise CheckpointError(f"{cell.scope} and {at.scope} are in each other's place")
            last = cell.place[-1] if cell.place else ""
            if last in at:
                raise CheckpointError(f"{cell.scope} and {at[last].scope} are two networks; name one with --scope")
            at[last] = cell
        network, weights, width = self._built(tree, None)
        self._check_told_of(network)
        return network, weights, width

    def _check_told_of(self, network: Network) -> None:
        """What is said of a part that the network does not have is an error."""
        told, cells = self.told, within(network)
        if told.residual is None:
            self._assume("no layer adds its inputs to its outputs: no residual connections (--residual)")
        elif max(told.residual) >= (len(network.layers) if isinstance(network, Layers) else _depth(network)):
            raise CheckpointError(f"it has no layer {max(told.residual)} to be residual; layers count from 0")
        for option, what in (("cell_clip", "LSTM"), ("projection_clip", "projection of an LSTM")):
            if getattr(told, option) is not None and not any(getattr(each, option, None) is not None for each in cells):
                raise CheckpointError(f"it has no {what} to clip; leave --{option.replace('_', '-')} out")

    def _built(self, tree: Any, expected: int | None, number: int = 0) -> tuple[Network, dict[str, Source], int]:
        if isinstance(tree, _Cell):
            network, own, width = self._cell(tree, expected)
            if number not in (self.told.residual or ()):
                return network, own, width
            if network.output_size != width:
                raise CheckpointError(
                    f"{tree.scope} reads {width} values and gives {network.output_size}: it cannot be residual"
                )
            return Residual(network), own, width
        if "fw" in tree or "bw" in tree:
            if set(tree) != {"fw", "bw"}:
                raise CheckpointError(f"one direction of two is missing; found {', '.join(tree)}")
            (forward, own, width), (backward, others, _) = (
                self._built(tree[name], expected, number) for name in ("fw", "bw")
            )
            weights = {f"fw/{name}": each for name, each in own.items()}
            weights.update({f"bw/{name}": each for name, each in others.items()})
            return Bidirectional(forward, backward), weights, width
        if set(tree) == {""}:
            return self._built(tree[""], expected, number)
        numbers = sorted(int(name) for name in tree if name.isdigit())
        if len(numbers) != len(tree) or numbers != list(range(len(numbers))):
            raise CheckpointError(
                f"its layers are {', '.join(map(str, tree))}, expected 0, 1, …; name others with --ignore"
            )
        layers, weights, width = [], {}, 0
        for number in numbers:
            network, own, inputs = self._built(tree[str(number)], expected, number)
            width = inputs if number == 0 else width
            layers.append(network)
            weights.update({f"cell_{number}/{name}": each for name, each in own.items()})
            expected = network.output_size
        if len(layers) == 1:
            return layers[0], {name.removeprefix("cell_0/"): each for name, each in weights.items()}, width
        return Layers(tuple(layers)), weights, width

    def _cell(self, cell: _Cell, expected: int | None) -> tuple[Network, dict[str, Source], int]:
        shapes = {name: self.entries[variable].shape for name, variable in cell.weights.items()}
        try:
            network, inputs = self._value(cell, shapes)
            if inputs < 1:
                raise ValueError("no inputs")
            wanted = shapes_of(network.weights(inputs))
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(
                f"the variables of {cell.scope} fit no cell of kind {cell.kind}: {_shown(shapes)}"
            ) from error
        if expected is not None and inputs != expected:
            raise CheckpointError(f"{cell.scope} reads {inputs} values per step, and the layer below gives {expected}")
        weights = {}
        for name, shape in wanted.items():
            if name not in cell.weights and name.endswith("bias"):
                weights[name] = Source((), zeros=shape)
                self._assume(f"{cell.scope} has no bias: zeros here, which training would move")
            elif name not in shapes or shapes[name] != shape:
                if name not in shapes:
                    raise CheckpointError(
                        f"no variable is the weight {name} of {cell.scope}; expected one of {list(shape)}"
                    )
                dtype = self.entries[cell.weights[name]].dtype
                raise CheckpointError(
                    f"variable {self.names[cell.weights[name]]} is {dtype} {list(shapes[name])}, expected {dtype} "
                    f"{list(shape)}"
                )
            else:
                weights[name] = Source((self.names[cell.weights[name]],))
        surplus = [name for name in cell.weights if name not in wanted]
        if surplus:
            raise CheckpointError(f"unknown variable {cell.weights[surplus[0]]} of the cell {cell.scope}")
        return network, weights, inputs

    def _value(self, cell: _Cell, shapes: dict[str, tuple[int, ...]]) -> tuple[Network, int]:
        """The network that a cell's shapes are of, and its inputs."""
        activation = self._activation()
        if cell.kind == "keras":
            rows, columns = shapes["recurrent_kernel"]
            gate = self._gate()
            if columns == 4 * rows:
                return KerasLSTM(rows, activation, gate), shapes["kernel"][0]
            if columns == 3 * rows:
                return KerasGRU(rows, activation, gate, len(shapes.get("bias", ())) == 2), shapes["kernel"][0]
            raise ValueError("neither four gates nor three; the plain layer needs its graph")
        if cell.kind in ("gru", "cudnn_gru"):
            rows, columns = shapes["gates/kernel"]
            return GRU(columns // 2, activation, cell.kind == "cudnn_gru"), rows - columns // 2
        rows, columns = shapes["kernel"]
        if cell.kind == "basic_rnn":
            return BasicRNN(columns, activation), rows - columns
        units = columns // 4
        if cell.kind == "layer_norm_lstm":
            return LayerNormLSTM(units, activation, self._forget_bias(cell)), rows - units
        width = shapes["projection/kernel"][1] if "projection/kernel" in shapes else None
        peepholes = any(name.endswith("_diag") for name in shapes)
        clip, block = self.told.cell_clip, "block" in cell.scope.lower() or "fused" in cell.scope.lower()
        if clip is None:
            older = "; a block cell of TensorFlow before 1.4 has 3 unless it was given another" if block else ""
            self._assume(f"no clipping of the cell (--cell-clip{older})")
        elif not block:
            self._assume("the clip is LSTMCell's, whose gradient is zero where it acts; a block cell's is not")
        if width is not None and self.told.projection_clip is None:
            self._assume("no clipping of the projection (--projection-clip)")
        network = LSTM(
            units, activation, self._forget_bias(cell), peepholes, width, clip,
            None if width is None else self.told.projection_clip, straight_through=block and clip is not None,
        )  # fmt: skip
        return network, rows - network.output_size

    def _activation(self) -> str:
        if self.told.activation is None:
            self._assume("activation tanh (--activation)")
        return self.told.activation or "tanh"

    def _gate(self) -> str:
        if self.told.recurrent_activation is None:
            self._assume("Keras's gates are hard sigmoids, as in TensorFlow 1 (--recurrent-activation)")
        return self.told.recurrent_activation or "hard_sigmoid"

    def _forget_bias(self, cell: _Cell) -> float:
        if self.told.forget_bias is not None:
            return self.told.forget_bias
        usual = 0.0 if cell.kind == "cudnn_lstm" else 1.0
        self._assume(f"forget_bias {usual:g}, which is added and not stored (--forget-bias)")
        return usual

    def _assume(self, line: str) -> None:
        if line not in self.assumed:
            self.assumed.append(line)


def _depth(network: Network) -> int:
    """How many layers a network without layers of its own has: both directions' number, or 1."""
    forward = getattr(network, "forward", None)
    return len(forward.layers) if isinstance(forward, Layers) else 1


def _place(scope: str) -> tuple[str, ...]:
    """A cell's place among layers and directions, from the scopes around it."""
    found: list[str] = []
    parts = scope.rstrip("/").split("/")
    for k, part in enumerate(parts):
        layer = _LAYER.fullmatch(part)
        if layer and k > 0 and parts[k - 1].lower().replace("_", "").startswith(("multirnncell", "stackbidirectional")):
            found.append(layer[1])
        elif part.lower() in ("fw", "bw"):
            found.append(part.lower())
        elif part.startswith(("forward_", "backward_")) and k > 0 and parts[k - 1].startswith("bidirectional"):
            found.append("fw" if part.startswith("forward_") else "bw")
    return tuple(found)


def _root(scope: str) -> str:
    """The scope around a whole network."""
    parts = scope.rstrip("/").split("/")
    for k, part in enumerate(parts):
        low = part.lower().replace("_", "")
        if low.startswith(("multirnncell", "stackbidirectional", "bidirectional")) or part.lower() in ("fw", "bw"):
            return "/".join(parts[:k])
    return "/".join(parts[:-1])


def _shown(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
