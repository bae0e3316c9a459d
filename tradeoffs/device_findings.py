"""Our numbers for the claims that a device's runtime settles; see `findings`.

All is of files in float32, in ONNX Runtime, an image at a time.
"""

from tradeoffs.claim import COUNT, TIMES, Finding, difference, smallest
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import MIB
from tradeoffs.time_findings import share_faster, time_ratio

LARGE, SMALL, LATENCY = "keras_cnn", "pytorch_cnn", "latency_ms_p50"
HALF, FIVE_TIMES = 0.5, 5  # the size and the speed of the article's offer
GUESSING = 90.0  # per cent of errors, of a network of no size


def _in_the_app(evidence, model):
    """MiB of the file of a model."""
    return Finding(evidence.on_device(model).file_bytes / MIB, COUNT)


def _latency_ratio(evidence):
    return time_ratio(*map(evidence.on_device, (LARGE, SMALL)), LATENCY)


def _share_of_pairs_faster(evidence):
    return share_faster(evidence.pairs(map(evidence.on_device, MODELS)), LATENCY)


def _errors_of_the_offer(evidence, points=False):
    """How many more errors a model makes that is the article's offer.

    In per cent of the larger model's errors, or in points. The offer is the best of
    the models that are small enough and were fast enough in all turns.
    """
    large, errors = evidence.on_device(LARGE), 100 - evidence.accuracies(LARGE)
    found = [Finding(GUESSING - errors.mean(), TIMES)]
    for name in MODELS:
        file = evidence.on_device(name)
        faster = time_ratio(large, file, LATENCY)
        if file.file_bytes <= HALF * large.file_bytes and faster.low >= FIVE_TIMES:
            more = 100 - evidence.accuracies(name)
            found.append(difference(more, errors, of_several=len(MODELS)))
    unit = 1 if points else errors.mean() / 100
    least = smallest(found)
    return Finding(least.value / unit, TIMES, least.low / unit, least.high / unit)


DEVICE_FINDINGS = {
    "smaller-usually-infers-faster-on-a-runtime": _share_of_pairs_faster,
    "keras-cnn-in-an-app": lambda e: _in_the_app(e, LARGE),
    "pytorch-cnn-in-an-app": lambda e: _in_the_app(e, SMALL),
    "inference-ratio-on-a-runtime": _latency_ratio,
    "half-the-size-five-times-as-fast": _errors_of_the_offer,
    "half-the-size-five-times-as-fast-in-points": lambda e: _errors_of_the_offer(
        e, points=True
    ),
}
