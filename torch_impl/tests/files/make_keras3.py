"""Make what Keras 3 on TensorFlow 2 saves: python make_keras3.py FOLDER

keras3.npz has inputs and outputs of the model that is in model3.keras, model3.h5, model3.weights.h5, objects3/ckpt-1
and export3/.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def model():
    layers = [keras.Input((6, 3)), keras.layers.LSTM(5), keras.layers.Dense(4)]
    return keras.Sequential(layers)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    keras.utils.set_random_seed(8)
    made = model()
    made.compile("adam", "mse")
    inputs = np.random.default_rng(9).normal(size=[4, 6, 3]).astype(np.float32)
    made.fit(inputs, np.ones([4, 4], np.float32), verbose=0)
    for name in ("model3.keras", "model3.h5"):
        made.save(home / name)
    made.save_weights(home / "model3.weights.h5")
    tf.train.Checkpoint(model=made, optimizer=made.optimizer).save(str(home / "objects3" / "ckpt"))
    made.export(str(home / "export3"), verbose=False)
    np.savez(home / "keras3.npz", inputs=inputs, outputs=made.predict(inputs, verbose=0))
