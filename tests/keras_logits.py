"""Writes a Keras model's weights and logits: run in a process of its own.

python keras_logits.py NAME FILE.npz
"""

import sys

import numpy as np

import tradeoffs
from tradeoffs.frameworks import import_keras

name, path = sys.argv[1:]
keras = import_keras()
model = tradeoffs.build(name, seed=0)
model.layers[-1].activation = keras.activations.linear
# Biases start at zero: others, so that the comparison sees them.
rng = np.random.default_rng(0)
weights = [
    w if w.ndim > 1 else rng.normal(0, 0.1, w.shape).astype(w.dtype)
    for w in model.get_weights()
]
model.set_weights(weights)
images = tradeoffs.mnist().test_images[:256, ..., None] / np.float32(255)
logits = np.asarray(model(images, training=False))
np.savez(path, *weights, logits=logits)
