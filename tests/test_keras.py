"""Runs in a process of its own: Keras and PyTorch never share one."""

import functools
import math
import random
import warnings

import numpy as np
import pytest

import tradeoffs
from tradeoffs import ARTICLE, TrainingError, fit
from tradeoffs.frameworks import import_keras
from tradeoffs.measure_here import load
from tradeoffs.probes import PARTS, files
from tradeoffs.processes import in_fresh_process
from tradeoffs.training import TrainingWarning
from tradeoffs.weights import KEPT_SEED

QUICK = ARTICLE.first(1)


@pytest.fixture(scope="module")
def keras():
    return import_keras()


def dense(keras, dtype=None):
    """A model of the reader's own, which returns logits."""
    inputs = keras.Input((28, 28, 1), dtype=dtype)
    return keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(10)])


def count_parameters(model):
    from tradeoffs.models.keras import count_parameters  # which imports TensorFlow

    return count_parameters(model)


def subclassed(keras, change=lambda outputs, training: outputs):
    """The same without weights as yet, and with a change to what it returns."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

        def call(self, images, training=False):
            return change(self.dense(self.flatten(images)), training)

    return Own()


def measure(model, shape=None, parts="size", **options):
    options = {"threads": 1, "max_seconds": 0.1} | options
    return tradeoffs.measure(model, shape, parts=parts, **options)


def logits_of_the_port(run, images):
    """Called in a process of its own."""
    import torch

    with torch.inference_mode():
        return tradeoffs.trained(run)(torch.tensor(images).movedim(3, 1)).numpy()


@pytest.mark.parametrize("name", ["keras_mlp", "keras_cnn"])
def test_weights_of_a_port_are_at_home_in_keras(keras, name, mnist):
    """What the port computes is what the Keras model computes."""
    run = tradeoffs.run(name, "pytorch", seed=KEPT_SEED)
    images = np.float32(mnist.test_images[..., None] / 255 - 0.1307) / 0.3081
    given = logits_of_the_port, run, images
    expected = in_fresh_process(*given, framework="pytorch")
    model = tradeoffs.trained(run, framework="keras")
    model.layers[-1].activation = keras.activations.linear
    found = model.predict(images, batch_size=1000, verbose=0)
    assert np.abs(found - expected).max() < 5e-5  # of up to 50
    assert np.sum(found.argmax(1) != run.test_predictions) <= 5


def test_as_recorded_sees_the_layers_and_not_their_names(keras):
    def network(units):
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Flatten(name="other"),
                layers.Dense(units, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(512, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(10, activation="softmax"),
            ]
        )

    assert tradeoffs.as_recorded(network(512), "keras_mlp")
    assert not tradeoffs.as_recorded(network(511), "keras_mlp")
    counts = list(tradeoffs.parameters_by_layer(network(512)).values())
    assert counts == [0, 401_920, 0, 262_656, 0, 5_130]


# Millions of parameters in the documentation of keras.applications, which counts a
# batch norm's statistics and cuts some of its figures short.
PUBLISHED = {
    **{"Xception": 22.9, "VGG16": 138.4, "VGG19": 143.7, "ResNet50": 25.6},
    **{"ResNet101": 44.7, "ResNet152": 60.4, "ResNet50V2": 25.6, "ResNet101V2": 44.7},
    **{"ResNet152V2": 60.4, "InceptionV3": 23.9, "InceptionResNetV2": 55.9},
    **{"MobileNet": 4.3, "MobileNetV2": 3.5, "DenseNet121": 8.1, "DenseNet169": 14.3},
    **{"DenseNet201": 20.2, "NASNetMobile": 5.3, "NASNetLarge": 88.9},
    **{"EfficientNetB0": 5.3, "EfficientNetB1": 7.9, "EfficientNetB2": 9.2},
    **{"EfficientNetB3": 12.3, "EfficientNetB4": 19.5, "EfficientNetB5": 30.6},
    **{"EfficientNetB6": 43.3, "EfficientNetB7": 66.7, "EfficientNetV2B0": 7.2},
    **{"EfficientNetV2B1": 8.2, "EfficientNetV2B2": 10.2, "EfficientNetV2B3": 14.5},
    **{"EfficientNetV2S": 21.6, "EfficientNetV2M": 54.4, "EfficientNetV2L": 119.0},
    **{"ConvNeXtTiny": 28.6, "ConvNeXtSmall": 50.2, "ConvNeXtBase": 88.5},
    **{"ConvNeXtLarge": 197.7, "ConvNeXtXLarge": 350.1},
}
# As torchvision publishes them, which counts no statistics.
IN_TORCHVISION = {
    **{"DenseNet121": 7_978_856, "EfficientNetB0": 5_288_548},
    **{"ConvNeXtTiny": 28_589_128, "VGG16": 138_357_544},
}


def test_parameters_of_keras_applications_are_those_published(keras):
    # Weights have shapes there and no values, so a model takes a second.
    with keras.StatelessScope(initialize_variables=False):
        for name, millions in PUBLISHED.items():
            model = getattr(keras.applications, name)(weights=None)
            statistics = sum(
                math.prod(weight.shape)
                for layer in model.layers
                if "BatchNormalization" in type(layer).__name__
                for weight in layer.non_trainable_weights
            )
            model.layers[3].trainable = False  # what is frozen counts, and stays so
            count = count_parameters(model)
            assert model.layers[2].trainable and not model.layers[3].trainable
            of_both = (count + statistics) / 1e6
            assert (name, of_both) == (name, pytest.approx(millions, abs=0.1))
            assert count == IN_TORCHVISION.get(name, count)
    keras.utils.clear_session()  # or a later scope gives all of them their values


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_were_fitted_to_few_bits_are_parameters(keras, bits):
    layer = keras.layers.Dense(7, dtype=f"gptq/{bits}/-1_from_float32")
    model = keras.Sequential([keras.Input((8,)), layer])
    layer.is_gptq_calibrated = True
    assert count_parameters(model) == 8 * 7 + 7
    own = dense(keras)
    own.layers[-1].quantize(f"int{bits}")
    assert count_parameters(own) == 7_850


def test_frozen_weights_and_those_of_float8_are_parameters(keras):
    for change, count in (
        (lambda layer: layer.enable_lora(2), 7_850 + 2 * (784 + 10)),
        (lambda layer: layer.quantize("float8"), 7_850),
    ):
        model = dense(keras)
        change(model.layers[-1])
        assert count_parameters(model) == count


def reads_text(keras, layers):
    words = layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(3, 4)
    return keras.Sequential([keras.Input((5,), dtype="string"), *words])


def remembers(keras, layers):
    layer = layers.SimpleRNN(2, stateful=True, unroll=True)
    return keras.Sequential([keras.Input(batch_shape=(1, 4, 3)), layer])


@pytest.mark.parametrize(
    ("make", "count", "macs", "says"),
    [
        (reads_text, 12, 0, "the model takes text"),
        (remembers, 2 * (3 + 2 + 1), 4 * 2 * (3 + 2), "cannot take an input"),
    ],
)
def test_size_needs_no_forward_pass(keras, make, count, macs, says):
    model = make(keras, keras.layers)
    profile = measure(model)
    assert (profile.num_parameters, profile.macs) == (count, macs)
    assert 4 * count <= profile.weight_bytes < profile.file_bytes
    with pytest.raises(tradeoffs.MeasureError, match=says):
        measure(model, parts="inference_time")


def test_gpu_memory_is_predicted_for_pytorch_only(keras):
    for model in dense(keras), functools.partial(tradeoffs.build, "keras_mlp", "keras"):
        with pytest.raises(tradeoffs.MeasureError, match="for PyTorch models only"):
            tradeoffs.predict_memory(model, [((28, 28, 1), 4)])


def test_a_seed_of_weights_leaves_the_readers_random_numbers_alone():
    tradeoffs.import_keras()  # which draws numbers of its own, once
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, other = (tradeoffs.build("keras_mlp", seed=3) for _ in range(2))
    assert np.array_equal(one.get_weights()[0], other.get_weights()[0])
    after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert after == before


def test_fit_learns_and_repeats_for_a_seed(small):
    first, second, other = (
        fit(tradeoffs.build("keras_mlp", seed=0), small, ARTICLE.first(2), seed=seed)
        for seed in (0, 0, 1)
    )
    assert first.test_accuracy > 0.8
    assert first.num_parameters == 669_706
    losses = [run.history_columns["train_loss"] for run in (first, second, other)]
    assert losses[0] == losses[1] != losses[2]
    assert np.array_equal(first.test_predictions, second.test_predictions)


def test_adamw_decays_and_what_only_pytorch_trains_with_is_refused(small):
    few = small.head(200, 10)
    schedule = QUICK.replace(optimizer="adamw", momentum=0, nesterov=False)

    def norm(decay):
        model = tradeoffs.build("keras_mlp", seed=0)
        fit(model, few, schedule.replace(weight_decay=decay, learning_rate=1e-3))
        return np.linalg.norm(model.get_weights()[0])

    # 13 steps, of which each takes 0.01 of the weights off.
    assert norm(10) / norm(0) == pytest.approx(0.99**13, abs=0.01)
    schedule = schedule.replace(cycle=True, label_smoothing=0.1)
    with pytest.raises(
        ValueError, match="has cycle and label_smoothing, with which only"
    ):
        fit(tradeoffs.build("keras_mlp"), few, schedule)


def test_random_numbers_of_no_layer_repeat_for_a_seed(keras, small):
    def noise(outputs, training):
        random = keras.random.normal(keras.ops.shape(outputs))
        return tensorflow.nn.dropout(outputs + random, 0.5) if training else outputs

    import tensorflow

    losses = set()
    for _ in range(2):
        model = subclassed(keras, noise)
        model.dense.kernel_initializer = keras.initializers.Ones()
        losses.add(fit(model, small, QUICK).test_loss)
    assert len(losses) == 1


def test_fused_sgd_is_keras_sgd(keras, small):
    """The same weights after the same steps as Keras' own optimizer."""
    from tradeoffs.training import keras as backend

    def train(optimizer):
        model = tradeoffs.build("keras_mlp", seed=0)
        trainer = backend.Trainer(model, small, QUICK, 0)
        if optimizer:
            trainer.optimizer = optimizer
            trainer.optimizer.build(model.trainable_variables)
            trainer._steps = backend.tf.function(trainer._train_steps)
        trainer.train_steps(np.arange(1600).reshape(100, 16))
        return model.get_weights()

    ours = train(None)
    plain = train(keras.optimizers.SGD(5e-3, momentum=0.9, nesterov=True))
    for one, other in zip(ours, plain, strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_nothing_is_traced_while_training_is_timed(small):
    from tradeoffs.training import keras as backend

    schedule = ARTICLE.replace(batch_size=len(small.train_labels) // 3 + 1)
    model = tradeoffs.build("keras_mlp", seed=0)
    trainer = backend.Trainer(model, small, schedule, 0)
    before = trainer._steps.experimental_get_tracing_count()
    for indices in tradeoffs.training.chunks(
        np.arange(len(small.train_labels)), schedule.batch_size
    ):
        trainer.train_steps(indices)
    assert trainer._steps.experimental_get_tracing_count() == before


def words(keras, places=()):
    """A model that looks its inputs up in a table."""
    table = keras.layers.Embedding(30, 6)
    between = keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(10)
    return keras.Sequential([*places, keras.layers.Flatten(), table, *between])


def vectors(keras, _):
    return keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])


