"""A statement of the article, and the test that our number must pass.

One rule gives every verdict. The test allows some values. If our number's whole
interval lies among them the claim holds, if none of it does the claim does not hold,
and otherwise it is undecided.
"""

import bisect
import math
from dataclasses import dataclass

from tradeoffs.intervals import ESTIMATE, TIMES, Finding

HOLDS = "holds"
HOLDS_HERE = "holds on this machine"
FAILS = "does not hold"
UNDECIDED = "undecided"
UNKNOWN = "cannot be checked here"
VERDICTS = (HOLDS, HOLDS_HERE, FAILS, UNDECIDED, UNKNOWN)

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
        test: one of `TESTS`, which say what ours must be.
        tolerance: of the test, where it takes one: a distance, beyond the article's
            number too for "at least" and "at most"; a factor; or significant digits.
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
        if finding.again is None:
            of_times = finding.basis == TIMES
            return "turns that lie less apart" if of_times else "not known"

        def decided(seeds):
            return self.verdict(finding.again(seeds)) != UNDECIDED

        # Intervals shrink with more seeds, so that what is decided stays so.
        fewest = bisect.bisect_left(range(MOST_SEEDS + 1), True, lo=2, key=decided)
        return "no number of runs" if fewest > MOST_SEEDS else f"about {fewest} runs"

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
