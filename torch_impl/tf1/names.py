"""What names and shapes alone tell of a checkpoint's model, where no graph lies beside it.

Names are those that TensorFlow 0.12 to 1.15 gave (python/ops/rnn_cell_impl.py, contrib/rnn/python/tools/
checkpoint_convert.py), with any scope before them. What no name tells is assumed, and each assumption is a line to
print; what cannot even be assumed is asked for by option.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.inferred import Inferred, TrainedAs
from torch_impl.tf1.named_cells import NamedCells
from torch_impl.tf1.slots import POWERS, Slots, find_slots
from torch_impl.tf1.sources import Source
from unrolled.models import Dense, Model
from unrolled.networks import Network
from unrolled.networks import shapes as shapes_of

__all__ = ["infer_from_names"]

_PAIRS = (("kernel", "bias"), ("weights", "biases"), ("Matrix", "Bias"))


def _path_of(canonical: str) -> str:
    """The name that TensorFlow gives a canonical weight, for a variable that the user mapped to it."""
    if canonical in (*POWERS, "global_step", "embedding") or canonical.startswith(("dense/", "hidden_")):
        return canonical
    parts, path, kind = canonical.split("/"), "rnn/", "basic_rnn"
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
    return f"{path}{kind}_cell/{'/'.join(parts)}"


def infer_from_names(
    entries: Mapping[str, BundleEntry], told: TrainedAs, overrides: Mapping[str, str | None] | None = None
) -> Inferred:
    """The model that variables of these names and shapes are of.

    overrides: a variable's name -> the canonical weight that it is, or None to leave it and its slots out. Raises
    CheckpointError that says which variable is like nothing known, or which option is needed.
    """
    return _Names(entries, told, overrides or {}).result()


class _Names(NamedCells):
    def __init__(
        self, entries: Mapping[str, BundleEntry], told: TrainedAs, overrides: Mapping[str, str | None]
    ) -> None:
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
                f"say what each is, as in --map {left[0]}=dense/kernel, or leave it out with --ignore; "
                "with the graph (.meta) beside it, it would be known"
            )
        return self._made(network, weights, width, embedding, dense, wrapped)

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
        """The dense layers from the lowest up, (kernel, bias) each, and whether the last is a projection wrapper's."""
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
                "no variable is the weight dense/kernel (usually dense/kernel or fully_connected/weights); name it "
                "with --map NAME=dense/kernel"
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
                "no graph (.meta) was read, and a checkpoint alone does not say what was trained: give --kind "
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
        if self.told.head_activation is None:
            self._assume("the last dense layer is linear (--head-activation)")
        if self.told.clip_norm is None and self.slots.slots:
            self._assume("gradients are not clipped by their norm together (--clip-norm)")
        if self.told.kind == "classifier":
            self._assume("the dense layer reads the final state")
        rows = self.entries[embedding].shape[0] if embedding else width
        projection = self.told.projection or ("wrapped" if wrapped and self.told.kind == "regressor" else "stacked")
        try:
            model = Model(
                self.told.kind, network, rows, self.entries[dense[-1][0]].shape[1], projection,
                embedding=width if embedding else 0, hidden=tuple(hidden),
                activation=self.told.head_activation or "linear",
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
        found = Inferred(model, every, assumed=self.assumed, parts=[network], unjudged="no graph was read")
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
                    f"no variable is the part of Adam's state {', '.join(missing)}; it has others of it: leave them "
                    "out with --ignore, or name it with --map"
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
    mapped = {name: _path_of(canonical) for name, canonical in overrides.items() if canonical is not None}
    found: dict[str, str] = {}
    for name in sorted(entries):
        found.setdefault(mapped.get(name, name), name)
    return found


def _other(name: str) -> bool:
    """Whether a variable is a counter or a rate that no model computes with."""
    return name.rpartition("/")[2] in ("global_step", *POWERS)


def _twin(leaf: str) -> set[str]:
    """What the bias of a matrix of this name is called, where people name them by hand."""
    low = leaf.lower()
    return {low.replace("w", "b", 1), low.replace("weights", "biases"), low.replace("weight", "bias"),
            low.replace("kernel", "bias"), low.replace("_w", "_b"), low.replace("matrix", "bias")} - {low}  # fmt: skip


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)) or "none"
