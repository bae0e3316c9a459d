"""What runs in a process of its own: a measurement or a prediction."""

from __future__ import annotations

import contextlib
import copy
import importlib
import math
import sys
import time
from types import SimpleNamespace

import numpy as np

from tradeoffs.checks import one_of
from tradeoffs.experiments import environment
from tradeoffs.frameworks import FRAMEWORKS, framework_of, is_loaded
from tradeoffs.probes.memory import PeakMemory, accelerator_memory
from tradeoffs.probes.source import MeasureError, Source
from tradeoffs.probes.timing import latencies_ms, seconds_of, steady_seconds
from tradeoffs.processes import ProcessKilled, in_fresh_process
from tradeoffs.schedules import ARTICLE
from tradeoffs.training import computing_on

EPOCH_IMAGES = 60_000
TEST_IMAGES = 10_000
DATA_BYTES = 2**29  # of synthetic inputs at most


def ask(task, source: Source, *arguments, batch_size: int, threads: int | None = None):
    """What a function of this page returns in a process of its own.

    Raises:
        MeasureError: it failed or was killed; one sentence says why.
    """
    try:
        return in_fresh_process(
            _carry_out, task, source, arguments, batch_size, threads=threads
        )
    except ProcessKilled as error:
        raise MeasureError(
            f"{source.label}: {error}, at batch size {batch_size}; try a smaller one"
        ) from None


def _carry_out(task, source, arguments, batch_size):
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return task(source, *arguments)
    except MeasureError as error:
        text = _sentence(error)
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {_sentence(error)}"
        wanting = "MemoryError", "ResourceExhaustedError", "can't allocate memory"
        if any(sign in text for sign in wanting):
            text = f"there is not enough memory at batch size {batch_size}; try a "
            text += "smaller one"
    # Without the model's own exception, whose class may not exist out there.
    raise MeasureError(f"{source.label}: {text}")


def _sentence(error):
    return " ".join(str(error).split())[:300]


def measured(source, profile, parts, max_seconds) -> dict:
    """The fields of a profile that belong to some parts.

    Args:
        source: of the model.
        profile: what is known already, such as the batch sizes.
        parts: of training or of inference; with both, peaks of memory would mix.
        max_seconds: for each time.
    """
    began = time.perf_counter()
    if source.framework:
        _page(source.framework)
    make = source.maker()
    for framework in filter(is_loaded, FRAMEWORKS):
        _page(framework)
    found = {"import_seconds": time.perf_counter() - began}
    # Memory is counted from here: after imports, before there is a model.
    peak, model = PeakMemory(), make()
    framework = framework_of(model)
    one_of("framework", source.framework or framework, [framework])
    shape = profile.input_shape or _known_shape(source, framework, model)
    kind = _page(framework).Probe
    one_of("device", profile.device, kind.devices)
    probe = kind(model, shape, profile.device, profile.batch_size)
    found |= {"framework": framework, "input_shape": probe.input_shape}
    classes = _num_classes(probe)
    with computing_on(probe, profile.threads):
        if "training_time" in parts or "training_memory" in parts:
            found |= _training(probe, peak, classes, parts, max_seconds)
        if "inference_time" in parts or "inference_memory" in parts:
            batch = profile.inference_batch_size
            found |= _inference(probe, peak, batch, parts, max_seconds)
        # Last: saving a model imports and allocates on its own account.
        if "size" in parts:
            macs, unknown = probe.macs()
            found |= probe.size() | {"macs": macs}
            if unknown:
                note = f"MACs are not counted for {', '.join(sorted(set(unknown)))}"
                found["notes"] = (*profile.notes, note)
        conditions = environment(framework)
    for name in ("threads", "processor", "versions"):
        found[name] = getattr(profile, name) or conditions[name]
    return found


