"""The third truth: what every behaviour should give, as formulas in float64 NumPy.

Neither framework judges the other; both are held to these pages, and results recorded from genuine TensorFlow 1.15.5
confirm them. Whatever the dtype of the arguments, everything here is computed and returned in float64, except where TF1
itself rounds to float32 (Adam's constants and powers). Arguments are taken as right: checking them is a backend's work.

    cells       one step of each kind of cell, forward and back: a page for each kind
    structures  layers, both directions, residual, dropout: a page for each kind
    unrolling   a network over time, and back-propagation through it
    decoding    tokens until the end of sequence
    dense       the embedding before a network, and the dense layers after it
    models      classifier, regressor, tagger, speller, with losses
    training    Adam
    backend     all of it as a backend of the contract, to be put under its own suite
    faults      the same with a planted fault each

Shapes: inputs [batch, steps, inputs]; outputs [batch, steps, output_size]; each part of a state [batch, width].
"""

from spec_tests.oracle.activations import ACTIVATIONS
from spec_tests.oracle.cells.basic_rnn import two_step
from spec_tests.oracle.decoding import decode, decode_gradients, token_lengths
from spec_tests.oracle.losses import in_top_k
from spec_tests.oracle.models import forward, loss, loss_gradients, part_of, predict, read_out, spell
from spec_tests.oracle.training import adam, fresh_slots, train
from spec_tests.oracle.unrolling import bptt, unroll, valid_steps

__all__ = [
    "ACTIVATIONS",
    "adam",
    "bptt",
    "decode",
    "decode_gradients",
    "forward",
    "fresh_slots",
    "in_top_k",
    "loss",
    "loss_gradients",
    "part_of",
    "predict",
    "read_out",
    "spell",
    "token_lengths",
    "train",
    "two_step",
    "unroll",
    "valid_steps",
]
