"""A checkpoint's networks as PyTorch code: FILE.py, which builds and checks them, and FILE.safetensors beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, replacing, write_atomically
from torch_impl.checkpoints.tensor_file import Later, TensorFile
from torch_impl.tf1 import native
from torch_impl.tf1.convert import CARRIED, origin_of
from torch_impl.tf1.graphs.judge import computed
from torch_impl.tf1.inferred import Inferred, inputs_of, is_dense
from torch_impl.tf1.listing import network as shown
from torch_impl.tf1.module_code import code_of_model, code_of_network, code_of_script, what_is
from torch_impl.tf1.module_file import REST, state_of
from torch_impl.tf1.proof import outputs_of
from torch_impl.tf1.slots import find_slots
from torch_impl.tf1.understand import Understood
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import Network

__all__ = ["write_module"]

_ROWS, _STEPS = 3, 7
_LENGTHS = np.array([7, 1, 4])
Arrays = dict[str, np.ndarray]


def write_module(whole: Understood, path: Path, force: bool) -> list[str]:
    """Write the code and the weights; returns lines to print. Raises CheckpointError where they cannot be written."""
    found, prefix = whole.found, whole.variables.prefix
    beside = path.with_suffix(".safetensors")
    if path.suffix != ".py":
        raise CheckpointError(f"{path}: expected a name that ends in .py")
    for each in (path, beside):
        if exists(each) and not force:
            raise CheckpointError(f"{each}: exists; name another file, or overwrite it (--force)")
    if not found.parts:
        raise CheckpointError(
            f"{prefix}: no recurrent part of it is known, so there is no module to write: {found.why}"
        )
    made = _Made(whole)
    files = {"prefix": prefix.name, "file": path.name, "weights": beside.name}
    files = {key: re.sub(r"[^\w .-]", "_", name) for key, name in files.items()}  # nothing that ends a docstring
    what = "; ".join(map(what_is, found.whole) if found.whole else map(shown, found.parts))
    code = code_of_script(made.text, made.names, what[:1].upper() + what[1:], files, made.ours)
    with naming(path.parent, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with naming(beside, "written"), replacing(beside) as stream:
        TensorFile(made.tensors, {"tf1": json.dumps(made.told)}).write(stream)
    write_atomically(path, code.encode())
    what = "the whole model" if found.whole else f"{len(found.parts)} module(s)"
    lines = [f"{path}: {what}; run it to check it. {beside.name} has the weights"]
    if found.heads:
        lines.append(f"  {found.why.partition(': --as-module')[0]}: train it by a loss of your own")
    slots = find_slots(whole.variables.entries).all
    rest = {name[len(REST) :]: array for name, array in made.tensors.items() if name.startswith(REST)}
    lines += [f"  and {REST}{name} {list(array.shape)}" for name, array in rest.items() if name not in slots]
    return [*lines, *(f"  cannot be kept for the way back: {name}" for name in made.uncarried)]


class _Made:
    """text: the code of the classes; names: those to make. tensors: what the file of weights holds; told: its metadata.
    ours: whether the code needs this library. uncarried: variables that the file cannot hold."""

    def __init__(self, whole: Understood) -> None:
        self.found, self.text, self.names, self.ours = whole.found, "", [], False
        self.tensors: dict[str, np.ndarray | Later] = {}
        self.told: dict[str, Any] = {"networks": [], "layers": {}}
        self._origin(whole)
        if self.found.whole:
            self._model(self.found.whole)
        else:
            for number, network in enumerate(self.found.parts):
                start = f"part_{number}/"
                weights = networks.below(start, self.weights)
                inputs = inputs_of(network, {name: array.shape for name, array in weights.items()})
                self._network(f"Part{number}", network, inputs, weights, f"{number}/", start)
                values = _drawn(number, inputs, 0)
                self._record(number, [np.asarray(computed(network, weights, values, _LENGTHS)[0])], values)
                self.names.append(f"Part{number}")

    def _origin(self, whole: Understood) -> None:
        """The weights, where they came from, and all other variables."""
        bare: Inferred = replace(self.found, slots={}, step=None)
        dtype, origin, names, carried, self.uncarried = origin_of(whole._replace(found=bare))
        self.weights = {
            name: source.array(whole.read).astype(dtype, copy=False) for name, source in bare.weights.items()
        }
        self.told |= {"tf1_names": names, "tf1": {name: value for name, value in vars(origin).items() if value}}
        self.tensors.update({REST + name[len(CARRIED) :]: each for name, each in carried.items()})

    def _network(
        self, name: str, network: Network, inputs: int, weights: Arrays, state: str, start: str
    ) -> None:  # fmt: skip
        stages = native.stages(network, inputs, weights)
        self.ours = self.ours or stages is None
        kind = next(iter(weights.values())).dtype.name
        self.text += code_of_network(name, network, inputs, stages, kind)
        self.tensors.update({state + key: each for key, each in state_of(network, inputs, weights).items()})
        self.told["networks"].append(
            {"network": networks.to_plain(network), "inputs": inputs, "state": state, "start": start}
        )

    def _model(self, heads: tuple[Model, ...]) -> None:
        first = heads[0]
        own = {name: self.weights[name] for name in first.network.weights(first.network_inputs)}
        self._network("Part0", first.network, first.network_inputs, own, "0/network.", "")
        self.text += code_of_model(heads, "Part0")
        self.names.append("Model")
        for name, array in self.weights.items():
            if name not in own:
                there = "0/embedding.weight" if name == "embedding" else _linear(name)
                turned = name != "embedding" and array.ndim == 2
                self.tensors[there] = np.ascontiguousarray(array.T) if turned else array
                self.told["layers"][name] = [there, turned]
        values = _drawn(0, first.inputs, first.embedding)
        outputs = []
        for number, head in enumerate(heads):
            start = f"head_{number}/" if len(heads) > 1 else ""
            layers = {name.removeprefix(start): each for name, each in self.weights.items()
                      if is_dense(name.removeprefix(start)) and name.startswith(start)}  # fmt: skip
            outputs.append(outputs_of(head, {**self.weights, **layers}, values, _LENGTHS))
        self._record(0, outputs, values)

    def _record(self, number: int, outputs: list[np.ndarray], values: np.ndarray) -> None:
        """Drawn values and what comes of them, for the check."""
        kind = next(iter(self.weights.values())).dtype
        values = values.astype(kind) if values.dtype.kind == "f" else values
        found = {"values": values, "lengths": _LENGTHS}
        found.update({f"outputs/{n}": each.astype(kind) for n, each in enumerate(outputs)})
        self.tensors.update({f"check/{number}/{name}": each for name, each in found.items()})


def _linear(name: str) -> str:
    """The name in the file of a dense layer's weight: "head_0/dense/kernel" is 0/head_0_dense.weight."""
    layer, _, last = name.rpartition("/")
    return f"0/{layer.replace('/', '_')}.{'weight' if last == 'kernel' else last}"


def _drawn(number: int, inputs: int, embedding: int) -> np.ndarray:
    random = np.random.default_rng(number)
    if embedding:
        return random.integers(0, inputs, (_ROWS, _STEPS))
    return random.normal(size=(_ROWS, _STEPS, inputs))
