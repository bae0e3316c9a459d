"""A statement of the article, our number for it, and the test that this must pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

HOLDS = "holds"
HOLDS_HERE = "holds on this machine"
FAILS = "does not hold"
UNKNOWN = "cannot be checked here"
VERDICTS = (HOLDS, HOLDS_HERE, FAILS, UNKNOWN)

COUNT = "a count"
RUNS = "recorded runs"
TIMES = "times on this machine"
ESTIMATE = "an estimate"
BASES = (COUNT, RUNS, TIMES, ESTIMATE)

CONFIDENCE = 0.95

# Each test in words.
TESTS = {
    "within": "within {allowed} of {theirs}",
    "within a factor": "within a factor of {tolerance:g} of {theirs}",
    "rounds": "{theirs} when rounded alike",
    "another run": "within {margin} of {theirs}",
    "above": "above {theirs}",
    "below": "below {theirs}",
    "at least": "at least {theirs}",
    "at most": "at most {theirs}",
}
SIGNS = {"above": "> ", "below": "< ", "at least": "≥ ", "at most": "≤ "}


@dataclass(frozen=True)
class Finding:
    """Our number for a claim.

    Attributes:
        value: in the claim's unit.
        basis: what it is, of `BASES`. Counts, of bytes and tensor shapes too, are
            the same anywhere; an estimate stands for what cannot be measured here.
        margin: of a number that varies by seed, in the claim's unit: what the
            tests "another run" and "above" allow for.
    """

    value: float
    basis: str = COUNT
    margin: float = 0.0

    def __post_init__(self):
        if self.basis not in BASES:
            raise ValueError(f"basis is {self.basis!r}; it must be of {BASES}")
        if not math.isfinite(self.value) or not math.isfinite(self.margin):
            raise ValueError(f"what we find must be finite, not {self.value}")
        object.__setattr__(self, "value", float(self.value))


def mean(values, *, one_more: bool = False) -> Finding:
    """The mean over seeds, with Student's 95 % margin.

    Args:
        values: [n]; may be differences of pairs.
        one_more: the margin is how far one more run may lie from the mean.
    """
    n, spread = len(values), np.std(values, ddof=1)
    spread = spread * math.sqrt(1 + 1 / n) if one_more else spread / math.sqrt(n)
    return Finding(np.mean(values), RUNS, _t(n - 1) * spread)


def difference(first, second, *, one_more=False, of_several: int = 1) -> Finding:
    """The difference of the means, with Welch's 95 % margin; see `mean`.

    Args:
        first, second: values over seeds, [n] and [m].
        one_more: the margin is how far one more pair may lie from the difference.
        of_several: how many differences this is the largest of; the margin holds
            for all of them at once (Bonferroni).
    """
    sizes = np.array([len(first), len(second)])
    variances = np.array([np.var(first, ddof=1), np.var(second, ddof=1)])
    variances = variances * (1 + 1 / sizes) if one_more else variances / sizes
    total = variances.sum()
    # Satterthwaite's degrees of freedom.
    degrees = total**2 / sum(variances**2 / (sizes - 1))
    margin = _t(degrees, of_several) * math.sqrt(total)
    return Finding(np.mean(first) - np.mean(second), RUNS, margin)


def _t(degrees, of_several=1):
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - (1 - CONFIDENCE) / (2 * of_several)))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement of the article.

    Attributes:
        id: its name, and that of its function in `findings`.
        section: of the article.
        quote: a few words of the article, to find the sentence by.
        statement: in our own words.
        article: its number; of a claim in words, the bound that they amount to.
        unit: of both numbers.
        decimals: both are written with.
        test: one of `TESTS`. "within": no further from the article's number than
            `tolerance`. "within a factor": of `tolerance`. "rounds": ours is the
            article's to `tolerance` significant digits. "another run": ours is
            so near that the article's may be one more run of the same network.
            "above": ours is larger, by more than its seeds explain. "below",
            "at least" and "at most" compare, the latter two with `tolerance`.
        tolerance: of the test, where it takes one.
        reason: why the test is fair.
    """

    id: str
    section: str
    quote: str
    statement: str
    article: float
    unit: str
    test: str
    reason: str
    tolerance: float = 0
    decimals: int = 0

    def __post_init__(self):
        if self.test not in TESTS:
            raise ValueError(
                f"the test of {self.id} is {self.test!r}; it must be one of "
                f"{', '.join(TESTS)}"
            )
        if self.tolerance < 0 or not self.reason.strip():
            raise ValueError(f"{self.id} needs a tolerance of 0 or more, and a reason")

    def agrees(self, finding: Finding) -> bool:
        """Whether our number passes the test."""
        ours, theirs, tolerance = finding.value, self.article, self.tolerance
        match self.test:
            case "within":
                return abs(ours - theirs) <= tolerance + 1e-12
            case "within a factor":
                return theirs / tolerance <= ours <= theirs * tolerance
            case "rounds":
                return float(f"{ours:.{int(tolerance) - 1}e}") == theirs
            case "another run":
                return abs(ours - theirs) <= finding.margin
            case "above":
                return ours - finding.margin > theirs
            case "below":
                return ours < theirs
            case "at least":
                return ours >= theirs - tolerance
            case "at most":
                return ours <= theirs + tolerance

    def verdict(self, finding: Finding) -> str:
        """One of `VERDICTS`."""
        if finding.basis == ESTIMATE:
            return UNKNOWN
        if not self.agrees(finding):
            return FAILS
        return HOLDS_HERE if finding.basis == TIMES else HOLDS

    def write(self, value: float, margin: float = 0) -> str:
        """A number with its decimals and unit, and its interval where there is one."""
        form = f"{{:,.{self.decimals}f}}".format
        ends = [f"({form(value - margin)} to {form(value + margin)})"] if margin else []
        return " ".join([form(value), *ends, self.unit]).rstrip()

    def write_bound(self) -> str:
        """The article's number; of a claim in words, the bound with its sign."""
        slack = {"at least": -self.tolerance, "at most": self.tolerance}
        bound = self.write(self.article + slack.get(self.test, 0))
        return SIGNS.get(self.test, "") + bound

    def agrees_if(self, finding: Finding) -> str:
        """The test in words, with the numbers in it."""
        unit = {"": "", "%": " points"}.get(self.unit, f" {self.unit}")
        theirs, tolerance = self.write(self.article), self.tolerance
        allowed = f"{tolerance:g}{unit}"
        margin = f"{finding.margin:.{self.decimals + 1}f}{unit}"
        if self.test == "within" and not tolerance:
            return theirs
        text = TESTS[self.test].format(
            theirs=theirs, allowed=allowed, margin=margin, tolerance=tolerance
        )
        if self.test == "above" and finding.margin:
            text += f" by more than {margin}"
        if self.test in ("at least", "at most") and tolerance:
            text += f", with {allowed} to spare"
        return text
