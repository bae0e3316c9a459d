"""What a Keras model weighs, counts and computes."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from tradeoffs.frameworks import import_keras
from tradeoffs.training.keras import Trainer

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

layers = keras.layers

# Layers that add, compare or move, and multiply nothing to accumulate.
_WITHOUT_MACS = (
    layers.InputLayer,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ELU,
    layers.Softmax,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.AveragePooling3D,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.UpSampling2D,
    layers.Add,
    layers.Subtract,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Concatenate,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.Rescaling,
    layers.Normalization,
    layers.Embedding,
)

_DENSE_OR_CONVOLUTION = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


class Probe:
    """Answers the questions of a profile about one Keras model."""

    trainer = Trainer

    def __init__(self, model, input_shape, device="cpu"):
        self.model = model
        self.input_shape = tuple(input_shape)
        self.device = device
        if not model.built:
            model.build((None, *self.input_shape))
        self._compiled = tf.function(
            lambda inputs: model(inputs, training=False), reduce_retracing=True
        )

    def inputs(self, count):
        """Inputs [count, *input_shape] of the kind that the model takes."""
        shape = (count, *self.input_shape)
        return tf.constant(np.random.default_rng(0).random(shape, np.float32))

    def call(self, inputs):
        """The output of a forward pass."""
        return self.model(inputs, training=False)

    def predict_one(self, inputs):
        """A compiled forward pass, waited for."""
        return self._compiled(inputs).numpy()

    @staticmethod
    def is_tensor(output):
        """Whether an output is a tensor."""
        return isinstance(output, tf.Tensor)

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        weights = [w for w in self.model.weights if "seed_generator" not in w.path]
        count = sum(math.prod(w.shape) for w in self.model.trainable_weights)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            self.model.save(path)
            file_bytes = path.stat().st_size
        return {
            "num_parameters": self.model.count_params(),
            "num_trainable_parameters": count,
            "weight_bytes": sum(w.numpy().nbytes for w in weights),
            "file_bytes": file_bytes,
        }

    def macs(self):
        """Multiply-accumulates of one input, and the layers not counted."""
        total, unknown = 0, []
        for layer in _leaves(self.model):
            count = layer_macs(layer)
            if count is None:
                unknown.append(type(layer).__name__)
            else:
                total += count
        return (None if unknown else total), unknown

    def tensor_bytes(self, trainer, batch_size):
        """Nothing: TensorFlow does not tell which tensors it keeps."""
        return {}

    def accelerator_memory(self):
        """MiB on the accelerator at peak; empty on the CPU."""
        from tradeoffs.probes.accelerator import tensorflow_memory

        return tensorflow_memory(self.device)


def _leaves(model):
    if type(model) not in (keras.Sequential, keras.Model, keras.src.models.Functional):
        return [model]  # its `call` is Python, and may do anything
    return [
        leaf
        for layer in model.layers
        for leaf in (_leaves(layer) if isinstance(layer, keras.Model) else [layer])
    ]


def layer_macs(layer) -> int | None:
    """Multiply-accumulates of one input in a built layer; None if unknown.

    A kernel has the shape [*window, in / groups, out]; a depthwise one [*window,
    in, multiplier]; a transposed one [*window, out, in].
    """
    kind = type(layer)
    if kind in _WITHOUT_MACS:
        return 0
    try:
        num_inputs = math.prod(layer.input.shape[1:])
        num_outputs = math.prod(layer.output.shape[1:])
    except (AttributeError, ValueError, TypeError):
        return None  # several inputs or outputs, or sizes that are not fixed
    if kind in _DENSE_OR_CONVOLUTION:
        return num_outputs * math.prod(layer.kernel.shape[:-1])
    if kind in _TRANSPOSED:
        return num_inputs * math.prod(layer.kernel.shape[:-1])
    if kind in _DEPTHWISE:
        return num_outputs * math.prod(layer.kernel.shape[:-2])
    if kind in _SEPARABLE:
        kernels = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        return num_outputs // layer.filters * sum(map(math.prod, kernels))
    return None
