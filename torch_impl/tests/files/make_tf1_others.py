"""Make what genuine TensorFlow 1.15.5 (Python 3.7) saves in other forms than a Saver checkpoint of today.

    python make_tf1_others.py FOLDER

graph.npz and keras.npz have the inputs and outputs of the two models that are saved: a classifier of tokens in
v1/model.ckpt-3 (and without its graph, and in shards), saved/, frozen.pb, frozen.pbtxt and unfrozen.pb; a Keras model
in model.h5, weights.h5, objects/ckpt-1, weights_tf/ and saved_keras/.
"""

import shutil
import sys
from pathlib import Path

import make_tf1_zoo as zoo  # type: ignore[import-not-found]
import numpy as np
import tensorflow as tf

V1 = tf.train.SaverDef.V1


def of_graphs(home):
    tf.reset_default_graph()
    tf.set_random_seed(5)
    built = zoo.embedding_lstm_classifier()
    with zoo.session() as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            session.run(variable.assign_add(tf.random_uniform(tf.shape(variable), -0.3, 0.3)))
        for folder, options in (("v1", {}), ("v1_shards", {"sharded": True})):
            (home / folder).mkdir()
            saver = tf.train.Saver(write_version=V1, **options)
            saver.save(session, str(home / folder / "model.ckpt"), global_step=3)
        (home / "v1_bare").mkdir()
        shutil.copy(str(home / "v1" / "model.ckpt-3"), str(home / "v1_bare" / "model.ckpt-3"))
        tf.saved_model.simple_save(session, str(home / "saved"), {"x": built.inputs}, {"y": built.outputs})
        frozen = tf.graph_util.convert_variables_to_constants(session, session.graph_def, [built.outputs.op.name])
        (home / "frozen.pb").write_bytes(frozen.SerializeToString())
        (home / "unfrozen.pb").write_bytes(session.graph_def.SerializeToString())
        tf.train.write_graph(frozen, str(home), "frozen.pbtxt")
        inputs = np.random.RandomState(6).randint(0, zoo.VOCABULARY, [zoo.BATCH, zoo.STEPS]).astype(np.int32)
        outputs = session.run(built.outputs, {built.inputs: inputs, built.lengths: zoo.LENGTHS})
    np.savez(str(home / "graph.npz"), inputs=inputs, lengths=zoo.LENGTHS, outputs=outputs)


def of_both_directions(home):
    """A graph cut down to what two layers' final states need."""
    tf.reset_default_graph()
    tf.set_random_seed(5)
    built = zoo.stacked_bidirectional_gru()
    with zoo.session() as session:
        session.run(tf.global_variables_initializer())
        frozen = tf.graph_util.convert_variables_to_constants(session, session.graph_def, [built.outputs.op.name])
        (home / "frozen_both.pb").write_bytes(frozen.SerializeToString())
        inputs = np.random.RandomState(6).normal(size=[zoo.BATCH, zoo.STEPS, zoo.INPUTS]).astype(np.float32)
        outputs = session.run(built.outputs, {built.inputs: inputs, built.lengths: zoo.LENGTHS})
    np.savez(str(home / "both.npz"), inputs=inputs, lengths=zoo.LENGTHS, outputs=outputs)


def of_keras(home):
    tf.reset_default_graph()
    tf.keras.backend.clear_session()
    layers = [tf.keras.layers.LSTM(zoo.UNITS, input_shape=(zoo.STEPS, zoo.INPUTS)), tf.keras.layers.Dense(zoo.OUTPUTS)]
    model = tf.keras.Sequential(layers)
    model.compile("adam", tf.keras.losses.CategoricalCrossentropy(from_logits=True))
    inputs = np.random.RandomState(7).normal(size=[zoo.BATCH, zoo.STEPS, zoo.INPUTS]).astype(np.float32)
    model.fit(inputs, np.eye(zoo.OUTPUTS, dtype=np.float32)[[0, 2, 1, 3]], verbose=0)
    model.save(str(home / "model.h5"))
    model.save_weights(str(home / "weights.h5"))
    (home / "weights_tf").mkdir()
    model.save_weights(str(home / "weights_tf" / "weights"))
    session = tf.keras.backend.get_session()
    tf.train.Checkpoint(model=model).save(str(home / "objects" / "ckpt"), session=session)
    with session.as_default():
        model.save(str(home / "saved_keras"), save_format="tf")
    np.savez(str(home / "keras.npz"), inputs=inputs, outputs=model.predict(inputs))


def of_other_cells(home):
    rnn, basic = tf.contrib.rnn, tf.nn.rnn_cell.BasicLSTMCell
    made = {
        "NASCell": lambda: rnn.NASCell(zoo.UNITS),
        "PhasedLSTMCell": lambda: rnn.PhasedLSTMCell(zoo.UNITS),
        "AttentionCellWrapper": lambda: rnn.AttentionCellWrapper(basic(zoo.UNITS), 3, state_is_tuple=True),
        "HighwayWrapper": lambda: rnn.HighwayWrapper(basic(zoo.INPUTS)),
    }
    for name, make in made.items():
        tf.reset_default_graph()
        x = zoo.values()
        cell, given = make(), (x[:, :, :1], x) if name == "PhasedLSTMCell" else x
        outputs, _ = tf.nn.dynamic_rnn(cell, given, dtype=tf.float32)
        _, loss = zoo.classes(tf.layers.dense(outputs[:, -1], zoo.OUTPUTS))
        zoo.adam(loss)
        with zoo.session() as session:
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, str(home / "cells" / name), write_state=False)


if __name__ == "__main__":
    of_graphs(Path(sys.argv[1]))
    of_both_directions(Path(sys.argv[1]))
    of_keras(Path(sys.argv[1]))
    of_other_cells(Path(sys.argv[1]))
