"""What a backend can declare that it offers, and what a network needs. Python 3.7 syntax."""

from __future__ import annotations

from typing import Any

from unrolled import networks
from unrolled.networks import Network

# What a backend can declare. A test that needs an undeclared one is skipped, by name, and counted; what a network
# needs, `needs_of` tells.
CAPABILITIES: dict[str, str] = {
    # kinds of network, with every option
    "basic_rnn": "the plain cell",
    "lstm": "the LSTM, with peepholes, projection and clips",
    "gru": "the GRU, its reset gate before the product or after it",
    "layers": "networks one above the other",
    "bidirectional": "two networks that read in opposite directions",
    "residual": "a network whose inputs are added to its outputs",
    # the activations that they take by name
    "tanh": "the tanh activation",
    "relu": "the ReLU activation",
    "activations": "the other activations by name: sigmoid, hard_sigmoid, softsign, softplus, elu, selu, linear",
    # how they are unrolled
    "two_step": "two steps of a basic_rnn by hand",
    "static_rnn": "unrolling step by step over a list of inputs",
    "dynamic_rnn": "unrolling over a batch of sequences",
    "lengths": "sequences of different lengths in one batch",
    "initial_state": "a given initial state",
    "gradients": "gradients of any cost on outputs and final state",
    # models, and what is done with them
    "in_top_k": "whether the target is among the k largest logits",
    "initial_weights": "freshly drawn weights for a model",
    "classifier": "a dense layer on the final state: forward, loss, prediction",
    "regressor": "a dense layer on every output, stacked or wrapped: forward, loss, prediction",
    "speller": "an encoder and a decoder that writes tokens until the end of sequence: forward, loss, prediction",
    "decoding": "greedy decoding to the end-of-sequence token, and the teacher-forced loss with its gradients",
    "training": "optimizer steps on given batches",
    # precisions
    "float32": "single precision",
    "float64": "double precision",
}


def needs_of(network: Network) -> frozenset[str]:
    """What a backend must declare to be asked for a network: its kind, the kinds within it, and their activations."""
    needed = set()
    for each in networks.within(network):
        needed.add(each.kind)
        activation = getattr(each, "activation", None)
        if activation is not None:
            needed.add(activation if activation in CAPABILITIES else "activations")
    return frozenset(needed)


def check_capabilities(backend: Any) -> None:
    """Raise ValueError when a backend declares a capability that the contract does not know."""
    unknown = sorted(set(backend.capabilities) - set(CAPABILITIES))
    if unknown:
        raise ValueError(
            "backend %r declares unknown capabilities %s; the contract knows %s"
            % (backend.name, ", ".join(unknown), ", ".join(CAPABILITIES))
        )
