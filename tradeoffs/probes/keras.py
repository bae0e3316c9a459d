"""What a Keras model weighs, counts and computes."""

import contextlib
import functools
import math
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from tradeoffs.frameworks import einsum_macs, import_keras
from tradeoffs.models.keras import count_parameters
from tradeoffs.probes.source import MeasureError, dtype_of_each
from tradeoffs.training.keras import Trainer, plain_errors

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

UNROLLED = 1_000  # steps of recurrent layers, which take 10 ms each to count
# In the names of operators whose multiplications are not known from their shapes.
_MAY_MULTIPLY = (
    *("MatMul", "Conv", "Einsum", "While", "If", "Case", "Func", "Call"),
    *("MatrixInverse", "Solve", "Determinant", "SquareRoot", "Logarithm"),
    *("Cholesky", "Qr", "Lu", "Eig", "Svd", "FFT", "RNN", "LSTM", "GRU"),
)


def devices() -> list[str]:
    """Where TensorFlow computes here."""
    return ["cpu", *(["cuda"] if tf.config.list_physical_devices("GPU") else [])]


class Probe:
    """Answers the questions of a profile about one Keras model.

    Arguments as in `probes.pytorch`; by default the inputs' numbers are of the
    kinds that the model says it takes.
    """

    framework, trainer = "keras", Trainer
    sees_values = keeps_tensors = False
    eager = contextlib.nullcontext

    def __init__(self, model, shapes, dtype, device, batch_size):
        self.model, self.shapes = model, shapes
        self.device, self.batch_size = device, batch_size
        layers = list(model._flatten_layers(include_self=False))
        tables = [one for one in layers if isinstance(one, keras.layers.Embedding)]
        sizes = (table.input_dim for table in tables)
        self.whole_numbers = 0, min(sizes, default=2)  # from, and below
        first = next((one for one in layers if one.weights or one in tables), None)
        self.looks_up = first in tables
        inputs = getattr(model, "inputs", None) or []
        known = [keras.backend.standardize_dtype(each.dtype) for each in inputs]
        if dtype or not known:
            usual = "int32" if self.looks_up else "float32"
            known = [name or usual for name in dtype_of_each(dtype, len(shapes))]
        if len(known) != len(shapes):
            raise MeasureError(
                f"the model takes {len(known)} inputs, and input_shape has {shapes}"
            )
        self.dtypes = known
        self._compiled = tf.function(self.call, autograph=False, reduce_retracing=True)

    def inputs(self, count):
        """Inputs of [count, *shape] each, of the kind that the model takes."""
        if "string" in self.dtypes:
            raise MeasureError("the model takes text; models of numbers are measured")
        random = np.random.default_rng(0)
        return [
            tf.constant(random.random((count, *shape), np.float32), dtype)
            if "float" in dtype and not self.looks_up
            else tf.constant(
                random.integers(*self.whole_numbers, (count, *shape)), dtype
            )
            for shape, dtype in zip(self.shapes, self.dtypes, strict=True)
        ]

    @staticmethod
    def repeated(tensor, count):
        """A tensor again and again, up to [count, ...]."""
        return tf.gather(tensor, np.arange(count) % len(tensor))

    def call(self, inputs):
        """The output of a forward pass."""
        given = inputs[0] if len(inputs) == 1 else inputs
        # As the model wants them: a list, or a mapping by name.
        wanted = getattr(self.model, "input", None)
        if isinstance(wanted, (list, tuple, dict)):
            given = tf.nest.pack_sequence_as(wanted, inputs)
        with plain_errors():
            return self.model(given, training=False)

    def predict_one(self, inputs):
        """A compiled forward pass, waited for."""
        return tf.nest.flatten(self._compiled(inputs))[0].numpy()

    def take_faster_layout(self, inputs, max_seconds) -> None:
        """Nothing: TensorFlow chooses its own."""

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        seeds = "seed_generator_state"
        weights = [w for w in self.model.weights if not w.path.endswith(seeds)]
        trainable = sum(
            math.prod(w.shape)
            for w in self.model.trainable_weights
            if not w.overwrite_with_gradient
        )
        return {
            "notes": self._untracked(),
            "num_parameters": count_parameters(self.model),
            "num_trainable_parameters": trainable,
            "weight_bytes": sum(w.numpy().nbytes for w in weights),
        }

    @functools.cached_property
    def _graph(self):
        """The graph of a forward pass of one input."""
        kinds = zip(self.shapes, self.dtypes, strict=True)
        one = [tf.TensorSpec((1, *shape), dtype) for shape, dtype in kinds]
        before = tf.config.functions_run_eagerly()
        with contextlib.ExitStack() as shown:
            shown.callback(tf.config.run_functions_eagerly, before)
            tf.config.run_functions_eagerly(True)  # those of layers show what they do
            for layer in self._loops():  # a loop does not show how often it goes round
                shown.enter_context(mock.patch.object(layer, "unroll", True))
            traced = tf.function(self.call, autograph=False)
            return traced.get_concrete_function(one).graph

    def _loops(self):
        """Recurrent layers to unroll: of few steps; stacked cells would take more."""
        layers = [
            layer
            for layer in self.model._flatten_layers()
            if isinstance(layer, keras.layers.RNN)
            and not layer.unroll
            and not isinstance(layer.cell, keras.layers.StackedRNNCells)
        ]
        longest = max((shape[0] for shape in self.shapes if shape), default=0)
        steps = sum(_steps(layer) or longest for layer in layers)
        return layers if steps <= UNROLLED else []

    def _untracked(self):
        """A note on variables that a forward pass uses, and the model does not know."""
        known, names = {id(variable.value) for variable in self.model.variables}, []
        with contextlib.suppress(Exception):  # the weights need no forward pass
            names = [v.name for v in self._graph.variables if id(v) not in known]
        said = "variables that Keras does not see are not counted or trained: "
        return [said + ", ".join(names)] if names else []

    def file_bytes(self):
        """Of a `.keras` file."""
        # What it was compiled with is for training.
        self.model.compiled, self.model.optimizer = False, None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            self.model.save(path)
            return path.stat().st_size

    def macs(self):
        """Multiply-accumulates of one input, and the operators not counted.

        What makes weights out of weights, as LoRA, counts here as for every input.
        """
        # A function that is called twice has the same names in it twice.
        operators = _operators(self._graph)
        counts = [(operator.name, _macs(operator)) for operator in operators]
        unknown = list(dict.fromkeys(name for name, count in counts if count is None))
        return (None if unknown else sum(count for _, count in counts)), unknown

    def second_step(self, trainer, indices):
        """Take a step; TensorFlow does not tell which tensors it keeps for it."""
        trainer.train_steps(indices)
        return {}


