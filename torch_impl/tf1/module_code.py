"""The text of the PyTorch code that `modules` writes."""

from __future__ import annotations

import json

from torch_impl.tf1.listing import network as shown
from torch_impl.tf1.listing import words_of
from torch_impl.tf1.native import Stage
from unrolled import networks
from unrolled.models import Model
from unrolled.networks import Network

__all__ = ["code_of_model", "code_of_network", "code_of_script"]

_HEAD = '''"""{what}, from the TensorFlow 1 checkpoint {prefix}. `python {file}` checks it.

The weights are in {weights}, by the names of `state_dict()`; "rest/…" are the checkpoint's other variables. After
`save`, `python -m torch_impl convert {file} PREFIX --to-tf1` makes a checkpoint of it that tf.train.Saver restores.
"""

{json}import os
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
{imports}
WEIGHTS = Path(__file__).with_suffix(".safetensors")

'''

_NATIVE = '''
class {name}(nn.Module):
    """{what}.

    forward: values [batch, steps, {inputs}], lengths [batch] (each at least 1) or None -> outputs [batch, steps,
    {outputs}]. run: these, and the final state.
    A second bias{gates} is constant: both would move twice as fast as one.
    """

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([
{stages}
        ])
        for stage in self.stages:
            for name, parameter in stage.named_parameters():
{second}

    def run(self, values, lengths=None):
        steps = values.shape[1]
        if lengths is not None:
            values = nn.utils.rnn.pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        for stage in self.stages:
            values, last = stage(values)
        if lengths is not None:
            values, _ = nn.utils.rnn.pad_packed_sequence(values, batch_first=True, total_length=steps)
        last = last[0] if isinstance(last, tuple) else last
        return values, {final}

    def forward(self, values, lengths=None):
        return self.run(values, lengths)[0]

'''

_SECOND = """                parameter.requires_grad_("bias_hh" not in name)"""
# A GRU's second bias has a part of its own in TensorFlow, the candidate's.
_SECOND_OF_GRU = '''                if "bias_hh" in name and isinstance(stage, nn.GRU):
                    parameter.register_hook(self.candidates)
                else:
                    parameter.requires_grad_("bias_hh" not in name)

    @staticmethod
    def candidates(gradient):
        """Of a GRU's second bias, the gradient of the candidate's part alone."""
        gates = len(gradient) // 3 * 2
        return torch.cat((torch.zeros_like(gradient[:gates]), gradient[gates:]))'''

_OURS = '''
class {name}(nn.Module):
    """{what}. forward: values [batch, steps, {inputs}], lengths [batch] or None -> outputs [batch, steps, {outputs}].

    run: these, and the final state. PyTorch has no module that computes it: this is torch_impl's.
    """

    def __init__(self):
        super().__init__()
        value = json.loads({plain!r})
        self.network = build.recurrent(networks.from_plain(value), {inputs}, dtype=torch.{dtype})

    def run(self, values, lengths=None):
        outputs, state = self.network(values, lengths)
        return outputs, states.read_out(self.network.network, state)

    def forward(self, values, lengths=None):
        return self.run(values, lengths)[0]

'''

_MODEL = '''
class Model(nn.Module):
    """{what}.

    forward: {takes}, lengths [batch] or None -> {gives}.
    """

    def __init__(self):
        super().__init__()
{parts}

    def forward(self, inputs, lengths=None):
        outputs, final = self.network.run({read}, lengths)
{computes}
        return {returns}

'''

_TAIL = '''
def part(weights, start):
    """The weights whose names begin so, without that."""
    return {name[len(start):]: each for name, each in weights.items() if name.startswith(start)}


def load():
    """The modules with their weights, in evaluation mode."""
    weights, modules = load_file(WEIGHTS), []
    for k, make in enumerate(PARTS):
        own = part(weights, f"{k}/")
        modules.append(make().to(next(iter(own.values())).dtype))
        modules[-1].load_state_dict(own)
    return [module.eval() for module in modules]


def save(modules):
    """Put the weights of what `load` gave, trained since, in the place of theirs: all, or after an error none."""
    with safe_open(WEIGHTS, "pt") as file:
        metadata = file.metadata()
    weights = load_file(WEIGHTS)
    for k, module in enumerate(modules):
        weights.update({f"{k}/{name}": each.detach().cpu().contiguous() for name, each in module.state_dict().items()})
    partial = WEIGHTS.with_name(WEIGHTS.name + ".partial")
    save_file(weights, partial, metadata)
    del weights  # which maps the file that is replaced
    os.replace(partial, WEIGHTS)


def check():
    """Each module's outputs for drawn values, against those of the conversion."""
    weights = load_file(WEIGHTS)
    for k, module in enumerate(load()):
        own = part(weights, f"check/{k}/")
        with torch.no_grad():
            found = module(own["values"], own["lengths"])
        for n, each in enumerate(found if isinstance(found, tuple) else (found,)):
            expected = own[f"outputs/{n}"]
            near = float((each - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
            print(f"{type(module).__name__}: {near:.1e} of the largest output apart")
            if not near < 1e-5:
                sys.exit(f"{WEIGHTS}: not the outputs of the conversion: trained since, or damaged")


if __name__ == "__main__":
    check()
'''

