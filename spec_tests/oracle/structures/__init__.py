"""Networks made of networks, over whole sequences, forward and back: a page for each kind, and here the table of them.

Each page has these two functions, in float64, to which `unrolling` hands its own two, for the networks within:

    unroll(over_time, network, weights, x, valid, state, factors) -> (outputs, last state, kept)
    bptt(back_in_time, network, weights, kept, valid, doutputs, dstate) -> (dweights, dx, dstate before the first step)

x [batch, steps, inputs], zero where it is not valid, bool [batch, steps, 1], and so are the outputs; factors, each
[batch, steps, width], steps in the order in which they are read; the rest as for a cell, whose one step is here every
step.
"""

from __future__ import annotations

from types import ModuleType

from spec_tests.oracle.structures import bidirectional, dropout, layers, residual

STRUCTURES: dict[str, ModuleType] = {
    "layers": layers,
    "bidirectional": bidirectional,
    "residual": residual,
    "dropout": dropout,
}
