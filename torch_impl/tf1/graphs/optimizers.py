"""The optimizer that trained a model: from the operations that apply gradients, their inputs and attributes.

Inputs are those of tensorflow/core/ops/training_ops.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from torch_impl.tf1.graphs.evaluate import Evaluator, Unknown
from torch_impl.tf1.graphs.meta import Node, Tensor
from torch_impl.tf1.graphs.walk import Walk, rounded

__all__ = ["Optimizer", "optimizers"]

# operation -> (its optimizer, how many slots follow the variable, then the names of its numbers by position)
_APPLY: dict[str, tuple[str, int, dict[str, int]]] = {
    "Adam": ("Adam", 2, {"beta1_power": 3, "beta2_power": 4, "learning_rate": 5, "beta1": 6, "beta2": 7, "epsilon": 8}),
    "RMSProp": ("RMSProp", 2, {"learning_rate": 3, "rho": 4, "momentum": 5, "epsilon": 6}),
    "CenteredRMSProp": ("centered RMSProp", 3, {"learning_rate": 4, "rho": 5, "momentum": 6, "epsilon": 7}),
    "Momentum": ("Momentum", 1, {"learning_rate": 2, "momentum": 4}),
    "Adagrad": ("Adagrad", 1, {"learning_rate": 2}),
    "Adadelta": ("Adadelta", 2, {"learning_rate": 3, "rho": 4, "epsilon": 5}),
    "GradientDescent": ("SGD", 0, {"learning_rate": 1}),
    "Ftrl": ("Ftrl", 2, {"learning_rate": 4}),
    "AdaMax": ("AdaMax", 2, {"learning_rate": 4}),
}


@dataclass
class Optimizer:
    """name: its class; settings: its numbers, of what is fed only its name. slots: a variable's node -> its slots'.

    powers: the nodes of Adam's. clip: the norm that all gradients together were clipped to. otherwise: how they were
    clipped where it is not known or training here does not do it.
    """

    name: str
    settings: dict[str, float] = field(default_factory=dict)
    fed: dict[str, str] = field(default_factory=dict)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    powers: tuple[str, ...] = ()
    clip: float | None = None
    otherwise: str = ""

    @property
    def line(self) -> str:
        """What is printed of it."""
        numbers = [f"{name} {value:g}" for name, value in self.settings.items()]
        numbers += [f"{name} fed by {placeholder}" for name, placeholder in self.fed.items()]
        clipped = "" if self.clip is None else f"; gradients clipped to the norm {self.clip:g} together"
        if self.otherwise:
            clipped += f"; gradients clipped {self.otherwise}"
        return f"optimizer: {self.name}" + (f" ({', '.join(numbers)})" if numbers else "") + clipped


def optimizers(walk: Walk, read: Callable[[str], np.ndarray]) -> list[Optimizer]:
    """Each optimizer of the graph. read: a variable's node -> its value, for rates that decay."""
    found: dict[str, Optimizer] = {}
    for node in walk.graph.nodes.values():
        op = node.op.replace("Resource", "").replace("Sparse", "")
        if not op.startswith("Apply") or op[5:] not in _APPLY or not node.inputs:
            continue
        name, slots, numbers = _APPLY[op[5:]]
        if node.attribute("use_nesterov"):
            name = "Nadam" if name == "Adam" else "Nesterov momentum"
        scope = _scope(node)
        key = f"{scope}/{name}"
        if key not in found:
            found[key] = _first(walk, read, node, name, numbers)
        names = [walk.graph.variable(tensor) for tensor in node.inputs[: slots + 1]]
        if all(names):
            found[key].slots[str(names[0])] = tuple(map(str, names[1:]))
    return list(found.values())


def _scope(node: Node) -> str:
    """The optimizer's own name scope: before "/update_…"."""
    return node.name.split("/update_")[0]


def _first(walk: Walk, read: Callable[[str], np.ndarray], node: Node, name: str, numbers: dict[str, int]) -> Optimizer:
    sparse = "Sparse" in node.op
    optimizer = Optimizer(name)
    for number, position in numbers.items():
        if (sparse and number in ("momentum",)) or position >= len(node.inputs):
            continue
        tensor = node.inputs[position]
        if number.endswith("_power"):
            variable = walk.graph.variable(tensor)
            optimizer.powers += (variable,) if variable else ()
            continue
        value = walk.number(tensor)
        if value is None:
            value = _computed(walk, read, tensor)
        if value is None:
            placeholders = [n for n in walk.ancestors(tensor) if walk.graph.nodes[n].op.startswith("Placeholder")]
            optimizer.fed[number] = placeholders[0] if placeholders else "what is computed"
        else:
            optimizer.settings[number] = value
    place = 3 if "Momentum" in node.op or "Ftrl" in node.op else -2 if sparse else -1
    optimizer.clip, optimizer.otherwise = _clip(walk, node.inputs[place])
    return optimizer


def _computed(walk: Walk, read: Callable[[str], np.ndarray], tensor: Tensor) -> float | None:
    """A number that hangs on variables, such as a rate on the step: its value now."""
    try:
        (value,) = Evaluator(walk.graph, read).run([tensor])
    except Unknown:
        return None
    return rounded(float(np.ravel(value)[0])) if np.size(value) == 1 else None


def _clip(walk: Walk, gradient: Tensor) -> tuple[float | None, str]:
    """How a gradient was clipped before it was applied: the norm of clip_by_global_norm; else in words, or "".

    clip_by_global_norm: gradient * (norm * min(1 / all, 1 / norm)), which is NaN where `all` is not finite.
    clip_by_norm: gradient * norm / max(its own, norm). python/ops/clip_ops.py.
    """
    node = walk.node(walk.strip(gradient))
    for _ in range(8):
        if node.op not in ("UnsortedSegmentSum", "Reshape", "CheckNumerics", "Cast") or not node.inputs:
            break
        node = walk.node(walk.strip(node.inputs[0]))
    if node.op == "Mul":
        for tensor in node.inputs:
            scale = walk.node(walk.strip(tensor))
            if scale.op in ("Select", "SelectV2"):
                scale = walk.node(walk.strip(scale.inputs[1]))
            if scale.op == "Minimum":
                return None, _OWN
            if scale.op == "Mul":
                for one, other in (scale.inputs, scale.inputs[::-1]):
                    if walk.op(walk.strip(other)) == "Minimum":
                        norm = walk.number(one)
                        return norm, "" if norm is not None else "to a norm together that is fed: give it (--clip-norm)"
    if node.op == "RealDiv" and walk.op(walk.strip(node.inputs[1])) == "Maximum":
        return None, _OWN
    below = [walk.op(walk.strip(tensor)) for tensor in node.inputs]
    if node.op == "ClipByValue" or (node.op in ("Maximum", "Minimum") and {"Maximum", "Minimum"} & {*below}):
        return None, "by value, which training here does not do"
    return None, ""


_OWN = "each to its own norm, which training here does not do"
