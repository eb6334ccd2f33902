"""Make Saver checkpoints of recurrent models as people have them, with genuine TensorFlow 1.15.5 (Python 3.7).

    python make_tf1_zoo.py FOLDER [NAME...]

Each model is trained a few steps and saved with its graph: NAME.meta, NAME.index, NAME.data-…. NAME.npz has what
TensorFlow made of it: "inputs", "lengths" where it takes some, "targets", "outputs" (those of the saved weights),
"loss", and each variable after one more step of the optimizer ("next/…", by its name in the checkpoint).
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.contrib import cudnn_rnn, layers, rnn

STEPS_BEFORE = 6
BATCH, STEPS, INPUTS, UNITS, OUTPUTS, VOCABULARY, WIDTH = 4, 6, 3, 5, 4, 11, 7
LENGTHS = np.array([6, 2, 5, 3], np.int32)
cells = tf.nn.rnn_cell


class Built:
    """A graph: its placeholders, its outputs before a softmax, its loss, and what else is fed."""

    def __init__(self, inputs, outputs, loss, targets, train, lengths=None, feed=None, names=None):
        self.inputs, self.outputs, self.loss, self.targets, self.train = inputs, outputs, loss, targets, train
        self.lengths, self.feed, self.names = lengths, feed or {}, names


def tokens():
    return tf.placeholder(tf.int32, [None, None], name="tokens")


def values(steps=None, time_major=False):
    return tf.placeholder(tf.float32, [steps, None, INPUTS] if time_major else [None, steps, INPUTS], name="x")


def lengths():
    return tf.placeholder(tf.int32, [None], name="lengths")


def embedded(x):
    return tf.nn.embedding_lookup(tf.get_variable("embedding", [VOCABULARY, WIDTH]), x)


def classes(logits):
    """(labels, mean cross-entropy) of one class for each row or step."""
    labels = tf.placeholder(tf.int32, [None] * (logits.shape.ndims - 1), name="labels")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return labels, tf.reduce_mean(loss)


def squares(predictions):
    """(values, mean square)."""
    wanted = tf.placeholder(tf.float32, [None] * predictions.shape.ndims, name="wanted")
    return wanted, tf.reduce_mean(tf.square(predictions - wanted))


def masked(logits, limits):
    """(labels, mean cross-entropy over the valid steps)."""
    labels = tf.placeholder(tf.int32, [None, None], name="labels")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    mask = tf.sequence_mask(limits, tf.shape(labels)[1], dtype=tf.float32)
    return labels, tf.reduce_sum(loss * mask) / tf.reduce_sum(mask)


def adam(loss, **options):
    return tf.train.AdamOptimizer(0.01, **options).minimize(loss)


def embedding_lstm_classifier():
    """Embedding, LSTM with lengths, a dense layer on the final state."""
    x, limits = tokens(), lengths()
    _, state = tf.nn.dynamic_rnn(cells.BasicLSTMCell(UNITS), embedded(x), limits, dtype=tf.float32)
    logits = tf.layers.dense(state.h, OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss, beta1=0.8, epsilon=1e-4), limits)


def language_model():
    """Two LSTM layers with dropout, and gradients clipped by their norm."""
    x, keep = tokens(), tf.placeholder_with_default(1.0, [], name="keep_prob")
    made = [cells.DropoutWrapper(cells.LSTMCell(UNITS, forget_bias=0.0), output_keep_prob=keep) for _ in range(2)]
    outputs, _ = tf.nn.dynamic_rnn(cells.MultiRNNCell(made), embedded(x), dtype=tf.float32)
    weights = tf.get_variable("softmax_w", [UNITS, VOCABULARY])
    bias = tf.get_variable("softmax_b", [VOCABULARY])
    flat = tf.matmul(tf.reshape(outputs, [-1, UNITS]), weights) + bias
    logits = tf.reshape(flat, [tf.shape(x)[0], tf.shape(x)[1], VOCABULARY])
    labels, loss = classes(logits)
    variables = tf.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 0.05)
    train = tf.train.AdamOptimizer(0.01).apply_gradients(zip(gradients, variables))  # noqa: B905 (Python 3.7)
    return Built(x, logits, loss, labels, train)


def bidirectional_tagger():
    """Embedding, both directions with lengths, a class for every step."""
    x, limits = tokens(), lengths()
    pair = [cells.LSTMCell(UNITS), cells.LSTMCell(UNITS + 1)]
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(*pair, inputs=embedded(x), sequence_length=limits, dtype=tf.float32)
    logits = tf.layers.dense(tf.concat(outputs, 2), OUTPUTS, name="tags")
    labels, loss = masked(logits, limits)
    with tf.variable_scope("train"):
        train = adam(loss)
    return Built(x, logits, loss, labels, train, limits)


def gru_classifier():
    """A GRU, its last output, and a global step."""
    x = values()
    outputs, _ = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, dtype=tf.float32)
    logits = layers.fully_connected(outputs[:, -1], OUTPUTS, activation_fn=None)
    labels, loss = classes(logits)
    step = tf.train.get_or_create_global_step()
    return Built(x, logits, loss, labels, tf.train.AdamOptimizer(0.01).minimize(loss, global_step=step))


def peepholes_projection_clips():
    """Everything that LSTMCell can do at once."""
    x, limits = values(), lengths()
    cell = cells.LSTMCell(UNITS, True, cell_clip=0.2, num_proj=3, proj_clip=0.15, forget_bias=0.5)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, limits, dtype=tf.float32)
    predictions = tf.layers.dense(outputs, 2)
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss), limits)


def fused_time_major():
    """The block-fused LSTM, which takes time first."""
    x, limits = values(time_major=True), lengths()
    outputs, _ = rnn.LSTMBlockFusedCell(UNITS, use_peephole=True)(x, dtype=tf.float32, sequence_length=limits)
    predictions = tf.layers.dense(outputs, 2)
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss), limits)


def stacked_bidirectional_gru():
    """Two layers of both directions; a dense layer on the last layer's final states."""
    x, limits = values(), lengths()
    made = [[cells.GRUCell(UNITS) for _ in range(2)] for _ in range(2)]
    _, forward, backward = rnn.stack_bidirectional_dynamic_rnn(
        *made, inputs=x, dtype=tf.float32, sequence_length=limits
    )
    logits = tf.layers.dense(tf.concat([forward[-1], backward[-1]], 1), OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss), limits)


