"""What the pages of figures share.

All figures have one width, a title, which is each function's `title`, and units on
both axes. A model keeps its colour, marker and line in every figure; the three differ
in lightness and in form, so that they tell apart in greyscale too.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from tradeoffs.labels import label

WIDTH = 8.0  # inches, of every figure
STYLES = {
    "keras_mlp": {"color": "#e69f00", "marker": "s", "linestyle": "--"},
    "keras_cnn": {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    "pytorch_cnn": {"color": "#222222", "marker": "^", "linestyle": "-."},
    "gap_cnn": {"color": "#cc79a7", "marker": "D", "linestyle": ":"},
    "small_net": {"color": "#009e73", "marker": "v", "linestyle": "-"},
    "tiny": {"color": "#d55e00", "marker": "*", "linestyle": "-"},
}
A_READERS = {"color": "#d55e00", "marker": "P", "linestyle": "--"}
LINES = (  # of what is no model
    {"color": "#009e73", "linestyle": "-"},
    {"color": "#d55e00", "linestyle": "--"},
    {"color": "#0072b2", "linestyle": "-."},
    {"color": "#e69f00", "linestyle": ":"},
)
THIN = {"color": "#999999", "linewidth": 1, "linestyle": "--"}
BEHIND_TEXT = {"color": "white", "pad": 0.5}
SIDES = {  # of a point, where its text stands
    "above": {"xytext": (0, 9), "ha": "center", "va": "bottom"},
    "below": {"xytext": (0, -9), "ha": "center", "va": "top"},
    "right": {"xytext": (12, 0), "ha": "left", "va": "center"},
    "left": {"xytext": (-12, 0), "ha": "right", "va": "center"},
    "above right": {"xytext": (4, 4), "ha": "left", "va": "bottom"},
}


class Figure(plt.Figure):
    """A figure whose title a notebook keeps too, as the picture's alternative text."""

    def said(self) -> str:
        """The figure's title, and those of its panels."""
        titles = [self.get_suptitle(), *(axis.get_title() for axis in self.axes)]
        return "; ".join(filter(None, titles))

    def _repr_mimebundle_(self, **_):
        from IPython.core.pylabtools import print_figure

        png = print_figure(self, "png", base64=True)
        data = {"image/png": png, "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.said()}}


def with_lines(named: dict):
    """Pairs of an item and a line of its own.

    Raises:
        ValueError: there are more than can be told apart.
    """
    if len(named) > len(LINES):
        names = ", ".join(named)
        raise ValueError(f"{names}: lines of at most {len(LINES)} can be told apart")
    return zip(named.items(), LINES, strict=False)


def axes(height=3.4, columns: int = 1, rows: int = 1, *, title=None, **options):
    """A figure of the common width, and its axes.

    Args:
        height: in inches.
        columns, rows: of panels.
        title: over all panels; that of a single one is `finish`'s.
        options: as of `plt.subplots`.
    """
    look = {"figsize": (WIDTH, height), "dpi": 100, "layout": "constrained"}
    figure, panels = plt.subplots(rows, columns, FigureClass=Figure, **look, **options)
    # Closed for pyplot, so that a notebook shows the figure that a cell returns,
    # once, and no other.
    plt.close(figure)
    if title:
        figure.suptitle(title)
    for axis in np.ravel(panels):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, panels


def style(name: str, **others) -> dict:
    """How a model's line is drawn, whatever its arguments, with its label."""
    known = STYLES.get(name.split(",")[0], A_READERS)
    return known | {"markersize": 5, "label": label(name)} | others


def finish(axis, xlabel: str, ylabel: str, title=None, *, log="", legend=None):
    """Name what is drawn, and write its scales; the last call for an axis.

    Args:
        axis: of one panel.
        xlabel, ylabel: with units. '(%)' writes the shares on a logarithmic y-axis,
            0 to 1, as per cent; 'epoch' on the x-axis keeps it to whole numbers.
        title: of the panel.
        log: the logarithmic sides, "x", "y" or "xy"; their ticks are plain numbers.
        legend: where to put one.
    """
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if xlabel.startswith("epoch"):
        axis.xaxis.set_major_locator(
            ticker.MaxNLocator(5, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
        )
    for side in log:
        axis.set(**{f"{side}scale": "log"})
        ticks = getattr(axis, f"{side}axis")
        ends, wide = getattr(axis, f"get_{side}lim")(), {"x": 100, "y": 1000}[side]
        ticks.set_major_locator(_log_locator(*ends, wide))
        ticks.set_major_formatter(plain)
        if side == "y" and ylabel.endswith("(%)"):
            ticks.set_major_formatter(lambda value, _: plain(100 * value))
        ticks.set_minor_locator(ticker.NullLocator())
    if legend:
        axis.legend(loc=legend, fontsize=8, frameon=False)


def _log_locator(low, high, wide):
    """Ticks of a logarithmic axis: more where it spans less, and few if it is wide."""
    if high < 3 * low:
        return ticker.MaxNLocator(7, steps=[1, 2, 5, 10])
    if high < 10 * low:
        return ticker.LogLocator(subs=(1, 1.5, 2, 3, 5, 7))
    return ticker.LogLocator(subs=(1, 2, 5) if high <= wide * low else (1,))


def error(accuracy):
    """The share of errors; where there are none, half an image of 10,000.

    For a logarithmic scale has no zero.
    """
    return np.maximum(1 - accuracy, 0.5 / 10_000)


def plain(value: float, _=None) -> str:
    """A tick as a plain number: 0.00005, 0.5, 20, 5,000."""
    if value < 1000:
        return np.format_float_positional(value, 6, fractional=False, trim="-")
    return f"{value:,.0f}"


def point(axis, name, x, y, deviation=0, text="", *, side="above", size=9, **options):
    """A model's point, with a bar of its deviation and a text beside the bar.

    Args:
        axis, name, x, y: where to draw which model.
        deviation: of y over seeds; 0 or NaN for none.
        text: beside it. "above" is above the bar, whatever is better.
        side: of `SIDES`.
        size: of the marker.
        options: of the marker, as of `plt.errorbar`.
    """
    look = style(name, markersize=size, label=None, linestyle="none") | options
    axis.errorbar(x, y, yerr=deviation or None, capsize=size / 2, **look)
    reach = {"above": 1, "below": -1}.get(side, 0) * np.nan_to_num(deviation)
    faint = {"fontsize": 8, "alpha": options.get("alpha")}
    place = {"textcoords": "offset points"} | SIDES[side]
    axis.annotate(text, (x, y + reach), **place, **faint)


def filled_and_hollow(axis, filled: str, hollow: str) -> None:
    """Entries of the legend that say what filled and what hollow points are."""
    axis.plot([], [], "o", color="#666666", label=filled)
    axis.plot([], [], "o", color="#666666", markerfacecolor="none", label=hollow)


def band(axis, x, values, **style) -> None:
    """A line through the means of several values at each x, and their range."""
    (line,) = axis.plot(x, [np.mean(v) for v in values], **style)
    ends = [min(v) for v in values], [max(v) for v in values]
    axis.fill_between(x, *ends, color=line.get_color(), alpha=0.2)


def by_epoch(axis, runs: list, column: str, **style) -> None:
    """A column of the runs' histories, as a `band` over their seeds.

    "test_error" is what "test_accuracy" leaves.

    Raises:
        ValueError: there are no runs, or they are of several lengths.
    """
    lengths = {len(run.history.epoch) for run in runs}
    if len(lengths) != 1:
        found = " and ".join(map(str, sorted(lengths))) or "no"
        raise ValueError(f"the runs have {found} epochs; give some of one length")
    values = [
        error(run.history.test_accuracy)
        if column == "test_error"
        else run.history[column]
        for run in runs
    ]
    band(axis, runs[0].history.epoch, np.stack(values, axis=1), **style)


def by_amount(axis, runs_by_amount: dict, **style) -> None:
    """The test error against amounts of something, as a `band` over runs of each."""
    amounts, found = zip(*sorted(runs_by_amount.items()), strict=True)
    errors = [[error(run.test_accuracy) for run in runs] for runs in found]
    band(axis, amounts, errors, **style)


def picture(axis, image, title: str = "", fontsize: float = 12) -> None:
    """A grey image without ticks or a frame."""
    axis.imshow(image, cmap="gray_r")
    axis.set_axis_off()
    axis.set_title(title, fontsize=fontsize)
