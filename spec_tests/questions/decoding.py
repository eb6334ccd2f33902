"""Test data for output of variable length, and for the two programs on real sequences: the speller and the vowels.

As in `makers`, everything is drawn from np.random.RandomState. The questions among them are put to TensorFlow 1.15.5 by
the recorder. Python 3.7 syntax.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple

import numpy as np

from spec_tests.questions import makers
from spec_tests.questions.cases import Case
from unrolled.datasets import mnist, spelling, vowels
from unrolled.datasets.batches import BatchStream
from unrolled.models import Model
from unrolled.networks import BasicRNN, Network
from unrolled.programs import SPELLER, VOWELS, Adam

# All different, also VOCABULARY + UNITS and EMBEDDING + UNITS.
BATCH, UNITS, VOCABULARY, EMBEDDING = 6, 5, 8, 3
START, END, MAX_STEPS = 2, 0, 7
FORMS = ("one-hot", "embedding")
# With these seeds the rows of `decoding` end at three or more different steps, one at its first, one never; and the
# largest logit is ahead of the next by more than 0.03, so that rounding cannot change a token.
SEEDS = {("one-hot", "tanh"): 40, ("one-hot", "relu"): 40, ("embedding", "tanh"): 35, ("embedding", "relu"): 252}


class Decoding(NamedTuple):
    """What `decode` and, with tokens instead of max_steps, `decode_gradients` take."""

    network: Network
    weights: dict[str, np.ndarray]
    initial_state: dict[str, np.ndarray]  # each part [batch, width]
    start: int
    end: int
    max_steps: int
    tokens: np.ndarray  # int64 [batch, steps], each token of the vocabulary; some rows without `end`

    def greedy(self) -> tuple[Any, ...]:
        return self[:6]

    def taught(self) -> tuple[Any, ...]:
        return self[:5] + (self.tokens,)


def decoding(dtype: str, activation: str = "tanh", form: str = "one-hot") -> Decoding:
    """A random case whose rows end at different steps, one of them not at all: see SEEDS."""
    random = np.random.RandomState(SEEDS[form, activation])
    inputs = EMBEDDING if form == "embedding" else VOCABULARY
    weights = {
        "kernel": 1.5 * makers.kernel(random, inputs + UNITS, UNITS, dtype),
        "bias": makers.bias(random, UNITS, dtype),
        "dense/kernel": 2.0 * makers.kernel(random, UNITS, VOCABULARY, dtype),
        "dense/bias": makers.bias(random, VOCABULARY, dtype),
    }
    if form == "embedding":
        weights["embedding"] = random.normal(size=(VOCABULARY, EMBEDDING)).astype(dtype)
    weights = {name: array.astype(dtype) for name, array in weights.items()}
    network = BasicRNN(UNITS, activation)
    state = makers.state_of(random, network, BATCH, dtype)
    tokens = random.randint(0, VOCABULARY, (BATCH, MAX_STEPS - 1))
    return Decoding(network, weights, state, START, END, MAX_STEPS, tokens)


def countdown(dtype: str, counts: list[int], start: int, end: int, max_steps: int, vocabulary: int = 5) -> Decoding:
    """Exact in every dtype, with ReLU: a row whose count is n writes n - 1 letters (none if n < 1), then `end`.

    The letters are the tokens that follow the one fed, in order, going round: after `start`, start + 1 and so on,
    `end` left out. Unit 0 counts down, unit 1 is 0 until the last step, unit 2 + t is 1 where token t was fed.
    """
    units = 2 + vocabulary
    kernel = np.zeros((vocabulary + units, units))
    kernel[vocabulary, 0] = 1.0  # count' = relu(count - 1)
    kernel[vocabulary, 1] = -1.0  # last' = relu(2 - count)
    dense = np.zeros((units, vocabulary))
    dense[1, end] = 3.0
    letters = [token for token in range(vocabulary) if token != end]
    for token in range(vocabulary):
        kernel[token, 2 + token] = 1.0
        following = next((letter for letter in letters if letter > token), letters[0])
        dense[2 + token, following] = 2.0
    bias = np.zeros(units)
    bias[:2] = -1.0, 2.0
    weights = {"kernel": kernel, "bias": bias, "dense/kernel": dense, "dense/bias": np.zeros(vocabulary)}
    h = np.zeros((len(counts), units), dtype)
    h[:, 0] = counts
    arrays, tokens = {name: array.astype(dtype) for name, array in weights.items()}, np.full((len(counts), 1), end)
    return Decoding(BasicRNN(units, "relu"), arrays, {"h": h}, start, end, max_steps, tokens)


def speller(activation: str = "tanh") -> Model:
    """A small speller: 3 inputs, 4 units, 8 tokens, at most 6 of them."""
    return Model("speller", BasicRNN(makers.UNITS, activation), makers.INPUTS, VOCABULARY, max_steps=6)


class Spelling(NamedTuple):
    """A speller, its weights, and rows with tokens for it: what `loss` takes, lengths apart."""

    model: Model
    weights: dict[str, np.ndarray]
    inputs: np.ndarray  # [rows, steps, inputs]
    targets: np.ndarray  # int64 [rows, 4]


def spelling_case(dtype: str, activation: str = "tanh", seed: int = 242) -> Spelling:
    """A small random case; with this seed three different words or more are decoded, of different lengths."""
    random, model = np.random.RandomState(seed), speller(activation)
    weights = makers.model_weights(model, dtype, seed)
    inputs = random.normal(size=(makers.BATCH, makers.STEPS, makers.INPUTS)).astype(dtype)
    return Spelling(model, weights, inputs, random.randint(0, VOCABULARY, (makers.BATCH, 4)))


def decoding_cases(dtype: str) -> Iterator[Case]:
    """Greedy decoding, stopped at the maximum or not, and teacher forcing, over activations and forms of tokens."""
    for activation in ("tanh", "relu"):
        for form in FORMS:
            case = decoding(dtype, activation, form)
            for max_steps in (1, 4, 9):
                asked = dict(zip(Decoding._fields[:6], case.greedy()), max_steps=max_steps)
                yield Case("decode-%s-%s-%d" % (activation, form, max_steps), "decode", asked)
            taught = dict(zip(Decoding._fields[:5], case.taught()), tokens=case.tokens)
            yield Case("decode_gradients-%s-%s" % (activation, form), "decode_gradients", taught)


def sequence_training(name: str, dtype: str, iterations: int, seed: int = 1) -> Case:
    """`iterations` steps of the program "speller" or "vowels" on its real data, at its real size, from the weights and
    on the batch stream of the seed. The rows are those that the batches take, renumbered."""
    lengths = None
    if name == SPELLER.name:
        program, train = SPELLER, mnist.load().train
        inputs, targets = train.images, spelling.names_of(train.labels)
    else:
        program, utterances = VOWELS, vowels.standardized(vowels.load()).train
        inputs, targets, lengths = utterances.inputs, utterances.speaker, utterances.lengths
    batches = BatchStream(len(inputs), program.batch, seed).take(iterations)
    rows, renumbered = np.unique(batches, return_inverse=True)
    arguments = {
        "model": program.model,
        "weights": makers.initial_weights(program.model, dtype, seed),
        "optimizer": program.optimizer,
        "inputs": inputs[rows].astype(dtype),
        "targets": targets[rows],
        "batches": renumbered.reshape(batches.shape),
        "lengths": None if lengths is None else lengths[rows],
    }
    return Case("%s, %d steps" % (name, iterations), "train", arguments)


def small_training(dtype: str, iterations: int = 6) -> makers.Training:
    """A few steps of a small speller on batches of 3 rows."""
    case = spelling_case(dtype)
    batches = np.random.RandomState(4).randint(0, makers.BATCH, (iterations, 3))
    return makers.Training(case.model, case.weights, Adam(), case.inputs, case.targets, batches)