def scoped_partitioned_ema():
    """Nested scopes, partitioned variables ("mod" lookup), and moving averages of the weights."""
    x, limits = tokens(), lengths()
    with tf.variable_scope("model/encoder", partitioner=tf.fixed_size_partitioner(3)):
        _, state = tf.nn.dynamic_rnn(cells.BasicLSTMCell(UNITS), embedded(x), limits, dtype=tf.float32, scope="words")
        logits = tf.layers.dense(state.h, OUTPUTS, name="out")
    labels, loss = classes(logits)
    train = adam(loss)
    with tf.control_dependencies([train]):
        train = tf.train.ExponentialMovingAverage(0.9).apply(tf.trainable_variables())
    return Built(x, logits, loss, labels, train, limits)


def rmsprop_resource():
    """RMSProp over resource variables."""
    x = values()
    with tf.variable_scope("", use_resource=True):
        _, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS, activation=tf.nn.relu), x, dtype=tf.float32)
        logits = tf.layers.dense(state, OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, tf.train.RMSPropOptimizer(0.01, momentum=0.5).minimize(loss))


def momentum():
    """Static unrolling, and SGD with momentum and a rate that decays."""
    x = values(STEPS)
    outputs, _ = tf.nn.static_rnn(cells.BasicLSTMCell(UNITS), tf.unstack(x, axis=1), dtype=tf.float32)
    logits = tf.layers.dense(outputs[-1], OUTPUTS)
    labels, loss = classes(logits)
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.1, step, 10, 0.9)
    return Built(x, logits, loss, labels, tf.train.MomentumOptimizer(rate, 0.9).minimize(loss, global_step=step))


