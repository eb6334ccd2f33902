"""The chapter's programs as a reader of it would write them; beside them `torch_impl.chapter`, and both in CHAPTER.md.

A program is called inside a graph. Inputs [batch, steps, inputs] and lengths, integers [batch], are tensors; variables
are initialised, or loaded, before what is returned is run.
"""

from __future__ import annotations

from typing import Any, Iterable

from tf_reference.tf1 import tf


def two_step(x0: Any, x1: Any, wx: Any, wy: Any, b: Any) -> Any:
    y0 = tf.tanh(tf.matmul(x0, wx) + b)
    y1 = tf.tanh(tf.matmul(y0, wy) + tf.matmul(x1, wx) + b)
    return y0, y1


def static(x0: Any, x1: Any) -> Any:
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    outputs, state = tf.nn.static_rnn(cell, [x0, x1], dtype=tf.float32)
    return outputs, state


def dynamic(inputs: Any) -> Any:
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    outputs, state = tf.nn.dynamic_rnn(cell, inputs, dtype=tf.float32)
    return outputs, state


def lengths(inputs: Any, lengths: Any) -> Any:
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    outputs, state = tf.nn.dynamic_rnn(cell, inputs, sequence_length=lengths, dtype=tf.float32)
    return outputs, state


def decode(state: Any, vocabulary: int, start: int, end: int, most: int) -> Any:
    cell, dense = tf.nn.rnn_cell.BasicRNNCell(5), tf.layers.Dense(vocabulary)
    cell.build([None, vocabulary])  # variables must not be made inside the loop
    dense.build([None, 5])
    rows = tf.shape(state)[0]

    def goes_on(tokens: Any, going: Any, state: Any) -> Any:
        return tf.logical_and(tf.shape(tokens)[1] <= most, tf.reduce_any(going))

    def step(tokens: Any, going: Any, state: Any) -> Any:
        output, new = cell(tf.one_hot(tokens[:, -1], vocabulary), state)
        state = tf.where(going, new, state)
        token = tf.where(going, tf.argmax(dense(output), axis=1), tf.fill([rows], tf.constant(end, tf.int64)))
        tokens = tf.concat([tokens, token[:, None]], axis=1)
        return tokens, tf.logical_and(going, tf.not_equal(token, end)), state

    tokens, going = tf.fill([rows, 1], tf.constant(start, tf.int64)), tf.fill([rows], True)
    shapes = [tf.TensorShape([None, None]), going.shape, state.shape]
    tokens, going, state = tf.while_loop(goes_on, step, [tokens, going, state], shape_invariants=shapes)
    return tokens[:, 1:], state


def bptt(inputs: Any, by_outputs: Any) -> Any:
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    outputs, _ = tf.nn.dynamic_rnn(cell, inputs, dtype=tf.float32)
    kernel, bias = tf.trainable_variables()
    return tf.gradients(outputs, [kernel, bias], grad_ys=by_outputs)


def mnist(batches: Iterable[Any], images: Any, labels: Any) -> Any:
    x = tf.placeholder(tf.float32, [None, 28, 28])
    y = tf.placeholder(tf.int32, [None])
    cell = tf.nn.rnn_cell.BasicRNNCell(150)
    _, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    logits = tf.layers.dense(state, 10)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    training_op = tf.train.AdamOptimizer(0.001).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.nn.in_top_k(logits, y, 1), tf.float32))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for some_images, some_labels in batches:
            session.run(training_op, {x: some_images, y: some_labels})
        return session.run(accuracy, {x: images, y: labels})


def series(batches: Iterable[Any], inputs: Any) -> Any:
    x = tf.placeholder(tf.float32, [None, None, 1])
    y = tf.placeholder(tf.float32, [None, None, 1])
    cell = tf.nn.rnn_cell.BasicRNNCell(100, activation=tf.nn.relu)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    stacked = tf.layers.dense(tf.reshape(outputs, [-1, 100]), 1)
    predictions = tf.reshape(stacked, [-1, tf.shape(x)[1], 1])
    loss = tf.reduce_mean(tf.square(predictions - y))
    training_op = tf.train.AdamOptimizer(0.001).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for some_inputs, targets in batches:
            session.run(training_op, {x: some_inputs, y: targets})
        return session.run(predictions, {x: inputs})


def lstm(inputs: Any, lengths: Any) -> Any:
    cell = tf.nn.rnn_cell.LSTMCell(5)
    outputs, (c, h) = tf.nn.dynamic_rnn(cell, inputs, sequence_length=lengths, dtype=tf.float32)
    return outputs, (c, h)


def gru(inputs: Any, lengths: Any) -> Any:
    cell = tf.nn.rnn_cell.GRUCell(5)
    outputs, state = tf.nn.dynamic_rnn(cell, inputs, sequence_length=lengths, dtype=tf.float32)
    return outputs, state


def layers(inputs: Any, lengths: Any) -> Any:
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.GRUCell(5) for _ in range(2)])
    outputs, states = tf.nn.dynamic_rnn(cell, inputs, sequence_length=lengths, dtype=tf.float32)
    return outputs, states


def bidirectional(inputs: Any, lengths: Any) -> Any:
    forward, backward = tf.nn.rnn_cell.LSTMCell(5), tf.nn.rnn_cell.LSTMCell(5)
    both, states = tf.nn.bidirectional_dynamic_rnn(forward, backward, inputs, sequence_length=lengths, dtype=tf.float32)
    return tf.concat(both, 2), states