def turned(keras, _):
    return keras.Sequential([keras.Input((14, 56, 1)), *dense(keras).layers])


def chained(outputs, training):
    try:
        return {}["side"] if training else outputs
    except KeyError:
        raise ValueError("the model's own sentence")  # noqa: B904


def regularized(keras):
    options = {"dtype": "float64", "kernel_regularizer": "l2"}
    layers = keras.layers.Flatten(), keras.layers.Dense(10, **options)
    return keras.Sequential([keras.Input((28, 28, 1)), *layers])


@pytest.mark.parametrize("make", [dense, subclassed, regularized])
def test_fit_takes_a_model_that_returns_logits(keras, small, make):
    assert fit(make(keras), small, ARTICLE.first(2)).test_accuracy > 0.7


@pytest.mark.parametrize(
    ("make", "change", "says"),
    [
        (dense, "uint8", "takes uint8 inputs, and images come as scaled float32"),
        (subclassed, lambda out, training: out.no, "cannot take images .* 'no'$"),
        (subclassed, lambda out, training: (out,) if training else out, "a tuple"),
        (subclassed, chained, "cannot be trained: the model's own sentence$"),
        (subclassed, lambda out, training: out > 0, "cannot be trained: No gradients"),
        (subclassed, lambda out, training: np.array(out), "a ndarray of shape"),
        (words, (), "would cut scaled pixels to whole numbers"),
        (vectors, None, r"\[...\].* Expected shape \(None, 784\)"),
        (turned, None, r"is made for images \(14, 56, 1\), not \(28, 28, 1\)"),
    ],
)
def test_fit_refuses_a_model_in_a_line(keras, small, make, change, says):
    with pytest.raises((TrainingError, ValueError), match=says) as caught:
        fit(make(keras, change), small, QUICK)
    assert "\n" not in str(caught.value)