def keras_lstm():
    """Keras's layers in a TensorFlow 1 graph: embedding, LSTM with a hard sigmoid, a hidden layer, logits."""
    x = tf.placeholder(tf.int32, [None, STEPS], name="tokens")
    inside = tf.keras.layers.Embedding(VOCABULARY, WIDTH)(x)
    hidden = tf.keras.layers.Dense(UNITS + 2, activation="tanh")(tf.keras.layers.LSTM(UNITS)(inside))
    logits = tf.keras.layers.Dense(OUTPUTS)(hidden)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss))


def keras_gru():
    """Two GRU layers of Keras, the second of which resets after the product."""
    x = values(STEPS)
    lower = tf.keras.layers.GRU(UNITS, return_sequences=True)(x)
    upper = tf.keras.layers.GRU(UNITS + 1, reset_after=True, recurrent_activation="sigmoid", return_sequences=True)(
        lower
    )
    predictions = tf.keras.layers.Dense(2)(upper)
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss))


def cudnn_names():
    """What a CPU makes of a CudnnLSTM's checkpoint: compatible cells under its scope."""
    x = values(time_major=True)
    with tf.variable_scope("cudnn_lstm"):
        made = cells.MultiRNNCell([cudnn_rnn.CudnnCompatibleLSTMCell(UNITS) for _ in range(2)])
        _, state = tf.nn.dynamic_rnn(made, x, time_major=True, dtype=tf.float32)
    logits = tf.layers.dense(state[-1].h, OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss))


def cudnn_gru_names():
    """The compatible GRU, whose reset gate comes after the product."""
    x = values()
    with tf.variable_scope("cudnn_gru"):
        made = cells.MultiRNNCell([cudnn_rnn.CudnnCompatibleGRUCell(UNITS)])
        _, state = tf.nn.dynamic_rnn(made, x, dtype=tf.float32)
    logits = tf.layers.dense(state[-1], OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss))


def older_names():
    """Names as TensorFlow 1.0 and 1.1 gave them: weights and biases."""
    x, limits = values(), lengths()
    made = cells.MultiRNNCell([cells.BasicLSTMCell(UNITS), cells.GRUCell(UNITS)])
    _, state = tf.nn.dynamic_rnn(made, x, limits, dtype=tf.float32)
    logits = layers.fully_connected(state[-1], OUTPUTS, activation_fn=None)
    labels, loss = classes(logits)
    train = adam(loss)

    def older(name):
        return name.replace("/kernel", "/weights").replace("/bias/", "/biases/").replace("/bias", "/biases")

    names = {older(v.op.name) if v.op.name.startswith("rnn/") else v.op.name: v for v in tf.global_variables()}
    return Built(x, logits, loss, labels, train, limits, names=names)


def contrib_relu():
    """contrib's fully_connected with the ReLU that is its default, under the logits."""
    x = values()
    _, state = tf.nn.dynamic_rnn(cells.BasicRNNCell(UNITS), x, dtype=tf.float32)
    hidden = layers.fully_connected(state, UNITS + 3)
    logits = layers.fully_connected(hidden, OUTPUTS, activation_fn=None)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss))


def residual_stack(training=True):
    """Three layers, two with their inputs added, one of them with dropout by a constant: outputs are those without."""
    x, limits = values(), lengths()
    made = [cells.LSTMCell(UNITS)]
    for keep in (1.0, 0.7 if training else 1.0):
        inside = cells.DropoutWrapper(cells.LSTMCell(UNITS, activation=tf.nn.softsign), output_keep_prob=keep)
        made.append(cells.ResidualWrapper(inside))
    outputs, _ = tf.nn.dynamic_rnn(cells.MultiRNNCell(made), x, limits, dtype=tf.float32)
    predictions = tf.layers.dense(outputs, 2)
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss), limits)


