"""What a child process does: train, infer, or predict; and what it then knows."""

from __future__ import annotations

import copy
import platform
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np

from tradeoffs.frameworks import num_threads
from tradeoffs.probes.loading import Refused, maker, probe_of
from tradeoffs.probes.timing import latencies_ms, seconds_of, steady_seconds
from tradeoffs.records import processor
from tradeoffs.schedules import ARTICLE

EPOCH_IMAGES = 60_000
TEST_IMAGES = 10_000
DATA_BYTES = 2**29  # of synthetic inputs at most
CHUNK_STEPS = 50


def _synthetic(probe, count):
    """A data set of so many inputs of noise, all of them for training."""
    random = np.random.default_rng(0)
    shape = (count, *probe.input_shape)
    return SimpleNamespace(
        train_images=random.random(shape, np.float32),
        train_labels=random.integers(0, probe.num_classes, count),
        test_images=np.zeros((1, *probe.input_shape), np.float32),
        test_labels=np.zeros(1, np.int64),
    )


def _room(probe, batch):
    """How many inputs to hold: an epoch's, unless they are large."""
    most = DATA_BYTES // (4 * int(np.prod(probe.input_shape)))
    return max(min(EPOCH_IMAGES, most), batch)


def _schedule(order):
    return ARTICLE.replace(batch_size=order["batch_size"])


def _training(order, answer):
    probe, peak, found = probe_of(order, answer)
    parts, batch = order["parts"], order["batch_size"]
    if "training_memory" in parts or "training_time" in parts:
        answer("training memory")
        one_batch = _synthetic(probe, batch)
        trainer = probe.trainer(probe.model, one_batch, _schedule(order), 0)
        step = np.arange(batch)[np.newaxis]
        found["first_step_seconds"] = seconds_of(trainer.train_steps, step)
        if "training_memory" in parts:
            # The first step made gradients and momentum; now all are there.
            trainer.train_steps(step)
            found["peak_train_memory_mib"] = peak.mib()
            found |= probe.accelerator_memory()
            found |= probe.tensor_bytes(trainer, batch)
        del trainer, one_batch
    if "training_time" in parts:
        answer("training time")
        data = _synthetic(probe, _room(probe, batch))
        trainer = probe.trainer(probe.model, data, _schedule(order), 0)
        random, available = np.random.default_rng(0), len(data.train_labels)

        def train(steps):
            trainer.train_steps(random.integers(0, available, (steps, batch)))

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


def _inference(order, answer):
    probe, peak, found = probe_of(order, answer)
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
    packages = {"pytorch": ("torch",), "keras": ("keras", "tensorflow")}
    return {
        "threads": num_threads(framework),
        "processor": processor(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages[framework]},
        },
    }


TASKS = {"training": _training, "inference": _inference, "predict": _predict}