def test_what_is_odd_is_warned_of(keras, small):
    class Own(keras.Sequential):
        def compute_loss(self, *arguments, **options):
            return 0.0

    layers, inputs = dense(keras).layers, keras.Input((28, 28, 1))
    scaling = keras.layers.Rescaling(1 / 255, name="mine")
    sigmoid = keras.layers.Activation("sigmoid")
    for kind, given, says in (
        (UserWarning, [inputs, scaling, *layers], "scales its images in mine"),
        (TrainingWarning, [*layers, sigmoid], "a softmax of a sigmoid"),
    ):
        with pytest.warns(kind, match=says):
            fit(keras.Sequential(given), small.head(50, 50), QUICK)
    with pytest.warns(TrainingWarning, match="its own compute_loss, not used"):
        fit(Own(layers), small.head(50, 50), QUICK)


def test_softmax_in_use_or_in_training_alone_changes_no_loss(keras, small):
    def ends(when):
        def change(outputs, training):
            return keras.ops.softmax(outputs) if training in when else outputs

        return change

    found = []
    for when in ((), (False,), (True,), (False, True)):
        keras.utils.set_random_seed(0)
        found.append(fit(subclassed(keras, ends(when)), small.head(50, 50), QUICK))
    for run in found[1:]:
        for column in ("train_loss", "test_loss", "test_accuracy"):
            assert run.history[column].tolist() == pytest.approx(
                found[0].history[column].tolist(), rel=1e-4
            ), column


