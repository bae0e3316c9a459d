"""The figures of decisions and verdicts; each function returns one."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import PercentFormatter

from tradeoffs.comparison import percent
from tradeoffs.models import MODELS
from tradeoffs.plots import STYLES, _axes
from tradeoffs.verdicts.claim import VERDICTS

# Dark to light, so that they tell apart in greyscale.
VERDICT_COLORS = dict(
    zip(VERDICTS, ("#00513b", "#009e73", "#e69f00", "#cccccc"), strict=True)
)


def _percent_axis(axis, decimals=None):
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=decimals, symbol=""))


def choice(table, chosen, title: str):
    """The models by size and accuracy: filled what fits, hollow what does not.

    Args:
        table: as from `tradeoffs.cost_table`, of `MODELS`, with accuracies.
        chosen: a `Choice` among them.
        title: of the figure.
    """
    figure, axis = _axes(3.9)
    reasons = chosen.reasons()
    for row in table.itertuples():
        style = STYLES[row.Index]
        fits = row.Index not in reasons
        axis.plot(
            row.num_parameters,
            row.accuracy_mean,
            marker=style["marker"],
            color=style["color"],
            markersize=11,
            markerfacecolor=style["color"] if fits else "none",
            alpha=1 if fits else 0.5,
        )
        limits = chosen.broken.limit[chosen.broken.model == row.Index]
        below = row.Index == "keras_mlp"  # the Keras CNN is above it
        axis.annotate(
            "\n".join([MODELS[row.Index].label, *limits]),
            (row.num_parameters, row.accuracy_mean),
            xytext=(0, -10 if below else 10),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            fontsize=9 if fits else 7,
            fontweight="bold" if row.Index == chosen.best else "normal",
            color="#222222" if fits else "#777777",
        )
    if least := chosen.limits.get("min_accuracy"):
        axis.axhline(least, color="#999999", linestyle="--", linewidth=1)
    axis.plot([], [], "o", color="#666666", label="fits (bold: the most accurate)")
    axis.plot([], [], "o", mfc="none", color="#aaaaaa", label="breaks these limits")
    axis.set(
        title=title,
        xscale="log",
        xlim=(150, 6e6),
        ylim=(min(0.93, table.accuracy_mean.min() - 0.01), 1.003),
        xlabel="parameters (logarithmic)",
        ylabel="test accuracy (%)",
    )
    _percent_axis(axis, 0)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def epoch_returns(tables: dict, title: str):
    """Accuracy against what was paid so far, and the price of a further point.

    Args:
        tables: model name to the table of `tradeoffs.epoch_returns`.
        title: of the figure.
    """
    figure, axes = _axes(3.6, 2)
    for name, table in tables.items():
        style = STYLES[name] | {"markersize": 4}
        axes[0].plot(
            table.total_cost, table.accuracy, label=MODELS[name].label, **style
        )
        axes[1].plot(table.epoch, table.cost_per_point, **style)
    axes[0].set(
        title="What was paid for what",
        xscale="log",
        xlabel="cost of the training so far",
        ylabel="test accuracy (%)",
    )
    _percent_axis(axes[0])
    axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    axes[1].set(
        title="The next point's price",
        yscale="log",
        xlabel="epoch (a gap: no gain in it)",
        ylabel="cost of a percentage point",
        xticks=range(0, int(table.epoch.max()) + 1, 5),
    )
    figure.suptitle(title)
    return figure


def expected_best(accuracies, hours_a_network: float, title: str):
    """The best network to expect, by how many are tried, and by their hours.

    Args:
        accuracies: as from `tradeoffs.expected_best`, 0 to 1, [n].
        hours_a_network: of training, mean.
        title: of the figure.
    """
    figure, axis = _axes(3.4)
    networks = np.arange(1, len(accuracies) + 1)
    axis.plot(networks, accuracies, color="#009e73")
    axis.set(
        title=title,
        xscale="log",
        xlabel="networks tried, in random order",
        ylabel="best validation accuracy (%)",
    )
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if t <= len(accuracies)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    above = axis.secondary_xaxis(
        "top", functions=(lambda n: n * hours_a_network, lambda h: h / hours_a_network)
    )
    above.set_xlabel("hours of training")
    above.xaxis.set_major_formatter("{x:g}")
    _percent_axis(axis)
    return figure


def ensembles(points: dict, title: str):
    """Single networks and votes: accuracy against all their parameters.

    Args:
        points: a label to (model name, parameters, accuracies of the runs or of
            the one vote, whether it is a vote).
        title: of the figure.
    """
    figure, axis = _axes(3.6)
    for label, (name, parameters, accuracies, vote) in points.items():
        style = STYLES[name]
        mean, spread = np.mean(accuracies), np.std(accuracies)
        axis.errorbar(
            parameters,
            mean,
            yerr=spread or None,
            fmt=style["marker"],
            color=style["color"],
            markersize=10,
            markerfacecolor="none" if vote else style["color"],
            capsize=5,
        )
        axis.annotate(
            f"{label}\n{percent(mean)}",
            (parameters, mean + spread),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axis.plot([], [], "o", color="#666666", label="one network: mean ± deviation")
    axis.plot([], [], "o", mfc="none", color="#666666", label="a vote")
    axis.set(
        title=title,
        xscale="log",
        xlabel="parameters, of all members together (logarithmic)",
        ylabel="test accuracy (%)",
    )
    axis.margins(x=0.15, y=0.35)
    _percent_axis(axis, 2)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def verdicts(table, title: str):
    """How many claims of each section have which verdict.

    Args:
        table: of `tradeoffs.claims`.
        title: of the figure.
    """
    figure, axis = _axes(2.9)
    counts = table.groupby(["section", "verdict"], sort=False).size().unstack()
    counts = counts.reindex(columns=VERDICTS).fillna(0).loc[table.section.unique()]
    left = np.zeros(len(counts))
    for verdict in VERDICTS:
        values = counts[verdict].to_numpy()
        bars = axis.barh(
            counts.index,
            values,
            left=left,
            color=VERDICT_COLORS[verdict],
            label=verdict,
        )
        axis.bar_label(
            bars,
            [f"{value:.0f}" if value else "" for value in values],
            label_type="center",
            color="white" if verdict in VERDICTS[:2] else "black",
            fontsize=8,
        )
        left += values
    axis.invert_yaxis()
    axis.set(title=title, xlabel="claims", ylabel="section of the article")
    figure.legend(loc="outside lower center", ncols=len(VERDICTS), frameon=False)
    return figure


def agreement(table, title: str):
    """Our figure as a multiple of the article's, for the claims with one.

    Args:
        table: of `tradeoffs.claims`, with article and ours above 0.
        title: of the figure.
    """
    figure, axis = _axes(0.19 * len(table) + 1.2)
    ratios = (table.ours / table.article).sort_values()
    places = np.arange(len(ratios))
    axis.axvline(1, color="#999999", linewidth=1)
    for verdict in VERDICTS:
        shown = (table.verdict[ratios.index] == verdict).to_numpy()
        axis.plot(
            ratios[shown],
            places[shown],
            "o",
            color=VERDICT_COLORS[verdict],
            markeredgecolor="#444444",
            markersize=6,
            label=verdict,
        )
    axis.set_yticks(places, ratios.index, fontsize=7)
    axis.set(
        title=title,
        xscale="log",
        xlabel="our figure, as a multiple of the article's (logarithmic)",
        ylabel="claim",
        ylim=(-1, len(ratios)),
    )
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
    shown = [t for t in ticks if ratios.min() / 1.5 < t < ratios.max() * 2]
    axis.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    return figure