_ACTIVATED = {
    "linear": "{}", "tanh": "torch.tanh({})", "relu": "torch.relu({})", "sigmoid": "torch.sigmoid({})",
    "hard_sigmoid": "({} / 5 + 0.5).clamp(0, 1)",
}  # fmt: skip


def code_of_script(text: str, names: list[str], what: str, files: dict[str, str], ours: bool) -> str:
    """The whole file. text: of its classes, of these names. files: "prefix", "file" and "weights", as they are called.
    ours: whether a class needs this library."""
    imports = "\nfrom torch_impl import build, states\nfrom unrolled import networks\n" if ours else ""
    head = _HEAD.format(what=what, imports=imports, json="import json\n" if ours else "", **files)
    return head + text + f"\nPARTS = [{', '.join(names)}]\n" + _TAIL


def code_of_network(name: str, network: Network, inputs: int, native: list[Stage] | None, dtype: str) -> str:
    """The class of a network, of PyTorch's modules or of this library's."""
    words = {"name": name, "what": _sentence(shown(network)), "inputs": inputs, "outputs": network.output_size}
    if native is None:
        return _OURS.format(**words, plain=json.dumps(networks.to_plain(network)), dtype=dtype)
    calls = "\n".join(f"            {stage.call}," for stage in native)
    final = "torch.cat((last[-2], last[-1]), 1)" if native[-1].both else "last[-1]"
    gru = any(stage.module == "GRU" for stage in native)
    second, gates = (_SECOND_OF_GRU, ", of a GRU the gates',") if gru else (_SECOND, "")
    return _NATIVE.format(**words, stages=calls, final=final, second=second, gates=gates)


def code_of_model(heads: tuple[Model, ...], network: str) -> str:
    """The class of a network, called `network`, with what goes in and the dense layers on it."""
    first = heads[0]
    parts, computes, returns, gives = [], [], [], []
    if first.embedding:
        parts.append(f"self.embedding = nn.Embedding({first.inputs}, {first.embedding})")
    parts.append(f"self.network = {network}()")
    for number, head in enumerate(heads):
        start = f"head_{number}_" if len(heads) > 1 else ""
        values, width = "final" if head.kind == "classifier" else "outputs", head.dense_inputs
        layers = [(f"{start}hidden_{k}", each.units, each.activation) for k, each in enumerate(head.hidden)]
        for layer, units, activation in [*layers, (start + "dense", head.outputs, head.activation)]:
            parts.append(f"self.{layer} = nn.Linear({width}, {units})")
            form = _ACTIVATED.get(activation, f"nn.functional.{activation}({{}})")
            computes.append(f"{layer} = {form.format(f'self.{layer}({values})')}")
            values, width = layer, units
        if head.projection == "wrapped":
            computes.append("if lengths is not None:")
            computes.append(f"    steps = torch.arange({values}.shape[1], device={values}.device)")
            computes.append(f"    {values} = {values} * (steps < lengths.to(steps.device)[:, None])[:, :, None]")
        returns.append(values)
        shape = "[batch, " if head.kind == "classifier" else "[batch, steps, "
        gives.append(f"{shape}{head.outputs}]")
    takes = f"tokens [batch, steps], each below {first.inputs}" if first.embedding else (
        f"values [batch, steps, {first.inputs}]"
    )  # fmt: skip
    return _MODEL.format(
        what=_sentence(" and ".join(dict.fromkeys(map(what_is, heads)))), takes=takes, gives=" and ".join(gives),
        parts="\n".join(f"        {line}" for line in parts), read="self.embedding(inputs)" if first.embedding else
        "inputs", computes="\n".join(f"        {line}" for line in computes), returns=", ".join(returns),
    )  # fmt: skip


def what_is(head: Model) -> str:
    """A head in a few words."""
    where = "the final state" if head.kind == "classifier" else "every step"
    below, hidden, outputs = words_of(head)
    return f"{below}, {shown(head.network)}, and on {where} {', '.join([*hidden, outputs])}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
