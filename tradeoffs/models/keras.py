"""The two Keras models, as their authors published them.

Source: `mnist_mlp.py` and `mnist_cnn.py` among the examples of Keras 2.
"""

import math
import random

import numpy as np

from tradeoffs.frameworks import import_keras

keras = import_keras()
layers = keras.layers


def seeded(builder, seed=None, **arguments):
    """Call a function of this page, its first weights drawn from a seed.

    The generators of Python and NumPy are left as they were; Keras reseeds them.
    """
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        return builder(**arguments)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def layers_of(model):
    """Each layer's kind and settings, whatever its name."""
    free = ("name", "seed", "dtype")
    return getattr(model, "input_shape", None), [
        (type(layer), {k: v for k, v in layer.get_config().items() if k not in free})
        for layer in model.layers
    ]


def with_weights(model, arrays):
    """A model with the weights of its port, a NumPy array each.

    PyTorch's kernels are [out, in] or [out, in, height, width], Keras' [in, out] or
    [height, width, in, out]; PyTorch flattens channels first, Keras last.
    """
    weights, channels = [], None
    # Layers are named in their order, and a kernel comes before its bias.
    for name in sorted(arrays, key=lambda name: name.replace("weight", "a")):
        array = np.float32(arrays[name])
        if array.ndim == 4:
            channels, array = len(array), array.transpose(2, 3, 1, 0)
        elif array.ndim == 2:
            array = array.T
            if channels:
                array = array.reshape(channels, -1, array.shape[1])
                array = array.transpose(1, 0, 2).reshape(-1, array.shape[2])
            channels = None
        weights.append(array)
    model.set_weights(weights)
    return model


def keras_mlp():
    """Two hidden layers of 512 and a softmax: 669,706 parameters.

    The published script flattens the images before the network; here the
    network does, so that every model of the series takes the same images.
    """
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ],
        name="keras_mlp",
    )


def keras_cnn():
    """Two convolutions, one pool, a wide dense layer: 1,199,882 parameters."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="keras_cnn",
    )


def count_parameters(model, seen: frozenset = frozenset()) -> int:
    """What can be trained, frozen or not; a batch norm's statistics are no parameters.

    So PyTorch counts them; `model.count_params()` has the statistics too. Weights
    whose `id` was seen before do not count.
    """
    # Each layer keeps these as it made them, whatever is frozen later.
    layers = list(model._flatten_layers())
    made = {id(weight) for layer in layers for weight in layer._trainable_variables}
    unpacked = dict(pair for layer in layers for pair in _unpacked(layer))
    return sum(
        math.prod(unpacked.get(id(weight), weight.shape))
        for weight in model.weights
        if id(weight) not in seen
        if weight.trainable or id(weight) in made or _is_quantized(weight)
        if not weight.overwrite_with_gradient  # scales of float8, which follow values
    )


def _is_quantized(weight):
    """Whether a weight was trained and is whole numbers now, unlike its scale."""
    names = "kernel", "embeddings"
    return weight.dtype in ("int8", "uint8") and weight.name.endswith(names)


def _unpacked(layer):
    """Weights of a layer, by their `id`, of which several numbers are in a byte."""
    mode = getattr(layer, "quantization_mode", None)
    if mode == "int4":
        for name in ("kernel", "embeddings"):
            if hasattr(layer, f"_{name}"):
                yield id(getattr(layer, f"_{name}")), getattr(layer, name).shape
        if hasattr(layer, "reverse_embeddings"):
            shape = layer.input_dim, layer.output_dim
            yield id(layer.reverse_embeddings), shape
    elif mode in ("gptq", "awq") and hasattr(layer, "quantized_kernel"):
        shape = getattr(layer, "original_kernel_shape", None) or layer.kernel_shape
        yield id(layer.quantized_kernel), shape
