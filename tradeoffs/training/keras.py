"""Steps and evaluation in Keras on TensorFlow.

`model.fit` returns to Python for every step. Here many steps are one call of
a compiled loop, and SGD is TensorFlow's own fused update.
"""

import contextlib
import functools
import os

import numpy as np

from tradeoffs.frameworks import import_keras, keep_freed_memory
from tradeoffs.models.keras import count_parameters, seeded
from tradeoffs.training import TrainingError, first_outputs, one_sentence
from tradeoffs.training.batches import batch_sizes
from tradeoffs.training.keras_checks import (
    check_inputs,
    last_operation,
    probabilities,
    warn_of_own_steps,
    warn_of_scaling,
    warn_of_sigmoid,
    whole_places,
)

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

EVALUATION_BATCH = 1000
FEW = 16  # images to try a model on
PYTORCHS_ALONE = "cycle", "label_smoothing", "augmentation"


def images_to_tensor(images, input_scaling, pixels):
    """Images as float32 [n, h, w, channels]; arguments as in `training.pytorch`."""
    array = images if images.ndim == 4 else images[..., np.newaxis]
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / np.float32(255)
    if input_scaling == "standardized":
        mean, deviation = map(np.float32, pixels)
        array = (array - mean) / deviation
    return tf.constant(array)


@contextlib.contextmanager
def plain_errors():
    """Let Keras' errors come as they were raised, without colours and arguments."""
    with contextlib.ExitStack() as afterwards:
        if keras.config.is_traceback_filtering_enabled():
            afterwards.callback(keras.config.enable_traceback_filtering)
            keras.config.disable_traceback_filtering()
        yield


class FusedSGD(keras.optimizers.SGD):
    """Keras' SGD with momentum, one pass over each variable instead of five."""

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=velocity.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


