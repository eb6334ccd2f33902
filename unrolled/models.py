"""Models as plain values: a recurrent network with dense layers on it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping

from unrolled import networks
from unrolled.networks import ACTIVATIONS, Network, Weight, Weights, check_choice, check_size, glorot, prefixed

__all__ = ["END", "PROJECTIONS", "START", "Dense", "Model", "from_plain", "to_plain"]

# A speller's start token and its end-of-sequence token (EOS), one and the same: a word ends where the next would begin.
# As token 0 it is also what zero padding means, and what all-zero logits give.
START = END = 0

PROJECTIONS = {
    "classifier": ("stacked",),
    "regressor": ("stacked", "wrapped"),
    "tagger": ("stacked",),
    "speller": ("stacked",),
}
MOST_HIDDEN = 16


@dataclass(frozen=True)
class Dense:
    """A dense layer: activation(inputs @ kernel + bias), kernel [inputs, units], bias [units].

    activation: one of networks.ACTIVATIONS. Raises ValueError for anything else.
    """

    units: int
    activation: str = "linear"

    def __post_init__(self) -> None:
        check_size("units of a dense layer", self.units)
        check_choice("activation of a dense layer", self.activation, ACTIVATIONS)


@dataclass(frozen=True)
class Model:
    """A network with a dense layer on it; there may be an embedding before the network, and hidden dense layers after.

    kind: "classifier" puts the dense layer on the final state, its read-out (logits [batch, outputs], loss: mean sparse
    softmax cross-entropy); "regressor" puts it on every output (predictions [batch, steps, outputs], loss: mean square
    over every entry); so does "tagger" (logits [batch, steps, outputs], loss: sparse softmax cross-entropy, its sum
    over the valid steps by their number); "speller" has two networks of this one value: the encoder reads the inputs,
    and from its final state the decoder writes one token per step, the dense layer on its outputs giving the logits.
    Its tokens go in one-hot, it starts with START, and a row ends with its first END.
    inputs: values per step, or with an embedding the size of the vocabulary that is read: a step is a token then.
    outputs: classes, or values per step, or the size of a speller's vocabulary.
    projection: for a regressor, "stacked" (one dense layer over all outputs as [-1, output_size]) or "wrapped" (TF1's
    OutputProjectionWrapper, inside the loop). They differ only where lengths are given: on a padded step "wrapped"
    gives zeros, "stacked" the dense bias. The other kinds always have "stacked".
    max_steps: for a speller, at least 1: the most tokens that it writes for a row, END included. 0 for the others.
    embedding: the width of a token's row in the weight "embedding" [inputs, width], which is what the network reads in
    its place: TF1's embedding_lookup; a speller's encoder has it. 0: the inputs go in as they are.
    hidden: the dense layers below the last, from the lowest up, "hidden_0/kernel" and so on; a wrapped projection and a
    speller have none. activation: of the last dense layer, one of networks.ACTIVATIONS; losses take what it gives.
    A speller, which writes step by step, and a wrapped projection need a network that is stepwise.
    Raises ValueError that names the field for anything else.
    """

    kind: str
    network: Network
    inputs: int
    outputs: int
    projection: str = "stacked"
    max_steps: int = 0
    embedding: int = 0
    hidden: tuple[Dense, ...] = ()
    activation: str = "linear"

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
        if self.embedding != 0 or isinstance(self.embedding, bool):
            check_size("embedding", self.embedding)
        dense = isinstance(self.hidden, tuple) and all(isinstance(each, Dense) for each in self.hidden)
        if not dense or len(self.hidden) > MOST_HIDDEN:
            raise ValueError("hidden must be a tuple of at most %d Dense, got %.60r" % (MOST_HIDDEN, self.hidden))
        check_choice("activation of a model", self.activation, ACTIVATIONS)
        if self.kind == "speller" or self.projection == "wrapped":
            self._check_bare()
        self.weights()  # a residual network with other inputs than outputs is found now

    def _check_bare(self) -> None:
        """A speller and a wrapped projection work step by step, with one dense layer and nothing else."""
        what = "speller" if self.kind == "speller" else "regressor whose projection is 'wrapped'"
        if not self.network.stepwise:
            raise ValueError(
                "a %s needs a network that reads in one direction, got kind %r" % (what, self.network.kind)
            )
        if self.hidden or self.activation != "linear":
            raise ValueError("a %s has one linear dense layer and no hidden one, got others" % what)

    @property
    def network_inputs(self) -> int:
        """The width of what the network reads at every step."""
        return self.embedding or self.inputs

    @property
    def dense_inputs(self) -> int:
        """The width of what the lowest dense layer reads."""
        if self.kind == "classifier":
            return sum(self.network.state[name] for name in self.network.read_out)
        return self.network.output_size

    def weights(self) -> Weights:
        """The canonical weights by name, with shapes and first values: TF1's names and layouts, in order."""
        embedding = {"embedding": glorot(self.inputs, self.embedding)} if self.embedding else {}
        dense, width = {}, self.dense_inputs
        names = ["hidden_%d/" % number for number in range(len(self.hidden))] + ["dense/"]
        for name, units in zip(names, [each.units for each in self.hidden] + [self.outputs]):
            dense.update({name + "kernel": glorot(width, units), name + "bias": Weight((units,))})
            width = units
        below = dict(embedding, **self.network.weights(self.network_inputs))
        if self.kind == "speller":
            below = dict(prefixed("encoder/", below), **prefixed("decoder/", self.network.weights(self.outputs)))
        return dict(below, **dense)


def to_plain(model: Model) -> dict[str, Any]:
    """The model as JSON can hold it; `from_plain` is the way back."""
    found = {field.name: getattr(model, field.name) for field in fields(model)}
    hidden = [{"units": each.units, "activation": each.activation} for each in model.hidden]
    return dict(found, network=networks.to_plain(model.network), hidden=hidden)


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
    given["hidden"] = _hidden(given.get("hidden", []))
    try:
        return Model(**given)
    except TypeError:  # a field without a default is missing
        raise ValueError("a model needs kind, network, inputs, outputs; got %s" % ", ".join(given)) from None


def _hidden(plain: Any) -> tuple[Dense, ...]:
    try:
        return tuple(Dense(**each) for each in plain)
    except TypeError:
        raise ValueError("hidden must be a list of objects with units and activation, got %.60r" % (plain,)) from None
