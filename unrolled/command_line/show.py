"""`show`: the chapter's small programs on its own batch.

The kernel is drawn by NumPy and everything is computed in float64, so that every implementation prints the same digits,
and enough of them: inputs from 0 to 9 drive tanh so close to 1 that float32 would round many of its values to it.
"""

from __future__ import annotations

from typing import Any, Callable

import click
import numpy as np

from unrolled.command_line.options import backend_options, open_backend, plain_failures, seed_option
from unrolled.command_line.show_networks import NETWORKS
from unrolled.command_line.tables import heading, shape_of, table, tables
from unrolled.networks import BasicRNN

__all__ = ["show_command"]

NETWORK = BasicRNN(5)
X0 = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 1]], dtype=np.float64)
X1 = np.array([[9, 8, 7], [0, 0, 0], [6, 5, 4], [3, 2, 1]], dtype=np.float64)
LENGTHS = np.array([2, 1, 2, 2], dtype=np.int64)


def show_command(name: str, backend: Callable[[str, int | None], Any]) -> click.Command:
    """The command `show PROGRAM` of the implementation `name`; see `unrolled.command_line` for backend."""
    programs = {"two-step": _two_step, "static": _static, "dynamic": _dynamic, "lengths": _lengths}

    @click.command("show", short_help="Run one of the chapter's small programs and print what it computes.")
    @click.argument("program", type=click.Choice([*programs, *NETWORKS]))
    @seed_option("Of the values that NumPy draws: the kernel's, or all weights, inputs and masks.")
    @backend_options
    def show(program: str, seed: int, device: str, threads: int | None) -> None:
        """Run one of the chapter's small programs and print what it computes.

        The chapter's: 5 tanh neurons read a batch of 4 sequences, 2 steps each, 3 inputs per step.

        \b
        two-step  two steps written out by hand
        static    the same, unrolled step by step over a list
        dynamic   the same, unrolled over one array of sequences
        lengths   the second sequence ends after one step

        Beyond the chapter: 3 sequences of different lengths, with every part of the state by name.

        \b
        lstm           two parts, c and h
        gru            the reset gate before the product
        layers         two, one above the other
        bidirectional  forward and backward, side by side
        dropout        its masks, and what they drop
        """
        with plain_failures():
            opened = open_backend(backend, device, threads)
            if program in NETWORKS:
                for block in NETWORKS[program](opened, np.random.RandomState(seed)):
                    click.echo(block)
                return
            kernel = np.random.RandomState(seed).standard_normal((X0.shape[1] + NETWORK.units, NETWORK.units))
            weights = {"kernel": kernel, "bias": np.zeros(NETWORK.units)}
            for block in programs[program](opened, weights):
                click.echo(block)

    return show


def _two_step(opened: Any, weights: dict[str, np.ndarray]) -> list[str]:
    y0, y1 = opened.two_step(NETWORK, weights, X0, X1)
    return [
        heading("Two steps by hand: y0 = tanh(x0 Wx + b), y1 = tanh(y0 Wy + x1 Wx + b)"),
        table("Wx", weights["kernel"][: X0.shape[1]]),
        table("Wy", weights["kernel"][X0.shape[1] :]),
        table("x0", X0),
        table("x1", X1),
        table("y0", y0),
        table("y1", y1),
        "Both steps use the same Wx, Wy and b; only y0 links the first to the second. Most values\n"
        "lie close to -1 or 1, because inputs up to 9 saturate tanh. Sequence 1 has x1 = 0, so its\n"
        "y1 is tanh(y0 Wy + b): what it remembers of x0.\n",
    ]


def _static(opened: Any, weights: dict[str, np.ndarray]) -> list[str]:
    outputs, state = opened.static_rnn(NETWORK, weights, [X0, X1])
    return [
        heading("Unrolled statically: a list of one input per step in, a list of one output per step out"),
        *tables("inputs", [X0, X1]),
        *tables("outputs", outputs),
        table("state", state["h"]),
        "The numbers are those of the two steps by hand. A basic cell's state is its output, so the\n"
        "final state is the last element of outputs. The program holds the cell once per step.\n",
    ]


def _dynamic(opened: Any, weights: dict[str, np.ndarray]) -> list[str]:
    inputs = np.stack([X0, X1], axis=1)
    outputs, state = opened.dynamic_rnn(NETWORK, weights, inputs)
    return [
        heading("Unrolled dynamically: inputs %s in, outputs %s out" % (shape_of(inputs), shape_of(outputs))),
        *tables("inputs[:, %d]", list(np.moveaxis(inputs, 1, 0))),
        *tables("outputs[:, %d]", list(np.moveaxis(outputs, 1, 0))),
        table("state", state["h"]),
        "The numbers are those of the static unrolling, in one array [batch, steps, units] instead of\n"
        "a list: one loop runs the cell, whatever the number of steps. The final state is\n"
        "outputs[:, 1], the last step of every sequence.\n",
    ]


def _lengths(opened: Any, weights: dict[str, np.ndarray]) -> list[str]:
    inputs = np.stack([X0, X1], axis=1)
    outputs, state = opened.dynamic_rnn(NETWORK, weights, inputs, lengths=LENGTHS)
    padding = [["padding" if step >= length else "" for length in LENGTHS] for step in range(2)]
    zeros = [["zero" if not row.any() else "" for row in outputs[:, step]] for step in range(2)]
    where = ["outputs[%d, %d]" % (row, step) for row in range(len(inputs)) for step in range(2) if zeros[step][row]]
    sources = [_source(row, outputs, state["h"]) for row in range(len(inputs))]
    return [
        heading("Sequences of different lengths: lengths %s" % LENGTHS.tolist()),
        *(table("inputs[:, %d]" % step, inputs[:, step], padding[step]) for step in range(2)),
        *(table("outputs[:, %d]" % step, outputs[:, step], zeros[step]) for step in range(2)),
        table("state", state["h"], sources),
        "Exactly zero: %s. An output past the end of its sequence is zero, and the\n"
        "state of a sequence is the one at its own last step: sequence 1, of length 1, has it from\n"
        "step 0, the others from step 1. The padding takes no part in it.\n" % (", ".join(where) or "no output"),
    ]


def _source(row: int, outputs: np.ndarray, state: np.ndarray) -> str:
    """Which of a row's outputs its state is: looked up, not assumed."""
    equal = [step for step in range(outputs.shape[1]) if np.array_equal(outputs[row, step], state[row])]
    return "is outputs[%d, %d]" % (row, equal[0]) if equal else "is none of the outputs"
