"""Our numbers for the claims about time and its ratios; see `findings`.

The interval of a time is what the turns of its measurement span, with every window
in them, so that a claim about times holds only if it does in whatever windows two
models are compared.
"""

from __future__ import annotations

from tradeoffs.claim import ESTIMATE, TIMES, Finding, largest
from tradeoffs.probes.profile import Profile

EPOCH, INFERENCE = "epoch_seconds", "inference_seconds"
LARGE, MIDDLE, SMALL = "keras_cnn", "pytorch_cnn", "small_net"


def turns(profile: Profile, field: str) -> tuple[float, float]:
    """The lowest and the highest window of a time, in all turns."""
    value = getattr(profile, field)
    return profile.spread.get(field, (value, value))


def time_ratio(above: Profile, below: Profile, field: str) -> Finding:
    """How many times as long one takes as another; low to high in all turns."""
    (low, high), (least, most) = (turns(profile, field) for profile in (above, below))
    value = getattr(above, field) / getattr(below, field)
    return Finding(value, TIMES, low / most, high / least)


def share_faster(pairs: list[tuple[Profile, Profile]], field: str) -> Finding:
    """Per cent of the pairs in which the first of the two takes less time."""
    ratios = [time_ratio(first, second, field) for first, second in pairs]
    share = 100 / len(ratios)
    return Finding(
        share * sum(ratio.value < 1 for ratio in ratios),
        TIMES,
        share * sum(ratio.high < 1 for ratio in ratios),
        share * sum(ratio.low < 1 for ratio in ratios),
    )


def _seconds(evidence, model, field):
    # Seconds are a processor's own, and the article does not name its processor:
    # ours stand beside its seconds without a verdict.
    profile = evidence.profile(model)
    return Finding(getattr(profile, field), ESTIMATE, *turns(profile, field))


def _seconds_saved(evidence):
    large, small = (evidence.profile(model) for model in (LARGE, MIDDLE))
    return Finding(large.epoch_seconds - small.epoch_seconds, ESTIMATE)


def _slowest_smaller_model(evidence):
    return largest([time_ratio(*pair, INFERENCE) for pair in evidence.pairs()])


def _ratio(evidence, above, below, field):
    return time_ratio(*map(evidence.profile, (above, below)), field)


TIME_FINDINGS = {
    "smaller-usually-trains-faster": lambda e: share_faster(e.pairs(), EPOCH),
    "smaller-usually-infers-faster": lambda e: share_faster(e.pairs(), INFERENCE),
    "time-is-not-monotonic": _slowest_smaller_model,
    "pytorch-cnn-epoch-seconds": lambda e: _seconds(e, MIDDLE, EPOCH),
    "keras-cnn-epoch-seconds": lambda e: _seconds(e, LARGE, EPOCH),
    "epoch-ratio": lambda e: _ratio(e, LARGE, MIDDLE, EPOCH),
    "seconds-saved": _seconds_saved,
    "pytorch-cnn-inference-seconds": lambda e: _seconds(e, MIDDLE, INFERENCE),
    "keras-cnn-inference-seconds": lambda e: _seconds(e, LARGE, INFERENCE),
    "inference-ratio": lambda e: _ratio(e, LARGE, MIDDLE, INFERENCE),
    "small-net-epoch-seconds": lambda e: _seconds(e, SMALL, EPOCH),
    "small-net-epoch-ratio": lambda e: _ratio(e, MIDDLE, SMALL, EPOCH),
    "small-net-inference-seconds": lambda e: _seconds(e, SMALL, INFERENCE),
    "small-net-inference-ratio": lambda e: _ratio(e, MIDDLE, SMALL, INFERENCE),
}
