"""Models as plain values: a recurrent network with a dense layer on it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping

from unrolled import networks
from unrolled.networks import Network, Weight, Weights, check_choice, check_size, glorot, prefixed

__all__ = ["END", "PROJECTIONS", "START", "Model", "from_plain", "to_plain"]

# A speller's start token and its end-of-sequence token (EOS), one and the same: a word ends where the next would begin.
# As token 0 it is also what zero padding means, and what all-zero logits give.
START = END = 0

PROJECTIONS = {"classifier": ("stacked",), "regressor": ("stacked", "wrapped"), "speller": ("stacked",)}


@dataclass(frozen=True)
class Model:
    """A network with a dense layer on it.

    kind: "classifier" puts the dense layer on the final state, its read-out (logits [batch, outputs], loss: mean sparse
    softmax cross-entropy); "regressor" puts it on every output (predictions [batch, steps, outputs], loss: mean square
    over every entry); "speller" has two networks of this one value: the encoder reads the inputs, and from its final
    state the decoder writes one token per step, the dense layer on its outputs giving the logits. Its tokens go in
    one-hot, it starts with START, and a row ends with its first END.
    inputs: values per step. outputs: classes, or values per step, or the size of a speller's vocabulary.
    projection: for a regressor, "stacked" (one dense layer over all outputs as [-1, output_size]) or "wrapped" (TF1's
    OutputProjectionWrapper, inside the loop). They differ only where lengths are given: on a padded step "wrapped"
    gives zeros, "stacked" the dense bias. A classifier or speller always has "stacked".
    max_steps: for a speller, at least 1: the most tokens that it writes for a row, END included. 0 for the others.
    A speller, which writes step by step, and a wrapped projection need a network that is stepwise.
    Raises ValueError that names the field for anything else.
    """

    kind: str
    network: Network
    inputs: int
    outputs: int
    projection: str = "stacked"
    max_steps: int = 0

    def __post_init__(self) -> None:
        check_choice("model kind", self.kind, list(PROJECTIONS))
        if not networks.is_network(self.network):
            raise ValueError("a model's network must be one of unrolled.networks, got %.60r" % (self.network,))
        check_size("inputs", self.inputs)
        check_size("outputs", self.outputs)
        check_choice("projection of a %s" % self.kind, self.projection, PROJECTIONS[self.kind])
        if self.kind == "speller":
            check_size("max_steps", self.max_steps)
        elif self.max_steps != 0 or isinstance(self.max_steps, bool):
            raise ValueError("max_steps of a %s must be 0, got %.60r" % (self.kind, self.max_steps))
        if (self.kind == "speller" or self.projection == "wrapped") and not self.network.stepwise:
            what = "speller" if self.kind == "speller" else "regressor whose projection is 'wrapped'"
            raise ValueError(
                "a %s needs a network that reads in one direction, got kind %r" % (what, self.network.kind)
            )
        self.weights()  # a residual network with other inputs than outputs is found now

    @property
    def dense_inputs(self) -> int:
        """The width of what the dense layer reads."""
        if self.kind == "classifier":
            return sum(self.network.state[name] for name in self.network.read_out)
        return self.network.output_size

    def weights(self) -> Weights:
        """The canonical weights by name, with shapes and first values: TF1's names and layouts, in order."""
        dense = {"dense/kernel": glorot(self.dense_inputs, self.outputs), "dense/bias": Weight((self.outputs,))}
        if self.kind != "speller":
            return dict(self.network.weights(self.inputs), **dense)
        encoder = prefixed("encoder/", self.network.weights(self.inputs))
        decoder = prefixed("decoder/", self.network.weights(self.outputs))
        return dict(encoder, **dict(decoder, **dense))


def to_plain(model: Model) -> dict[str, Any]:
    """The model as JSON can hold it; `from_plain` is the way back."""
    found = {field.name: getattr(model, field.name) for field in fields(model)}
    return dict(found, network=networks.to_plain(model.network))


def from_plain(plain: Any) -> Model:
    """The model that `to_plain` wrote, also where it still has a "cell" for its network, as before version 2 of the
    contract. Raises ValueError that names the field for anything else."""
    if not isinstance(plain, Mapping) or not ("network" in plain or "cell" in plain):
        raise ValueError("a model must be an object with a network, got %.60r" % (plain,))
    known = [field.name for field in fields(Model)]
    given = dict(plain)
    given["network"] = networks.from_plain(given.pop("cell") if "cell" in given else given["network"])
    for name in given:
        if name not in known:
            raise ValueError("a model has no %.60r; it has %s" % (name, ", ".join(known)))
    try:
        return Model(**given)
    except TypeError:  # a field without a default is missing
        raise ValueError("a model needs kind, network, inputs, outputs; got %s" % ", ".join(given)) from None