def dense_by_steps():
    """static_rnn in both directions, and the dense layer by hand on each step's output."""
    x = tf.placeholder(tf.int32, [None, STEPS], name="tokens")
    pair = [cells.LSTMCell(UNITS, use_peepholes=True) for _ in range(2)]
    outputs, _, _ = rnn.static_bidirectional_rnn(*pair, inputs=tf.unstack(embedded(x), axis=1), dtype=tf.float32)
    weights, bias = tf.get_variable("w", [2 * UNITS, OUTPUTS]), tf.get_variable("b", [OUTPUTS])
    logits = tf.stack([tf.matmul(output, weights) + bias for output in outputs], axis=1)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss))


def kept_state():
    """A state that goes on from batch to batch, in a variable."""
    x = tf.placeholder(tf.float32, [BATCH, STEPS, INPUTS], name="x")
    state = tf.get_variable("state", [BATCH, UNITS], trainable=False)
    outputs, last = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, initial_state=state)
    predictions = tf.layers.dense(outputs, 2)
    with tf.control_dependencies([tf.assign(state, last)]):
        wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss))


def added_inputs():
    """What is wanted is the dense layer's outputs with the inputs added, which no model here gives."""
    x = values()
    outputs, _ = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, dtype=tf.float32)
    predictions = tf.layers.dense(outputs, 2) + x[:, :, :2]
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss))


def last_of_all():
    """A dense layer on every step, of which the loss looks at the last; lengths are computed."""
    x, limits = values(), lengths()
    outputs, _ = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, limits - 1, dtype=tf.float32)
    predictions = tf.layers.dense(outputs, 2)
    wanted, loss = squares(predictions[:, -1])
    return Built(x, predictions, loss, wanted, adam(loss), limits)


def penalties():
    """Tokens that are shifted before they are looked up, and a penalty on the weights."""
    x = tokens()
    table = tf.get_variable("embedding", [VOCABULARY + 1, WIDTH])
    _, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), tf.nn.embedding_lookup(table, x + 1), dtype=tf.float32)
    logits = tf.layers.dense(state, OUTPUTS, kernel_regularizer=layers.l2_regularizer(0.1))
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss + tf.losses.get_regularization_loss()))


def fed_penalty():
    """A penalty whose strength is fed, and a loss of the states."""
    x = values()
    outputs, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, dtype=tf.float32)
    logits = tf.layers.dense(state, OUTPUTS)
    labels, loss = classes(logits)
    strength = tf.placeholder(tf.float32, name="strength")
    (kernel,) = tf.trainable_variables("dense/kernel")
    whole = loss + strength * tf.nn.l2_loss(kernel) + tf.reduce_mean(tf.square(outputs), name="calm")
    return Built(x, logits, loss, labels, adam(whole), feed={strength: 0.1})


def padded_loss():
    """A tagger whose loss counts padded steps."""
    x, limits = values(), lengths()
    outputs, _ = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, limits, dtype=tf.float32)
    logits = tf.layers.dense(outputs, OUTPUTS)
    labels, loss = classes(logits)
    return Built(x, logits, loss, labels, adam(loss), limits)


def random_field():
    """A tagger that is trained by the likelihood of a conditional random field."""
    x, limits = values(), lengths()
    outputs, _ = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, limits, dtype=tf.float32)
    logits = tf.layers.dense(outputs, OUTPUTS)
    labels = tf.placeholder(tf.int32, [None, None], name="labels")
    likelihood, _ = tf.contrib.crf.crf_log_likelihood(logits, labels, limits)
    loss = tf.reduce_mean(-likelihood)
    return Built(x, logits, loss, labels, adam(loss), limits)


def smoothed_labels():
    """A classifier of which labels are smoothed."""
    x = values()
    _, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, dtype=tf.float32)
    logits = tf.layers.dense(state, OUTPUTS)
    labels = tf.placeholder(tf.int32, [None], name="labels")
    loss = tf.losses.softmax_cross_entropy(tf.one_hot(labels, OUTPUTS), logits, label_smoothing=0.1)
    return Built(x, logits, loss, labels, adam(loss))