def _training(probe, peak, classes, parts, max_seconds):
    batch, found = probe.batch_size, {}
    trainer = _trainer(probe, classes, batch)
    step = np.arange(batch)[np.newaxis]
    found["first_step_seconds"] = seconds_of(trainer.train_steps, step)
    if "training_memory" in parts:
        # The first step made gradients and momentum; now all are there.
        trainer.train_steps(step)
        found["peak_train_memory_mib"] = peak.mib()
        found |= accelerator_memory(probe.framework, probe.device)
        found |= probe.tensor_bytes(trainer)
    if "training_time" in parts:
        # An epoch's images, unless they are large.
        most = DATA_BYTES // (4 * math.prod(probe.input_shape))
        count = max(min(EPOCH_IMAGES, most), batch)
        trainer, random = _trainer(probe, classes, count), np.random.default_rng(0)

        def train(steps):
            trainer.train_steps(random.integers(0, count, (steps, batch)))

        seconds = steady_seconds(train, max_seconds)
        found["train_step_ms"] = seconds * 1e3
        found["epoch_seconds"] = seconds * EPOCH_IMAGES / batch
    return found


def _trainer(probe, classes, count):
    """A trainer on so many inputs of noise."""
    random = np.random.default_rng(0)
    data = SimpleNamespace(
        train_images=random.random((count, *probe.input_shape), np.float32),
        train_labels=random.integers(0, classes, count),
        test_images=np.zeros((1, *probe.input_shape), np.float32),
        test_labels=np.zeros(1, np.int64),
    )
    schedule = ARTICLE.replace(batch_size=probe.batch_size)
    return probe.trainer(probe.model, data, schedule, 0)


def _inference(probe, peak, batch, parts, max_seconds):
    inputs, found = probe.inputs(batch), {}

    def infer(batches):
        for _ in range(batches):
            probe.predict_one(inputs)

    infer(1)
    if "inference_memory" in parts:
        found["peak_inference_memory_mib"] = peak.mib()
    if "inference_time" in parts:
        seconds, one = steady_seconds(infer, max_seconds), probe.inputs(1)
        found["inference_seconds"] = seconds * TEST_IMAGES / batch
        found["images_per_second"] = batch / seconds
        found |= latencies_ms(lambda: probe.predict_one(one), max_seconds / 4)
    return found


def predicted(source, points) -> list[dict]:
    """The memory of a training step on a GPU, for each shape and batch size."""
    from tradeoffs.models.pytorch import for_input
    from tradeoffs.probes.prediction import training_memory

    make, found = source.maker(), []

    def builder(shape):
        # Ours are built where tensors are fake, so they may be of any size; a
        # reader's model is made of real tensors, which become fake then.
        if source.kind == "name":
            return lambda: for_input(make(), shape)
        own = copy.deepcopy(make())
        return lambda: own

    for shape, batch_size in points:
        try:
            found.append(training_memory(builder(shape), shape, batch_size))
        except (RuntimeError, ValueError, TypeError) as error:
            raise _unfit(shape, error) from error
    return found


def _page(framework):
    return importlib.import_module(f"tradeoffs.probes.{framework}")


def _known_shape(source, framework, model):
    if source.kind == "name":
        return (28, 28, 1) if framework == "keras" else (1, 28, 28)
    known = getattr(model, "input_shape", None) if framework == "keras" else None
    if known and None not in known[1:]:
        return known[1:]
    raise MeasureError(
        "the model does not say what it takes; give input_shape, the shape of one "
        "input without the batch, such as (1, 28, 28)"
    )


def _num_classes(probe):
    try:
        output = probe.call(probe.inputs(2))
    except Exception as error:
        raise _unfit(probe.input_shape, error) from error
    shape = tuple(getattr(output, "shape", ()))
    if len(shape) != 2 or shape[0] != 2:
        raise MeasureError(
            f"the model returned a {type(output).__name__} of shape {shape} for 2 "
            "inputs; it must return one tensor [n, classes]"
        )
    return int(shape[1])


def _unfit(shape, error):
    reason = _sentence(error)
    return MeasureError(f"the model cannot take an input of shape {shape}: {reason}")