def test_layers_of_training_alone_are_trained(keras, small):
    def change(outputs, training):
        return outputs + extra(outputs) if training else outputs

    own, extra = subclassed(keras, change), keras.layers.Dense(10)
    own.extra = extra
    assert fit(own, small.head(50, 50), QUICK).num_parameters == 7_850 + 110


def test_numbers_that_lie_between_0_and_1_are_no_sigmoid(keras, small):
    own = dense(keras)
    own.layers[-1].kernel.assign(own.layers[-1].kernel * 0)
    own.layers[-1].bias.assign(own.layers[-1].bias + 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        fit(own, small.head(50, 50), QUICK)


def test_float16_and_variables_out_of_sight_are_noted(keras):
    half = keras.layers.Dense(3, dtype="mixed_float16")
    half = keras.Sequential([keras.Input((4,)), half])
    profile = measure(half, (4,), ("size", "training_time"))
    assert any("computes in float16" in note for note in profile.notes)

    def hides():
        layer = keras.layers.Dense(3)
        calls_it = keras.layers.Lambda(lambda inputs: layer(inputs))
        return keras.Sequential([keras.Input((4,)), calls_it])

    profile = measure(hides, (4,))
    assert (profile.num_parameters, profile.macs) == (0, 12)
    assert "variables that Keras does not see are not counted" in profile.notes[0]


def test_lambdas_come_along_with_what_they_use(keras):
    layers = (
        keras.layers.Lambda(lambda rows: rows * np.float32(2)),
        keras.layers.Dense(3, activation=lambda rows: np.float32(0.5) * rows),
    )
    profile = measure(keras.Sequential([keras.Input((8,)), *layers]))
    assert (profile.num_parameters, profile.macs, profile.notes) == (27, 24, ())
    assert {layers[0].function.__name__, layers[1].activation.__name__} == {"<lambda>"}


def test_start_up_of_numbers_by_name(keras):
    numbers = keras.Input((4,), name="b"), keras.Input((3,), dtype="int32", name="a")
    ones = keras.layers.Flatten()(keras.ops.one_hot(numbers[1], 5))
    output = keras.layers.Dense(2)(keras.layers.Concatenate()([numbers[0], ones]))
    model = keras.Model(dict(zip("ba", numbers, strict=True)), output)
    assert measure(model, parts="startup").startup_seconds > 0


def test_the_callers_types_reach_the_other_process(keras):
    keras.config.set_dtype_policy("float64")
    try:
        wide = measure(lambda: dense(keras), (28, 28, 1))
    finally:
        keras.config.set_dtype_policy("float32")
    assert wide.weight_bytes == 8 * wide.num_parameters


def test_other_usual_numbers_change_nothing(keras, small):
    keras.config.set_floatx("float64")
    try:
        run = fit(dense(keras), small, ARTICLE.first(2))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")  # made of it where there was none
    assert run.test_accuracy > 0.7


def test_keras_model_of_ones_own_is_measured_in_a_child(keras):
    own = dense(keras)
    own.compile("adam", loss=lambda labels, outputs: outputs)
    own.optimizer.build(own.trainable_variables)
    profile = measure(own, parts=PARTS)
    assert own.compiled
    assert profile.framework == "keras"
    assert profile.input_shape == (28, 28, 1)
    assert profile.num_parameters == 7_850
    assert profile.weight_bytes == 7_850 * 4 < profile.file_bytes < 2 * 7_850 * 4
    assert profile.macs == 7_840
    assert profile.train_step_ms > 0
    assert profile.peak_train_memory_mib > 0
    assert profile.activation_bytes is None
    assert any("PyTorch models only" in note for note in profile.notes)


def test_what_is_frozen_is_so_in_the_process_that_measures(keras):
    layers = keras.layers.Dense(4), keras.layers.Dense(3)
    own = keras.Sequential([keras.Input((8,)), *layers])
    own.layers[0].kernel.trainable = False
    profile = measure(own)
    assert (profile.num_parameters, profile.num_trainable_parameters) == (51, 19)


def test_a_copy_has_layers_and_functions_of_ones_own(keras):
    class Product(keras.layers.Layer):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = units

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], self.units))

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

    def twice(x):
        return 2 * x

    layers = Product(4), keras.layers.Dense(8, activation=twice)
    profile = measure(keras.Sequential([keras.Input((8,)), *layers]))
    assert (profile.num_parameters, profile.macs) == (32 + 40, 32 + 32)


