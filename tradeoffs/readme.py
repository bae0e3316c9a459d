"""Draws the README's figure and table from the records.

`python -m tradeoffs.readme` writes both; a test compares the table.
"""

from __future__ import annotations

import re
from pathlib import Path

from tradeoffs import article, plots, records
from tradeoffs.comparison import accuracy_table
from tradeoffs.models import MODELS
from tradeoffs.reproduction import SERIES, runs
from tradeoffs.schedules import ARTICLE

FIGURE = "accuracy_against_parameters.png"
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """The recorded accuracies under the common schedule, as Markdown."""
    recorded = [
        run
        for series in SERIES
        if series.schedule == ARTICLE and "filters" not in series.model_arguments
        for run in runs(series.model, series.framework, **series.model_arguments)
    ]
    frame = accuracy_table(recorded, {"article": article.ACCURACY}).reset_index()
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.values.tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def with_table(text: str) -> str:
    """The README's text with its table as the records have it now."""
    return _TABLE.sub(table(), text)


if __name__ == "__main__":
    figure = plots.accuracy_against_parameters(
        [run for name in MODELS for run in runs(name)],
        "MNIST: what do fifty times the parameters buy?",
    )
    figure.savefig(records.results_folder() / FIGURE, dpi=150)
    readme = Path(__file__).parent.parent / "README.md"
    readme.write_text(with_table(readme.read_text()))
