"""Which of a checkpoint's variables are an optimizer's, by their names: V/Adam beside V, beta1_power, global_step.

A slot is called after its variable, with the optimizer's name behind it, and below the scope in which the optimizer was
built: "train/V/Adam" (python/training/slot_creator.py). The shadow of a moving average is V/ExponentialMovingAverage.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch_impl.tf1.bundle import BundleEntry

__all__ = ["AVERAGE", "Slots", "find_slots"]

AVERAGE = "ExponentialMovingAverage"
_POWERS = ("beta1_power", "beta2_power")


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
        if base in _POWERS and entries[name].shape == ():
            suffix = last[len(base) :]
            found.powers.setdefault(scope + suffix, {})[base] = name
        elif last == "global_step" and entries[name].shape == () and entries[name].dtype in ("int32", "int64"):
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
        for start in range(end):
            owner = "/".join(parts[start:end])
            behind = "/".join(parts[end:])
            if owner in entries and (entries[owner].shape == entries[name].shape or behind.endswith("local_step")):
                if _is_slot(behind):
                    return owner, behind
    return None


def _is_slot(behind: str) -> bool:
    """Whether a name's end is an optimizer's; of one with a name of its own, it is one that no layer has."""
    return behind.split("/")[0] not in _LAYERS


_LAYERS = {
    "kernel", "bias", "weights", "biases", "gamma", "beta", "w_f_diag", "w_i_diag", "w_o_diag", "projection", "gates",
    "candidate", "recurrent_kernel", "embedding", "embeddings", "moving_mean", "moving_variance",
}  # fmt: skip
