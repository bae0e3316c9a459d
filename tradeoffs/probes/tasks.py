"""What runs in a process of its own: a measurement or a prediction."""

import math
import sys
import time
import warnings
from types import SimpleNamespace

import numpy as np

from tradeoffs.checks import one_of
from tradeoffs.experiments import versions
from tradeoffs.frameworks import (
    FRAMEWORKS,
    framework_of,
    in_mode,
    keep_freed_memory,
    num_threads,
)
from tradeoffs.probes.asking import Again, reason_of
from tradeoffs.probes.inputs import answering, page_of, shapes_of
from tradeoffs.probes.memory import PeakMemory, accelerator_memory, peak_bytes
from tradeoffs.probes.profile import MIB
from tradeoffs.probes.source import MeasureError
from tradeoffs.probes.timing import (
    OtherWork,
    Time,
    latencies_ms,
    seconds_of,
    steady_seconds,
    wait_for_quiet,
)
from tradeoffs.processes import imported_before
from tradeoffs.schedules import ARTICLE
from tradeoffs.training import TrainingWarning, computing_on, one_sentence

EPOCH_IMAGES, TEST_IMAGES = 60_000, 10_000
DATA_BYTES = 2**29  # of synthetic inputs at most
DIFFERENT = 1_000  # inputs; an epoch has them again and again
LATENCY_WINDOWS = 10
USUAL_BATCH = 1_000  # of inputs in use
SECOND_OF_MACS = 2 * 10**10  # or so, on a few processors


def measured(source, profile, parts, dtype, max_seconds) -> dict:
    """The fields of a profile that belong to some parts.

    Args:
        source: of the model.
        profile: what is known already, such as the batch sizes.
        parts: of training or of inference; with both, peaks of memory would mix.
            Those that cannot be had are under "failures", with the reason.
        dtype: of the inputs, by name; None leaves it to the model.
        max_seconds: for each time.
    """
    began = time.perf_counter()
    if source.framework:
        page_of(source.framework)
    make = source.maker()
    held = [name for name, package in FRAMEWORKS.items() if package in sys.modules]
    if len(held) == 1:
        page_of(*held)
    imported, seconds = imported_before() or (None, time.perf_counter() - began)
    found = {"import_seconds": seconds}
    keep_freed_memory()  # in inference as in training: times then vary less
    # Memory is counted from here: after imports, before there is a model.
    peak, model = PeakMemory(), make()
    framework = framework_of(model)
    one_of("framework", source.framework or framework, [framework])
    # With both, the order of the imports can be the end of a process.
    if imported not in (None, framework) or (len(held) > 1 and not source.framework):
        raise Again({"framework": framework})
    page = page_of(framework)
    one_of("device", profile.device, page.devices())
    shapes = shapes_of(source, profile, framework, model)
    probe = page.Probe(model, shapes, dtype, profile.device, profile.batch_size)
    probe.keeps_tensors = source.keeps_tensors
    shape = probe.shapes if len(probe.shapes) > 1 else probe.shapes[0]
    # An empty one would say that none was given.
    found |= {"framework": framework, "input_shape": shape or probe.shapes}
    built = getattr(model, "built", True)  # some Keras models wait for their input
    try:
        probe, found["input_dtype"], classes = answering(probe, dtype)
    except MeasureError:
        if set(parts) != {"size"} or not built:  # weights need no forward pass
            raise
        classes = None
    chosen, in_use = (parts, max_seconds), profile.inference_batch_size
    if in_use is None and set(parts) & {"inference_time", "inference_memory"}:
        macs = profile.macs
        if not macs and framework == "pytorch":  # where they were counted already
            macs = probe.step_macs() // probe.batch_size
        most = SECOND_OF_MACS // (macs or 1) if profile.device == "cpu" else USUAL_BATCH
        in_use = found["inference_batch_size"] = min(max(most, 1), USUAL_BATCH)
    works = {
        "training": _training(probe, peak, classes, *chosen),
        "inference": _inference(probe, peak, in_use, *chosen),
        # Last: saving a model imports and allocates on its own account.
        "size": _size(probe),
    }
    low, high = probe.whole_numbers
    alone = [f"the model was given {low} alone, as others fail"] * (high == low + 1)
    found |= {"spread": dict(profile.spread), "notes": alone, "failures": {}}
    with (
        warnings.catch_warnings(record=True) as caught,
        computing_on(probe, profile.threads),
    ):
        warnings.simplefilter("always", TrainingWarning)  # whatever a reader ignores
        for name, work in works.items():
            asked = [part for part in parts if part.startswith(name)]
            try:
                for field, value in work if asked else ():
                    if field == "notes":
                        found["notes"] += value
                    elif isinstance(value, Time):
                        found[field], *ends = value
                        found["spread"][field] = tuple(ends)
                    else:
                        found[field] = value
            except Exception as error:
                trains = name == "training"
                batch = profile.batch_size if trains else in_use
                reason = f"{source.label}: {reason_of(error, batch)}"
                lost = [part for part in asked if _LAST.get(part) not in found]
                found["failures"] |= dict.fromkeys(lost, reason)
        found["threads"] = profile.threads or num_threads(framework)
    kinds = (w.message for w in caught if issubclass(w.category, TrainingWarning))
    found["notes"] += map(str, kinds)
    return found | {"versions": versions(framework)}


