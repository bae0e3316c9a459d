"""Every checkable claim of the article, beside what was measured.

`claims.csv` lists the claims in our own words, in the article's order, each with
its number and a test that says when ours agrees; `findings` computes ours. No
verdict is written down anywhere: each call computes all of them. Source: Michał
Marcinkiewicz, 'The Real World is not a Kaggle Competition'.
"""

import functools
import json
from importlib.resources import files

import pandas as pd

from tradeoffs.claim import VERDICTS, Claim
from tradeoffs.findings import FINDINGS
from tradeoffs.intervals import COUNT, Finding
from tradeoffs.measurements import Evidence, EvidenceError
from tradeoffs.records import RecordError


@functools.cache
def listed() -> tuple[Claim, ...]:
    """The claims of `claims.csv`, in the article's order."""
    table = pd.read_csv(files("tradeoffs") / "claims.csv", encoding="utf-8")
    table = table.fillna({"unit": "", "tolerance": 0, "matters": 0})
    return tuple(Claim(**row) for row in table.to_dict(orient="records"))


def claims():
    """The article's claims and their verdicts, computed from the records.

    Returns:
        A DataFrame, a row a claim, named by its id: section, quote (a few words of
        the article, to find the sentence by), statement, article (its number),
        ours, low and high (the ends of its 95 % interval, or of all turns of a time),
        margin (half of that), unit, agrees_if (the test, to read), tolerance and
        matters (of the test; see `Claim`), reason (for the test and what it allows),
        basis (what ours is: "a count", "recorded runs",
        "times on this machine" or "an estimate"), verdict, one of `VERDICTS`, and
        would_decide (of what is undecided).

    Raises:
        EvidenceError: a record, profile or measurement is missing; the message
            names the claim and the file, and says how to make it.
        RecordError: one cannot be trusted.

    >>> import tradeoffs
    >>> claim = tradeoffs.claims().loc["gap-cnn-parameters"]
    >>> int(claim.article), int(claim.ours), claim.verdict
    (7090, 7090, 'holds')
    """
    evidence = Evidence()
    rows = {}
    for claim in listed():
        try:
            finding = FINDINGS[claim.id](evidence)
        except RecordError as error:
            raise EvidenceError(
                f"no evidence for the claim {claim.id}: {error}"
            ) from error
        rows[claim.id] = {
            "section": claim.section,
            "quote": claim.quote,
            "statement": claim.statement,
            "article": claim.article,
            "ours": finding.value,
            "low": finding.low,
            "high": finding.high,
            "margin": finding.margin,
            "unit": claim.unit,
            "agrees_if": claim.agrees_if(),
            "tolerance": claim.tolerance,
            "matters": claim.matters,
            "reason": claim.reason,
            "basis": finding.basis,
            "verdict": claim.verdict(finding),
            "would_decide": claim.would_decide(finding),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("id")


# What is said of one claim, and of several, that have each of `VERDICTS`.
_SAID = (
    ("holds", "hold"),
    ("holds on this machine", "hold on this machine"),
    ("does not hold", "do not hold"),
    ("is undecided", "are undecided"),
    ("cannot be checked here", "cannot be checked here"),
)


def tally(table) -> str:
    """How many claims have which verdict, in two sentences: counts are apart.

    Args:
        table: of `claims`.

    >>> import tradeoffs
    >>> tradeoffs.tally(tradeoffs.claims())  # doctest: +ELLIPSIS
    'Of 101 claims, 28 are counts or arithmetic: ... cannot be checked here.'
    """
    counts = table[table.basis == COUNT]
    others = table.drop(index=counts.index)
    return (
        f"Of {len(table)} claims, {len(counts)} are counts or arithmetic: "
        f"{_how_many(counts)}. Of the other {len(others)}, {_how_many(others)}."
    )


def _how_many(table):
    found = table.verdict.value_counts()
    return ", ".join(
        f"{found[name]} {one if found[name] == 1 else several}"
        for name, (one, several) in zip(VERDICTS, _SAID, strict=True)
        if name in found
    )


def written(table):
    """The table to read, as text.

    Args:
        table: of `claims`, or some of its rows.

    Returns:
        A DataFrame with the columns claim, quote, article, here and verdict. A
        claim in words has a sign before the bound that it amounts to. A number that
        varies has the ends of its interval behind it.
    """
    known = {claim.id: claim for claim in listed()}
    asked = [known[name] for name in table.index]
    found = map(Finding, table.ours, table.basis, table.low, table.high)
    columns = {
        "claim": table.statement,
        "quote": "‘" + table.quote + "’",
        "article": [claim.write_bound() for claim in asked],
        "here": list(map(Claim.write, asked, found)),
        "verdict": table.verdict,
    }
    return pd.DataFrame(columns)


def as_text(table) -> str:
    """What `python -m tradeoffs claims` prints."""
    lines = []
    for section, part in table.groupby("section", sort=False):
        lines.append(section)
        for row in written(part).itertuples():
            lines.append(f"  {row.verdict:>22}  {row.claim}")
            article = f"article {row.quote}: {row.article}"
            lines.append(f"  {'':>22}  {article}; here {row.here}")
        lines.append("")
    return "\n".join([*lines, tally(table)])


def as_json(table) -> str:
    """The table as a JSON list, a mapping a claim."""
    rows = table.reset_index().to_dict(orient="records")
    return json.dumps(rows, indent=1, allow_nan=False)
