"""Draws the README's figure and tables from the records.

`python -m tradeoffs.readme` writes all; tests compare the tables.
"""

from __future__ import annotations

import re
from pathlib import Path

from tradeoffs import article, plots, records, verdicts
from tradeoffs.models import MODELS
from tradeoffs.schedules import ARTICLE
from tradeoffs.series import CHOSEN_SMALL_NET, SERIES, runs
from tradeoffs.tables import accuracy_table

FIGURE = "accuracy_against_parameters.png"
SECTION = r"(?<=<!-- {} -->\n).*?(?=<!-- end -->)"


def table() -> str:
    """The recorded accuracies under the common schedule, as Markdown."""
    recorded = [
        run
        for series in SERIES
        if series.schedule == ARTICLE and _is_a_model_of_its_own(series)
        for run in runs(series.model, series.framework, **series.model_arguments)
    ]
    frame = accuracy_table(recorded, {"article": article.ACCURACY}).reset_index()
    return _markdown(frame)


def _is_a_model_of_its_own(series):
    """Whether a series is more than a step of a sweep."""
    arguments = series.model_arguments
    return "filters" not in arguments or arguments == CHOSEN_SMALL_NET


def claims() -> str:
    """The claims of the article and their verdicts, as Markdown."""
    found = verdicts.claims()
    return f"{verdicts.tally(found)}\n\n{_markdown(verdicts.written(found))}"


def _markdown(frame):
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.values.tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def with_section(text: str, name: str, content: str) -> str:
    """The README's text with the section between `<!-- name -->` and the end.

    Raises:
        ValueError: the text has no such section, or more than one.
    """
    pattern = re.compile(SECTION.format(re.escape(name)), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the README must have one section '<!-- {name} -->'")
    return pattern.sub(lambda _: content, text)


if __name__ == "__main__":
    figure = plots.accuracy_against_parameters(
        [run for name in MODELS for run in runs(name)]
        + runs("small_net", **CHOSEN_SMALL_NET),
        "MNIST: what do fifty times the parameters buy?",
    )
    figure.savefig(records.results_folder() / FIGURE, dpi=150)
    readme = Path(__file__).parent.parent / "README.md"
    text = with_section(readme.read_text(), "table", table())
    readme.write_text(with_section(text, "claims", claims()))