def test_a_copy_may_be_of_a_class_of_ones_own(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2)
            self.norm = keras.layers.BatchNormalization()

        def call(self, inputs):
            return self.norm(self.head(inputs))

    model = Own()
    model(np.zeros((1, 8)))
    model.norm.trainable = False
    profile = measure(model, (8,))
    assert (profile.num_parameters, profile.num_trainable_parameters) == (22, 18)
    assert profile.macs == 16


def given_units(keras):
    class Own(keras.Sequential):
        def __init__(self, units):
            super().__init__([keras.Input((8,)), keras.layers.Dense(units)])

    return Own(2)


def grown(keras):
    class Own(keras.Sequential):
        def __init__(self):
            super().__init__([keras.Input((8,)), keras.layers.Dense(2)])

    model = Own()
    model.add(keras.layers.Dense(3))
    return model


def block_twice(keras):
    block = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    last = keras.layers.Dense(2)
    return keras.Sequential([keras.Input((8,)), block, block, last])


@pytest.mark.parametrize(
    ("make", "macs", "says"),
    [
        (given_units, 8 * 2, "does not keep what Own was given.* a function that mak"),
        (
            grown,
            8 * 2 + 2 * 3,
            "is not as its class makes it; give a function that makes it",
        ),
        (block_twice, 2 * 8 * 8 + 8 * 2, "a layer twice"),
    ],
)
def test_model_that_has_no_copy_is_measured_by_its_function(keras, make, macs, says):
    with pytest.raises(tradeoffs.MeasureError, match=says):
        measure(make(keras))
    assert measure(lambda: make(keras), (8,)).macs == macs


