"""The figures of decisions and verdicts; each function returns one."""

import numpy as np

from tradeoffs import drawing as draw
from tradeoffs.intervals import COUNT
from tradeoffs.tables import percent
from tradeoffs.verdicts import VERDICTS

# Dark to light, so that they tell apart in greyscale.
COLORS = ("#00513b", "#009e73", "#d55e00", "#ecb93b", "#cccccc")
COUNTED = "counts and arithmetic"
# In units of what is allowed: one by one near it, and further off by tens.
UNITS = (-100, -10, -2, -1, 0, 1, 2, 10, 100)
VERDICT_COLORS = dict(zip(VERDICTS, COLORS, strict=True))


def epoch_returns(tables: dict, title: str):
    """Error against what was paid so far, and the price of a further point.

    Args:
        tables: model name to the table of `tradeoffs.epoch_returns`.
    """
    figure, (left, right) = draw.axes(3.6, 2, title=title)
    for name, table in tables.items():
        style = draw.style(name, markersize=4)
        left.plot(table.total_cost, draw.error(table.accuracy), **style)
        right.plot(table.epoch, table.cost_per_point, **style)
    names = "paid so far (your currency)", "test error (%)", "What was paid for what"
    draw.finish(left, *names, log="xy", legend="upper right")
    names = "epoch (a gap: no gain in it)", "for a point (your currency)"
    draw.finish(right, *names, "The next point's price", log="y")
    return figure


def expected_best(accuracies, hours_a_network: float, title: str):
    """The best network to expect, by how many are tried, and by their hours.

    Args:
        accuracies: as from `tradeoffs.expected_best`, 0 to 1, [n].
        hours_a_network: of training, mean.
    """
    figure, axis = draw.axes(3.4)
    axis.plot(range(1, len(accuracies) + 1), draw.error(accuracies), color="#009e73")
    names = "networks tried, in random order", "best validation error (%)", title
    draw.finish(axis, *names, log="xy")
    there_and_back = (lambda n: n * hours_a_network), (lambda h: h / hours_a_network)
    above = axis.secondary_xaxis("top", functions=there_and_back)
    above.set_xlabel("hours of training")
    above.xaxis.set_major_formatter(draw.plain)
    above.xaxis.set_minor_formatter("")
    return figure


def ensembles(points: dict, title: str):
    """Single networks and votes: test error against all their parameters.

    Args:
        points: a label to (model name, parameters, accuracies of the runs or of
            the one vote, whether it is a vote).
    """
    figure, axis = draw.axes(3.6)
    for text, (name, parameters, accuracies, vote) in points.items():
        mean, spread = np.mean(accuracies), np.std(accuracies, ddof=len(accuracies) > 1)
        look = {"size": 10} | ({"markerfacecolor": "none"} if vote else {})
        text = f"{text}\n{percent(mean)}"
        draw.point(axis, name, parameters, draw.error(mean), spread, text, **look)
    draw.filled_and_hollow(axis, "one network: mean ± deviation", "a vote")
    axis.set_yscale("log")
    axis.margins(x=0.15, y=0.35)
    names = "parameters, of all members together (logarithmic)", "test error (%)"
    draw.finish(axis, *names, title, log="xy", legend="lower left")
    return figure


def verdicts(table, title: str):
    """How many claims of each section have which verdict; counts are apart.

    Args:
        table: of `tradeoffs.claims`.
    """
    figure, axis = draw.axes(3.2)
    section = table.section.mask(table.basis == COUNT, COUNTED)
    counts = table.groupby([section, "verdict"], sort=False).size().unstack()
    order = [COUNTED, *section[section != COUNTED].unique()]
    counts = counts.reindex(order, columns=VERDICTS).fillna(0)
    counts.plot.barh(ax=axis, stacked=True, width=0.8, color=COLORS, legend=False)
    for verdict, bars in zip(VERDICTS, axis.containers, strict=True):
        numbers = [f"{value:.0f}" if value else "" for value in counts[verdict]]
        color = "white" if verdict in VERDICTS[:2] else "black"
        axis.bar_label(bars, numbers, label_type="center", color=color, fontsize=8)
    axis.invert_yaxis()
    draw.finish(axis, "claims", "", title)
    figure.legend(loc="outside lower center", ncols=len(VERDICTS), frameon=False)
    return figure


def intervals(claims: dict, title: str, first: str, second: str):
    """Our numbers with their intervals, each in units of what its test allows.

    Args:
        claims: a name to a pair of a `Claim` that has an article's number with a
            tolerance, or an effect that matters, and a `Finding` with an interval.
        first, second: of the panels, of the numbers, with a band of what is allowed,
            and of the effects.
    """
    numbers = {name: pair for name, pair in claims.items() if pair[0].tolerance}
    effects = {name: pair for name, pair in claims.items() if name not in numbers}
    parts = numbers, effects
    sizes = [max(len(part), 1) for part in parts]
    height = 0.2 * sum(sizes) + 2.2
    figure, axes = draw.axes(height, 1, 2, height_ratios=sizes, title=title)
    texts = (
        (first, "ours less the article's, in units of what is allowed"),
        (second, "the effect, in units of the smallest that would matter"),
    )
    for axis, part, (name, xlabel) in zip(axes, parts, texts, strict=True):
        for place, (claim, found) in enumerate(part.values()):
            ends = [claim.in_units(end) for end in (found.low, found.high)]
            color = VERDICT_COLORS[claim.verdict(found)]
            axis.plot(ends, [place, place], color=color, linewidth=2)
            value = claim.in_units(found.value)
            axis.plot(value, place, "o", color=color, markeredgecolor="#444444")
        axis.set_xscale("symlog", linthresh=2)
        left, right = axis.get_xlim()
        for place, (claim, _) in enumerate(part.values()) if part is numbers else ():
            ends = np.clip(
                [claim.in_units(end) for end in claim.allowed()], left, right
            )
            look = {"color": "#e6e6e6", "linewidth": 9, "solid_capstyle": "butt"}
            axis.plot(ends, [place, place], zorder=0, **look)
        for end in (0,) if part is numbers else (0, 1):
            axis.axvline(end, **draw.THIN)
        axis.set_xlim(left, right)
        inside = [unit for unit in UNITS if left < unit < right]
        axis.set_xticks(inside, map(str, inside))
        axis.xaxis.set_minor_locator(draw.ticker.NullLocator())
        axis.set_yticks(range(len(part)), part, fontsize=8)
        axis.set_ylim(len(part) - 0.5, -0.5)
        draw.finish(axis, xlabel, "", name)
    marks = [
        draw.plt.Line2D([], [], marker="o", color=color, label=verdict)
        for verdict, color in VERDICT_COLORS.items()
        if any(claim.verdict(found) == verdict for claim, found in claims.values())
    ]
    figure.legend(
        handles=marks, loc="outside lower center", ncols=len(marks), frameon=False
    )
    return figure
