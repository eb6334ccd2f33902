"""Which of a checkpoint's variables are an optimizer's, by their names: V/Adam beside V, beta1_power, global_step.

A slot is called after its variable, with the optimizer's name behind it, and below the scope in which the optimizer was
built: "train/V/Adam" (python/training/slot_creator.py). The shadow of a moving average is V/ExponentialMovingAverage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch_impl.tf1.bundle import BundleEntry

__all__ = ["AVERAGE", "POWERS", "Slots", "find_slots"]

AVERAGE = "ExponentialMovingAverage"
POWERS = ("beta1_power", "beta2_power")


class Slots:
    """slots: variable -> {what stands behind its name: the slot's name}. powers: scope -> {"beta1_power": name, ...}.

    steps: the names that may be the global step.
    """

    def __init__(self) -> None:
        self.slots: dict[str, dict[str, str]] = {}
        self.powers: dict[str, dict[str, str]] = {}
        self.steps: list[str] = []

    @property
    def all(self) -> set[str]:
        """Every variable that is a slot, a power or a step."""
        own = {name for each in self.slots.values() for name in each.values()}
        return own | {name for each in self.powers.values() for name in each.values()} | set(self.steps)

    def averages(self) -> dict[str, str]:
        """Variable -> the name of its moving average."""
        return {name: own[suffix] for name, own in self.slots.items() for suffix in own if suffix.startswith(AVERAGE)
                and suffix.count("/") == 0}  # fmt: skip


def find_slots(entries: Mapping[str, BundleEntry]) -> Slots:
    """The optimizers' variables among these."""
    found = Slots()
    for name in sorted(entries):
        scope, _, last = name.rpartition("/")
        base = last.rstrip("0123456789").rstrip("_") if last[-1:].isdigit() else last
        if base in POWERS and entries[name].shape == ():
            suffix = last[len(base) :]
            found.powers.setdefault(scope + suffix, {})[base] = name
        elif last == "global_step":
            found.steps.append(name)
        else:
            owner = _owner(name, entries)
            if owner is not None:
                variable, behind = owner
                found.slots.setdefault(variable, {})[behind] = name
    return found


def _owner(name: str, entries: Mapping[str, BundleEntry]) -> tuple[str, str] | None:
    """The variable that a name is a slot of, and what stands behind: the longest variable's name within it."""
    parts = name.split("/")
    for end in range(len(parts) - 1, 0, -1):
        behind = "/".join(parts[end:])
        known = _OWN.fullmatch(behind) is not None
        for start in range(end):
            owner = "/".join(parts[start:end])
            if owner in entries and (
                known or (entries[owner].shape == entries[name].shape and parts[end] not in _LAYERS)
            ):
                return owner, behind
    return None


# Names of TensorFlow's own; a slot of another name is one that has its variable's shape, and no layer's name.
_OWN = re.compile(
    r"(Adam|RMSProp|Momentum|Adagrad|Adadelta|Ftrl|AdaMax|ExponentialMovingAverage)(_\d+)?(/biased|/local_step)?"
)
_LAYERS = {
    "kernel", "bias", "weights", "biases", "gamma", "beta", "w_f_diag", "w_i_diag", "w_o_diag", "projection", "gates",
    "candidate", "recurrent_kernel", "embedding", "embeddings", "moving_mean", "moving_variance",
}  # fmt: skip