_LAST = {  # that is found of a part
    "training_time": "epoch_seconds",
    "training_memory": "peak_train_memory_mib",
    "inference_time": "latency_ms_p99",
    "inference_memory": "peak_inference_memory_mib",
}
# What is found of a part: names of a profile's fields, with values or `Time`s.


def _size(probe):
    for find, failed in (
        (probe.size, "the weights were not counted"),
        (lambda: _macs(probe), "MACs were not counted"),
        (lambda: {"file_bytes": probe.file_bytes()}, "the model was not saved"),
    ):
        try:
            yield from find().items()
        except Exception as error:
            yield "notes", [f"{failed}: {one_sentence(error)}"]


def _macs(probe):
    macs, unknown = probe.macs()
    notes = []
    if unknown:
        notes = [f"MACs are not counted for {', '.join(sorted(unknown))}"]
    elif probe.sees_values:
        notes = ["MACs were counted for random values, and may depend on them"]
    return {"macs": macs, "notes": notes}


def _training(probe, peak, classes, parts, max_seconds):
    if len(probe.shapes) > 1:
        raise MeasureError("it is measured for models of one input")
    if isinstance(classes, str):
        raise MeasureError(f"the model {classes}")
    batch = probe.batch_size
    trainer, step = _trainer(probe, classes), np.arange(batch)[np.newaxis]
    yield "first_step_seconds", seconds_of(trainer.train_steps, step)
    failure = None
    if "training_memory" in parts:
        # The first step made gradients and momentum; now all are there.
        try:
            tensors, mib = probe.second_step(trainer, step), peak.mib()
            yield from accelerator_memory(probe.framework, probe.device).items()
            yield from tensors.items()
            yield "peak_train_memory_mib", mib
        except Exception as error:  # steps can be timed all the same
            failure = error
    if "training_time" in parts:
        # An epoch's images, unless they are large.
        before = OtherWork()
        most = DATA_BYTES // (4 * math.prod(probe.shapes[0]))
        count = max(min(EPOCH_IMAGES, most), batch)
        some, random = probe.inputs(min(count, DIFFERENT))[0], np.random.default_rng(0)
        trainer.train_images = probe.repeated(some, count)
        trainer.train_labels = probe.repeated(trainer.train_labels, count)

        def train(steps):
            trainer.train_steps(random.integers(0, count, (steps, batch)))

        wait_for_quiet(min(max_seconds, 5.0), before)
        others = OtherWork()
        seconds = steady_seconds(train, max_seconds)
        yield "notes", others.note()
        yield "train_step_ms", seconds.times(1e3)
        yield "epoch_seconds", seconds.times(EPOCH_IMAGES / batch)
    if failure:
        raise failure