def test_measure_refuses_a_model_in_a_line(keras):
    class Own(keras.Sequential):
        def __init__(self):
            super().__init__([keras.Input((8,)), keras.layers.Dense(3)])

    assert measure(Own).macs == 24

    def make():
        return subclassed(keras, lambda out, training: out.no)

    with pytest.raises(tradeoffs.MeasureError, match=r"shape \(28, 28, 1\): .* 'no'$"):
        measure(make, (28, 28, 1))
    with pytest.raises(TypeError, match=r"Dense \(put the layer into a keras.Seq"):
        measure(keras.layers.Dense(3), (8,))


def test_whether_inputs_are_looked_up_is_found_by_trying(keras):
    class Words(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(3)
            self.table = keras.layers.Embedding(30, 6)

        def call(self, words):
            return self.head(self.table(words)[:, 0])

    profile = measure(Words, (5,), ("size", "inference_time"))
    assert (profile.macs, profile.latency_ms_p50 > 0) == (18, True)
    for places in (), [keras.Input((5,))]:
        made = functools.partial(words, keras, places)
        assert measure(made, (5,), ("size", "training_time")).train_step_ms > 0


def test_places_in_a_table_may_be_float_images(keras, small):
    places = np.random.default_rng(0).integers(0, 30, (320, 4, 7)).astype(np.float32)
    parts = places[:256], small.train_labels[:256], places, small.test_labels[:320]
    schedule = ARTICLE.first(1).replace(input_scaling="unit")
    found = fit(words(keras), tradeoffs.Dataset("words", *parts), schedule)
    assert np.isfinite(found.test_loss)


def test_recurrent_layers_are_unrolled_by_their_own_steps(keras):
    L = keras.layers
    front = keras.Input((4000, 1)), L.Conv1D(4, 400, strides=400)
    profile = measure(lambda: keras.Sequential([*front, L.LSTM(5)]), None)
    assert profile.macs == 10 * 400 * 4 + 10 * 4 * 5 * (4 + 5)


def test_parameters_of_shared_layers_are_of_the_first_that_has_them(keras):
    shared, inputs = keras.layers.Dense(8), keras.Input((8,))
    first = keras.Sequential([keras.Input((8,)), shared], name="first")
    layers = keras.Input((8,)), shared, keras.layers.Dense(2)
    model = keras.Model(
        inputs, keras.Sequential([*layers], name="second")(first(inputs))
    )
    counts = tradeoffs.parameters_by_layer(model)
    assert list(counts.values()) == [0, 72, 18]


def test_macs_of_layers_by_hand(keras):
    from tradeoffs.probes.keras import Probe

    layers, dense = keras.layers, keras.layers.Dense(8)
    attention = layers.MultiHeadAttention(2, 4)
    for shape, by_hand, *applied in (
        ((7, 8), 7 * 40, layers.Dense(5)),
        ((8,), 2 * 64, dense, dense),
        ((9, 3), 7 * 4 * 3 * 3, layers.Conv1D(4, 3)),
        ((9, 9, 3), 4 * 4 * 4 * 27, layers.Conv2D(4, 3, strides=2)),
        ((9, 9, 3), 5 * 5 * 4 * 27, layers.Conv2D(4, 3, dilation_rate=2)),
        ((9, 9, 4), 7 * 7 * 6 * 18, layers.Conv2D(6, 3, groups=2)),
        ((5, 5, 5, 2), 4**3 * 3 * 16, layers.Conv3D(3, 2)),
        ((9, 9, 3), 7 * 7 * (27 + 12), layers.SeparableConv2D(4, 3)),
        ((4, 4, 3), 4 * 4 * 3 * 20, layers.Conv2DTranspose(5, 2)),
        ((4, 4, 3), 0, layers.BatchNormalization(), layers.MaxPooling2D(2)),
        # Four projections 8 x 8 of six positions, and two products.
        ((6, 8), 4 * 6 * 64 + 2 * 36 * 8, lambda x: attention(x, x)),
        ((7, 8), 7 * 4 * 5 * (8 + 5), layers.LSTM(5)),
        ((7, 8), 7 * 2 * 3 * 6 * (8 + 6), layers.Bidirectional(layers.GRU(6))),
    ):
        inputs = outputs = keras.Input(shape)
        for layer in applied:
            outputs = layer(outputs)
        model = keras.Model(inputs, outputs)
        assert Probe(model, (shape,), None, "cpu", 16).macs() == (by_hand, [])


def function_of_its_own(keras):
    import tensorflow as tf

    class Product(keras.layers.Layer):
        def build(self, shape):
            self.weight = self.add_weight(shape=(8, 3))

        @tf.function
        def call(self, rows):
            return tf.matmul(rows, self.weight)

    return Product()


def graph_function_twice(keras):
    import tensorflow as tf

    weight = tf.ones((8, 8))
    spec = tf.TensorSpec((1, 8))
    once = tf.function(lambda rows: tf.matmul(rows, weight)).get_concrete_function(spec)
    return keras.layers.Lambda(lambda rows: once(once(rows)))


def product_of_some(rows):
    import tensorflow as tf

    return tf.matmul(tf.boolean_mask(rows, rows[:, 0] > 0), tf.ones((8, 5)))


def complex_product(x):
    import tensorflow as tf

    x = tf.cast(x, tf.complex64)
    return tf.math.real(x @ x)


@pytest.mark.parametrize(
    ("shape", "made", "macs", "unknown"),
    [
        ((20, 3), lambda k: k.layers.Conv1D(5, 3, dilation_rate=3), 14 * 5 * 9, ""),
        ((6, 8), lambda k: lambda x: k.ops.einsum("bij->bji", x), 0, ""),
        ((6, 8), lambda k: lambda x: k.ops.einsum("...i,...i->...", x, x), 48, ""),
        ((6, 6), lambda k: lambda x: k.ops.softmax(k.ops.matmul(x, x)), 6**3, ""),
        ((8,), lambda k: k.layers.Dense(5, dtype="int8_from_float32"), 40, ""),
        ((1001, 8), lambda k: k.layers.SimpleRNN(5), None, "simple_rnn"),
        ((8,), function_of_its_own, 24, ""),
        ((8,), graph_function_twice, 128, ""),
        ((8,), lambda k: k.layers.Lambda(product_of_some), None, "MatMul"),
        ((6, 6), lambda k: k.ops.inv, None, "MatrixInverse"),
        ((6,), lambda k: lambda x: k.ops.rfft(x)[0], None, "rfft"),
        ((6, 6), lambda k: k.layers.Lambda(complex_product), None, "matmul"),
    ],
)
def test_macs_are_known_or_an_operator_is_named(keras, shape, made, macs, unknown):
    from tradeoffs.probes.keras import Probe

    inputs = keras.Input(shape)
    model = keras.Model(inputs, made(keras)(inputs))
    found, names = Probe(model, (shape,), None, "cpu", 1).macs()
    assert found == macs and unknown in "".join(names)


@pytest.mark.parametrize(
    ("shape", "given", "count"),
    [([8, 4], "8 inputs", 8), ([None, 4], "", 1000), ([None, None], r"\[-1, -1\]", 0)],
)
def test_a_tflite_file_has_the_sizes_that_it_has(
    keras, tmp_path, monkeypatch, shape, given, count
):
    import tensorflow as tf

    monkeypatch.setattr(files, "wait_for_quiet", lambda seconds: None)
    function = tf.function(lambda x: (x, 2 * x), [tf.TensorSpec(shape, tf.float32)])
    functions = [function.get_concrete_function()]
    convert = tf.lite.TFLiteConverter.from_concrete_functions(functions).convert
    (tmp_path / "own.tflite").write_bytes(convert())
    if not count:
        with pytest.raises(tradeoffs.MeasureError, match=given):
            tradeoffs.measure(tmp_path / "own.tflite")
        return
    profile = tradeoffs.measure(tmp_path / "own.tflite")
    assert (profile.input_shape, profile.inference_batch_size) == ((4,), count)
    assert given in "".join(profile.notes)


def test_an_export_has_the_input_shape_that_is_given(keras, tmp_path):
    pictures = keras.Input((None, None, 1))
    found = keras.layers.GlobalAveragePooling2D()(pictures)
    anything, path = keras.Model(pictures, found), tmp_path / "own.tflite"
    for model, says in ((anything, r".*None, 1"), (subclassed(keras), "None")):
        with pytest.raises(ValueError, match=f"takes {says}.*; give input_shape"):
            tradeoffs.export(model, path)
    pair = [keras.Input((4,)), keras.Input((3,))]
    both = keras.Model(pair, keras.layers.Concatenate()(pair))
    with pytest.raises(ValueError, match="networks of one input"):
        tradeoffs.export(both, path)
    larger = subclassed(keras)
    larger(np.zeros((1, 28, 28, 1)))
    with pytest.raises(tradeoffs.ExportError, match="784"):
        tradeoffs.export(larger, path, input_shape=(6, 6, 1))
    with pytest.raises(ValueError, match="takes uint8 inputs, and images come"):
        tradeoffs.export(dense(keras, "uint8"), path, calibration=tradeoffs.mnist())
    for model in (anything, subclassed(keras)):
        tradeoffs.export(model, path, input_shape=(28, 28, 1))
        batch, _ = load(str(path), 1, 5)
        assert batch.shape == (5, 28, 28, 1)


def test_layers_that_are_called_twice_count_twice_and_weigh_once(keras):
    layers, inputs = keras.layers, keras.Input((28, 28, 1))
    encoder = [keras.Input((14, 28, 1)), layers.Flatten(), layers.Dense(32)]
    encoder = keras.Sequential(encoder)
    crops = ((0, 14), (0, 0)), ((14, 0), (0, 0))
    halves = [encoder(layers.Cropping2D(crop)(inputs)) for crop in crops]
    outputs = layers.Dense(10)(layers.Concatenate()(halves))
    found = measure(keras.Model(inputs, outputs))
    assert found.macs == 2 * 392 * 32 + 640
    assert found.num_parameters == 392 * 32 + 32 + 650


def test_augmentation_and_statistics_are_no_parameters(keras):
    layers = keras.layers
    random = layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)
    normed = layers.Conv2D(4, 3), layers.BatchNormalization()
    rest = layers.Flatten(), layers.Dense(10)
    model = keras.Sequential([keras.Input((28, 28, 1)), *random, *normed, *rest])
    found = measure(model)
    assert found.macs == 26 * 26 * 4 * 9 + 27_040
    assert found.num_parameters == found.num_trainable_parameters == 40 + 8 + 27_050


