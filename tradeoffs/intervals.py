"""A number of ours with its interval, and how it comes from runs.

An interval is Student's at 95 %, of a mean, of a difference, or of one more run; where
several are compared it holds for all of them at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

COUNT = "a count"
RUNS = "recorded runs"
TIMES = "times on this machine"
ESTIMATE = "an estimate"
BASES = (COUNT, RUNS, TIMES, ESTIMATE)

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Finding:
    """Our number for a claim.

    Attributes:
        value: in the claim's unit.
        basis: what it is, of `BASES`. Counts, of bytes and tensor shapes too, are
            the same anywhere; an estimate stands for what cannot be measured here.
        low, high: of a number that varies by seed, or by test image, the ends of its
            95 % interval; of a time of what all turns gave. By default the value.
        again: gives the finding that so many seeds of each network would, were
            means and deviations to stay what they are; None where that is not known.
    """

    value: float
    basis: str = COUNT
    low: float | None = None
    high: float | None = None
    again: Callable[[int], "Finding"] | None = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self):
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            number = float(self.value if number is None else number)
            if not math.isfinite(number):
                raise ValueError(f"what we find must be finite; {name} is {number}")
            object.__setattr__(self, name, number)
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.value} is not between its ends, {self.low} and {self.high}"
            )

    @property
    def margin(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2


def of_samples(
    value, variances, sizes, *, one_more=False, of_several: int = 1, degrees=None
) -> Finding:
    """A mean of runs or a difference of two, with Student's 95 % interval.

    Args:
        value: the mean or the difference.
        variances, sizes: of the runs of each network, [k].
        one_more: the interval is of one more run, or pair of runs.
        of_several: how many this is the largest or smallest of, or how often it was
            looked at; the interval holds for all at once (Bonferroni).
        degrees: of freedom of the variances; by default Satterthwaite's, from sizes.
    """
    options = {"one_more": one_more, "of_several": of_several, "degrees": degrees}
    variances, sizes = np.asarray(variances), np.asarray(sizes)
    of_means = variances / sizes
    total = sum(of_means)
    freedom = degrees or sum(sizes - 1)
    if degrees is None and total:
        freedom = total**2 / sum(of_means**2 / (sizes - 1))
    of_a_run = sum(variances) if one_more else 0.0
    margin = student(freedom, of_several) * math.sqrt(of_a_run + total)

    def again(seeds):
        grown = np.maximum(sizes, seeds)
        more = {"degrees": degrees and degrees + sum(grown - sizes)}
        return of_samples(value, variances, grown, **options | more)

    return Finding(value, RUNS, value - margin, value + margin, again)


def mean(values, **options) -> Finding:
    """The mean over seeds, with Student's 95 % interval.

    Args:
        values: [n]; may be differences of pairs.
        options: of `of_samples`.
    """
    variance = np.var(values, ddof=1)
    return of_samples(np.mean(values), [variance], [len(values)], **options)


def difference(first, second, **options) -> Finding:
    """The difference of the means, with Welch's 95 % interval; see `mean`.

    Args:
        first, second: values over seeds, [n] and [m].
        options: of `of_samples`.
    """
    variances = [np.var(one, ddof=1) for one in (first, second)]
    apart = np.mean(first) - np.mean(second)
    return of_samples(apart, variances, [len(first), len(second)], **options)


def student(degrees: float, of_several: int = 1) -> float:
    """Student's t for 95 % of so many intervals at once (Bonferroni)."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - (1 - CONFIDENCE) / (2 * of_several)))


def largest(findings: list[Finding]) -> Finding:
    """The largest of several, each with an interval that holds for all at once."""
    return _extreme(findings, max)


def smallest(findings: list[Finding]) -> Finding:
    """The smallest of several, each with an interval that holds for all at once."""
    return _extreme(findings, min)


def _extreme(findings, choose):
    found = choose(findings, key=lambda finding: finding.value)
    ends = {end: choose(getattr(f, end) for f in findings) for end in ("low", "high")}
    known = all(finding.again for finding in findings)

    def again(seeds):
        return _extreme([finding.again(seeds) for finding in findings], choose)

    return replace(found, **ends, again=again if known else None)


def share_below(findings: list[Finding], bound: float) -> Finding:
    """Per cent that lie below a bound: from those that surely do to those that may."""
    counts = (
        sum(getattr(one, end) < bound for one in findings)
        for end in ("value", "high", "low")
    )
    value, low, high = (100 * count / len(findings) for count in counts)
    return Finding(value, findings[0].basis, low, high)


def rank_correlation(first, second) -> Finding:
    """Spearman's, with the interval of Fisher's transformation.

    Args:
        first, second: values in pairs, [n].
    """
    from scipy.stats import norm, spearmanr

    found = float(spearmanr(first, second).statistic)
    # Fieller, Hartley and Pearson's standard error for ranks.
    margin = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(1.06 / (len(first) - 3))
    low, high = np.tanh(np.arctanh(found) + np.array([-margin, margin]))
    return Finding(found, RUNS, low, high)