class Trainer:
    """Trains one Keras model."""

    framework, stacked = "keras", False

    def __init__(self, model, dataset, schedule, seed):
        if asked := [name for name in PYTORCHS_ALONE if getattr(schedule, name)]:
            raise ValueError(
                f"the schedule has {' and '.join(asked)}, with which only networks in "
                "PyTorch are trained"
            )
        keep_freed_memory()
        # Set oneDNN's backward convolutions up once, not every step. TensorFlow reads
        # this when the process first computes one; without oneDNN it never does.
        os.environ.setdefault("TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "0")
        self.model = model
        self.train_images, self.test_images = (
            images
            if isinstance(images, tf.Tensor)
            else images_to_tensor(images, schedule.input_scaling, dataset.pixels)
            for images in (dataset.train_images, dataset.test_images)
        )
        self.train_labels = tf.constant(dataset.train_labels.astype(np.int32))
        self.test_labels = dataset.test_labels.astype(np.int32)
        if isinstance(model, keras.Sequential) and not model.built:
            # Its first call would fix the size of its batches.
            model.build((None, *self.train_images.shape[1:]))
        check_inputs(model, self.train_images)
        few = tf.gather(self.train_images, np.arange(FEW) % len(self.train_images))
        call = functools.partial(model, training=False)
        with plain_errors(), whole_places():
            outputs = first_outputs(model.name, call, few, dataset)
        between, shares = probabilities(outputs)
        self._returns_probabilities = lambda: shares
        warn_of_scaling(model, schedule.input_scaling)
        warn_of_own_steps(model)
        kind = keras.losses.SparseCategoricalCrossentropy
        self.test_loss = kind(from_logits=not shares)
        self.loss = kind(from_logits=not _shares_in_training(model, few, shares))
        # Only now: a subclassed model makes its weights in its first call.
        if not model.trainable_variables:
            raise ValueError(f"{model.name} has nothing to train")
        _seed_dropout(model, seed)
        self.optimizer = _optimizer(schedule)
        self.optimizer.build(model.trainable_variables)
        self._steps = tf.function(self._train_steps, autograph=False)
        # Tracing now keeps compilation out of the first epoch's time. A batch
        # of a size known to the graph is faster; the last one may differ.
        data = [
            tf.TensorSpec([None, *each.shape[1:]], each.dtype)
            for each in (self.train_images, self.train_labels)
        ]
        for size in {*batch_sizes(len(self.train_labels), schedule.batch_size)}:
            indices = tf.TensorSpec([None, size], tf.int32)
            try:
                with plain_errors():
                    self._steps.get_concrete_function(*data, indices)
            except Exception as error:
                said = f"{model.name} cannot be trained: {one_sentence(error)}"
                raise TrainingError(said) from error
        # It can be traced now.
        if between and not shares and last_operation(call, few) == "Sigmoid":
            warn_of_sigmoid(model)
        self._predict = tf.function(call, autograph=False, reduce_retracing=True)

    def num_parameters(self):
        """Of each network: one."""
        return [count_parameters(self.model)]

    def set_learning_rates(self, learning_rates):
        """Set the rate of each network: of one."""
        self.optimizer.learning_rate.assign(*learning_rates)

    def train_steps(self, indices: np.ndarray) -> float:
        """A step for each row of indices; the sum of the batches' losses."""
        data = self.train_images, self.train_labels
        return float(self._steps(*data, tf.constant(indices, tf.int32)))

    def _train_steps(self, train_images, train_labels, indices):
        variables = self.model.trainable_variables

        def step(total, batch):
            images = tf.gather(train_images, batch)
            labels = tf.gather(train_labels, batch)
            with tf.GradientTape() as tape:
                outputs = self.model(images, training=True)
                if not isinstance(outputs, tf.Tensor):
                    raise TypeError(
                        f"it returns a {type(outputs).__name__} while it trains; "
                        "it must return one tensor [n, classes]"
                    )
                loss = self.loss(labels, _at_least_float32(outputs))
                if self.model.losses:  # regularisation
                    loss += sum(tf.cast(one, loss.dtype) for one in self.model.losses)
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return total + tf.cast(loss, total.dtype)

        return tf.foldl(step, indices, tf.zeros(()), parallel_iterations=1)

    def evaluate(self):
        """Mean test loss, and the predicted labels, [n]."""
        sizes = batch_sizes(len(self.test_labels), EVALUATION_BATCH)
        parts = map(self._predict, tf.split(self.test_images, sizes))
        outputs = tf.concat([*parts], axis=0)
        loss = float(self.test_loss(self.test_labels, _at_least_float32(outputs)))
        return loss, np.argmax(outputs, axis=1)


def _shares_in_training(model, few, in_use: bool) -> bool:
    """Whether it gives shares of 1 while it trains, too; layers may tell the two apart.

    Weights that it has only while it trains are made.
    """
    if all(
        type(x).call.__module__.startswith("keras.") for x in model._flatten_layers()
    ):
        return in_use
    with contextlib.suppress(Exception):  # which is said when its steps are traced
        if last_operation(functools.partial(model, training=True), few) == "Softmax":
            return True
        using = functools.partial(model, training=False)
        return in_use and last_operation(using, few) != "Softmax"
    return in_use


def _at_least_float32(outputs):
    return tf.cast(outputs, tf.float32) if outputs.dtype.size < 4 else outputs


def _seed_dropout(model, seed):
    """Start every random layer of the model from the seed, and what others draw."""
    seeded(keras.random.uniform, seed, shape=())  # which makes Keras' generator
    for number, variable in enumerate(model.non_trainable_variables):
        if variable.path.endswith("seed_generator_state"):
            state = np.array([seed, number]).astype(variable.dtype)
            variable.assign(state)


def _optimizer(schedule):
    optimizers = keras.optimizers
    momentum = {"momentum": schedule.momentum, "nesterov": schedule.nesterov}
    decay = {"weight_decay": schedule.weight_decay}
    kind, options = {
        "sgd": (FusedSGD, momentum) if schedule.momentum else (optimizers.SGD, {}),
        "adam": (optimizers.Adam, {"epsilon": 1e-7}),
        "adamw": (optimizers.AdamW, {"epsilon": 1e-7} | decay),
        "rmsprop": (optimizers.RMSprop, {"epsilon": 1e-7, "rho": 0.9}),
        "adadelta": (optimizers.Adadelta, {"epsilon": 1e-7, "rho": 0.95}),
    }[schedule.optimizer]
    return kind(schedule.learning_rate, **options)
