"""The start-up of a process, in a process of its own."""

import time

import numpy as np

from tradeoffs.frameworks import framework_of
from tradeoffs.probes.inputs import shapes_of
from tradeoffs.probes.memory import peak_bytes
from tradeoffs.probes.profile import MIB


def started(source, profile, dtype) -> dict:
    """The start-up of a process: imports, the model, and the answer for one input."""
    began = time.perf_counter()
    model = source.maker()()
    framework = framework_of(model)
    shapes = shapes_of(source, profile, framework, model)
    if framework == "keras":
        import keras

        inputs = [np.zeros((1, *shape), np.float32) for shape in shapes]
        answer = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        np.asarray(keras.tree.flatten(answer)[0])
    else:
        import torch

        from tradeoffs.probes.units import in_mode, input_dtypes

        dtypes = input_dtypes(model, dtype, len(shapes))
        given = zip(shapes, dtypes, strict=True)
        inputs = [torch.zeros(1, *shape, dtype=of) for shape, of in given]
        with torch.inference_mode():
            in_mode(model, training=False)(*inputs)
    seconds = time.perf_counter() - began
    return {"startup_seconds": seconds, "startup_memory_mib": peak_bytes() / MIB}