def _steps(layer):
    """How many a recurrent layer takes, if the layer before it says."""
    with contextlib.suppress(AttributeError, ValueError, TypeError):
        return layer.input.shape[1]


def known_shapes(model) -> tuple | None:
    """Of a model's inputs, without the batch, if it says."""
    inputs = getattr(model, "inputs", None)
    return tuple(tuple(each.shape[1:]) for each in inputs) if inputs else None


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
    output = _joined(operator.outputs[0])
    known = all(shape.is_fully_defined() for shape in (*inputs, output.shape))
    if not known or output.dtype.is_complex:  # which would be several real ones
        return None
    num_outputs = output.shape.num_elements()
    match operator.type:
        case "MatMul":
            return num_outputs * inputs[0][0 if operator.get_attr("transpose_a") else 1]
        case "BatchMatMulV2" | "BatchMatMulV3":
            return num_outputs * inputs[0][-2 if operator.get_attr("adj_x") else -1]
        case "Conv2D" | "Conv3D":
            return num_outputs * math.prod(inputs[1][:-1])
        case "DepthwiseConv2dNative":
            return num_outputs * math.prod(inputs[1][:-2])
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":
            return inputs[2].num_elements() * math.prod(inputs[1][:-1])
        case "Einsum":
            return einsum_macs(operator.get_attr("equation").decode(), inputs)
    return None


def _joined(output):
    """An output, or what a dilated convolution's slices are joined and cut to."""
    for use in output.consumers():
        if use.type == "BatchToSpaceND":
            return use.outputs[0]
        if use.type == "Squeeze":  # a convolution in one dimension is one in two
            return _joined(use.outputs[0])
    return output
