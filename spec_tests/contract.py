"""The contract, version 2: what a backend offers, NumPy in and NumPy out.

A backend is any object with the attributes and methods of `Backend`; nothing has to be inherited or imported from here.
`--backend package.module:factory` calls factory(device=DEVICE), or the factory without arguments where it takes none.
Every method is a function of the arrays it is given: weights go in as arrays and come out as arrays, never as seeds,
and no call depends on an earlier one. Arguments and results are NumPy arrays and plain values (numbers, strings, lists,
dicts, and the values of `unrolled.networks`, `unrolled.models` and `unrolled.programs.Adam`), so that a backend may
live in another process, under another Python.

A network says what is computed: its `kind`, its fields, and what follows from them, `output_size`, `weights(inputs)`
and `state`; the law of each kind, with its weights, stands at its value in `unrolled.networks`. Weights, states and
gradients are dicts of arrays by name, in one canonical form, TensorFlow 1's names and layouts. Of a basic_rnn the
weights are

    kernel        [inputs + units, units]   input rows first: concat(x, h) @ kernel
    bias          [units]

and of layers "cell_0/kernel" and so on, of two directions "fw/kernel" and "bw/kernel". With a model around it, or a
decoder, there are also

    dense/kernel  [what it reads, outputs]
    dense/bias    [outputs]
    embedding     [vocabulary, inputs]      decoding only, where tokens are not one-hot

A speller has two networks: "encoder/" and "decoder/" stand before the names of their weights. A state has a part for
each name in the network's `state`, [batch, width]: {"h": ...} of a basic_rnn, {"c": ..., "h": ...} of an lstm. Output
and state are two things, also where they are equal. A gradient has the name of what it is by: "kernel", "inputs",
"initial_state/h".

A backend maps weights by a strict table of name, shape and transpose: a missing, unknown or misshapen weight is an
error that names it. It never reshapes. A state that is given is given whole; one that is not, None, is zeros.

A network with dropout draws nothing: the masks, which its `masks(inputs)` tells, are given as arrays of ones and zeros
by name, in the dtype of the weights, all of them or None: nothing is dropped then, nor scaled, as when a trained model
is used. Models are always without masks. Only a backend that declares "dropout" is given `masks`.

The dtype of the weights (float32 or float64) is the dtype of the whole call: inputs, states and results share it.
Lengths are integers [batch], each from 0 to steps; None is every row full.

Integers (lengths, targets, tokens, batches) may have any integer dtype; no rows or no steps is a wrong argument.

An argument that breaks these rules raises ValueError with a sentence that names the argument, what was found and what
was expected. No argument is ever modified. What a method returns is checked for it, by `backends.answers`.

Python 3.7 syntax: the worker that serves TensorFlow 1.15.5 imports this module too.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np

from unrolled.models import Model
from unrolled.networks import Network
from unrolled.programs import Adam

try:
    from typing import Protocol
except ImportError:  # Python 3.7, which serves TensorFlow 1.15.5
    Protocol = object  # type: ignore[assignment]

__all__ = ["VERSION", "Adam", "Backend", "Masks", "Model", "Network", "Slots", "State", "Weights", "check_version"]

VERSION = 2
CHANGED = (
    "from version 2 on, methods take a network where they took a cell, a state is a dict of named arrays, and so are "
    'gradients (initial_state/h); what to change stands in spec_tests/NEW_BACKEND.md, "From version 1"'
)

Weights = Dict[str, np.ndarray]
State = Dict[str, np.ndarray]
Masks = Dict[str, np.ndarray]
Slots = Dict[str, np.ndarray]


class Backend(Protocol):
    """One implementation of the chapter, as the suite sees it."""

    name: str
    # The version of the contract that it keeps: 2.
    contract: int
    # Names from spec_tests.capabilities.CAPABILITIES.
    capabilities: frozenset[str]
    # Test function name -> why this backend is known to fail it. Each is a strict xfail: passing it is a failure, and
    # so is failing it by anything but an assertion of the test, such as an exception of the backend's own.
    expected_failures: Mapping[str, str]
    # It may also have `differences`, test function name -> what its framework does otherwise, and what this backend
    # does about it, so that the test passes, or is not run: for one who ports to read.

    def describe(self) -> dict[str, str]:
        """Plain facts for the header of a run: framework, its version, Python, device, threads."""

    def two_step(
        self, network: Network, weights: Weights, x0: np.ndarray, x1: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Two steps written out by hand, from a zero state.

        x0, x1: [batch, inputs]. Returns (y0, y1), each [batch, units]:
        y0 = f(x0 @ Wx + b), y1 = f(y0 @ Wy + x1 @ Wx + b), with Wx the first `inputs` rows of kernel and Wy the rest.
        """

    def static_rnn(
        self,
        network: Network,
        weights: Weights,
        inputs: list[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        masks: Masks | None = None,
    ) -> tuple[list[np.ndarray], State]:
        """The network repeated once per element of inputs, a list of `steps` arrays [batch, inputs].

        Returns (outputs, state): a list of `steps` arrays [batch, output_size], and each part of the state
        [batch, width]. The length law: past a row's length its outputs are exactly zero and every part of its state is
        copied through, so the final state is the one at the row's last valid step (the initial state for length 0),
        whatever the padding holds.
        """

    def dynamic_rnn(
        self,
        network: Network,
        weights: Weights,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        masks: Masks | None = None,
    ) -> tuple[np.ndarray, State]:
        """The network over inputs [batch, steps, inputs]; initial_state: each part [batch, width].

        Returns (outputs [batch, steps, output_size], state) under the length law. All steps are kept, also when every
        length is shorter.
        """

    def rnn_gradients(
        self,
        network: Network,
        weights: Weights,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradients: State | None = None,
        lengths: np.ndarray | None = None,
        initial_state: State | None = None,
        unrolling: str = "dynamic",
        masks: Masks | None = None,
    ) -> dict[str, np.ndarray]:
        """Back-propagation through time, for any cost on any of the outputs and the final state.

        inputs: [batch, steps, inputs], also when unrolling is "static" (the other value is "dynamic").
        output_gradients: the cost's derivative by the outputs [batch, steps, output_size]; None if it does not use
        them. state_gradients: its derivative by each part of the final state; None if it uses none of them.
        At least one is given. Returns the cost's gradients: each weight's under its name, in canonical layout, "inputs"
        [batch, steps, inputs], and "initial_state/<part>" [batch, width] (also when it was not given, at zeros).
        Nothing flows into the padding: there the gradient by the inputs is exactly zero.
        """

    def decode(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, max_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, State]:
        """Greedy decoding: each row's own token goes back in, from `start`, until the row has emitted `end`.

        network: one that reads in one direction. weights: of the network, "dense/kernel" [output_size, vocabulary],
        "dense/bias" [vocabulary], and "embedding" [vocabulary, inputs], whose row is what a token puts in; without it
        tokens are one-hot, and inputs is the vocabulary. initial_state: whole. start, end: tokens, from 0 to
        vocabulary - 1, which may be the same one. max_steps: at least 1. A step: output, state =
        network(embedding[token], state); token = argmax(output @ dense/kernel + dense/bias), the lowest token on a tie.

        Returns (tokens, lengths, finished, outputs, state):
        tokens    int64 [batch, steps]: as many steps as it took until every row had ended, at most max_steps; `end`
                  after a row's end
        lengths   int64 [batch]: the tokens of each row, its `end` counted
        finished  bool [batch]: whether the row emitted `end`; False: it was stopped at max_steps
        outputs   [batch, steps, output_size]: the network's outputs, exactly zero past the row's length
        state     each part [batch, width]: frozen at the row's end
        """

    def decode_gradients(
        self, network: Network, weights: Weights, initial_state: State, start: int, end: int, tokens: np.ndarray
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Teacher forcing: what goes in is `start` and then tokens[:, :-1], whatever the network would say.

        tokens: integers [batch, steps], steps at least 1, each from 0 to vocabulary - 1. A row's valid steps are those
        up to and with its first `end`, all of them where there is none; the tokens after it change nothing.
        Returns (loss, gradients): the sum of softmax cross-entropy over the valid steps, divided by their number in the
        whole batch; and its gradients by the name of every weight given, and "initial_state/<part>".
        The rest as in `decode`.
        """

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        """Whether fewer than k classes have a logit strictly above the target's: ties are hits.

        logits [batch, classes], targets integers [batch]; returns bool [batch]. A row with any non-finite logit, or
        with a target outside the classes, is a miss. k is at least 1.
        """

    def initial_weights(self, model: Model, seed: int) -> Weights:
        """Freshly drawn float32 weights with TF1's defaults, which `model.weights()` tells: each uniform within its
        limit of its value. The seed need not mean the same numbers in two backends; within one, the same seed gives
        the same weights and another seed others."""

    def forward(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        """inputs [batch, steps, inputs], or of a model with an embedding tokens, integers [batch, steps], each from 0
        to inputs - 1, also on padded steps -> logits [batch, outputs] of a classifier, or predictions or logits
        [batch, steps, outputs] of a regressor or a tagger, or the logits [batch, max_steps, outputs] that a speller
        decodes its tokens from: greedily, fed with its own, exactly zero past a row's end (also where every row ends
        sooner)."""

    def predict(
        self, model: Model, weights: Weights, inputs: np.ndarray, lengths: np.ndarray | None = None
    ) -> np.ndarray:
        """A classifier's class of the largest logit, int64 [batch] (the lowest class on a tie); a tagger's likewise,
        int64 [batch, steps], 0 past a row's length; a regressor's predictions, as forward gives them; a speller's
        tokens, int64 [batch, max_steps], END after a row's end: those of `decode` from the encoder's final state."""

    def loss(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> float:
        """A classifier's mean over rows of sparse softmax cross-entropy, targets integers [batch] (one outside the
        classes raises ValueError); a regressor's mean over every entry of the squared error, targets
        [batch, steps, outputs], padded steps included; a tagger's sum over the valid steps of sparse softmax
        cross-entropy, divided by their number in the batch (0 where there are none), targets integers [batch, steps],
        those past a row's length of any value; a speller's teacher-forced loss as `decode_gradients` defines
        it, targets integers [batch, any steps] (one outside the vocabulary raises ValueError)."""

    def loss_gradients(
        self,
        model: Model,
        weights: Weights,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
    ) -> tuple[float, Weights]:
        """The loss, and its gradient by each weight, under the weights' names. Needs "gradients" beside the model."""

    def train(
        self,
        model: Model,
        weights: Weights,
        optimizer: Adam,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Slots | None = None,
    ) -> tuple[np.ndarray, Weights, Slots]:
        """One optimizer step per row of batches, in order.

        inputs [rows, steps, inputs], targets and lengths of the same rows; batches: integer row numbers
        [iterations, batch], where no iterations at all is allowed and a row that is not there raises ValueError.
        slots: what an earlier call returned, to go on from there; None for a fresh start.

        Returns (losses [iterations], each before its step; weights; slots). Slots have TF1's names: for each weight
        "<name>/Adam" (first moment) and "<name>/Adam_1" (second moment), and float32 scalars (0-d arrays)
        "beta1_power" and "beta2_power", the powers that the next step will use (beta1 and beta2 themselves at first).

        Adam is TF1's, exactly: learning rate, betas and epsilon are rounded to float32, the powers are accumulated in
        float32, also when the weights are float64;
        lr_t = lr * sqrt(1 - beta2_power) / (1 - beta1_power); weight -= lr_t * m / (sqrt(v) + epsilon).
        """


def check_version(backend: Any) -> None:
    """Raise ValueError unless a backend says that it keeps this version of the contract."""
    found = getattr(backend, "contract", None)
    if found != VERSION:
        said = (
            "does not say which version of the contract it keeps"
            if found is None
            else "has contract = %.40r" % (found,)
        )
        raise ValueError(
            "backend %r %s; expected the attribute contract = %d: %s" % (backend.name, said, VERSION, CHANGED)
        )
