"""One step of each kind of cell, forward and back: a page for each kind, and here the table of them.

Each page has these two functions, in float64:

    step(network, weights, x, state, factors) -> (output, new state, kept)
    step_back(network, weights, kept, doutput, dstate) -> (dweights, dx, dstate before the step)

x [batch, inputs]; output [batch, output_size]; a state has its parts by name, each [batch, width]; factors are what the
cell's own dropouts multiply by, by the names of their masks, each [batch, width], none where nothing is dropped; kept
is what the way back needs of the way there. doutput and dstate are a cost's derivatives by the output and by each part
of the new state; dweights, dx and dstate before the step those by what `step` was given, the weights by name, summed
over rows.
"""

from __future__ import annotations

from types import ModuleType

from spec_tests.oracle.cells import basic_rnn, gru, keras_gru, keras_lstm, layer_norm_lstm, lstm

CELLS: dict[str, ModuleType] = {
    "basic_rnn": basic_rnn,
    "lstm": lstm,
    "gru": gru,
    "layer_norm_lstm": layer_norm_lstm,
    "keras_lstm": keras_lstm,
    "keras_gru": keras_gru,
}
