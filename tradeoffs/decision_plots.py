"""The figures of decisions and verdicts; each function returns one."""

from __future__ import annotations

import numpy as np

from tradeoffs import drawing as draw
from tradeoffs.labels import label
from tradeoffs.tables import percent
from tradeoffs.verdicts import VERDICTS

# Dark to light, so that they tell apart in greyscale.
COLORS = ("#00513b", "#009e73", "#e69f00", "#cccccc")
# Where a model's text stands, so that none touches another.
_SIDES = {"keras_mlp": "below", "pytorch_cnn": "below", "keras_cnn": "left"}
VERDICT_COLORS = dict(zip(VERDICTS, COLORS, strict=True))


def choice(table, chosen, title: str):
    """The models by size and accuracy: filled what fits, hollow what does not.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        chosen: a `Choice` among its rows.
        title: of the figure.
    """
    figure, axis = draw.axes(3.9)
    for row in table.itertuples():
        broken = chosen.broken.limit[chosen.broken.model == row.Index]
        best = " (best)" if row.Index == chosen.best else ""
        text = "\n".join([label(row.Index) + best, *broken])
        look = {"side": _SIDES.get(row.Index, "above"), "size": 11}
        if len(broken):
            look |= {"markerfacecolor": "none", "alpha": 0.5}
        place = row.num_parameters, 1 - row.accuracy_mean
        draw.point(axis, row.Index, *place, 0, text, **look)
    if chosen.limits.get("min_accuracy", 1) < 1:
        axis.axhline(1 - chosen.limits["min_accuracy"], **draw.THIN)
    draw.filled_and_hollow(axis, "fits", "breaks these limits")
    axis.set_yscale("log")
    axis.margins(x=0.15, y=0.35)
    names = "parameters (logarithmic)", "test error (%)", title
    draw.finish(axis, *names, log="xy", legend="upper right")
    return figure


def epoch_returns(tables: dict, title: str):
    """Error against what was paid so far, and the price of a further point.

    Args:
        tables: model name to the table of `tradeoffs.epoch_returns`.
        title: of the figure.
    """
    figure, (left, right) = draw.axes(3.6, 2)
    for name, table in tables.items():
        style = draw.style(name, markersize=4)
        left.plot(table.total_cost, 1 - table.accuracy, **style)
        right.plot(table.epoch, table.cost_per_point, **style)
    names = "cost of the training so far", "test error (%)", "What was paid for what"
    draw.finish(left, *names, log="xy", legend="upper right")
    names = "epoch (a gap: no gain in it)", "cost of a percentage point"
    draw.finish(right, *names, "The next point's price", log="y")
    figure.suptitle(title)
    return figure


def expected_best(accuracies, hours_a_network: float, title: str):
    """The best network to expect, by how many are tried, and by their hours.

    Args:
        accuracies: as from `tradeoffs.expected_best`, 0 to 1, [n].
        hours_a_network: of training, mean.
        title: of the figure.
    """
    figure, axis = draw.axes(3.4)
    axis.plot(range(1, len(accuracies) + 1), 1 - accuracies, color="#009e73")
    names = "networks tried, in random order", "best validation error (%)", title
    draw.finish(axis, *names, log="xy")
    there_and_back = (lambda n: n * hours_a_network), (lambda h: h / hours_a_network)
    above = axis.secondary_xaxis("top", functions=there_and_back)
    above.set_xlabel("hours of training")
    above.xaxis.set_major_formatter(draw.plain)
    return figure


def ensembles(points: dict, title: str):
    """Single networks and votes: test error against all their parameters.

    Args:
        points: a label to (model name, parameters, accuracies of the runs or of
            the one vote, whether it is a vote).
        title: of the figure.
    """
    figure, axis = draw.axes(3.6)
    for text, (name, parameters, accuracies, vote) in points.items():
        mean, spread = np.mean(accuracies), np.std(accuracies, ddof=not vote)
        look = {"size": 10} | ({"markerfacecolor": "none"} if vote else {})
        text = f"{text}\n{percent(mean)}"
        draw.point(axis, name, parameters, 1 - mean, spread, text, **look)
    draw.filled_and_hollow(axis, "one network: mean ± deviation", "a vote")
    axis.set_yscale("log")
    axis.margins(x=0.15, y=0.35)
    names = "parameters, of all members together (logarithmic)", "test error (%)"
    draw.finish(axis, *names, title, log="xy", legend="lower left")
    return figure


def verdicts(table, title: str):
    """How many claims of each section have which verdict.

    Args:
        table: of `tradeoffs.claims`.
        title: of the figure.
    """
    figure, axis = draw.axes(2.9)
    counts = table.groupby(["section", "verdict"], sort=False).size().unstack()
    counts = counts.reindex(table.section.unique(), columns=VERDICTS).fillna(0)
    counts.plot.barh(ax=axis, stacked=True, width=0.8, color=COLORS, legend=False)
    for verdict, bars in zip(VERDICTS, axis.containers, strict=True):
        numbers = [f"{value:.0f}" if value else "" for value in counts[verdict]]
        color = "white" if verdict in VERDICTS[:2] else "black"
        axis.bar_label(bars, numbers, label_type="center", color=color, fontsize=8)
    axis.invert_yaxis()
    draw.finish(axis, "claims", "section of the article", title)
    figure.legend(loc="outside lower center", ncols=len(VERDICTS), frameon=False)
    return figure


def agreement(table, title: str):
    """Our value as a multiple of the article's, for the claims with one.

    Args:
        table: of `tradeoffs.claims`, with article and ours above 0.
        title: of the figure.
    """
    figure, axis = draw.axes(0.19 * len(table) + 1.2)
    ratios = (table.ours / table.article).sort_values()
    axis.axvline(1, **draw.THIN)
    for verdict, color in VERDICT_COLORS.items():
        shown = np.flatnonzero(table.verdict[ratios.index] == verdict)
        look = {"color": color, "markeredgecolor": "#444444", "label": verdict}
        axis.plot(ratios.iloc[shown], shown, "o", **look)
    axis.set_yticks(range(len(ratios)), ratios.index, fontsize=7)
    names = "our value, as a multiple of the article's (logarithmic)", "claim", title
    draw.finish(axis, *names, log="x", legend="upper left")
    return figure
