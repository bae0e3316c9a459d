"""A statement of the article, our number for it, and the test that this must pass.

One rule gives every verdict. The test allows some values. If our number's whole
interval lies among them the claim holds, if none of it does the claim does not hold,
and otherwise it is undecided.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

HOLDS = "holds"
HOLDS_HERE = "holds on this machine"
FAILS = "does not hold"
UNDECIDED = "undecided"
UNKNOWN = "cannot be checked here"
VERDICTS = (HOLDS, HOLDS_HERE, FAILS, UNDECIDED, UNKNOWN)

COUNT = "a count"
RUNS = "recorded runs"
TIMES = "times on this machine"
ESTIMATE = "an estimate"
BASES = (COUNT, RUNS, TIMES, ESTIMATE)

CONFIDENCE = 0.95
MOST_SEEDS = 1_000  # that are looked at for how many would decide

# Each test in words.
TESTS = {
    "within": "within {allowed} of {theirs}",
    "within a factor": "within a factor of {tolerance:g} of {theirs}",
    "rounds": "{theirs} when rounded alike",
    "above": "above {theirs}",
    "below": "below {theirs}",
    "at least": "at least {theirs}",
    "at most": "at most {theirs}",
}
BEYOND = {"at least": "less", "at most": "more"}
SIGNS = {"above": "> ", "below": "< ", "at least": "≥ ", "at most": "≤ "}


@dataclass(frozen=True)
class Finding:
    """Our number for a claim.

    Attributes:
        value: in the claim's unit.
        basis: what it is, of `BASES`. Counts, of bytes and tensor shapes too, are
            the same anywhere; an estimate stands for what cannot be measured here.
        low, high: of a number that varies by seed, or by test image, the ends of its
            95 % interval; of a time of what all turns gave. By default the value.
        seeds: that the interval comes from, where it is one of seeds.
        fixed: the part of half the interval that no further seed takes away.
        among: those that this is the largest or the smallest of.
    """

    value: float
    basis: str = COUNT
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    fixed: float = 0.0
    among: tuple["Finding", ...] = ()

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

    def with_seeds(self, seeds: int) -> "Finding":
        """About what so many seeds would give, were value and spread to stay."""
        if self.among:
            more = [one.with_seeds(max(seeds, one.seeds)) for one in self.among]
            return (largest if largest(self.among) == self else smallest)(more)
        before, now = (student(max(n - 1, 1)) for n in (self.seeds, seeds))
        surer = now / before if self.seeds > 1 else 1.0
        shrinking = max(self.margin**2 - self.fixed**2, 0) * self.seeds / seeds
        margin = surer * math.sqrt(self.fixed**2 + shrinking)
        return around(self.value, margin, seeds, surer * self.fixed)


def around(value: float, margin: float, seeds: int, fixed: float = 0.0) -> Finding:
    """Of recorded runs, with half an interval; see `Finding`."""
    return Finding(value, RUNS, value - margin, value + margin, seeds, fixed)


def mean(values, *, one_more: bool = False, of_several: int = 1) -> Finding:
    """The mean over seeds, with Student's 95 % interval.

    Args:
        values: [n]; may be differences of pairs.
        one_more: the interval is of one more run.
        of_several: how many means this is the largest or smallest of, or how often
            it was looked at; the interval holds for all at once (Bonferroni).
    """
    n = len(values)
    spread = student(n - 1, of_several) * np.std(values, ddof=1)
    fixed = float(spread) if one_more else 0.0
    return around(np.mean(values), math.hypot(fixed, spread / math.sqrt(n)), n, fixed)


def difference(first, second, *, one_more=False, of_several: int = 1) -> Finding:
    """The difference of the means, with Welch's 95 % interval; see `mean`.

    Args:
        first, second: values over seeds, [n] and [m].
        one_more: the interval is of one more pair.
        of_several: as of `mean`.
    """
    sizes = np.array([len(first), len(second)])
    variances = np.array([np.var(first, ddof=1), np.var(second, ddof=1)])
    total = sum(variances / sizes)
    degrees = total**2 / sum((variances / sizes) ** 2 / (sizes - 1))  # Satterthwaite's
    t = student(degrees, of_several)
    fixed = t * math.sqrt(variances.sum()) if one_more else 0.0
    margin = math.hypot(fixed, t * math.sqrt(total))
    value = np.mean(first) - np.mean(second)
    return around(value, margin, int(sizes.min()), fixed)


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
    return replace(found, **ends, among=tuple(findings))


def share_below(findings: list[Finding], bound: float) -> Finding:
    """Per cent that lie below a bound: from those that surely do to those that may."""
    counts = (
        sum(getattr(one, end) < bound for one in findings)
        for end in ("value", "high", "low")
    )
    value, low, high = (100 * count / len(findings) for count in counts)
    seeds = min(one.seeds for one in findings)
    return Finding(value, findings[0].basis, low, high, seeds)


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
    return Finding(found, RUNS, low, high, seeds=len(first))


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
            article's to `tolerance` significant digits. "above" and "below": ours
            is larger, or smaller. "at least", "at most": with `tolerance`.
        tolerance: of the test, where it takes one.
        matters: of an effect, the smallest that would matter, above the article's
            number: one that may be none and is surely smaller does not hold.
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
    matters: float = 0
    decimals: int = 0

    def allowed(self) -> tuple[float, float]:
        """The ends of what the test allows, both included."""
        theirs, tolerance = self.article, self.tolerance
        match self.test:
            case "within":
                return theirs - tolerance - 1e-12, theirs + tolerance + 1e-12
            case "within a factor":
                return theirs / tolerance, theirs * tolerance
            case "rounds":
                place = math.floor(math.log10(theirs)) - int(tolerance) + 1
                return theirs - 10**place / 2, theirs + 10**place / 2
            case "above":
                return math.nextafter(theirs, math.inf), math.inf
            case "below":
                return -math.inf, math.nextafter(theirs, -math.inf)
            case "at least":
                return theirs - tolerance, math.inf
            case "at most":
                return -math.inf, theirs + tolerance

    def verdict(self, finding: Finding) -> str:
        """One of `VERDICTS`."""
        if finding.basis == ESTIMATE:
            return UNKNOWN
        low, high = self.allowed()
        if low <= finding.low and finding.high <= high:
            return HOLDS_HERE if finding.basis == TIMES else HOLDS
        if finding.high < low + self.matters or finding.low > high:
            return FAILS
        return UNDECIDED

    def in_units(self, number: float) -> float:
        """How far above the article's, in units of what is allowed or would matter."""
        theirs, tolerance = self.article, self.tolerance
        if self.test == "within a factor":
            return math.log(number / theirs) / math.log(tolerance)
        return (number - theirs) / (tolerance or self.matters)

    def would_decide(self, finding: Finding) -> str:
        """How many seeds would decide it, were our number to stay what it is."""
        if self.verdict(finding) != UNDECIDED:
            return ""
        if not finding.seeds:
            return "turns that lie less apart"
        fewest = min(one.seeds for one in finding.among or [finding])
        for seeds in range(fewest + 1, MOST_SEEDS + 1):
            if self.verdict(finding.with_seeds(seeds)) != UNDECIDED:
                return f"about {seeds} runs"
        return "no number of runs"

    def write(self, finding: Finding | float) -> str:
        """A number with its decimals and unit, and its interval where there is one."""
        form = f"{{:,.{self.decimals}f}}".format
        if not isinstance(finding, Finding):
            finding = Finding(finding)
        ends = form(finding.low), form(finding.high)
        interval = [f"({' to '.join(ends)})"] if finding.margin else []
        return " ".join([form(finding.value), *interval, self.unit]).rstrip()

    def write_bound(self) -> str:
        """The article's number, or the bound that its words amount to, with a sign."""
        slack = {"at least": -self.tolerance, "at most": self.tolerance}
        bound = self.article or slack.get(self.test, 0)
        return SIGNS.get(self.test, "") + self.write(bound)

    def agrees_if(self) -> str:
        """The test in words, with the numbers in it."""
        unit = {"": "", "%": " points"}.get(self.unit, f" {self.unit}")
        theirs = self.write_bound().removeprefix(SIGNS.get(self.test, ""))
        allowed, tolerance = f"{self.tolerance:g}{unit}", self.tolerance
        if self.test == "within" and not tolerance:
            return theirs
        text = TESTS[self.test].format(
            theirs=theirs, allowed=allowed, tolerance=tolerance
        )
        if self.article and tolerance and self.test in BEYOND:
            text += f", or {allowed} {BEYOND[self.test]}"
        if self.matters:
            text += f"; not if surely less than {self.matters:g}{unit}"
        return text
