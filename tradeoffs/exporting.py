"""Networks as files for a runtime: ONNX Runtime's for PyTorch, LiteRT's for Keras.

A file is checked before it is kept: its runtime must answer as the network does.
"""

import importlib
import os
import tempfile
from pathlib import Path

import numpy as np

from tradeoffs import records
from tradeoffs.checks import input_shapes, kind_of, one_of
from tradeoffs.converters import ExportError, to_onnx, to_tflite
from tradeoffs.data import Dataset, mnist
from tradeoffs.experiments import Run
from tradeoffs.frameworks import evaluating, framework_of, silent_stderr
from tradeoffs.measure_here import load
from tradeoffs.probes.files import SUFFIXES
from tradeoffs.probes.profile import PRECISIONS
from tradeoffs.processes import in_fresh_process
from tradeoffs.schedules import ARTICLE
from tradeoffs.training import one_sentence
from tradeoffs.weights import trained

CALIBRATED, CHECKED = 512, 256  # inputs
# How far outputs may be apart: at most, as a share of the largest; for int8 on
# average, as a share of their deviation.
FAR = {"float32": 1e-4, "float16": 1e-2, "int8": 0.1}
LOST = 2  # deviations of a single output of an int8 file: nothing is left of it


def export(
    model_or_run,
    path: str | Path,
    *,
    precision: str = "float32",
    calibration=None,
    input_shape: tuple[int, ...] | None = None,
) -> Path:
    """Write a network as a file for a deployment runtime.

    PyTorch networks become `.onnx`, for ONNX Runtime; Keras models `.tflite`, for
    LiteRT. The number of inputs at once stays free. "int8" is static: weights a
    channel, activations by what the calibration shows. Masks of
    `torch.nn.utils.prune` are written beside the weights; `prune.remove` them first.

    Args:
        model_or_run: an `nn.Module` or `keras.Model` of one input; or a recorded
            `Run` whose weights are kept, see `tradeoffs.trained`.
        path: of the file.
        precision: "float32", "float16" (LiteRT alone) or "int8".
        calibration: training inputs as the network takes them, [n, ...]; or a
            `Dataset`, whose training images are standardized. For "int8"; a run has
            its own, and its own input shape.
        input_shape: of one input, without the batch; by default that of the
            calibration, of a Keras model that knows it, or in PyTorch MNIST's.

    Returns:
        The path.

    Raises:
        ValueError, TypeError: an argument is wrong; the message names it.
        ExportError: an operator has no counterpart, or the file's answers differ;
            the message names it, or the first layer that differs.
        OSError: the file cannot be written.

    References:
        `torch.onnx.export`, `onnxruntime.quantization`, `tf.lite.TFLiteConverter`.

    >>> import tempfile
    >>> import tradeoffs
    >>> network = tradeoffs.trained(tradeoffs.run("small_net"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tradeoffs.export(network, f"{folder}/small_net.onnx").name
    'small_net.onnx'
    """
    one_of("precision", precision, PRECISIONS)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is {path!r}; it must be the name of a file")
    path, run = Path(path), model_or_run
    framework = "pytorch" if isinstance(run, Run) else framework_of(run)
    if path.suffix.lower() != SUFFIXES[framework]:
        raise ValueError(
            f"path is {str(path)!r}; a file of a {framework} network ends in "
            f"{SUFFIXES[framework]}"
        )
    if precision == "float16" and framework == "pytorch":
        raise ValueError(
            "precision is float16, in which ONNX Runtime does not compute on a "
            "processor; give float32 or int8"
        )
    records.check_writable(path)
    if isinstance(run, Run):
        for name, value in (("calibration", calibration), ("input_shape", input_shape)):
            if value is not None:
                raise ValueError(f"a run has its own {name}; leave it out")
        # The caller may hold Keras.
        in_fresh_process(_export_run, run, path, precision, framework="pytorch")
        return path
    if precision == "int8" and calibration is None:
        raise ValueError(
            "int8 needs calibration: some hundreds of training inputs as the network "
            "takes them, or a Dataset"
        )
    inputs = _inputs(model_or_run, framework, calibration, input_shape)
    content, apart = _converted(model_or_run, framework, inputs, precision)
    if apart:
        layer = _first_layer_apart(model_or_run, framework, inputs, precision)
        raise ExportError(
            f"the file answers otherwise than the network: {apart}{layer}"
        )
    records.write(path, content)
    return path


def _export_run(run, path, precision):
    first = mnist().head(CALIBRATED, 1)
    export(trained(run), path, precision=precision, calibration=first)


