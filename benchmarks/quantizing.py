"""Ways to quantize in ONNX Runtime: labels that change, bytes and latency."""

import operator
import tempfile
from pathlib import Path

from common import in_turns, options, show
from onnxruntime import quantization

import tradeoffs
from tradeoffs.converters import quantize
from tradeoffs.device import exported_runs
from tradeoffs.exporting import answers
from tradeoffs.training.pytorch import images_to_tensor
from tradeoffs.weights import trained

METHODS = quantization.CalibrationMethod
WAYS = {
    "as exported": {},
    "weights of 8 bits": {"reduce_range": False},
    "a scale a tensor": {"per_channel": False},
    "activations unsigned": {"activation_type": quantization.QuantType.QUInt8},
    "calibrated by entropy": {"calibrate_method": METHODS.Entropy},
    "calibrated by percentile": {"calibrate_method": METHODS.Percentile},
}


chosen, rows = options(__doc__, turns=3, images=512), []
mnist = tradeoffs.mnist()
first, last = mnist.train_images[: chosen.images], mnist.train_images[-10_000:]
scaling = tradeoffs.ARTICLE.input_scaling
shown, others = (images_to_tensor(i, scaling).numpy() for i in (first, last))
with tempfile.TemporaryDirectory() as folder:
    for number, run in enumerate(exported_runs()):
        exact = Path(folder) / f"{number}.onnx"
        tradeoffs.export(trained(run), exact)
        ways = {"float32": exact}
        for way, changed in WAYS.items():
            ways[way] = Path(folder) / f"{number}-{way}.onnx"
            ways[way].write_bytes(exact.read_bytes())
            quantize(ways[way], shown, **changed)
        given = {way: (path,) for way, path in ways.items()}
        found = in_turns(chosen.turns, tradeoffs.measure, given)
        times = found.map(operator.attrgetter("latency_ms_p50")).median()
        labels = answers(exact, others).argmax(1)
        for way, path in ways.items():
            changed = answers(path, others).argmax(1) != labels
            row = {"model": run.experiment.variant, "way": way}
            row |= {"bytes": path.stat().st_size, "changed": int(changed.sum())}
            rows.append(row | {"ms an image": f"{times[way]:.3f}"})
title = f"calibrated on {chosen.images} images; labels changed of 10,000 others"
show(f"{title}; one thread", rows)
