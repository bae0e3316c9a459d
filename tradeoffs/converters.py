"""A network as a file: PyTorch's as ONNX, Keras' for LiteRT; unchecked.

`tradeoffs.export` checks what comes out.
"""

import contextlib
import importlib
import inspect
import io
import logging
import re
import warnings

import numpy as np

from tradeoffs.frameworks import evaluating, silent_stderr
from tradeoffs.training import one_sentence


class ExportError(RuntimeError):
    """A network that cannot be exported; the message says why.

    >>> import tempfile
    >>> import tradeoffs
    >>> from torch.nn import Linear
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +ELLIPSIS
    ...     tradeoffs.export(Linear(3, 2), f"{folder}/line.onnx", input_shape=(5,))
    Traceback (most recent call last):
        ...
    tradeoffs.converters.ExportError: the network cannot be exported: ...
    """


def to_onnx(model, path, inputs, precision):
    """Write a PyTorch network; an int8 one is calibrated on the inputs."""
    torch = _needed("torch", "onnx", "onnxscript", "onnxruntime")[0]
    example = (torch.tensor(inputs[:2]),)  # a batch of one would fix that size
    free = ({0: torch.export.Dim("n", min=1)},)
    names = {"input_names": ["inputs"], "output_names": ["outputs"]}
    try:
        first = next(iter(inspect.signature(model.forward).parameters.values()), "")
        free = (free,) if str(first).startswith("*") else free  # of all inputs
        with _quiet(), evaluating(model):
            options = {"dynamo": True, "dynamic_shapes": free, "external_data": False}
            torch.onnx.export(model, example, path, **options, **names)
            if precision == "int8":
                quantize(path, inputs)
            _strip(path)
    except Exception as error:
        unknown = re.search(r"No ONNX function found for .*?op='([\w.]+)'", str(error))
        raise _cannot(unknown, error.__cause__ or error, inputs) from error


def quantize(path, inputs, **options):
    """Quantize a file in place, calibrated on inputs.

    Weights have seven bits: with eight, sums of products overflow on processors
    that multiply bytes in pairs (AVX2 without VNNI), and answers change.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        batches = iter(np.array_split(inputs, max(len(inputs) // 64, 1)))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"inputs": batch}

    try:
        quantization.quant_pre_process(path, path)
    except Exception:  # its own inference of shapes does not know every operator
        quantization.quant_pre_process(path, path, skip_symbolic_shape=True)
    usual = {"per_channel": True, "reduce_range": True}
    quantization.quantize_static(path, path, Reader(), **usual | options)


def _strip(path):
    """Take out what says in which file of this machine an operator was written."""
    import onnx_ir
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    model = onnx_ir.load(path)
    batch = model.graph.inputs[0].shape[0]
    if isinstance(batch, int):
        raise ValueError(
            f"the file would take batches of {batch} alone; where the network has "
            "len(x), write x.shape[0]"
        )
    ClearMetadataAndDocStringPass()(model)
    onnx_ir.save(model, path)


def to_tflite(model, path, inputs, precision):
    """Write a Keras model; an int8 one is calibrated on the inputs."""
    tf, keras, _ = _needed("tensorflow", "keras", "ai_edge_litert")
    free = None, *inputs.shape[1:]  # for LiteRT, in nothing but the first
    if getattr(model, "input_shape", free) != free:
        model = keras.Sequential(
            [keras.Input(free[1:], dtype=inputs.dtype.name), model]
        )
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([one[None]] for one in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        with _quiet():
            path.write_bytes(converter.convert())
    except Exception as error:
        said = r'current operation: .*?"([\w.]+)"|fused\["(\w+):'
        unknown = re.search(said, str(error))
        raise _cannot(unknown, error, inputs) from error


def _cannot(unknown, error, inputs):
    if unknown:
        kind = "" if inputs.dtype == np.float32 else f" for inputs of {inputs.dtype}"
        name = next(filter(None, unknown.groups()))
        advice = "; unroll=True may help" if name.startswith("TensorList") else ""
        return ExportError(f"the operator {name} cannot be exported{kind}{advice}")
    return ExportError(f"the network cannot be exported: {one_sentence(error)}")


def _needed(*packages):
    try:
        return [importlib.import_module(name) for name in packages]
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed; exporting needs it: "
            "pip install 'tradeoffs[device]'"
        ) from error


@contextlib.contextmanager
def _quiet():
    """Without what converters write beside their result."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            silent_stderr(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
