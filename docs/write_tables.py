"""Draws the README's figure, and writes the tables of README and docs.

`python docs/write_tables.py` does so from the records; a test compares the tables.
"""

import re
from pathlib import Path

import tradeoffs
from tradeoffs import article, plots, records, verdicts
from tradeoffs.models import MODELS
from tradeoffs.recorded import CHOSEN_SMALL_NET, SERIES
from tradeoffs.schedules import ARTICLE
from tradeoffs.tables import accuracy_table

ROOT = Path(__file__).parent.parent
FIGURE = "error_against_parameters.png"


def models() -> str:
    """The five models: what each scores, and what it costs."""
    runs = [run for name in MODELS for run in tradeoffs.runs(name)]
    costs = tradeoffs.cost_table(tradeoffs.recorded_profiles(), runs)
    shown = tradeoffs.readable_costs(costs).reset_index()
    columns = ["model", "parameters", "accuracy", "file (KiB)", "epoch (s)"]
    return _markdown(shown[[*columns, "one image (ms)"]])


def accuracies() -> str:
    """The recorded accuracies under the common schedule, on both data sets."""
    harder = _accuracies("fashion_mnist", {})
    text = "On Fashion-MNIST, for which the article has no numbers:"
    published = {"article": article.ACCURACY}
    return f"{_accuracies('mnist', published)}\n{text}\n\n{harder}"


def _accuracies(dataset, references):
    recorded = [
        run
        for first, *_ in SERIES
        if (first.schedule, first.dataset) == (ARTICLE, dataset)
        # Without the steps of a sweep.
        and (first.model == "small_net" or "filters" not in first.model_arguments)
        for run in tradeoffs.runs(
            first.model, first.framework, dataset=dataset, **first.model_arguments
        )
    ]
    return _markdown(accuracy_table(recorded, references).reset_index())


def claims() -> str:
    """The claims of the article and their verdicts."""
    found = tradeoffs.claims()
    return f"{verdicts.tally(found)}\n\n{_markdown(verdicts.written(found))}"


def _markdown(frame):
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.values.tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


# A page has its table between a comment with this name and one that says "end".
TABLES = {
    "README.md": models,
    "docs/how-the-numbers-were-made.md": accuracies,
    "docs/claims.md": claims,
}


def renewed(page: str) -> str:
    """The text of a page, with its table as the records have it now."""
    pattern = rf"(?<=<!-- {TABLES[page].__name__} -->\n).*?(?=<!-- end -->)"
    text = (ROOT / page).read_text(encoding="utf-8")
    found, count = re.subn(pattern, lambda _: TABLES[page](), text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{page} has no place for the table {TABLES[page].__name__}")
    return found


if __name__ == "__main__":
    figure = plots.error_against_parameters(
        [run for name in MODELS for run in tradeoffs.runs(name)]
        + tradeoffs.runs("small_net", **CHOSEN_SMALL_NET),
        "MNIST: 55 times the parameters, four errors fewer in a thousand images",
    )
    figure.savefig(records.results_folder() / FIGURE, dpi=100)
    for page in TABLES:
        (ROOT / page).write_text(renewed(page), encoding="utf-8")
