"""What a Keras model weighs, counts and computes."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path

import numpy as np

from tradeoffs.frameworks import import_keras
from tradeoffs.training.keras import Trainer

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

# In the names of operators whose multiplications are not known from their shapes.
_MAY_MULTIPLY = ("MatMul", "Conv", "Einsum", "While", "If", "Case", "Func", "Call")


class Probe:
    """Answers the questions of a profile about one Keras model."""

    framework, trainer = "keras", Trainer
    devices = ("cpu", *(["cuda"] if tf.config.list_physical_devices("GPU") else []))

    def __init__(self, model, input_shape, device, batch_size):
        self.model, self.input_shape = model, tuple(input_shape)
        self.device, self.batch_size = device, batch_size
        if not model.built:
            model.build((None, *self.input_shape))
        self._compiled = tf.function(self.call, reduce_retracing=True)

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
        """Multiply-accumulates of one input, and the operators not counted."""
        one = tf.TensorSpec((1, *self.input_shape))
        graph = tf.function(self.call).get_concrete_function(one).graph
        counts = {operator.name: _macs(operator) for operator in _operators(graph)}
        unknown = [name for name, count in counts.items() if count is None]
        return (None if unknown else sum(counts.values())), unknown

    def tensor_bytes(self, trainer):
        """Nothing: TensorFlow does not tell which tensors it keeps."""
        return {}


def _operators(graph):
    """Every operator of a graph, and of the functions that it calls."""
    for operator in graph.get_operations():
        if operator.type in ("PartitionedCall", "StatefulPartitionedCall"):
            function = operator.get_attr("f").name
            yield from _operators(graph._get_function(function).graph)
        else:
            yield operator


def _macs(operator):
    """Multiply-accumulates of an operator; None if they are not known.

    A kernel has the shape [*window, in / groups, out]; a depthwise one [*window,
    in, multiplier]; a transposed one [*window, out, in].
    """
    if not any(word in operator.type for word in _MAY_MULTIPLY):
        return 0
    inputs = [tensor.shape for tensor in operator.inputs]
    output = operator.outputs[0]
    # A dilated convolution runs on slices; they are put together and cut after it.
    joined = [use for use in output.consumers() if use.type == "BatchToSpaceND"]
    num_outputs = (joined[0].outputs[0] if joined else output).shape.num_elements()
    match operator.type:
        case "MatMul":
            return num_outputs * inputs[0][0 if operator.get_attr("transpose_a") else 1]
        case "BatchMatMulV2":
            return num_outputs * inputs[0][-2 if operator.get_attr("adj_x") else -1]
        case "Conv2D" | "Conv3D":
            return num_outputs * math.prod(inputs[1][:-1])
        case "DepthwiseConv2dNative":
            return num_outputs * math.prod(inputs[1][:-2])
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":
            return inputs[2].num_elements() * math.prod(inputs[1][:-1])
        case "Einsum":
            names = operator.get_attr("equation").decode().split("->")[0]
            sizes = dict(
                zip(names.replace(",", ""), itertools.chain(*inputs), strict=True)
            )
            return math.prod(sizes.values())
    return None
