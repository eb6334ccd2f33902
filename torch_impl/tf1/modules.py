"""A checkpoint's networks as PyTorch code: FILE.py, which builds and checks them, and FILE.safetensors beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError, naming
from torch_impl.checkpoints.files import exists, replacing, write_atomically
from torch_impl.checkpoints.tensor_file import TensorFile
from torch_impl.tf1.graphs.judge import computed
from torch_impl.tf1.inferred import Inferred
from torch_impl.tf1.listing import network as shown
from torch_impl.tf1.native import stages
from torch_impl.tf1.understand import Understood
from unrolled import networks
from unrolled.networks import Network

__all__ = ["write_module"]

_ROWS, _STEPS = 3, 7

_HEAD = '''"""{what}, from the TensorFlow 1 checkpoint {prefix}. `python {file}` checks it.

The weights are in {weights}, by the names of `state_dict()`; "rest/…" are the checkpoint's other variables.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
{imports}
WEIGHTS = Path(__file__).with_suffix(".safetensors")

'''

_NATIVE = '''
class {name}(nn.Module):
    """{what}.

    forward: values [batch, steps, {inputs}], lengths [batch] or None -> outputs [batch, steps, {outputs}].
    """

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([
{stages}
        ])

    def forward(self, values, lengths=None):
        steps = values.shape[1]
        if lengths is not None:  # at least 1 each
            values = nn.utils.rnn.pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        for stage in self.stages:
            values, _ = stage(values)
        if lengths is not None:
            values, _ = nn.utils.rnn.pad_packed_sequence(values, batch_first=True, total_length=steps)
        return values

    def load(self, weights):
        self.load_state_dict(weights)
        return self

'''

_OURS = '''
class {name}(nn.Module):
    """{what}. forward: values [batch, steps, {inputs}], lengths [batch] or None -> outputs [batch, steps, {outputs}].

    PyTorch has no module that computes it: this is torch_impl's.
    """

    def __init__(self):
        super().__init__()
        value = json.loads({plain!r})
        self.network = build.recurrent(networks.from_plain(value), {inputs})

    def forward(self, values, lengths=None):
        return self.network(values, lengths)[0]

    def load(self, weights):
        load_canonical(self.network, {{name: each.numpy() for name, each in weights.items()}})
        return self

'''

_TAIL = '''
def part(weights, start):
    """The weights whose names begin so, without that."""
    return {name[len(start):]: each for name, each in weights.items() if name.startswith(start)}


def load():
    """The modules with their weights, in evaluation mode."""
    weights = load_file(WEIGHTS)
    return [make().load(part(weights, f"{k}/")).eval() for k, make in enumerate(PARTS)]


def check():
    """Each module's outputs for drawn values, against those of the conversion."""
    checks = load_file(WEIGHTS)
    for k, module in enumerate(load()):
        with torch.no_grad():
            found = module(checks[f"check/{k}/values"])
        expected = checks[f"check/{k}/outputs"]
        near = float((found - expected).abs().max() / expected.abs().max())
        print(f"{type(module).__name__}: {near:.1e} of the largest output apart")
        assert near < 1e-5


if __name__ == "__main__":
    check()
'''


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
    text, tensors, used = "", {}, set()
    ours = False
    for number, network in enumerate(found.parts):
        weights, names = _weights(whole, found, number)
        used |= names
        code, state, native = _module(number, network, weights)
        ours = ours or not native
        text += code
        tensors.update({f"{number}/{name}": array for name, array in state.items()})
        tensors.update(_recorded(number, network, weights))
    rest = _rest(whole, used)
    tensors.update({f"rest/{name}": array for name, array in rest.items()})
    imports = (
        "\nfrom torch_impl import build\nfrom torch_impl.conversion import load_canonical\n"
        "from unrolled import networks\n"
    )
    what = "; ".join(map(shown, found.parts))
    files = {"prefix": prefix.name, "file": path.name, "weights": beside.name}
    files = {key: re.sub(r"[^\w .-]", "_", name) for key, name in files.items()}  # nothing that ends a docstring
    head = _HEAD.format(what=what[:1].upper() + what[1:], imports=imports if ours else "", **files)
    if ours:
        head = head.replace("from pathlib import Path\n", "import json\nfrom pathlib import Path\n")
    parts = ", ".join(f"Part{number}" for number in range(len(found.parts)))
    with naming(path.parent, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with naming(beside, "written"), replacing(beside) as stream:
        TensorFile(tensors).write(stream)
    write_atomically(path, (head + text + f"\nPARTS = [{parts}]\n" + _TAIL).encode())
    lines = [f"{path}: {len(found.parts)} module(s); run it to check them. {beside.name} has their weights"]
    return [*lines, *(f"  and rest/{name} {list(array.shape)}" for name, array in rest.items())]


def _weights(whole: Understood, found: Inferred, number: int) -> tuple[dict[str, np.ndarray], set[str]]:
    """A part's canonical weights, and the variables that they are of."""
    network = found.parts[number]
    if found.model is None:
        own = networks.below(f"part_{number}/", found.weights)
    else:
        own = {name: found.weights[name] for name in network.weights(found.model.network_inputs)}
    arrays = {name: source.array(whole.read) for name, source in own.items()}
    return arrays, {name for source in own.values() for name in source.names}


def _width(network: Network, weights: Mapping[str, np.ndarray]) -> int:
    """Values per step of what the network reads."""
    first = next(iter(weights))
    rows = weights[first].shape[0]
    for inputs in (rows, *range(1, rows)):
        try:
            if networks.shapes(network.weights(inputs))[first] == weights[first].shape:
                return inputs
        except (ValueError, KeyError):
            continue
    raise CheckpointError(f"{first} is {list(weights[first].shape)}, which fits no inputs")


def _module(
    number: int, network: Network, weights: Mapping[str, np.ndarray]
) -> tuple[str, dict[str, np.ndarray], bool]:
    """(code, state_dict, whether it is PyTorch's own) of a part."""
    inputs = _width(network, weights)
    words = {
        "name": f"Part{number}",
        "what": shown(network).capitalize(),
        "inputs": inputs,
        "outputs": network.output_size,
    }
    native = stages(network, inputs, weights)
    if native is None:
        plain = json.dumps(networks.to_plain(network))
        return _OURS.format(**words, plain=plain), dict(weights), False
    calls = "\n".join(f"            {stage.call}," for stage in native)
    state = {f"stages.{k}.{name}": array for k, stage in enumerate(native) for name, array in stage.weights.items()}
    return _NATIVE.format(**words, stages=calls), state, True


def _recorded(number: int, network: Network, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drawn values and what the network makes of them, for the check."""
    values = np.random.default_rng(number).normal(size=(_ROWS, _STEPS, _width(network, weights)))
    outputs, _ = computed(network, weights, values, None)
    kind = next(iter(weights.values())).dtype
    return {f"check/{number}/values": values.astype(kind), f"check/{number}/outputs": outputs.astype(kind)}


def _rest(whole: Understood, used: set[str]) -> dict[str, np.ndarray]:
    """The other variables of the checkpoint that hold numbers, without optimizers'."""
    from torch_impl.tf1.slots import find_slots

    entries = whole.variables.entries
    others = find_slots(entries).all | used
    kinds = ("float32", "float64", "int32", "int64", "bool", "float16", "bfloat16")
    return {name: whole.read(name) for name, entry in entries.items() if name not in others and entry.dtype in kinds}
