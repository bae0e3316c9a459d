"""From an order to a model, and to the probe that asks it questions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from pathlib import Path

from tradeoffs.frameworks import FRAMEWORKS, framework_of, is_loaded, set_threads
from tradeoffs.probes.accelerator import available_devices
from tradeoffs.probes.memory import PeakMemory


class Refused(Exception):
    """A model or an order that cannot be measured; the message says why."""


def probe_of(order, answer):
    """The framework's probe around the model, and the conditions it is under."""
    answer("imports")
    began = time.perf_counter()
    framework = order["framework"]
    if framework:
        _start(framework, order["threads"])
    make = maker(order)
    if not framework:
        for loaded in filter(is_loaded, FRAMEWORKS):
            _start(loaded, order["threads"])
    import_seconds = time.perf_counter() - began
    # Memory is counted from here: after imports, before there is a model.
    peak = PeakMemory()
    model = make()
    framework = framework_of(model)
    if order["framework"] not in (None, framework):
        raise Refused(f"the model is of {framework}, not of {order['framework']}")
    devices = available_devices(framework)
    if order["device"] not in devices:
        raise Refused(
            f"there is no device {order['device']!r} here; there is "
            f"{' and '.join(devices)}"
        )
    shape = _input_shape(order, model, framework)
    probe = _start(framework, order["threads"]).Probe(model, shape, order["device"])
    probe.num_classes = _check_output(probe)
    conditions = {
        "framework": framework,
        "input_shape": probe.input_shape,
        "import_seconds": import_seconds,
    }
    return probe, peak, conditions


def _start(framework, threads):
    """The page for a framework, which then computes on so many threads."""
    if not is_loaded(framework):
        set_threads(framework, threads)
    return importlib.import_module(f"tradeoffs.probes.{framework}")


def maker(order):
    """A function without arguments that makes the model of an order."""
    source = order["source"]
    if "name" in source:
        from tradeoffs.models import build

        framework = order["framework"]
        return lambda: build(source["name"], framework, seed=0, **source["arguments"])
    if "file" in source:
        path = Path(source["file"])
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, source["function"], None)
        if not callable(function):
            raise Refused(f"{path.name} has no function {source['function']!r}")
        return function
    import cloudpickle

    # Written a moment ago by our own parent into a folder only it can write.
    content = Path(source["pickle"]).read_bytes()

    def load():
        try:
            return cloudpickle.loads(content)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise Refused(
                "the model cannot be made again in a process of its own; give a "
                f"function that makes it instead ({text})"
            ) from error

    return load() if source["call"] else load


def _input_shape(order, model, framework):
    if order["input_shape"]:
        return order["input_shape"]
    known = getattr(model, "input_shape", None) if framework == "keras" else None
    if known and None not in known[1:]:
        return known[1:]
    raise Refused(
        "the model does not say what it takes; give input_shape, the shape of one "
        "input without the batch, such as (1, 28, 28)"
    )


def _check_output(probe):
    shape = probe.input_shape
    try:
        output = probe.call(probe.inputs(2))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise Refused(
            f"the model cannot take an input of shape {tuple(shape)}: {text}"
        ) from error
    if not probe.is_tensor(output):
        raise Refused(
            f"the model returned a {type(output).__name__}; it must return one tensor "
            "[n, classes]"
        )
    if len(output.shape) != 2 or output.shape[0] != 2:
        raise Refused(
            f"the model returned the shape {tuple(output.shape)} for 2 inputs; it must "
            "return [n, classes]"
        )
    return int(output.shape[1])
