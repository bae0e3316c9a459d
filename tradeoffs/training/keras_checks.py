"""What is looked at before a Keras model is trained, and said if it is odd."""

import contextlib
import functools
import warnings
from unittest import mock

import numpy as np

from tradeoffs.frameworks import import_keras
from tradeoffs.training import TrainingWarning

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

# Their numbers are places in a table, or classes.
WHOLE = ("Embedding", "CategoryEncoding", "IntegerLookup", "Hashing")


def check_inputs(model, images):
    """Raise a ValueError if the model is not made for such images.

    Keras lets a Sequential take those of another shape, and cuts pixels to whole
    numbers.
    """
    inputs = getattr(model, "inputs", None)
    made_for, given = inputs[0].shape[1:] if inputs else (), tuple(images.shape[1:])
    sizes = zip(made_for, given, strict=False)
    if len(made_for) == len(given) and any(n not in (None, m) for n, m in sizes):
        raise ValueError(f"{model.name} is made for images {made_for}, not {given}")
    if inputs and tf.as_dtype(inputs[0].dtype).is_integer and images.dtype.is_floating:
        raise ValueError(
            f"{model.name} takes {inputs[0].dtype} inputs, and images come as scaled "
            f"{images.dtype.name} numbers; give it a float input"
        )


@contextlib.contextmanager
def whole_places():
    """Let no layer cut numbers to whole ones, as some of Keras' do without a word."""
    with contextlib.ExitStack() as patched:
        for name in WHOLE:
            kind = getattr(keras.layers, name)
            call = functools.partialmethod(_checked, kind.call)
            patched.enter_context(mock.patch.object(kind, "call", call))
        yield


def _checked(layer, call, /, inputs, *arguments, **options):
    seen = tf.is_tensor(inputs) and not tf.is_symbolic_tensor(inputs)
    if seen and inputs.dtype.is_floating and tf.reduce_any(tf.floor(inputs) != inputs):
        raise ValueError(
            f"{layer.name} would cut scaled pixels to whole numbers; a table takes "
            "float images of whole numbers, and a schedule whose input_scaling is "
            "'unit'"
        )
    return call(layer, inputs, *arguments, **options)


def probabilities(outputs):
    """Whether numbers lie between 0 and 1, and whether they are shares of 1."""
    precise = 1e-4 if outputs.dtype.size >= 4 else 0.03
    outputs = np.array(tf.cast(outputs, tf.float32))
    shares = outputs.min() >= 0 and np.allclose(outputs.sum(1), 1, atol=precise)
    return outputs.min() >= 0 and outputs.max() <= 1, bool(shares)


def last_operation(call, few) -> str:
    """What TensorFlow computes last for a few images, such as "Softmax".

    Layers that a subclassed model makes in this call have their weights then.
    """
    traced = tf.function(call, autograph=False).get_concrete_function(few)
    last = traced.graph.outputs[0].op
    while last.type in ("Identity", "Cast"):
        last = last.inputs[0].op
    return last.type


def warn_of_sigmoid(model):
    """Of one that is trained as if it gave logits."""
    warnings.warn(
        f"{model.name} returns numbers between 0 and 1, as of a sigmoid, and they "
        "are taken for logits: a softmax of a sigmoid. Leave the last sigmoid out, "
        "or make it a softmax",
        TrainingWarning,
        stacklevel=4,
    )


def warn_of_scaling(model, input_scaling):
    """Of a layer that scales what is scaled already."""
    kinds, found = (keras.layers.Rescaling, keras.layers.Normalization), []
    for layer in model._flatten_layers():
        if isinstance(layer, kinds):
            found.append(layer.name)
        elif layer.weights and not isinstance(layer, keras.Model):
            break  # what follows is no image any more
    if found:
        warnings.warn(
            f"{model.name} scales its images in {', '.join(found)}, and they come to "
            f"it scaled already, as {input_scaling!r} pixels; leave that layer out",
            stacklevel=4,
        )


def warn_of_own_steps(model):
    """Of what it would do in `model.fit` and does not here."""
    names = "train_step", "compute_loss"
    own = [n for n in names if getattr(type(model), n) is not getattr(keras.Model, n)]
    said = [
        f"{model.name} has its own {' and '.join(own)}, not used here: it is trained "
        "on the cross-entropy of its outputs"
    ] * bool(own)
    if any(layer.compute_dtype == "float16" for layer in model._flatten_layers()):
        said.append(
            f"{model.name} computes in float16, and gradients are not scaled here: "
            "small ones are lost. In bfloat16 they are not"
        )
    for text in said:
        warnings.warn(text, TrainingWarning, stacklevel=4)