def weighted_classes():
    """A classifier of which one class counts more than the others."""
    x = values()
    _, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), x, dtype=tf.float32)
    logits = tf.layers.dense(state, OUTPUTS)
    labels = tf.placeholder(tf.int32, [None], name="labels")
    weights = tf.gather(tf.constant([1.0, 1.0, 3.0, 1.0]), labels)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits, weights)
    return Built(x, logits, loss, labels, adam(loss))


def unrolled_sum():
    """A language model as the PTB tutorial writes it: cells called in a loop, a loss that is a sum over the steps."""
    x = tf.placeholder(tf.int32, [BATCH, STEPS], name="tokens")
    cell, outputs, inputs = cells.BasicLSTMCell(UNITS), [], embedded(x)
    state = cell.zero_state(BATCH, tf.float32)
    with tf.variable_scope("RNN"):
        for step in range(STEPS):
            if step:
                tf.get_variable_scope().reuse_variables()
            output, state = cell(inputs[:, step], state)
            outputs.append(output)
    flat = tf.reshape(tf.concat(outputs, 1), [-1, UNITS])
    logits = tf.reshape(tf.layers.dense(flat, VOCABULARY), [BATCH, STEPS, VOCABULARY])
    labels = tf.placeholder(tf.int32, [BATCH, STEPS], name="labels")
    each = tf.contrib.seq2seq.sequence_loss(logits, labels, tf.ones([BATCH, STEPS]), False, True)
    loss = tf.reduce_sum(each)
    return Built(x, logits, loss, labels, adam(loss))


def series_to_value():
    """A value from the last output of two layers, by the mean square."""
    x = values(STEPS)
    made = cells.MultiRNNCell([cells.BasicLSTMCell(UNITS), cells.BasicLSTMCell(UNITS + 1)])
    outputs, _ = tf.nn.dynamic_rnn(made, x, dtype=tf.float32)
    predictions = tf.layers.dense(tf.layers.dense(outputs[:, -1], 6, tf.nn.relu), 2)
    wanted, loss = squares(predictions)
    return Built(x, predictions, loss, wanted, adam(loss))


def many_labels():
    """Labels that may all be true, by a sigmoid each."""
    x, limits = tokens(), lengths()
    _, state = tf.nn.dynamic_rnn(cells.GRUCell(UNITS), embedded(x), limits, dtype=tf.float32)
    logits = tf.layers.dense(state, 2)
    wanted = tf.placeholder(tf.float32, [None, 2], name="wanted")
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=logits))
    return Built(x, logits, loss, wanted, adam(loss), limits)


def two_heads():
    """A class for every step and one for the row, from both directions of one network."""
    x, limits = tokens(), lengths()
    pair = [cells.LSTMCell(UNITS), cells.LSTMCell(UNITS)]
    outputs, states = tf.nn.bidirectional_dynamic_rnn(
        *pair, inputs=embedded(x), sequence_length=limits, dtype=tf.float32
    )
    tags = tf.layers.dense(tf.concat(outputs, 2), OUTPUTS)
    intent = tf.layers.dense(tf.concat([states[0].h, states[1].h], 1), 2)
    labels, loss = masked(tags, limits)
    of_rows = tf.placeholder(tf.int32, [None], name="intents")
    loss += tf.losses.sparse_softmax_cross_entropy(of_rows, intent)
    return Built(x, tags, loss, labels, adam(loss), limits, feed={of_rows: np.array([0, 1, 1, 0])})


HEADS = [series_to_value, many_labels, two_heads]  # which are no runs

OTHERS = [
    added_inputs, last_of_all, penalties, fed_penalty, padded_loss, random_field, smoothed_labels, weighted_classes,
    unrolled_sum, kept_state,
]  # of which something is to be said  # fmt: skip

