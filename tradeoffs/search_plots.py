"""The figures of the search for the Small Net, and of what it found."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MultipleLocator

from tradeoffs import article
from tradeoffs.drawing import (
    GREY,
    STYLES,
    axes,
    band,
    by_epoch,
    legend,
    log_axis,
    percent_axis,
    picture,
)

COLORS = ("#009e73", "#d55e00", "#0072b2", "#e69f00")
LINES = [
    {"color": color, "linestyle": line}
    for color, line in zip(COLORS, ("-", "--", "-.", ":"), strict=True)
]
WANTED = 0.95  # the least accuracy that the article accepts


def searched_networks(table, front, title: str):
    """Every network searched, the front, and what is wanted of them.

    Args:
        table: as from `tradeoffs.read_table`.
        front: the rows of it that no other beats in both.
        title: of the figure.
    """
    figure, axis = axes(4.2)
    learnt = table[table.validation_accuracy > 0]
    points = {"marker": "o", "color": "#0072b2", "label": "with batch norm"}
    crosses = {"marker": "x", "color": "#d55e00", "label": "without batch norm"}
    for part, style in (
        (learnt[learnt.batch_norm], points),
        (learnt[~learnt.batch_norm], crosses),
    ):
        style |= {"linestyle": "none", "markersize": 4, "alpha": 0.5}
        axis.plot(part.num_parameters, part.validation_accuracy, **style)
    ordered = front.sort_values("num_parameters")
    ends = ordered.num_parameters, ordered.validation_accuracy
    line = {"color": "#222222", "linewidth": 1, "label": "Pareto front"}
    axis.step(*ends, where="post", **line)
    line = {"color": GREY, "linewidth": 1, "linestyle": "--"}
    axis.axhline(WANTED, label=f"{WANTED:.0%}", **line)
    count, accuracy = article.NUM_PARAMETERS["small_net"], article.ACCURACY["small_net"]
    text = f"the article (test): {count} parameters, {accuracy:.2%}"
    star = {"markersize": 14, "markeredgecolor": "white", "linestyle": "none"}
    star |= {"color": STYLES["small_net"]["color"], "label": text}
    axis.plot(count, accuracy, "*", **star)
    lowest = max(0, learnt.validation_accuracy.quantile(0.02) - 0.05)
    log_axis(axis, title=title, xlabel="parameters (logarithmic)", ylim=(lowest, 1))
    axis.yaxis.set_major_locator(MultipleLocator(0.05))
    percent_axis(axis, "validation accuracy (%)", 0)
    legend(axis, "lower right")
    return figure


def search_efficiency(found: dict[str, list], title: str):
    """Best accuracy by the number of networks trained: mean and range.

    Args:
        found: a way of searching to its repetitions, each [n], NaN at first.
        title: of the figure.
    """
    figure, axis = axes(3.6)
    for (name, rows), line in zip(found.items(), LINES, strict=False):
        values = np.stack(rows, axis=1)
        band(axis, range(1, len(values) + 1), values, label=name, **line)
    log_axis(axis, title=title, xlabel="networks trained")
    percent_axis(axis, "best validation accuracy (%)", 1)
    legend(axis, "lower right", fontsize=10)
    return figure


def accuracy_by_epoch(runs_by_label: dict[str, list], title: str):
    """Test accuracy of each epoch, mean and range over seeds, for a few networks."""
    figure, axis = axes(3.4)
    for (name, runs), line in zip(runs_by_label.items(), LINES, strict=False):
        by_epoch(axis, runs, "test_accuracy", label=name, **line)
    axis.set_title(title)
    percent_axis(axis, decimals=0)
    legend(axis, "lower right", fontsize=10)
    return figure


def learnt_filters(network, title: str):
    """The weights of a Small Net: both convolutions, and the linear layer."""
    layers = network.conv1, network.conv2, network.linear
    first, second, last = (layer.weight.detach().numpy() for layer in layers)
    columns, rows = second.shape[:2]
    figure, axis = axes(0.55 * rows + 1.6)
    axis.remove()
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.4, columns, 4.5))
    kernel = "{} × {}".format(*first.shape[2:])
    _pictures(left, first, f"conv1\n{rows} filters\nof {kernel}")
    kernel = "{} × {}".format(*second.shape[2:])
    text = f"of {kernel}, a row for each input"
    text = f"conv2: a column for each of {columns} filters\n{text}"
    _pictures(middle, second.swapaxes(0, 1), text)
    axis = right.subplots()
    limit = np.abs(last).max()
    shown = axis.imshow(last, cmap="RdBu", vmin=-limit, vmax=limit)
    axis.set(title=f"linear: {columns} × 10", xlabel="filter of conv2", ylabel="digit")
    axis.set(xticks=range(columns), yticks=range(10))
    axis.tick_params(labelsize=7)
    right.colorbar(shown, ax=axis, label="weight")
    figure.suptitle(title)
    return figure


def _pictures(figure, kernels, title):
    """Kernels [rows, columns, height, width], all on one scale of colours."""
    panels = figure.subplots(*kernels.shape[:2], squeeze=False)
    limit = np.abs(kernels).max()
    for place in np.ndindex(panels.shape):
        panels[place].imshow(kernels[place], cmap="RdBu", vmin=-limit, vmax=limit)
        panels[place].set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=9)


def confusions(labels, predictions, title: str):
    """How often each digit is taken for each other, in images.

    Args:
        labels: the true ones, [n].
        predictions: [n].
        title: of the figure.
    """
    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (labels, predictions), 1)
    wrong = counts * (1 - np.eye(10, dtype=int))
    figure, axis = axes(4.6)
    axis.imshow(wrong, cmap="Oranges", aspect="auto")
    for row, column in np.argwhere(counts):
        dark = wrong[row, column] > wrong.max() / 2
        color = "white" if dark else "#888888" if row == column else "black"
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
        axis.text(column, row, f"{counts[row, column]:,}", **style)
    axis.set(title=title, xlabel="predicted digit", ylabel="digit")
    axis.set(xticks=range(10), yticks=range(10))
    axis.grid(visible=False)
    return figure


def mistakes(images, labels, predictions, columns: int = 10):
    """Some images that are taken for another digit.

    Args:
        images: uint8 [n, h, w].
        labels, predictions: [n].
        columns: how many to show.
    """
    figure, panels = axes(1.6, columns)
    wrong = np.flatnonzero(labels != predictions)
    chosen = wrong[np.linspace(0, len(wrong) - 1, columns).astype(int)]
    for axis, index in zip(panels, chosen, strict=True):
        text = f"{labels[index]}, not {predictions[index]}"
        picture(axis, images[index], text, fontsize=9)
    figure.suptitle(f"{len(wrong)} test images go wrong; {columns} of them")
    return figure
