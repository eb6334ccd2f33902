"""Output of variable length: a network that writes tokens until it writes the end-of-sequence token.

Greedy decoding feeds each row's own token back, in a loop of the graph; teacher forcing feeds given tokens, and gives
the loss to train with. A row's valid steps end with its first `end`; what stands after it changes nothing.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from tf_reference import build, losses, states
from tf_reference.given import Given
from tf_reference.masks import beside
from tf_reference.tf1 import tf
from tf_reference.unrolling import dynamic_rnn
from unrolled.networks import Network

__all__ = ["Decoded", "Decoder", "valid_steps"]


class Decoded(NamedTuple):
    """What `Decoder.decode` gives, for `steps` steps: as many as it took until every row had ended.

    tokens: int64 [batch, steps], `end` after a row's end. lengths: int64 [batch], `end` counted. finished: bool
    [batch], False for a row stopped at the maximum. outputs [batch, steps, output_size] and logits [batch, steps,
    vocabulary]: exactly zero past the length. state: each part [batch, width], frozen at the row's end.
    """

    tokens: Any
    lengths: Any
    finished: Any
    outputs: Any
    state: Any
    logits: Any


class Decoder:
    """A network that reads the token before and, through a dense layer, writes the next.

    Tokens are one-hot, or with `embedding` the rows of a trained variable [vocabulary, embedding]. Its variables are
    the cell's below "decoder", dense/kernel and bias, and embedding. They are made by `teach`, which therefore comes
    before `decode`: a variable must not be made inside a loop of the graph.
    """

    def __init__(
        self,
        network: Network,
        vocabulary: int,
        start: Any = 0,
        end: Any = 0,
        embedding: int | None = None,
        dtype: Any = tf.float32,
    ) -> None:
        """start: the token that goes in first. end: the end-of-sequence token; the two may be the same."""
        self.network = network
        self.vocabulary = vocabulary
        self.start = tf.cast(start, tf.int64)
        self.end = tf.cast(end, tf.int64)
        self.dtype = tf.as_dtype(dtype)
        self.cell = build.cell(network, dtype)
        self.dense = tf.layers.Dense(vocabulary, name="dense", dtype=dtype)
        self.embedding = None
        if embedding is not None:
            self.embedding = tf.get_variable("embedding", [vocabulary, embedding], dtype)

    def embed(self, tokens: Any) -> Any:
        """What tokens (int64, any shape) put into the cell: [..., inputs]."""
        if self.embedding is not None:
            return tf.gather(self.embedding, tokens)
        return tf.one_hot(tokens, self.vocabulary, dtype=self.dtype)

    def teach(self, initial_state: Mapping[str, Any], tokens: Any, masks: Mapping[str, Any] | None = None) -> Any:
        """Teacher forcing: the logits [batch, steps, vocabulary] when `start` and then tokens[:, :-1] go in.

        initial_state: each part [batch, width]. tokens: int64 [batch, steps]. masks: see `unroll`; with them `decode`
        cannot follow, since the variables are then another cell's. Logits past a row's first `end` mean nothing.
        """
        lengths = tf.reduce_sum(tf.cast(valid_steps(tokens, self.end), tf.int32), axis=1)
        fed = tf.concat([tf.fill([tf.shape(tokens)[0], 1], self.start), tokens[:, :-1]], axis=1)
        state = states.from_parts(self.cell, initial_state)
        cells, inputs = beside({"": self.network}, self._cell, Given(self.embed(fed), lengths, None, masks, False))
        outputs, _ = dynamic_rnn(cells[""], inputs, lengths, state, scope="decoder")
        stacked_logits = self.dense(tf.reshape(outputs, [-1, self.network.output_size]))
        return tf.reshape(stacked_logits, [-1, tf.shape(tokens)[1], self.vocabulary])

    def _cell(self, network: Network, masks: Any | None = None) -> Any:
        return self.cell if masks is None else build.cell(network, self.dtype, masks)

    def loss(self, logits: Any, tokens: Any) -> Any:
        """Cross-entropy [a scalar] of teacher-forced logits: the sum over the valid steps divided by their number."""
        return losses.valid_cross_entropy(logits, tokens, valid_steps(tokens, self.end))

    def decode(self, initial_state: Mapping[str, Any], max_steps: Any) -> Decoded:
        """Greedy decoding from `start`: each row's likeliest token, the lowest on a tie, goes back in, until its `end`.

        initial_state: each part [batch, width]. max_steps: at least 1. Ends as soon as every row has.
        """
        batch = tf.shape(next(iter(initial_state.values())))[0]
        max_steps = tf.cast(max_steps, tf.int32)
        tokens = tf.TensorArray(tf.int64, size=0, dynamic_size=True)
        outputs = tf.TensorArray(self.dtype, size=0, dynamic_size=True)
        logits = tf.TensorArray(self.dtype, size=0, dynamic_size=True)

        def goes_on(step: Any, token: Any, finished: Any, *rest: Any) -> Any:
            return tf.logical_and(step < max_steps, tf.logical_not(tf.reduce_all(finished)))

        def next_step(
            step: Any, token: Any, finished: Any, lengths: Any, state: Any, tokens: Any, outputs: Any, logits: Any
        ) -> tuple[Any, ...]:
            output, new_state = self.cell(self.embed(token), state)
            new_logits = self.dense(output)
            token = tf.where(finished, tf.fill([batch], self.end), tf.argmax(new_logits, axis=1))
            tokens = tokens.write(step, token)
            outputs = outputs.write(step, tf.where(finished, tf.zeros_like(output), output))
            logits = logits.write(step, tf.where(finished, tf.zeros_like(new_logits), new_logits))
            lengths += tf.cast(tf.logical_not(finished), tf.int64)
            state = tf.nest.map_structure(lambda old, new: tf.where(finished, old, new), state, new_state)
            finished = tf.logical_or(finished, tf.equal(token, self.end))
            return step + 1, token, finished, lengths, state, tokens, outputs, logits

        first = (
            tf.constant(0),
            tf.fill([batch], self.start),
            tf.fill([batch], False),
            tf.fill([batch], tf.constant(0, tf.int64)),
            states.from_parts(self.cell, initial_state),
        )
        found = tf.while_loop(goes_on, next_step, first + (tokens, outputs, logits))
        _, _, finished, lengths, state, tokens, outputs, logits = found
        by_row = [1, 0, 2]
        return Decoded(
            tf.transpose(tokens.stack()),
            lengths,
            finished,
            tf.transpose(outputs.stack(), by_row),
            states.parts(self.network, state),
            tf.transpose(logits.stack(), by_row),
        )


def valid_steps(tokens: Any, end: Any) -> Any:
    """Which steps of tokens [batch, steps] are valid: those up to and with a row's first `end`; bool [batch, steps]."""
    ends_before = tf.cumsum(tf.cast(tf.equal(tokens, end), tf.int32), axis=1, exclusive=True)
    return tf.equal(ends_before, 0)
