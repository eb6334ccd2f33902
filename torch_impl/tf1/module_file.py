"""FILE.safetensors, where the weights of generated code are: what it holds for the way back to TensorFlow 1.

Its metadata has under "tf1", as JSON: "networks", each with "network" and "inputs", the prefix of its names in the file
("state") and of its canonical weights ("start"); "layers", canonical weight -> [name in the file, whether transposed];
"tf1_names" and "tf1" as a converted run's state has them (see `convert`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists
from torch_impl.checkpoints.tensor_file import map_tensors
from torch_impl.tf1 import native
from torch_impl.tf1.convert import CARRIED
from unrolled import networks
from unrolled.networks import Network
from unrolled.reading import parse_json

__all__ = ["REST", "is_module", "read_module", "state_of"]

REST = "rest/"  # before the name of a variable that no module has


def is_module(path: Path) -> bool:
    """Whether a path is one of the two files that `modules` writes, and no folder."""
    return path.suffix in (".py", ".safetensors") and not exists(path, folder=True)


def state_of(network: Network, inputs: int, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state_dict of the module that `module_code` writes for a network, of its canonical weights."""
    from torch_impl.conversion import load_canonical

    stages = native.stages(network, inputs, weights)
    if stages is not None:
        return {f"stages.{k}.{name}": each for k, stage in enumerate(stages) for name, each in stage.weights.items()}
    module = _module(network, inputs, weights)
    load_canonical(module, weights)
    return {f"network.{name}": each.numpy() for name, each in module.state_dict().items()}


def _canonical(network: Network, inputs: int, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The way back of `state_of`."""
    shapes = networks.shapes(network.weights(inputs))
    if any(name.startswith("stages.") for name in state):
        return native.canonical(network, inputs, shapes, state)
    import torch

    from torch_impl.conversion import canonical_weights

    module = _module(network, inputs, state)
    module.load_state_dict({name[len("network.") :]: torch.tensor(each) for name, each in state.items()})
    return canonical_weights(module)


def _module(network: Network, inputs: int, arrays: Mapping[str, np.ndarray]) -> Any:
    """The network's module, of the arrays' dtype."""
    import torch  # late: the way back of a run needs none of it

    from torch_impl import build

    return build.recurrent(network, inputs, dtype=getattr(torch, next(iter(arrays.values())).dtype.name))


def read_module(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(tensors, state) as of a converted run, but with "module" in place of a model: of FILE.py, or of
    FILE.safetensors beside it.

    Raises CheckpointError that names the file and what does not fit.
    """
    path = path.with_suffix(".safetensors")
    with naming(path):
        try:
            with safetensors.safe_open(path, "np") as file:
                told = parse_json(((file.metadata() or {}).get("tf1") or "null").encode())
            arrays = map_tensors(path)
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"not a safetensors file that can be read ({error})") from None
        if not isinstance(told, dict):
            raise CheckpointError("does not say which variables its weights are; convert the checkpoint again")
        try:
            tensors = _tensors(told, arrays)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
            raise CheckpointError(f"its weights are not those that were converted ({error})") from None
    rest = {CARRIED + name[len(REST) :]: each for name, each in arrays.items() if name.startswith(REST)}
    return {**tensors, **rest}, {"module": True, "tf1_names": told.get("tf1_names"), "tf1": told.get("tf1")}


def _tensors(told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for each in told["networks"]:
        start = each["state"]
        own = networks.below(start, arrays)
        network, inputs = networks.from_plain(each["network"]), int(each["inputs"])
        needs = sum(math.prod(shape) for shape in networks.shapes(network.weights(inputs)).values())
        holds = sum(array.size for array in own.values())
        if needs > holds:
            raise ValueError(f"its network of {start!r:.60} has {needs} weights, and the file {holds} of them")
        made = _canonical(network, inputs, own)
        found.update({f"weights/{each['start']}{name}": array for name, array in made.items()})
    for name, (there, transposed) in told["layers"].items():
        found[f"weights/{name}"] = np.ascontiguousarray(arrays[there].T) if transposed else arrays[there]
    return found
