"""Record the Saver checkpoints in tf1/ with genuine TensorFlow 1.15.5 (Python 3.7; tf.contrib is needed).

    python make_tf1_checkpoints.py tf1

For each model: NAME.index and NAME.data-… as tf.train.Saver wrote them after a few steps of Adam, and NAME.npz with the
variables as TensorFlow's own reader gives them ("variables/…"), the inputs and targets, the logits or predictions of
the saved weights ("forward"), and the losses and weights of the steps that TensorFlow took next ("next/…").
`others` holds one variable of every kind that a reader meets, and a partitioned one.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.contrib.layers import fully_connected
from tensorflow.contrib.rnn import OutputProjectionWrapper

STEPS_BEFORE, STEPS_AFTER = 7, 5
BATCH, STEPS, INPUTS, UNITS, OUTPUTS = 4, 6, 3, 5, 2


def data(dtype, classes):
    """One batch: inputs [batch, steps, inputs], and classes [batch] or targets [batch, steps, outputs]."""
    random = np.random.RandomState(1)
    inputs = random.normal(size=(BATCH, STEPS, INPUTS)).astype(dtype)
    if classes:
        return inputs, np.array([1, 0, 1, 1], np.int32)
    return inputs, random.normal(size=(BATCH, STEPS, OUTPUTS)).astype(dtype)


def cell(activation=tf.tanh):
    return tf.nn.rnn_cell.BasicRNNCell(UNITS, activation=activation)


def classifier(inputs):
    """Program 7's graph: a contrib dense layer on the final state."""
    _, state = tf.nn.dynamic_rnn(cell(), inputs, dtype=inputs.dtype)
    return fully_connected(state, OUTPUTS, activation_fn=None)


def layers(inputs):
    """The same with static unrolling and tf.layers, whose variables have other names."""
    _, state = tf.nn.static_rnn(cell(), tf.unstack(inputs, axis=1), dtype=inputs.dtype)
    return tf.layers.dense(state, OUTPUTS)


def wrapped(inputs):
    """Program 8's graph with the projection inside the loop."""
    return tf.nn.dynamic_rnn(OutputProjectionWrapper(cell(tf.nn.relu), OUTPUTS), inputs, dtype=inputs.dtype)[0]


def stacked(inputs):
    """Program 8's graph with one dense layer over all outputs."""
    outputs, _ = tf.nn.dynamic_rnn(cell(tf.nn.relu), inputs, dtype=inputs.dtype)
    flat = fully_connected(tf.reshape(outputs, [-1, UNITS]), OUTPUTS, activation_fn=None)
    return tf.reshape(flat, [-1, STEPS, OUTPUTS])


def older_names():
    """Variables under the names that TensorFlow 1.0 and 1.1 gave them."""
    old = {"basic_rnn_cell/kernel": "basic_rnn_cell/weights", "basic_rnn_cell/bias": "basic_rnn_cell/biases"}
    names = {}
    for variable in tf.global_variables():
        name = variable.op.name
        for new, before in old.items():
            name = name.replace(new, before)
        names[name] = variable
    return names


def record(folder, name, build, dtype="float32", classes=True, sharded=False, names=None, global_step=False):
    tf.reset_default_graph()
    tf.set_random_seed(1)
    inputs, targets = data(dtype, classes)
    x, y = tf.placeholder(inputs.dtype, [None, STEPS, INPUTS]), tf.placeholder(targets.dtype)
    forward = build(x)
    if classes:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=forward))
    else:
        loss = tf.reduce_mean(tf.square(forward - y))
    step = tf.train.get_or_create_global_step() if global_step else None
    train = tf.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
    saver = tf.train.Saver(names() if names else None, sharded=sharded)
    feed, prefix = {x: inputs, y: targets}, str(folder / name)
    with session() as sess:
        sess.run(tf.global_variables_initializer())
        # Biases start at zero, where a dropped one would not be seen.
        for variable in tf.trainable_variables():
            sess.run(variable.assign_add(tf.fill(tf.shape(variable), tf.constant(0.1, variable.dtype.base_dtype))))
        for _ in range(STEPS_BEFORE):
            sess.run(train, feed)
        saver.save(sess, prefix, write_meta_graph=False, write_state=False)
        arrays = {"inputs": inputs, "targets": targets, "forward": sess.run(forward, feed)}
        losses = [sess.run([loss, train], feed)[0] for _ in range(STEPS_AFTER)]
        arrays["next/losses"] = np.array(losses)
        for variable in tf.global_variables():
            arrays["next/" + variable.op.name] = sess.run(variable)
    write(prefix, arrays)


def session():
    """Two CPU devices, so that a sharded Saver writes two data files; one thread, for repeatable sums."""
    config = tf.ConfigProto(device_count={"CPU": 2}, intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    return tf.Session(config=config)


def split(build):
    """The graph with its variables shared out between the two devices."""

    def built(inputs):
        count = [0]

        def device(op):
            if op.type in ("Variable", "VariableV2"):
                count[0] += 1
                return "/cpu:%d" % (count[0] % 2)
            return "/cpu:0"

        with tf.device(device):
            return build(inputs)

    return built


def others(folder):
    tf.reset_default_graph()
    tf.set_random_seed(2)
    random = np.random.RandomState(2)
    for dtype in ("float32", "float64"):
        tf.Variable(random.normal(size=(2, 3)).astype(dtype), name=dtype)
    for dtype in ("int32", "int64"):
        tf.Variable(random.randint(-(2**31), 2**31 - 1, size=(3,)).astype(dtype), name=dtype)
    tf.Variable(np.float64(np.pi), name="scalar")
    tf.Variable(np.zeros((0, 4), np.float32), name="empty")
    tf.Variable([True, False], name="unreadable/bool")
    tf.Variable(["a", "bc"], name="unreadable/string")
    tf.get_variable("partitioned", [4, 2], partitioner=tf.fixed_size_partitioner(2))
    prefix = str(folder / "others")
    with session() as sess:
        sess.run(tf.global_variables_initializer())
        tf.train.Saver().save(sess, prefix, write_meta_graph=False, write_state=False)
    write(prefix, {})


def write(prefix, arrays):
    reader = tf.train.NewCheckpointReader(prefix)
    for name in reader.get_variable_to_shape_map():
        if "unreadable" not in name:
            arrays["variables/" + name] = reader.get_tensor(name)
    np.savez(prefix + ".npz", **arrays)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    record(folder, "classifier", classifier)
    record(folder, "layers", layers, dtype="float64", global_step=True)
    record(folder, "wrapped", wrapped, classes=False)
    record(folder, "stacked", stacked, classes=False, dtype="float64")
    record(folder, "older", classifier, names=older_names)
    record(folder, "sharded", split(classifier), sharded=True)
    others(folder)
