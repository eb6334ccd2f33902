"""One step of each kind of cell: step(network, weights, x [batch, inputs], state) -> (output, state).

Another kind is another file, and a line in `CELLS`; JAX has the gradients.
"""

from __future__ import annotations

from typing import Any, Callable

from spec_tests.examples.jax_cells import basic_rnn, gru, lstm
from unrolled.networks import GRU, LSTM, BasicRNN

CELLS: dict[str, Callable[..., Any]] = {BasicRNN.kind: basic_rnn.step, LSTM.kind: lstm.step, GRU.kind: gru.step}
