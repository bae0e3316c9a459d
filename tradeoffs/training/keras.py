"""Steps and evaluation in Keras on TensorFlow.

`model.fit` returns to Python for every step. Here many steps are one call of
a compiled loop, and SGD is TensorFlow's own fused update.
"""

from __future__ import annotations

import os

import numpy as np

from tradeoffs.frameworks import import_keras
from tradeoffs.training.allocation import keep_freed_memory

keras = import_keras()

import tensorflow as tf  # noqa: E402  after Keras has chosen its backend

PIXEL_MEAN, PIXEL_DEVIATION = 0.1307, 0.3081
EVALUATION_BATCH = 1000


def images_to_tensor(images, input_scaling):
    """uint8 [n, h, w] to float32 [n, h, w, 1]; floats pass as they are."""
    if images.dtype != np.uint8:
        return tf.constant(images)
    array = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    if input_scaling == "standardized":
        array = (array - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_DEVIATION)
    return tf.constant(array)


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
        keep_freed_memory()
        _keep_convolutions()
        scaling = schedule.input_scaling
        self.model = model
        self.train_images = images_to_tensor(dataset.train_images, scaling)
        self.test_images = images_to_tensor(dataset.test_images, scaling)
        self.train_labels = tf.constant(dataset.train_labels.astype(np.int32))
        self.test_labels = dataset.test_labels.astype(np.int32)
        if not model.built:
            model.build((None, *self.train_images.shape[1:]))
        if not model.trainable_variables:
            raise ValueError(f"{model.name} has nothing to train")
        _seed_dropout(model, seed)
        self.optimizer = _optimizer(schedule)
        self.optimizer.build(model.trainable_variables)
        self.loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=not self._returns_probabilities()
        )
        self._steps = tf.function(self._train_steps)
        # Tracing now keeps compilation out of the first epoch's time. A batch
        # of a size known to the graph is faster; the last one may be smaller.
        last = len(self.train_labels) % schedule.batch_size
        for size in {schedule.batch_size, last} - {0}:
            self._steps.get_concrete_function(tf.TensorSpec([None, size], tf.int32))
        self._predict = tf.function(
            lambda images: model(images, training=False), reduce_retracing=True
        )

    def _returns_probabilities(self):
        sums = np.sum(self.model(self.train_images[:16], training=False), axis=1)
        return bool(np.allclose(sums, 1, atol=1e-4))

    def num_parameters(self):
        """Of each network: one."""
        return [self.model.count_params()]

    def set_learning_rates(self, learning_rates):
        """Set the rate of each network: of one."""
        self.optimizer.learning_rate.assign(*learning_rates)

    def train_steps(self, indices: np.ndarray) -> float:
        """A step for each row of indices; the sum of the batches' losses."""
        return float(self._steps(tf.constant(indices, tf.int32)))

    def _train_steps(self, indices):
        variables = self.model.trainable_variables
        total = tf.zeros(())
        for batch in indices:
            images = tf.gather(self.train_images, batch)
            labels = tf.gather(self.train_labels, batch)
            with tf.GradientTape() as tape:
                loss = self.loss(labels, self.model(images, training=True))
                if self.model.losses:  # regularisation
                    loss += tf.add_n(self.model.losses)
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
        return total

    def evaluate(self):
        """Mean test loss, and the predicted labels, [n]."""
        probabilities = tf.concat(
            [
                self._predict(self.test_images[start : start + EVALUATION_BATCH])
                for start in range(0, len(self.test_labels), EVALUATION_BATCH)
            ],
            axis=0,
        )
        loss = float(self.loss(self.test_labels, probabilities))
        return loss, np.argmax(probabilities, axis=1)


def _keep_convolutions():
    """Set oneDNN's backward convolutions up once, not every step.

    TensorFlow reads this when the process first computes one; where it is
    built without oneDNN it never does.
    """
    os.environ.setdefault("TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "0")


def _seed_dropout(model, seed):
    """Start every random layer of the model from the seed."""
    for number, variable in enumerate(model.non_trainable_variables):
        if variable.path.endswith("seed_generator_state"):
            state = np.array([seed, number]).astype(variable.dtype)
            variable.assign(state)


def _optimizer(schedule):
    rate = schedule.learning_rate
    match schedule.optimizer:
        case "sgd" if schedule.momentum:
            return FusedSGD(
                rate, momentum=schedule.momentum, nesterov=schedule.nesterov
            )
        case "sgd":
            return keras.optimizers.SGD(rate)
        case "adam":
            return keras.optimizers.Adam(rate, epsilon=1e-7)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-7)
        case "adadelta":
            return keras.optimizers.Adadelta(rate, rho=0.95, epsilon=1e-7)
