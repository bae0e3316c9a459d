"""The figures of decisions and verdicts; each function returns one."""

from __future__ import annotations

import numpy as np

from tradeoffs.drawing import (
    GREY,
    STYLES,
    axes,
    epoch_axis,
    legend,
    legend_of_fills,
    log_axis,
    percent_axis,
    plain,
    point,
    write,
)
from tradeoffs.tables import label, percent
from tradeoffs.verdicts import VERDICTS

# Dark to light, so that they tell apart in greyscale.
COLORS = ("#00513b", "#009e73", "#e69f00", "#cccccc")
VERDICT_COLORS = dict(zip(VERDICTS, COLORS, strict=True))


def choice(table, chosen, title: str):
    """The models by size and accuracy: filled what fits, hollow what does not.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        chosen: a `Choice` among its rows.
        title: of the figure.
    """
    figure, axis = axes(3.9)
    fitting = set(chosen.fitting.index)
    for row in table.itertuples():
        place = row.num_parameters, row.accuracy_mean
        fits = row.Index in fitting
        fade = {"size": 11, "hollow": not fits, "alpha": 1 if fits else 0.5}
        point(axis, row.Index, *place, **fade)
        limits = chosen.broken.limit[chosen.broken.model == row.Index]
        look = {"fontsize": 9 if fits else 7, "color": "#222222" if fits else "#777777"}
        look |= {"fontweight": "bold" if row.Index == chosen.best else "normal"}
        below = row.Index == "keras_mlp"  # the Keras CNN is above it
        text = "\n".join([label(row.Index), *limits])
        write(axis, text, place, (0, -10 if below else 10), **look)
    if least := chosen.limits.get("min_accuracy"):
        axis.axhline(least, color=GREY, linestyle="--", linewidth=1)
    names = "fits (bold: the most accurate)", "breaks these limits"
    legend_of_fills(axis, *names, "lower right")
    axis.margins(x=0.15)
    axis.set_ylim(min(0.93, table.accuracy_mean.min() - 0.01), 1.003)
    log_axis(axis, title=title, xlabel="parameters (logarithmic)")
    percent_axis(axis, decimals=0)
    return figure


def epoch_returns(tables: dict, title: str):
    """Accuracy against what was paid so far, and the price of a further point.

    Args:
        tables: model name to the table of `tradeoffs.epoch_returns`.
        title: of the figure.
    """
    figure, (left, right) = axes(3.6, 2)
    for name, table in tables.items():
        style = STYLES[name] | {"markersize": 4, "label": label(name)}
        left.plot(table.total_cost, table.accuracy, **style)
        right.plot(table.epoch, table.cost_per_point, **style)
    left.set_title("What was paid for what")
    log_axis(left, xlabel="cost of the training so far")
    percent_axis(left)
    legend(left, "lower right")
    right.set_title("The next point's price")
    log_axis(right, "y", ylabel="cost of a percentage point")
    epoch_axis(right, int(table.epoch.max()), "epoch (a gap: no gain in it)")
    figure.suptitle(title)
    return figure


def expected_best(accuracies, hours_a_network: float, title: str):
    """The best network to expect, by how many are tried, and by their hours.

    Args:
        accuracies: as from `tradeoffs.expected_best`, 0 to 1, [n].
        hours_a_network: of training, mean.
        title: of the figure.
    """
    figure, axis = axes(3.4)
    axis.plot(range(1, len(accuracies) + 1), accuracies, color="#009e73")
    log_axis(axis, title=title, xlabel="networks tried, in random order")
    ways = (lambda n: n * hours_a_network), (lambda h: h / hours_a_network)
    above = axis.secondary_xaxis("top", functions=ways)
    above.set_xlabel("hours of training")
    above.xaxis.set_major_formatter(plain)
    percent_axis(axis, "best validation accuracy (%)")
    return figure


def ensembles(points: dict, title: str):
    """Single networks and votes: accuracy against all their parameters.

    Args:
        points: a label to (model name, parameters, accuracies of the runs or of
            the one vote, whether it is a vote).
        title: of the figure.
    """
    figure, axis = axes(3.6)
    for text, (name, parameters, accuracies, vote) in points.items():
        mean, spread = np.mean(accuracies), np.std(accuracies)
        point(axis, name, parameters, mean, spread, size=10, hollow=vote)
        place = parameters, mean + spread
        write(axis, f"{text}\n{percent(mean)}", place, fontsize=8)
    axis.margins(x=0.15, y=0.35)
    log_axis(axis, title=title, xlabel="parameters, of all members together")
    percent_axis(axis, decimals=2)
    names = "one network: mean ± deviation", "a vote"
    legend_of_fills(axis, *names, "lower right")
    return figure


def verdicts(table, title: str):
    """How many claims of each section have which verdict.

    Args:
        table: of `tradeoffs.claims`.
        title: of the figure.
    """
    figure, axis = axes(2.9)
    counts = table.groupby(["section", "verdict"], sort=False).size().unstack()
    counts = counts.reindex(table.section.unique(), columns=VERDICTS).fillna(0)
    left = 0
    for verdict, values in counts.items():
        color = {"color": VERDICT_COLORS[verdict], "label": verdict}
        bars = axis.barh(counts.index, values, left=left, **color)
        numbers = [f"{value:.0f}" if value else "" for value in values]
        color = "white" if verdict in VERDICTS[:2] else "black"
        axis.bar_label(bars, numbers, label_type="center", color=color, fontsize=8)
        left = left + values
    axis.invert_yaxis()
    axis.set(title=title, xlabel="claims", ylabel="section of the article")
    figure.legend(loc="outside lower center", ncols=len(VERDICTS), frameon=False)
    return figure


def agreement(table, title: str):
    """Our value as a multiple of the article's, for the claims with one.

    Args:
        table: of `tradeoffs.claims`, with article and ours above 0.
        title: of the figure.
    """
    figure, axis = axes(0.19 * len(table) + 1.2)
    ratios = (table.ours / table.article).sort_values()
    axis.axvline(1, color=GREY, linewidth=1)
    for verdict, color in VERDICT_COLORS.items():
        shown = np.flatnonzero(table.verdict[ratios.index] == verdict)
        style = {"color": color, "markeredgecolor": "#444444", "label": verdict}
        axis.plot(ratios.iloc[shown], shown, "o", **style)
    axis.set_yticks(range(len(ratios)), ratios.index, fontsize=7)
    text = "our value, as a multiple of the article's (logarithmic)"
    axis.set(title=title, xlabel=text, ylabel="claim", ylim=(-1, len(ratios)))
    log_axis(axis)
    legend(axis, "upper left")
    return figure
