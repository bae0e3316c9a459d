"""Our numbers for the claims about time and its ratios; see `findings`.

Models are measured in turns, so that whatever else the machine does meets all of them
alike. A ratio of two times is the median over the turns of the ratio in each turn, and
its interval goes from the lowest to the highest: a claim about times holds only if it
does in every turn.
"""

import numpy as np

from tradeoffs.claim import ESTIMATE, TIMES, Finding, largest
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import Profile

EPOCH, INFERENCE = "epoch_seconds", "inference_seconds"
LARGE, MIDDLE, SMALL = "keras_cnn", "pytorch_cnn", "small_net"
ONE_FRAMEWORK = "pytorch"  # that all five models are measured in, two as ports


def of_turns(values, basis: str = TIMES) -> Finding:
    """The median of what each turn gave, and the lowest and highest.

    Args:
        values: [turns].
        basis: as of `Finding`.
    """
    return Finding(np.median(values), basis, min(values), max(values))


def time_ratio(above: Profile, below: Profile, field: str) -> Finding:
    """How many times as long one takes as another, turn by turn.

    Without as many turns of both, all their windows count: the shortest of one beside
    the longest of the other.
    """
    first, second = (profile.turns.get(field, ()) for profile in (above, below))
    if first and len(first) == len(second):
        return of_turns(np.divide(first, second))
    times = [getattr(profile, field) for profile in (above, below)]
    (low, high), (least, most) = (
        profile.spread.get(field, (time, time))
        for profile, time in zip((above, below), times, strict=True)
    )
    return Finding(times[0] / times[1], TIMES, low / most, high / least)


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


def _each_turn(profile, field):
    return profile.turns.get(field, [getattr(profile, field)])


def _seconds(evidence, model, field):
    # Seconds are a processor's own, and the article does not name its processor:
    # ours stand beside its seconds without a verdict.
    return of_turns(_each_turn(evidence.profile(model), field), ESTIMATE)


def _seconds_saved(evidence):
    large, small = (_each_turn(evidence.profile(m), EPOCH) for m in (LARGE, MIDDLE))
    return of_turns(np.subtract(large, small), ESTIMATE)


def _slowest_smaller_model(evidence):
    return largest([time_ratio(*pair, INFERENCE) for pair in evidence.pairs()])


def _ratio(evidence, above, below, field, framework=None):
    profiles = (evidence.profile(model, framework) for model in (above, below))
    return time_ratio(*profiles, field)


def _share_faster(evidence, field, framework=None):
    profiles = [evidence.profile(model, framework) for model in MODELS]
    return share_faster(evidence.pairs(profiles), field)


TIME_FINDINGS = {
    "smaller-usually-trains-faster": lambda e: _share_faster(e, EPOCH),
    "smaller-usually-trains-faster-in-one-framework": lambda e: _share_faster(
        e, EPOCH, ONE_FRAMEWORK
    ),
    "smaller-usually-infers-faster": lambda e: _share_faster(e, INFERENCE),
    "smaller-usually-infers-faster-in-one-framework": lambda e: _share_faster(
        e, INFERENCE, ONE_FRAMEWORK
    ),
    "time-is-not-monotonic": _slowest_smaller_model,
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
}