def _inputs(model, framework, calibration, shape):
    """Inputs to calibrate and to check with, [n, ...], of the kind the model takes."""
    if isinstance(calibration, Dataset):
        page = importlib.import_module(f"tradeoffs.training.{framework}")
        images = _spread(calibration.train_images, CALIBRATED)
        given = images, ARTICLE.input_scaling, calibration.pixels
        inputs = page.images_to_tensor(*given)
        if framework == "keras":
            page.check_inputs(model, inputs)
        return np.asarray(inputs)
    page = importlib.import_module(f"tradeoffs.probes.{framework}")
    known = page.known_shapes(model) if framework == "keras" else ((1, 28, 28),)
    if shape is not None:
        known = input_shapes(shape)
        known = known if known and isinstance(known[0], tuple) else (known,)
    if known and len(known) > 1:
        raise ValueError(
            f"the network takes {known}; networks of one input are exported"
        )
    probe = page.Probe(model, known or [()], None, "cpu", 1)
    kind = str(probe.dtypes[0]).removeprefix("torch.")
    if kind == "bfloat16":
        raise ValueError(
            "the network takes bfloat16, which NumPy has not; export it in float32"
        )
    if calibration is not None:
        try:
            given = np.asarray(calibration)
            inputs = given.astype(kind)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"calibration cannot be made an array of {kind}: {one_sentence(error)}"
            ) from error
        if "int" in kind and (inputs != given).any():
            raise TypeError(
                f"calibration is {given.dtype}, and the network takes {kind}"
            )
        if inputs.ndim < 2 or not len(inputs) or not np.isfinite(inputs).all():
            raise ValueError(
                f"calibration has the shape {inputs.shape}; it must be [n, ...] with "
                "at least one input, all finite numbers"
            )
        return _spread(inputs, CALIBRATED)
    if not known or None in known[0]:
        raise ValueError(
            f"the network says that it takes {known}; give input_shape, the shape of "
            "one input without the batch, such as (28, 28, 1)"
        )
    return np.asarray(probe.inputs(CHECKED)[0])


def _spread(values, most):
    """So many of an array, as far apart as they can be: it may be sorted."""
    return values[np.linspace(0, len(values) - 1, min(len(values), most)).astype(int)]


def _converted(model, framework, inputs, precision):
    """The file's content, and in words how far its answers are from the network's."""
    convert = {"pytorch": to_onnx, "keras": to_tflite}[framework]
    checked = _spread(inputs, CHECKED)
    expected = _call(model, checked)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIXES[framework]}"
        convert(model, path, inputs, precision)
        try:
            found = in_fresh_process(answers, path, checked)
        except (Exception, SystemExit) as error:
            raise ExportError(
                f"the runtime cannot compute it: {one_sentence(error)}"
            ) from error
        return path.read_bytes(), _apart(expected, found, precision)


def answers(path: str | Path, inputs: np.ndarray) -> np.ndarray:
    """The outputs of a model file for a batch of inputs, in its runtime."""
    with silent_stderr():
        _, run = load(str(path), 1, len(inputs))
        return run(inputs)


def _call(model, inputs):
    """The output of a network for inputs [n, ...]: one tensor [n, ...]."""
    try:
        if framework_of(model) == "keras":
            from tradeoffs.training.keras import plain_errors

            with plain_errors():
                output = model(inputs, training=False)
        else:
            import torch

            with torch.inference_mode(), evaluating(model):
                output = model(torch.tensor(inputs))
    except Exception as error:
        text = f"the network cannot be exported: {one_sentence(error)}"
        raise ExportError(text) from error
    shape = tuple(output.shape) if hasattr(type(output), "shape") else ()
    if shape[:1] != inputs.shape[:1]:
        raise ExportError(
            f"the network returned a {kind_of(output)} for {len(inputs)} inputs; to be "
            "exported it must return one tensor [n, ...]"
        )
    output = np.asarray(output)
    if np.isnan(output).any():
        raise ExportError("the network answers NaN, which no file can be held against")
    return output


def _apart(expected, found, precision):
    """How two outputs differ, in words; nothing where they are near enough."""
    if expected.shape != found.shape:
        return f"{found.shape} in place of {expected.shape}"
    half = np.float16 in (found.dtype, expected.dtype)
    found, expected = found.astype(float), expected.astype(float)
    distances = np.zeros(found.shape)
    np.subtract(found, expected, out=distances, where=found != expected)  # infinities
    distances, finite = np.abs(distances), expected[np.isfinite(expected)]
    if precision == "int8":
        distance = distances.mean() / (finite.std() or 1)
        with np.errstate(invalid="ignore"):  # of infinities there is no deviation
            deviations = expected.std(axis=0)
        lost = (distances.mean(axis=0) > LOST * deviations) & (deviations > 0)
        if lost.any():
            places = ", ".join(map(str, np.unique(np.argwhere(lost)[:, -1])[:9]))
            return f"nothing but rounding is left of its outputs {places}"
    else:
        distance = distances.max() / np.abs(finite).max(initial=1)
    if distance <= FAR["float16" if half and precision != "int8" else precision]:
        return ""
    labels = np.mean(found.argmax(-1) != expected.argmax(-1))
    return f"outputs are up to {distances.max():.2g} apart, {labels:.0%} of the labels"


def _first_layer_apart(model, framework, inputs, precision):
    """Which layer of a sequence is the first to answer otherwise, in words."""
    keras = framework == "keras"
    sequence = importlib.import_module("keras" if keras else "torch.nn").Sequential
    if not isinstance(model, sequence):
        return ""
    layers = model.layers if keras else list(model)
    for number, layer in enumerate(layers, 1):
        part = sequence(layers[:number]) if keras else sequence(*layers[:number])
        if _converted(part, framework, inputs, precision)[1]:
            return f"; layer {number} is the first that does: {layer}"
    return ""