def test_inputs_may_be_several(keras):
    layers, two = keras.layers, [keras.Input((10,)), keras.Input((5,))]
    joined = layers.Dense(2)(layers.Concatenate()(two))
    for taken in (two, dict(zip("ab", two, strict=True))):
        model = keras.Model(taken, joined)
        found = measure(model)
        assert (found.input_shape, found.macs) == (((10,), (5,)), 30)
        assert measure(model, input_dtype=("float32", "int32")).macs == 30


def test_model_of_any_size_wants_an_input_shape(keras):
    any_size = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(any_size))
    model = keras.Model(any_size, pooled)
    assert measure(model, (8, 9, 1)).macs == 6 * 7 * 2 * 9
    with pytest.raises(tradeoffs.MeasureError, match="give input_shape"):
        measure(model)


def test_probabilities_are_told_in_any_precision(keras, small):
    losses = []
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        keras.utils.set_random_seed(0)
        dtype = keras.dtype_policies.DTypePolicy(policy)
        last = keras.layers.Dense(10, "softmax", dtype=dtype)
        model = [keras.Input((28, 28, 1)), keras.layers.Flatten(), last]
        losses.append(fit(keras.Sequential(model), small, ARTICLE.first(2)).test_loss)
    assert np.ptp(losses) < 0.05
