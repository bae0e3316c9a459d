"""Our numbers for the claims that a device's runtime settles; see `findings`.

All is of files in float32, in ONNX Runtime, an image at a time.
"""

from __future__ import annotations

from tradeoffs.claim import TIMES, Finding
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import MIB

LARGE, SMALL = "keras_cnn", "pytorch_cnn"
HALF, FIVE_TIMES = 0.5, 5  # the size and the speed of the article's offer
GUESSING = 90.0  # per cent of errors, of a network of no size


def _in_the_app(evidence, model):
    """MiB of the file of a model."""
    return Finding(evidence.on_device(model).file_bytes / MIB)


def _latency_ratio(evidence):
    latencies = [evidence.on_device(model).latency_ms_p50 for model in (LARGE, SMALL)]
    return Finding(latencies[0] / latencies[1], TIMES)


def _share_of_pairs_faster(evidence):
    pairs = evidence.pairs(evidence.on_device)
    faster = [small.latency_ms_p50 < large.latency_ms_p50 for small, large in pairs]
    return Finding(100 * sum(faster) / len(pairs), TIMES)


def _errors_of_the_offer(evidence, points=False):
    """How many more errors a model makes that is the article's offer.

    In per cent of the larger model's errors, or in points.
    """
    errors = {name: 100 - evidence.accuracies(name).mean() for name in MODELS}
    large = evidence.on_device(LARGE)
    offered = [
        errors[name]
        for name in MODELS
        for file in [evidence.on_device(name)]
        if file.file_bytes <= HALF * large.file_bytes
        and file.latency_ms_p50 <= large.latency_ms_p50 / FIVE_TIMES
    ]
    more = min([*offered, GUESSING]) - errors[LARGE]
    return Finding(more if points else 100 * more / errors[LARGE], TIMES)


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
