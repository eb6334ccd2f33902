"""What is printed of a checkpoint: every variable, what it was taken for, and what was found and assumed."""

from __future__ import annotations

from torch_impl.tf1.inferred import Inferred
from torch_impl.tf1.slots import find_slots
from torch_impl.tf1.understand import Understood
from torch_impl.tf1.variables import Variables
from unrolled.models import Model
from unrolled.networks import Bidirectional, Dropout, Layers, Network, Residual

__all__ = ["described", "listed", "story", "words_of"]


def listed(variables: Variables, found: Inferred | None = None) -> list[str]:
    """A line for each variable: name, dtype, shape, and what it was taken for."""
    taken = {}
    for canonical, source in {} if found is None else {**found.weights, **found.slots}.items():
        taken.update(dict.fromkeys(source.names, canonical))
    slots = find_slots(variables.entries)
    owners = {name: f"{behind} of {owner}" for owner, own in slots.slots.items() for behind, name in own.items()}
    owners.update({name: "a power of Adam's beta" for own in slots.powers.values() for name in own.values()})
    owners.update(dict.fromkeys(slots.steps, "the global step"))
    width = max(map(len, variables.entries), default=0)
    lines = []
    for name, entry in variables.entries.items():
        what = taken.get(name) or owners.get(name) or ("" if found is None else "no part of the model")
        parts = f" in {len(entry.slices)} slices" if entry.partitioned else ""
        lines.append(f"  {name:<{width}}  {entry.dtype} {list(entry.shape)}{parts}" + (f"  -> {what}" if what else ""))
    return lines


def story(whole: Understood) -> list[str]:
    """What was found, in lines for the user to check."""
    found = whole.found
    lines = []
    for canonical, source in found.weights.items():
        if source.names:
            how = (
                " (transposed)"
                if source.transposed
                else " (slices whose rows take turns)"
                if source.interleaved
                else ""
            )
            lines.append(f"  {', '.join(source.names)} -> {canonical}{how}")
        else:
            lines.append(f"  none, zeros -> {canonical} (training would move it)")
    lines += [f"  {line}" for line in found.facts]
    if found.left:
        lines.append(f"  no part of the model: {', '.join(found.left)}")
    if found.assumed:
        lines.append("  ASSUMED, for no file tells it:")
        lines += [f"    {line}" for line in found.assumed]
    if found.differs:
        lines.append("  TRAINING DIFFERS from there, and outputs do not:")
        lines += [f"    {line}" for line in found.differs]
    if found.judged is not None:
        lines.append(
            "  checked: the graph, computed here on drawn inputs, gives the same to "
            f"{found.judged:.1e} of the largest output"
        )
    elif found.unjudged:
        how = "; do so with --check FILE.npz or --check-with PYTHON" if found.whole else ""
        lines.append(f"  NOT checked against TensorFlow: {found.unjudged}{how}")
    return lines


def described(model: Model) -> str:
    """A model in a few words: "a classifier of 3 inputs, 5 tanh units and 2 outputs"."""
    below, hidden, outputs = words_of(model)
    return f"a {model.kind} of {below}, {', '.join([network(model.network), *hidden])} and {outputs}"


def words_of(model: Model) -> tuple[str, list[str], str]:
    """(what goes into the network, the hidden layers, the last layer) in a few words each."""
    below = f"{model.inputs} tokens, embedded in {model.embedding}" if model.embedding else f"{model.inputs} inputs"
    last = "" if model.activation == "linear" else f" {model.activation}"
    hidden = [f"{each.units} hidden {each.activation}" for each in model.hidden]
    return below, hidden, f"{model.outputs}{last} outputs"


def network(value: Network) -> str:
    """A network in a few words."""
    if isinstance(value, Layers):
        return "layers of (" + "; ".join(map(network, value.layers)) + ")"
    if isinstance(value, Bidirectional):
        return f"both directions of ({network(value.forward)}; {network(value.backward)})"
    if isinstance(value, Residual):
        return f"{network(value.network)} with its inputs added"
    if isinstance(value, Dropout):
        names = ("input_keep", "state_keep", "output_keep")
        keeps = [f"{name} {getattr(value, name):g}" for name in names if getattr(value, name) < 1]
        return f"{network(value.network)} with dropout ({', '.join([*keeps, *['variational'] * value.variational])})"
    words = [f"{value.units} {value.activation} units"]  # type: ignore[attr-defined]
    if value.kind != "basic_rnn":
        words.append(f"of kind {value.kind}")
    for name, usual in (("forget_bias", 1.0), ("peepholes", False), ("projection", None), ("cell_clip", None),
                        ("projection_clip", None), ("reset_after", False),
                        ("recurrent_activation", "hard_sigmoid")):  # fmt: skip
        if hasattr(value, name) and (getattr(value, name) != usual or name in ("forget_bias", "recurrent_activation")):
            words.append(f"{name} {getattr(value, name)}")
    return " ".join(words[:2]) + (f" ({', '.join(words[2:])})" if words[2:] else "")
