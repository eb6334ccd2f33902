"""Which variable of a TensorFlow 1 checkpoint is which canonical weight: a strict table, which the user can override.

A cell's variables are `kernel` and `bias` since TensorFlow 1.2, `weights` and `biases` before (tf.contrib.rnn's
checkpoint_convert.py lists the renames); tf.layers.dense has `kernel` and `bias`, contrib's fully_connected `weights`
and `biases`. Adam adds to each variable V its moments V/Adam and V/Adam_1, and beta1_power and beta2_power.
Every name here was read from a graph that TensorFlow 1.15.5 built, or renamed from one by that list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch_impl.checkpoints.errors import CheckpointError
from unrolled.models import Model
from unrolled.networks import BasicRNN

__all__ = [
    "DEFAULT_SCOPES",
    "GLOBAL_STEP",
    "POWERS",
    "SLOTS",
    "TABLE",
    "WEIGHTS",
    "Names",
    "complete_names",
    "default_names",
    "match_names",
]

CELL = tuple(BasicRNN(1).weights(1))
WEIGHTS = tuple(Model("classifier", BasicRNN(1), 1, 1).weights())
DENSE = WEIGHTS[len(CELL) :]
SLOTS = tuple(f"{weight}/{slot}" for weight in WEIGHTS for slot in ("Adam", "Adam_1"))
POWERS = ("beta1_power", "beta2_power")
GLOBAL_STEP = "global_step"

_WRAPPER = "rnn/output_projection_wrapper"
_SINGLE_LAYER = "multi_rnn_cell/cell_0/"  # a MultiRNNCell of one cell is that cell
_CELL_SCOPES = tuple(
    f"{outer}{layer}basic_rnn_cell" for outer in ("", "rnn/", f"{_WRAPPER}/") for layer in ("", _SINGLE_LAYER)
)
_NEW, _OLD = ("kernel", "bias"), ("weights", "biases")

# TensorFlow's name of a variable -> its canonical name.
TABLE: dict[str, str] = {
    f"{scope}/{name}": canonical
    for scopes, pairs, canonicals in (
        (_CELL_SCOPES, (_NEW, _OLD), CELL),
        (("fully_connected",), (_OLD,), DENSE),
        (("dense",), (_NEW,), DENSE),
        ((_WRAPPER,), (_NEW, _OLD), DENSE),
    )
    for scope in scopes
    for pair in pairs
    for name, canonical in zip(pair, canonicals, strict=True)
}

# For a checkpoint to be written: the scope and the names of cell and dense layer, by the kind of dense layer.
DEFAULT_SCOPES = {
    "fully_connected": ("rnn/basic_rnn_cell", ("fully_connected", "weights", "biases")),
    "dense": ("rnn/basic_rnn_cell", ("dense", "kernel", "bias")),
    "wrapped": (f"{_WRAPPER}/basic_rnn_cell", (_WRAPPER, "kernel", "bias")),
}


class Names(NamedTuple):
    """The variables that were found. weights: canonical name -> TensorFlow's name.

    slots: slot ("kernel/Adam", …, "beta1_power") -> TensorFlow's name; empty when there are none. step: the name of the
    global step, or None.
    """

    weights: dict[str, str]
    slots: dict[str, str]
    step: str | None

    @property
    def wrapped(self) -> bool:
        """Whether the dense layer is an OutputProjectionWrapper's."""
        return self.weights["dense/kernel"].startswith(f"{_WRAPPER}/")


def default_names(style: str) -> dict[str, str]:
    """Canonical name -> TensorFlow's name, weights, slots, powers and global step. style: a key of DEFAULT_SCOPES."""
    cell, (dense, kernel, bias) = DEFAULT_SCOPES[style]
    names = dict(zip(WEIGHTS, (f"{cell}/kernel", f"{cell}/bias", f"{dense}/{kernel}", f"{dense}/{bias}"), strict=True))
    return complete_names(names)


