"""Restore a checkpoint in genuine TensorFlow 1.15.5 (Python 3.7) with tf.train.Saver, predict, and go on training.

    python continue_in_tf1.py FOLDER...

Each FOLDER holds the checkpoint tf1/model of a classifier, or of a stacked or wrapped regressor, as the folder's name
says, and values.npz: inputs [batch, steps, inputs], targets, learning_rate, and updates, the optimizer steps to take.
It gets out.npz: "forward", the logits or predictions of what was restored; "losses" [updates]; and each variable after
them by its name.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.contrib.layers import fully_connected
from tensorflow.contrib.rnn import OutputProjectionWrapper


def built(kind, x, units, outputs):
    """The chapter's graphs: program 7, and program 8 in its two forms."""
    if kind == "classifier":
        _, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicRNNCell(units), x, dtype=x.dtype)
        return fully_connected(state, outputs, activation_fn=None)
    cell = tf.nn.rnn_cell.BasicRNNCell(units, activation=tf.nn.relu)
    if kind == "wrapped":
        return tf.nn.dynamic_rnn(OutputProjectionWrapper(cell, outputs), x, dtype=x.dtype)[0]
    hidden, _ = tf.nn.dynamic_rnn(cell, x, dtype=x.dtype)
    flat = fully_connected(tf.reshape(hidden, [-1, units]), outputs, activation_fn=None)
    return tf.reshape(flat, [-1, int(x.shape[1]), outputs])


def main(folder):
    tf.reset_default_graph()
    kind, prefix = folder.name, str(folder / "tf1" / "model")
    shapes = tf.train.NewCheckpointReader(prefix).get_variable_to_shape_map()
    units = next(shape[1] for name, shape in shapes.items() if name.endswith("basic_rnn_cell/kernel"))
    with np.load(str(folder / "values.npz"), allow_pickle=False) as values:
        inputs, targets = values["inputs"], values["targets"]
        rate, updates = float(values["learning_rate"]), int(values["updates"])
    outputs = next(shape[0] for name, shape in shapes.items() if name in (
        "fully_connected/biases", "rnn/output_projection_wrapper/bias"))  # fmt: skip
    x = tf.placeholder(inputs.dtype, [None] + list(inputs.shape[1:]))
    y = tf.placeholder(targets.dtype, targets.shape)
    forward = built(kind, x, units, outputs)
    if kind == "classifier":
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=forward))
    else:
        loss = tf.reduce_mean(tf.square(forward - y))
    step = tf.train.get_or_create_global_step()
    train = tf.train.AdamOptimizer(rate).minimize(loss, global_step=step)
    feed = {x: inputs, y: targets}
    with tf.Session() as session:
        tf.train.Saver().restore(session, prefix)
        arrays = {"forward": session.run(forward, feed)}
        arrays["losses"] = np.array([session.run([loss, train], feed)[0] for _ in range(updates)])
        for variable in tf.global_variables():
            arrays[variable.op.name] = session.run(variable)
    np.savez(str(folder / "out.npz"), version=np.array(tf.__version__), **arrays)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        main(Path(name))