def _trainer(probe, classes):
    """A trainer on a batch of noise, which is freed but for what the trainer keeps."""
    batch = probe.batch_size
    data = SimpleNamespace(
        train_images=probe.inputs(batch)[0],
        train_labels=np.random.default_rng(0).integers(0, classes, batch),
        test_images=probe.inputs(1)[0],
        test_labels=np.zeros(1, np.int64),
    )
    schedule = ARTICLE.replace(batch_size=batch)
    return probe.trainer(probe.model, data, schedule, 0)


def _inference(probe, peak, batch, parts, max_seconds):
    before, inputs = OtherWork(), probe.inputs(batch)

    def infer(batches):
        for _ in range(batches):
            probe.predict_one(inputs)

    infer(1)
    if "inference_memory" in parts:
        yield "peak_inference_memory_mib", peak.mib()
    if "inference_time" in parts:
        wait_for_quiet(min(max_seconds, 5.0), before)
        others, one = OtherWork(), probe.inputs(1)
        layouts = [probe.take_faster_layout(inputs, max_seconds)]
        seconds = steady_seconds(infer, max_seconds)
        yield "notes", others.note()
        yield "inference_seconds", seconds.times(TEST_IMAGES / batch)
        yield "images_per_second", batch / seconds.median
        try:
            layouts.append(probe.take_faster_layout(one, max_seconds))
            latencies = latencies_ms(lambda: probe.predict_one(one), max_seconds / 4)
        except Exception as error:
            said = f"with one input alone the model fails: {one_sentence(error)}"
            raise MeasureError(f"there is no latency, for {said}") from error
        if layouts[0]:
            text = f"inference in the faster layout here: {layouts[0]} for batches of "
            yield "notes", [f"{text}{batch:,}, {layouts[1]} for one image"]
        windows = np.array_split(latencies, LATENCY_WINDOWS)
        for percent in (50, 90, 99):
            values = [float(np.percentile(window, percent)) for window in windows]
            median = float(np.percentile(latencies, percent))
            # A percentile of all may lie outside those of the windows.
            ends = min(*values, median), max(*values, median)
            yield f"latency_ms_p{percent}", Time(median, *ends)


def started(source, profile, dtype) -> dict:
    """The start-up of a process: imports, the model, and the answer for one input."""
    began = time.perf_counter()
    model = source.maker()()
    framework = framework_of(model)
    shapes = shapes_of(source, profile, framework, model)
    if framework == "keras":
        import keras

        probe = page_of(framework).Probe(model, shapes, dtype, profile.device, 1)
        np.asarray(keras.tree.flatten(probe.call(probe.inputs(1)))[0])
    else:
        import torch

        from tradeoffs.probes.units import input_dtypes

        dtypes = input_dtypes(model, dtype, len(shapes))
        given = zip(shapes, dtypes, strict=True)
        inputs = [torch.zeros(1, *shape, dtype=of) for shape, of in given]
        with torch.no_grad():
            try:
                in_mode(model, training=False)(*inputs)
            except IndexError:  # places in a table may begin with one
                model(*map(torch.ones_like, inputs))
    seconds = time.perf_counter() - began
    return {"startup_seconds": seconds, "startup_memory_mib": peak_bytes() / MIB}


def predicted(source, points, dtype) -> list[dict]:
    """The memory of a training step on a GPU, for each shape and batch size."""
    from tradeoffs.probes.prediction import training_memory

    make, named, found = source.maker(), source.kind == "name", []
    for shape, batch_size in points:
        shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
        try:
            found.append(training_memory(make, shapes, batch_size, dtype, named))
        except MeasureError:
            raise
        except Exception as error:
            reason = one_sentence(error)
            if type(error).__name__.startswith(("DataDependent", "DynamicOutput")):
                reason = f"the model looks at values ({reason})"
            raise MeasureError(
                f"a training step at batch size {batch_size} with an input of shape "
                f"{shape}, tried without its values, fails: {reason}"
            ) from error
    return found
