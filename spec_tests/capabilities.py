"""What a backend can declare that it offers, and what a network needs. Python 3.7 syntax."""

from __future__ import annotations

from typing import Any, Iterator

from unrolled import networks
from unrolled.models import Model
from unrolled.networks import Network

# What a backend can declare, in groups. A test that needs an undeclared one is skipped, by name, and counted; what a
# network or a model needs, `needs_of` tells.
GROUPS: dict[str, dict[str, str]] = {
    "networks": {
        "basic_rnn": "the plain cell",
        "lstm": "the LSTM, with any forget bias",
        "lstm_options": "the LSTM's peepholes and clips",
        "projection": "the LSTM's projection",
        "gru": "the GRU whose reset gate comes before the product",
        "gru_reset_after": "the GRU whose reset gate comes after it",
        "layer_norm_lstm": "the LSTM with layer normalisation",
        "keras_lstm": "Keras's LSTM, its gates by any activation",
        "keras_gru": "Keras's GRU, its reset gate before the product or after it, its gates by any activation",
        "layers": "networks one above the other",
        "bidirectional": "two cells that are alike, in opposite directions",
        "directions": "two networks that differ, or two stacks, in opposite directions",
        "residual": "a network whose inputs are added to its outputs",
        "dropout": "dropout of inputs, outputs, state and candidate, by given masks",
    },
    "activations": {
        "tanh": "the tanh activation",
        "relu": "the ReLU activation of a basic_rnn",
        "activations": "the others by name, and any but tanh where a cell has gates",
    },
    "unrolling": {
        "two_step": "two steps of a basic_rnn by hand",
        "static_rnn": "unrolling step by step over a list of inputs",
        "dynamic_rnn": "unrolling over a batch of sequences",
        "lengths": "sequences of different lengths in one batch",
        "initial_state": "a given initial state",
        "gradients": "gradients of any cost on outputs and final state",
    },
    "models": {
        "in_top_k": "whether the target is among the k largest logits",
        "initial_weights": "freshly drawn weights for a model",
        "classifier": "a dense layer on the final state: forward, loss, prediction",
        "regressor": "a dense layer on every output, stacked or wrapped: forward, loss, prediction",
        "tagger": "a dense layer on every output, a class for each step: forward, loss, prediction",
        "speller": "an encoder and a decoder that writes tokens until the end of sequence: forward, loss, prediction",
        "embedding": "tokens for inputs of a model, each a row of a weight",
        "hidden": "hidden dense layers of a model, and an activation of its last one",
        "decoding": "greedy decoding to the end-of-sequence token, and the teacher-forced loss with its gradients",
        "training": "optimizer steps on given batches",
        "mnist": "three epochs of MNIST: half a minute where steps are compiled, many minutes where they are not",
    },
    "precisions": {"float32": "single precision", "float64": "double precision"},
}
CAPABILITIES: dict[str, str] = {name: text for group in GROUPS.values() for name, text in group.items()}
NETWORKS = frozenset(GROUPS["networks"])

# Fields that need a capability of their own, where they are set.
_OPTIONS = {
    "peepholes": "lstm_options",
    "cell_clip": "lstm_options",
    "projection_clip": "lstm_options",
    "projection": "projection",
}


def grouped(capabilities: Any) -> dict[str, str]:
    """What is offered of each group, and what is not, in words."""
    found = {}
    for title, group in GROUPS.items():
        offered = [name for name in group if name in capabilities]
        lacking = [name for name in group if name not in capabilities]
        without = "; not " + ", ".join(lacking) if lacking else ""
        found[title] = "%s%s" % (", ".join(offered), without) if offered else "none"
    return found


def needs_of(asked: Network | Model) -> frozenset[str]:
    """What a backend must declare to be asked for a network: its kind, the kinds within it, their activations, and
    dropout where it has masks. A model's are its network's, its kind, and what stands before and after the network."""
    if isinstance(asked, Model):
        return needs_of(asked.network) | _needs_around(asked)
    needed = {"dropout"} if asked.masks(1) else set()
    for each in networks.within(asked):
        needed.update(_needs_of_one(each))
    return frozenset(needed)


def _needs_of_one(network: Any) -> Iterator[str]:
    """Without the networks within it."""
    kind = network.kind
    yield "gru_reset_after" if kind == networks.GRU.kind and network.reset_after else kind
    yield from (name for field, name in _OPTIONS.items() if getattr(network, field, None) not in (None, False))
    if kind == networks.Bidirectional.kind and (
        network.forward != network.backward or len(networks.within(network)) > 3
    ):
        yield "directions"
    if hasattr(network, "recurrent_activation"):
        yield _activation(network.recurrent_activation)
    if hasattr(network, "activation"):
        yield _activation(network.activation)
        if kind != networks.BasicRNN.kind and network.activation != "tanh":  # few frameworks let one choose there
            yield "activations"


def _needs_around(model: Model) -> frozenset[str]:
    dense = {model.activation, *(each.activation for each in model.hidden)}
    bent = dense - {"linear"}
    needed = {model.kind, *map(_activation, bent)}
    needed.update(["embedding"] if model.embedding else [], ["hidden"] if model.hidden or bent else [])
    return frozenset(needed)


def _activation(name: str) -> str:
    """The capability that an activation is of."""
    return name if name in CAPABILITIES else "activations"


def check_capabilities(backend: Any) -> None:
    """Raise ValueError when a backend declares a capability that the contract does not know."""
    unknown = sorted(set(backend.capabilities) - set(CAPABILITIES))
    if unknown:
        raise ValueError(
            "backend %r declares unknown capabilities %s; the contract knows %s"
            % (backend.name, ", ".join(unknown), ", ".join(CAPABILITIES))
        )
