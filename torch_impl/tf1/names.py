"""What names and shapes alone tell of a checkpoint's model, where no graph lies beside it.

Names are those that TensorFlow 0.12 to 1.15 gave (python/ops/rnn_cell_impl.py, contrib/rnn/python/tools/
checkpoint_convert.py), with any scope before them. What no name tells is assumed, and each assumption is a line to
print; what cannot even be assumed is asked for by option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.inferred import Inferred
from torch_impl.tf1.slots import Slots, find_slots
from torch_impl.tf1.sources import Source
from unrolled.models import Dense, Model
from unrolled.networks import GRU, LSTM, BasicRNN, Bidirectional, KerasGRU, KerasLSTM, LayerNormLSTM, Layers, Network
from unrolled.networks import shapes as shapes_of

__all__ = ["POWERS", "Told", "infer_from_names", "path_of"]

POWERS = ("beta1_power", "beta2_power")
_CELLS = {
    "basic_rnn_cell": "basic_rnn", "basicrnncell": "basic_rnn", "basic_lstm_cell": "lstm", "basiclstmcell": "lstm",
    "lstm_cell": "lstm", "lstmcell": "lstm", "lstm_block_cell": "lstm", "lstmblockcell": "lstm",
    "lstm_fused_cell": "lstm", "lstm_block_wrapper": "lstm", "lstmblockfusedcell": "lstm",
    "cudnn_compatible_lstm_cell": "cudnn_lstm", "gru_cell": "gru", "grucell": "gru", "gru_block_cell": "gru",
    "grublockcell": "gru", "grublockcellv2": "gru", "cudnn_compatible_gru_cell": "cudnn_gru",
    "layer_norm_basic_lstm_cell": "layer_norm_lstm", "coupled_input_forget_gate_lstm_cell": "",
    "nas_cell": "", "ugrnn_cell": "", "conv_lstm_cell": "", "conv_2d_lstm_cell": "", "grid_lstm_cell": "",
    "intersection_rnn_cell": "", "sru_cell": "", "ind_rnn_cell": "", "phased_lstm_cell": "", "glstm_cell": "",
    "time_freq_lstm_cell": "", "attention_cell_wrapper": "",
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
_PAIRS = (("kernel", "bias"), ("weights", "biases"), ("Matrix", "Bias"))
_LAYER = re.compile(r"cell_?(\d+)", re.IGNORECASE)


class Told(NamedTuple):
    """What the user says of a model that no name tells. None: nothing."""

    kind: str | None = None
    activation: str | None = None
    forget_bias: float | None = None
    projection: str | None = None
    hidden_activation: str | None = None
    recurrent_activation: str | None = None
    scope: str = ""


@dataclass
class _Cell:
    """The variables of a cell: canonical name -> variable. place: where it is among layers and directions."""

    kind: str
    scope: str
    place: tuple[str, ...]
    weights: dict[str, str]


def path_of(canonical: str, kind: str = "basic_rnn") -> str:
    """The name that TensorFlow gives a canonical weight, for a variable that the user mapped to it."""
    if canonical in (*POWERS, "global_step", "embedding") or canonical.startswith(("dense/", "hidden_")):
        return canonical
    parts, path = canonical.split("/"), "rnn/"
    if parts[0].startswith("cell_"):
        path += f"multi_rnn_cell/{parts.pop(0)}/"
    if parts[0] in ("fw", "bw"):
        path += f"bidirectional_rnn/{parts.pop(0)}/"
        if parts[0].startswith("cell_"):
            path += f"multi_rnn_cell/{parts.pop(0)}/"
    if parts[0] in ("gates", "candidate"):
        kind = "gru"
    elif parts[0] in ("projection", "w_f_diag", "w_i_diag", "w_o_diag"):
        kind = "lstm"
    return f"{path}{kind}_cell/{'/'.join(parts)}".replace("/lstm_cell/", "/lstm_cell/").replace(
        "basic_rnn_cell", "basic_rnn_cell"
    )


def infer_from_names(
    entries: Mapping[str, BundleEntry], told: Told, overrides: Mapping[str, str | None] | None = None
) -> Inferred:
    """The model that variables of these names and shapes are of.

    overrides: a variable's name -> the canonical weight that it is, or None to leave it and its slots out. Raises
    CheckpointError that says which variable is like nothing known, or which option is needed.
    """
    return _Names(entries, told, overrides or {}).result()


class _Names:
    def __init__(self, entries: Mapping[str, BundleEntry], told: Told, overrides: Mapping[str, str | None]) -> None:
        for name in overrides:
            if name not in entries:
                raise CheckpointError(f"has no variable {name} to map or ignore; `--list` shows what it has")
        slots = find_slots(entries)
        out = {name for name, canonical in overrides.items() if canonical is None}
        out |= {slot for name in out for slot in slots.slots.get(name, {}).values()}
        self.slots, self.told, self.assumed = slots, told, []
        named = _renamed(entries, overrides, slots)
        # Path, as TensorFlow would have it -> the variable's own name.
        self.names = {path: name for path, name in named.items() if name not in out}
        self.entries = {path: entries[name] for path, name in self.names.items()}
        if len(self.names) < len([name for name in entries if name not in out]):
            raise CheckpointError("two variables are mapped to one; --map each to something else")
        self.taken: set[str] = set()

    def result(self) -> Inferred:
        variables = [
            name for name in self.entries
            if self.names[name] not in self.slots.all and name.startswith(self.told.scope) and not _other(name)
        ]  # fmt: skip
        cells = self._cells(variables)
        if not cells:
            raise CheckpointError(
                f"no variable is a recurrent cell's by its name; found {_listed(variables)}; say what each is with "
                "--map NAME=kernel and so on, or put the graph (.meta) beside it"
            )
        network, weights, width = self._network(cells)
        rest = [name for name in variables if name not in self.taken]
        embedding = self._embedding(rest, width)
        dense, wrapped = self._dense(rest, network)
        left = [name for name in variables if name not in self.taken]
        if left:
            raise CheckpointError(
                f"unknown variable{'s' if len(left) > 1 else ''} {_listed(left)}; "
                f"say what each is, as in --map {left[0]}={'embedding' if not dense else 'dense/kernel'}, or leave it out with --ignore; "
                "with the graph (.meta) beside it, it would be known"
            )
        return self._made(network, weights, width, embedding, dense, wrapped)

    # Cells

    def _cells(self, variables: list[str]) -> list[_Cell]:
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
                    if not kind:
                        raise CheckpointError(f"{name} is of a {part}, which is no kind of cell here")
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
                f"it holds {len(roots)} recurrent networks, in {', '.join(sorted(root or '(no scope)' for root in roots))}; "
                "name one with --scope"
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
        return network, weights, width

    def _built(self, tree: Any, expected: int | None) -> tuple[Network, dict[str, Source], int]:
        if isinstance(tree, _Cell):
            return self._cell(tree, expected)
        if "fw" in tree or "bw" in tree:
            if set(tree) != {"fw", "bw"}:
                raise CheckpointError(f"one direction of two is missing; found {', '.join(tree)}")
            (forward, own, width), (backward, others, _) = (self._built(tree[name], expected) for name in ("fw", "bw"))
            weights = {f"fw/{name}": each for name, each in own.items()}
            weights.update({f"bw/{name}": each for name, each in others.items()})
            return Bidirectional(forward, backward), weights, width
        if set(tree) == {""}:
            return self._built(tree[""], expected)
        numbers = sorted(int(name) for name in tree if name.isdigit())
        if len(numbers) != len(tree) or numbers != list(range(len(numbers))):
            raise CheckpointError(
                f"its layers are {', '.join(map(str, tree))}, expected 0, 1, …; name others with --ignore"
            )
        layers, weights, width = [], {}, 0
        for number in numbers:
            network, own, inputs = self._built(tree[str(number)], expected)
            width = inputs if number == 0 else width
            layers.append(network)
            weights.update({f"cell_{number}/{name}": each for name, each in own.items()})
            expected = network.output_size
        if len(layers) == 1:
            return layers[0], {name.removeprefix("cell_0/"): each for name, each in weights.items()}, width
        if len({each.output_size for each in layers}) < len(layers):
            self._assume("no residual connections between layers")
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
        network = LSTM(units, activation, self._forget_bias(cell), peepholes, width)
        self._assume("no clipping of the cell or the projection")
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

    # What is below and above

    def _embedding(self, rest: list[str], width: int) -> str | None:
        """The one matrix without a bias whose rows are as wide as what the network reads."""
        fitting = [
            name for name in rest
            if len(self.entries[name].shape) == 2 and self.entries[name].shape[1] == width
            and (name == "embedding" or "embed" in name.lower())
        ]  # fmt: skip
        if len(fitting) > 1:
            raise CheckpointError(
                f"{_listed(fitting)} could each be the embedding; leave all but one out with --ignore"
            )
        if fitting:
            self.taken.add(fitting[0])
            self._assume(f"what the network reads is rows of {fitting[0]}")
            return fitting[0]
        return None

    def _dense(self, rest: list[str], network: Network) -> tuple[list[tuple[str, str | None]], bool]:
        """The dense layers from the lowest up, each (kernel, bias), and whether the last is OutputProjectionWrapper's."""
        pairs = []
        for name in rest:
            entry = self.entries[name]
            if name in self.taken or len(entry.shape) != 2:
                continue
            bias = self._bias(name, rest)
            if bias is not None or name.startswith(("dense/", "hidden_")):
                pairs.append((name, bias))
        widths = {network.output_size, sum(network.state[part] for part in network.read_out)}
        chain: list[tuple[str, str | None]] = []
        while pairs:
            fitting = [pair for pair in pairs if self.entries[pair[0]].shape[0] in widths]
            if len(fitting) != 1:
                there = ", ".join(f"{name} {list(self.entries[name].shape)}" for name, _ in sorted(fitting or pairs))
                below = " or ".join(map(str, sorted(widths)))
                what = "could each follow" if fitting else "do not fit"
                raise CheckpointError(
                    f"the dense layers {there} {what} the {below} values below; say which is which with "
                    "--map NAME=hidden_0/kernel, …, NAME=dense/kernel"
                )
            chain.append(fitting[0])
            pairs.remove(fitting[0])
            widths = {self.entries[fitting[0][0]].shape[1]}
            self.taken.update(name for name in fitting[0] if name)
        if not chain:
            raise CheckpointError(
                "no variable is the weight dense/kernel (usually dense/kernel or fully_connected/weights); name it with "
                "--map NAME=dense/kernel"
            )
        for name, bias in chain:
            if bias is None:
                self._assume(f"{name} has no bias: zeros here, which training would move")
            rows, columns = self.entries[name].shape
            if rows == columns and name.rpartition("/")[2] not in ("kernel", "weights"):
                self._assume(f"{name}, which is square, is not transposed")
        return chain, "output_projection_wrapper" in chain[-1][0].lower().replace(
            "outputprojectionwrapper", "output_projection_wrapper"
        )

    def _bias(self, kernel: str, rest: list[str]) -> str | None:
        scope, _, leaf = kernel.rpartition("/")
        columns = self.entries[kernel].shape[1]
        own = [name for name in rest if name.rpartition("/")[0] == scope and self.entries[name].shape == (columns,)]
        for first, second in _PAIRS:
            name = f"{scope}/{second}" if scope else second
            if leaf == first and name in own:
                return name
        twin = _twin(leaf)
        exact = [name for name in own if name.rpartition("/")[2].lower() in twin]
        if len(exact) == 1:
            return exact[0]
        return own[0] if len(own) == 1 else None

    # The whole

    def _made(
        self, network: Network, weights: dict[str, Source], width: int, embedding: str | None,
        dense: list[tuple[str, str | None]], wrapped: bool,
    ) -> Inferred:  # fmt: skip
        if self.told.kind is None:
            raise CheckpointError(
                "no graph (.meta) lies beside it, and a checkpoint alone does not say what was trained: give --kind "
                "classifier, regressor or tagger, or --program"
            )
        every = dict(weights)
        if embedding is not None:
            every = {"embedding": Source((self.names[embedding],)), **every}
        hidden = []
        for number, (kernel, bias) in enumerate(dense):
            last = number == len(dense) - 1
            name = "dense/" if last else f"hidden_{number}/"
            columns = self.entries[kernel].shape[1]
            every[name + "kernel"] = Source((self.names[kernel],))
            every[name + "bias"] = Source((self.names[bias],)) if bias else Source((), zeros=(columns,))
            if not last:
                if self.told.hidden_activation is None:
                    raise CheckpointError(
                        f"the activation of the dense layer {kernel} is in no checkpoint: give --hidden-activation "
                        "(contrib's fully_connected has relu unless told otherwise, tf.layers.dense linear)"
                    )
                hidden.append(Dense(columns, self.told.hidden_activation))
        self._assume("the last dense layer is linear")
        if self.told.kind == "classifier":
            self._assume("the dense layer reads the final state")
        rows = self.entries[embedding].shape[0] if embedding else width
        projection = self.told.projection or ("wrapped" if wrapped and self.told.kind == "regressor" else "stacked")
        try:
            model = Model(
                self.told.kind, network, rows, self.entries[dense[-1][0]].shape[1], projection,
                embedding=width if embedding else 0, hidden=tuple(hidden),
            )  # fmt: skip
            shapes = shapes_of(model.weights())
        except ValueError as error:
            raise CheckpointError(f"its model cannot be had: {error}") from None
        for name, shape in shapes.items():
            if every[name].names:
                path = next(path for path, own in self.names.items() if own == every[name].names[0])
                if self.entries[path].shape != shape:
                    raise CheckpointError(
                        f"variable {every[name].names[0]} is {list(self.entries[path].shape)}, expected {list(shape)}"
                    )
        found = Inferred(model, every, assumed=self.assumed, parts=[network], unjudged="no graph lies beside it")
        return self._with_slots(found)

    def _with_slots(self, found: Inferred) -> Inferred:
        """Adam's moments, where every weight has them; the step; what else was left out."""
        found.step = self.slots.steps[0] if len(self.slots.steps) == 1 else None
        kinds = {behind for source in found.weights.values() for name in source.names
                 for behind in self.slots.slots.get(name, {})}  # fmt: skip
        found.trained = set(self.slots.slots)
        moments: dict[str, Source] = {}
        for canonical, source in found.weights.items():
            for slot in ("Adam", "Adam_1"):
                names = tuple(self.slots.slots.get(name, {}).get(slot, "") for name in source.names)
                if all(names) and names:
                    moments[f"{canonical}/{slot}"] = Source(names)
                elif not source.names:
                    moments[f"{canonical}/{slot}"] = Source((), zeros=source.zeros)
        complete = len(moments) == 2 * len(found.weights) and any(each.names for each in moments.values())
        powers = list(self.slots.powers.values())
        if any(each.names for each in moments.values()) and (not complete or len(powers) != 1 or len(powers[0]) != 2):
            missing = [f"{w}/{s}" for w in found.weights for s in ("Adam", "Adam_1") if f"{w}/{s}" not in moments]
            missing += [power for power in POWERS if not any(power in each for each in powers)]
            if missing:
                raise CheckpointError(
                    f"no variable is the part of Adam's state {', '.join(missing)}; it has others of it: leave them out "
                    "with --ignore, or name it with --map"
                )
            found.facts.append(f"{len(powers)} optimizers' powers are there: training here starts Adam afresh")
        elif complete:
            found.slots = {**moments, **{power: Source((powers[0][power],)) for power in POWERS}}
            self._assume("the moments are Adam's, not Nadam's or LazyAdam's, which have the same names")
        others = sorted(kind for kind in kinds if not kind.startswith("Adam"))
        if others:
            found.facts.append(f"other state of optimizers is not taken along: {', '.join(others)}")
        return found


def _renamed(entries: Mapping[str, BundleEntry], overrides: Mapping[str, str | None], slots: Slots) -> dict[str, str]:
    """Path -> variable: each under its own name, or where it is mapped, under the one that TensorFlow gives that."""
    mapped = {name: path_of(canonical) for name, canonical in overrides.items() if canonical is not None}
    found: dict[str, str] = {}
    for name in sorted(entries):
        found.setdefault(mapped.get(name, name), name)
    return found


def _other(name: str) -> bool:
    """Whether a variable is a counter or a rate that no model computes with."""
    return name.rpartition("/")[2] in ("global_step", *POWERS)


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


def _twin(leaf: str) -> set[str]:
    """What the bias of a matrix of this name is called, where people name them by hand."""
    low = leaf.lower()
    return {low.replace("w", "b", 1), low.replace("weights", "biases"), low.replace("weight", "bias"),
            low.replace("kernel", "bias"), low.replace("_w", "_b"), low.replace("matrix", "bias")} - {low}  # fmt: skip


def _shown(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def with_optimizer(found: Inferred, optimizer: Any) -> Inferred:
    return replace(found, optimizer=optimizer)
