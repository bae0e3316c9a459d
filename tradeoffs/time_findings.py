"""Our numbers for the claims about time, here and on a device; see `findings`.

Models are measured in turns, so that whatever else the machine does meets all of them
alike. A ratio of two times is the median over the turns of the ratio in each turn, and
its interval goes from the lowest to the highest: a claim about times holds only if it
does in every turn.

What a device's runtime takes is of files in float32, an image at a time, in ONNX
Runtime.
"""

import numpy as np

from tradeoffs.intervals import (
    COUNT,
    ESTIMATE,
    TIMES,
    Finding,
    difference,
    largest,
    share_below,
    smallest,
)
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import MIB

EPOCH, INFERENCE, LATENCY = "epoch_seconds", "inference_seconds", "latency_ms_p50"
LARGE, MIDDLE, SMALL = "keras_cnn", "pytorch_cnn", "small_net"
ONE_FRAMEWORK = "pytorch"  # that all five models are measured in, two as ports
HALF, FIVE_TIMES = 0.5, 5  # the size and the speed of the article's offer
GUESSING = 90.0  # per cent of errors, of a network of no size


def _of_turns(values, basis=TIMES):
    """The median of what each turn gave, and the lowest and highest."""
    return Finding(np.median(values), basis, min(values), max(values))


def _each_turn(profile, field):
    return profile.turns.get(field, [getattr(profile, field)])


def _time_ratio(above, below, field):
    """How many times as long one takes as another, turn by turn."""
    return _of_turns(np.divide(*(_each_turn(p, field) for p in (above, below))))


def _seconds(evidence, model, field):
    # Seconds are a processor's own, and the article does not name its processor:
    # ours stand beside its seconds without a verdict.
    return _of_turns(_each_turn(evidence.profile(model), field), ESTIMATE)


def _seconds_saved(evidence):
    large, small = (_each_turn(evidence.profile(m), EPOCH) for m in (LARGE, MIDDLE))
    return _of_turns(np.subtract(large, small), ESTIMATE)


def _ratio(evidence, above, below, field, framework=None):
    profiles = (evidence.profile(model, framework) for model in (above, below))
    return _time_ratio(*profiles, field)


def _ratios(evidence, field, framework=None):
    """Of every pair of models, the one with fewer parameters above."""
    profiles = [evidence.profile(model, framework) for model in MODELS]
    return [_time_ratio(*pair, field) for pair in evidence.pairs(profiles)]


def _share_faster_on_a_runtime(evidence):
    pairs = evidence.pairs(map(evidence.on_device, MODELS))
    return share_below([_time_ratio(*pair, LATENCY) for pair in pairs], 1)


def _in_the_app(evidence, model):
    """MiB of the file of a model."""
    return Finding(evidence.on_device(model).file_bytes / MIB, COUNT)


def _errors_of_the_offer(evidence, points=False):
    """How many more errors a model makes that is the article's offer.

    In per cent of the larger model's errors, or in points. The offer is the best of
    the models that are small enough and fast enough: surely so for the upper end, and
    perhaps so for the lower.
    """
    large, errors = evidence.on_device(LARGE), 100 - evidence.accuracies(LARGE)
    unit = 1 if points else errors.mean() / 100
    offers = []
    for name in MODELS:
        file = evidence.on_device(name)
        if file.file_bytes <= HALF * large.file_bytes:
            more = 100 - evidence.accuracies(name)
            more = difference(more, errors, of_several=len(MODELS))
            offers.append((_time_ratio(large, file, LATENCY), more))
    guess = Finding(GUESSING - errors.mean(), TIMES)

    def found(seeds):
        value, low, high = (
            smallest(
                [guess]
                + [m.again(seeds) for f, m in offers if getattr(f, speed) >= FIVE_TIMES]
            )
            for speed in ("value", "high", "low")
        )
        ends = low.low / unit, high.high / unit
        return Finding(value.value / unit, TIMES, *ends, again=found)

    return found(0)  # as many as there are


TIME_FINDINGS = {
    "smaller-usually-trains-faster": lambda e: share_below(_ratios(e, EPOCH), 1),
    "smaller-usually-trains-faster-in-one-framework": lambda e: share_below(
        _ratios(e, EPOCH, ONE_FRAMEWORK), 1
    ),
    "smaller-usually-infers-faster": lambda e: share_below(_ratios(e, INFERENCE), 1),
    "smaller-usually-infers-faster-in-one-framework": lambda e: share_below(
        _ratios(e, INFERENCE, ONE_FRAMEWORK), 1
    ),
    "time-is-not-monotonic": lambda e: largest(_ratios(e, INFERENCE)),
    "time-is-not-monotonic-in-one-framework": lambda e: largest(
        _ratios(e, INFERENCE, ONE_FRAMEWORK)
    ),
    "pytorch-cnn-epoch-seconds": lambda e: _seconds(e, MIDDLE, EPOCH),
    "keras-cnn-epoch-seconds": lambda e: _seconds(e, LARGE, EPOCH),
    "epoch-ratio": lambda e: _ratio(e, LARGE, MIDDLE, EPOCH),
    "epoch-ratio-in-one-framework": lambda e: _ratio(
        e, LARGE, MIDDLE, EPOCH, ONE_FRAMEWORK
    ),
    "seconds-saved": _seconds_saved,
    "pytorch-cnn-inference-seconds": lambda e: _seconds(e, MIDDLE, INFERENCE),
    "keras-cnn-inference-seconds": lambda e: _seconds(e, LARGE, INFERENCE),
    "inference-ratio": lambda e: _ratio(e, LARGE, MIDDLE, INFERENCE),
    "inference-ratio-in-one-framework": lambda e: _ratio(
        e, LARGE, MIDDLE, INFERENCE, ONE_FRAMEWORK
    ),
    "small-net-epoch-seconds": lambda e: _seconds(e, SMALL, EPOCH),
    "small-net-epoch-ratio": lambda e: _ratio(e, MIDDLE, SMALL, EPOCH),
    "small-net-inference-seconds": lambda e: _seconds(e, SMALL, INFERENCE),
    "small-net-inference-ratio": lambda e: _ratio(e, MIDDLE, SMALL, INFERENCE),
    "smaller-usually-infers-faster-on-a-runtime": _share_faster_on_a_runtime,
    "keras-cnn-in-an-app": lambda e: _in_the_app(e, LARGE),
    "pytorch-cnn-in-an-app": lambda e: _in_the_app(e, MIDDLE),
    "inference-ratio-on-a-runtime": lambda e: _time_ratio(
        e.on_device(LARGE), e.on_device(MIDDLE), LATENCY
    ),
    "half-the-size-five-times-as-fast": _errors_of_the_offer,
    "half-the-size-five-times-as-fast-in-points": lambda e: _errors_of_the_offer(
        e, points=True
    ),
}
