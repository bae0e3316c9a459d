"""The process in which a model is measured: `python -m tradeoffs.probes.child`.

Takes an order, a JSON file that `tradeoffs.probes` wrote, and answers with one
JSON object a line on its standard output: {"stage": ...} as it goes, then
{"result": ...} or {"error": ...}.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tradeoffs.frameworks import FRAMEWORKS, is_loaded, set_threads
from tradeoffs.probes.accelerator import available_devices
from tradeoffs.probes.memory import PeakMemory
from tradeoffs.probes.timing import (
    latencies_ms,
    seconds_of,
    seconds_spent,
    steady_seconds,
)
from tradeoffs.schedules import ARTICLE

EPOCH_IMAGES = 60_000
TEST_IMAGES = 10_000
DATA_BYTES = 2**29  # of synthetic inputs at most
CHUNK_STEPS = 50


class Refused(Exception):
    """A model or an order that cannot be measured; the message says why."""


def main(path: str) -> int:
    """Carry out the order in a file."""
    # What the model prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**message):
        print(json.dumps(message), file=answers, flush=True)

    order = json.loads(Path(path).read_text())
    try:
        tasks = {"training": _training, "inference": _inference, "predict": _predict}
        result = tasks[order["task"]](order, lambda stage: answer(stage=stage))
        answer(result=result, seconds_in_model=seconds_spent())
    except Refused as error:
        answer(error=str(error))
        return 1
    except Exception as error:
        answer(error=_explained(error, order))
        return 1
    return 0


def _explained(error, order):
    text = " ".join(str(error).split())
    if (
        isinstance(error, MemoryError)
        or "can't allocate memory" in text
        or (type(error).__name__ == "ResourceExhaustedError")
    ):
        return (
            f"there is not enough memory at batch size {order['batch_size']}; try a "
            "smaller one"
        )
    return f"{type(error).__name__}: {text[:300]}"


def _probe(order, answer):
    """The framework's probe around the model, and the conditions it is under."""
    from tradeoffs.frameworks import framework_of

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
    return (
        cloudpickle.loads(content)
        if source["call"]
        else (lambda: cloudpickle.loads(content))
    )


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


def _synthetic(probe, num_train, num_test):
    """A data set of noise, as large as asked for but within `DATA_BYTES`."""
    most = max(DATA_BYTES // (4 * int(np.prod(probe.input_shape))), 1)
    random = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", num_train), ("test", num_test)):
        count = min(count, max(most, 1))
        shape = (count, *probe.input_shape)
        parts[f"{part}_images"] = random.random(shape, np.float32)
        parts[f"{part}_labels"] = random.integers(0, probe.num_classes, count)
    return SimpleNamespace(**parts)


def _schedule(order):
    return ARTICLE.replace(batch_size=order["batch_size"])


def _training(order, answer):
    probe, peak, found = _probe(order, answer)
    parts, batch = order["parts"], order["batch_size"]
    if "training_memory" in parts or "training_time" in parts:
        answer("training memory")
        few = _synthetic(probe, batch, 1)
        if len(few.train_labels) < batch:
            few = _repeat(few, batch)
        trainer = probe.trainer(probe.model, few, _schedule(order), 0)
        step = np.arange(batch)[np.newaxis]
        found["first_step_seconds"] = seconds_of(trainer.train_steps, step)
        if "training_memory" in parts:
            # The first step made gradients and momentum; now all are there.
            trainer.train_steps(step)
            found["peak_train_memory_mib"] = peak.mib()
            found |= probe.accelerator_memory()
            found |= probe.tensor_bytes(trainer, batch)
        del trainer, few
    if "training_time" in parts:
        answer("training time")
        data = _synthetic(probe, max(EPOCH_IMAGES, batch), 1)
        trainer = probe.trainer(probe.model, data, _schedule(order), 0)
        order_of = np.random.default_rng(0)
        available = len(data.train_labels)

        def train(steps):
            trainer.train_steps(order_of.integers(0, available, (steps, batch)))

        seconds = steady_seconds(
            train, max_calls=CHUNK_STEPS, max_seconds=order["max_seconds"]
        )
        found["train_step_ms"] = seconds * 1e3
        found["epoch_seconds"] = seconds * EPOCH_IMAGES / batch
    # Last: saving a model imports and allocates on its own account.
    if "size" in parts:
        found |= probe.size()
        macs, unknown = probe.macs()
        found["macs"] = macs
        if unknown:
            found["notes"] = [f"MACs are not counted for {', '.join(set(unknown))}"]
    return found | _conditions(found["framework"])


def _repeat(data, count):
    times = -(-count // len(data.train_labels))
    data.train_images = np.concatenate([data.train_images] * times)[:count]
    data.train_labels = np.concatenate([data.train_labels] * times)[:count]
    return data


def _inference(order, answer):
    probe, peak, found = _probe(order, answer)
    parts, batch = order["parts"], order["inference_batch_size"]
    inputs = probe.inputs(batch)
    answer("inference memory")
    probe.predict_one(inputs)
    if "inference_memory" in parts:
        found["peak_inference_memory_mib"] = peak.mib()
    if "inference_time" in parts:
        answer("inference time")

        def infer(batches):
            for _ in range(batches):
                probe.predict_one(inputs)

        seconds = steady_seconds(
            infer, max_calls=CHUNK_STEPS, max_seconds=order["max_seconds"]
        )
        found["inference_seconds"] = seconds * TEST_IMAGES / batch
        found["images_per_second"] = batch / seconds
        answer("latency")
        one = probe.inputs(1)
        found |= latencies_ms(
            lambda: probe.predict_one(one), max_seconds=order["max_seconds"] / 4
        )
    return found | _conditions(found["framework"])


def _predict(order, answer):
    answer("imports")
    from tradeoffs.models.pytorch import for_input
    from tradeoffs.probes.prediction import tracked_memory, training_memory

    found = []
    make = maker(order)
    named = "name" in order["source"]
    for number, point in enumerate(order["points"], 1):
        answer(f"{number} of {len(order['points'])}")
        shape, batch = tuple(point["input_shape"]), point["batch_size"]

        def build(shape=shape):
            """Called where tensors are fake: ours may be of any size there."""
            return for_input(make(), shape)

        def have():
            """A reader's model is made of real tensors, then loses them."""
            model = copy.deepcopy(make())
            return lambda: model

        try:
            memory = training_memory(build if named else have(), shape, batch)
            if order.get("track"):
                again = build if named else have()
                memory["tracked"] = tracked_memory(again, shape, batch)
        except (RuntimeError, ValueError, TypeError) as error:
            text = " ".join(str(error).split())[:200]
            raise Refused(
                f"the model cannot take an input of shape {shape}: {text}"
            ) from error
        found.append(memory)
    return found


def _conditions(framework):
    import platform
    from importlib.metadata import version

    from tradeoffs.frameworks import num_threads
    from tradeoffs.records import processor

    packages = {"pytorch": ("torch",), "keras": ("keras", "tensorflow")}
    return {
        "threads": num_threads(framework),
        "processor": processor(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages[framework]},
        },
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