ZOO = [
    embedding_lstm_classifier, language_model, bidirectional_tagger, gru_classifier, peepholes_projection_clips,
    fused_time_major, stacked_bidirectional_gru, scoped_partitioned_ema, rmsprop_resource, momentum, keras_lstm,
    keras_gru, cudnn_names, cudnn_gru_names, older_names, contrib_relu, residual_stack, dense_by_steps,
]  # fmt: skip


def fed(tensor, random, time_major):
    """Values that fit a placeholder: tokens, labels, numbers."""
    sizes = [OUTPUTS if size is None else int(size) for size in tensor.shape.as_list()]
    if tensor.op.name.startswith("tokens"):
        return random.randint(0, VOCABULARY, (BATCH, STEPS)).astype(np.int32)
    if tensor.op.name.startswith("lengths"):
        return LENGTHS
    if tensor.op.name.startswith("x"):
        shape = (STEPS, BATCH, INPUTS) if time_major else (BATCH, STEPS, INPUTS)
        return random.normal(size=shape).astype(np.float32)
    if tensor.op.name.startswith("labels"):
        return random.randint(0, OUTPUTS, (BATCH, STEPS)[: len(sizes)]).astype(np.int32)
    return random.normal(size=(BATCH, STEPS, 2) if len(sizes) == 3 else (BATCH, 2)).astype(np.float32)


def session():
    config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    return tf.Session(config=config)


def record(folder, build):
    """Build, train, save and record one model."""
    tf.reset_default_graph()
    tf.keras.backend.clear_session()
    tf.set_random_seed(3)
    built, name = build(), build.__name__
    random = np.random.RandomState(4)
    time_major = (
        built.inputs.shape.ndims == 3
        and built.inputs.shape[1].value is None
        and (built.inputs.shape[0].value is None and name in TIME_MAJOR)
    )
    feed = dict(built.feed)
    for tensor in (built.inputs, built.targets, built.lengths):
        if tensor is not None:
            feed[tensor] = fed(tensor, random, time_major)
    if time_major and feed[built.targets].ndim > 1:
        feed[built.targets] = np.swapaxes(feed[built.targets], 0, 1)
    saver = tf.train.Saver(built.names)
    prefix = str(folder / name)
    with session() as sess:
        sess.run(tf.global_variables_initializer())
        # Biases start at zero, where a dropped one would not be seen.
        for variable in tf.trainable_variables():
            sess.run(variable.assign_add(tf.random_uniform(tf.shape(variable), -0.3, 0.3, variable.dtype.base_dtype)))
        for _ in range(STEPS_BEFORE):
            sess.run(built.train, feed)
        saver.save(sess, prefix, write_state=False)
        arrays = {"inputs": feed[built.inputs], "targets": feed[built.targets]}
        if built.lengths is not None:
            arrays["lengths"] = feed[built.lengths]
        if name not in DRAWING:
            arrays["outputs"], arrays["loss"] = sess.run([built.outputs, built.loss], feed)
            sess.run(built.train, feed)
            saver.save(sess, str(folder / "next" / name), write_state=False, write_meta_graph=False)
            reader = tf.train.NewCheckpointReader(str(folder / "next" / name))
            for variable in reader.get_variable_to_shape_map():
                arrays["next/" + variable] = reader.get_tensor(variable)
    if name in DRAWING:
        tf.reset_default_graph()
        built = build(training=False)
        with session() as sess:
            tf.train.Saver().restore(sess, prefix)
            given = {built.inputs: arrays["inputs"], built.lengths: arrays["lengths"]}
            arrays["outputs"] = sess.run(built.outputs, given)
    np.savez(prefix + ".npz", **arrays)


TIME_MAJOR = ("fused_time_major", "cudnn_names")
DRAWING = ("residual_stack",)  # by dropout, each time anew


if __name__ == "__main__":
    home = Path(sys.argv[1])
    (home / "next").mkdir(parents=True, exist_ok=True)
    for each in ZOO + HEADS + OTHERS:
        if len(sys.argv) == 2 or each.__name__ in sys.argv[2:]:
            record(home, each)