def complete_names(names: Mapping[str, str]) -> dict[str, str]:
    """`names`, canonical -> TensorFlow's, of at least the weights, with what is missing of slots, powers and step."""
    completed = {slot: f"{names[slot.rsplit('/', 1)[0]]}/{slot.rsplit('/', 1)[1]}" for slot in SLOTS}
    completed.update({name: name for name in (*POWERS, GLOBAL_STEP)})
    return {**completed, **names}


def match_names(variables: Iterable[str], overrides: Mapping[str, str | None] | None = None) -> Names:
    """Find out what each of the checkpoint's variables is.

    overrides: a variable's name -> what it is: a weight, a slot, "beta1_power", "beta2_power" or "global_step", or None
    to leave it and its slots out. What is said of a variable holds for its slots too. Raises CheckpointError that names
    each variable that is unknown, missing, found twice, or overridden but not there.
    """
    variables = sorted(variables)
    table = _table(variables, overrides or {})
    unknown = [name for name in variables if name not in table]
    if unknown:
        raise CheckpointError(_unknown(unknown))
    found: dict[str, str] = {}
    for name in variables:
        canonical = table[name]
        if canonical is None:
            continue
        if canonical in found:
            raise CheckpointError(
                f"both {found[canonical]} and {name} would be {canonical}; leave one out, or map it to something else"
            )
        found[canonical] = name
    weights = {weight: found[weight] for weight in WEIGHTS if weight in found}
    slots = {slot: found[slot] for slot in (*SLOTS, *POWERS) if slot in found}
    _check_complete("weight", WEIGHTS, weights, variables)
    if slots:
        _check_complete("part of Adam's state", (*SLOTS, *POWERS), slots, variables)
    return Names(weights, slots, found.get(GLOBAL_STEP))


def _table(variables: list[str], overrides: Mapping[str, str | None]) -> dict[str, str | None]:
    """The whole table for one checkpoint: weights, their slots, powers and step, with the overrides in."""
    targets = (*WEIGHTS, *SLOTS, *POWERS, GLOBAL_STEP)
    for name, canonical in overrides.items():
        if name not in variables:
            raise CheckpointError(f"has no variable {name} to map; it has {', '.join(variables) or 'none'}")
        if canonical is not None and canonical not in targets:
            raise CheckpointError(f"{name} cannot be mapped to {canonical}; expected one of {', '.join(targets)}")
    table: dict[str, str | None] = {name: name for name in (*POWERS, GLOBAL_STEP)}
    for name, canonical in {**TABLE, **overrides}.items():
        table[name] = canonical
        if canonical is None or canonical in WEIGHTS:
            for slot in ("Adam", "Adam_1"):
                table[f"{name}/{slot}"] = canonical and f"{canonical}/{slot}"
    return {**table, **overrides}


def _unknown(unknown: list[str]) -> str:
    """One sentence on variables that the table does not know, with a guess at what the first may be."""
    first = unknown[0]
    tails = [name for name in TABLE if first.endswith(f"/{name}")]
    guess = TABLE[max(tails, key=len)] if tails else None
    last = first.rsplit("/", 1)[-1]
    if guess is None and last in (*POWERS, GLOBAL_STEP):
        guess = last
    example = f"{first}={guess}" if guess else f"{first}=NAME"
    listed = ", ".join(unknown[:10]) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
    return (
        f"unknown variable{'s' if len(unknown) > 1 else ''} {listed}; expected a basic RNN cell, one dense layer and "
        f"Adam's slots: say what each is, as in --map {example}, or leave it out with --ignore"
    )


def _check_complete(what: str, expected: Iterable[str], found: Mapping[str, str], variables: list[str]) -> None:
    missing = [name for name in expected if name not in found]
    if missing:
        known = [name for name, canonical in TABLE.items() if canonical == missing[0]]
        usual = f" (usually {known[0]} or {known[1]})" if known else ""
        raise CheckpointError(
            f"no variable is the {what} {', '.join(missing)}{usual}; found {', '.join(variables) or 'none'}; "
            f"name it with --map NAME={missing[0]}"
        )
