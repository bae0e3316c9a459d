"""The figures of the search for the Small Net, and of what it found."""

from __future__ import annotations

import numpy as np

from tradeoffs import article
from tradeoffs import drawing as draw

LINES = (
    {"color": "#009e73", "linestyle": "-"},
    {"color": "#d55e00", "linestyle": "--"},
    {"color": "#0072b2", "linestyle": "-."},
    {"color": "#e69f00", "linestyle": ":"},
)
WANTED = 0.95  # the least accuracy that the article accepts


def searched_networks(table, front, title: str):
    """Every network searched, the front, and what is wanted of them.

    Args:
        table: as from `tradeoffs.read_table`.
        front: the rows of it that no other beats in both.
        title: of the figure.
    """
    figure, axis = draw.axes(4.2)
    learnt = table[table.validation_accuracy > 0]
    for normalized, marker, color in ((True, "o", "#0072b2"), (False, "x", "#d55e00")):
        part = learnt[learnt.batch_norm == normalized]
        text = f"with{'' if normalized else 'out'} batch norm"
        look = {"color": color, "markersize": 4, "alpha": 0.5, "label": text}
        axis.plot(part.num_parameters, part.validation_accuracy, marker, **look)
    ordered = front.sort_values("num_parameters")
    look = {"color": "#222222", "linewidth": 1, "label": "Pareto front"}
    steps = ordered.num_parameters, ordered.validation_accuracy
    axis.step(*steps, where="post", **look)
    axis.axhline(WANTED, label=f"{WANTED:.0%}", **draw.THIN)
    count, accuracy = article.NUM_PARAMETERS["small_net"], article.ACCURACY["small_net"]
    text = f"the article (test): {count} parameters, {accuracy:.2%}"
    look = {"markersize": 14, "markeredgecolor": "white", "color": "#009e73"}
    axis.plot(count, accuracy, "*", label=text, **look)
    axis.set_ylim(max(0, learnt.validation_accuracy.quantile(0.02) - 0.05), 1)
    names = "parameters (logarithmic)", "validation accuracy (%)", title
    draw.finish(axis, *names, log="x", legend="lower right")
    return figure


def search_efficiency(found: dict[str, list], title: str):
    """Best accuracy by the number of networks trained: mean and range.

    Args:
        found: a way of searching to its repetitions, each [n], NaN at first.
        title: of the figure.
    """
    figure, axis = draw.axes(3.6)
    for (name, rows), line in zip(found.items(), LINES, strict=False):
        values = np.stack(rows, axis=1)
        draw.band(axis, range(1, len(values) + 1), values, label=name, **line)
    names = "networks trained", "best validation accuracy (%)", title
    draw.finish(axis, *names, log="x", legend="lower right")
    return figure


def accuracy_by_epoch(runs_by_label: dict[str, list], title: str):
    """Test accuracy of each epoch, mean and range over seeds, for a few networks."""
    figure, axis = draw.axes(3.4)
    for (name, runs), line in zip(runs_by_label.items(), LINES, strict=False):
        draw.by_epoch(axis, runs, "test_accuracy", label=name, **line)
    text = "epoch (line: mean over seeds, band: their range)"
    draw.finish(axis, text, "test accuracy (%)", title, legend="lower right")
    return figure


def learnt_filters(network, title: str):
    """The weights of a Small Net: both convolutions, and the linear layer."""
    layers = network.conv1, network.conv2, network.linear
    first, second, last = (layer.weight.detach().numpy() for layer in layers)
    columns, rows, *kernel = second.shape
    figure, axis = draw.axes(0.55 * rows + 1.6)
    axis.remove()
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.4, columns, 4.5))
    of = "of {} × {}"
    _kernels(left, first, f"conv1\n{rows} filters\n{of.format(*first.shape[2:])}")
    text = f"{of.format(*kernel)}, a row for each input"
    text = f"conv2: a column for each of {columns} filters\n{text}"
    _kernels(middle, second.swapaxes(0, 1), text)
    axis = right.subplots()
    right.colorbar(_weights(axis, last, np.abs(last).max()), ax=axis, label="weight")
    axis.set(xticks=range(columns), yticks=range(10))
    axis.tick_params(labelsize=7)
    draw.finish(axis, "filter of conv2", "digit", f"linear: {columns} × 10")
    figure.suptitle(title)
    return figure


def _kernels(figure, kernels, title):
    """Kernels [rows, columns, height, width], all on one scale of colours."""
    panels = figure.subplots(*kernels.shape[:2], squeeze=False)
    for place in np.ndindex(panels.shape):
        _weights(panels[place], kernels[place], np.abs(kernels).max())
        panels[place].set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=9)


def _weights(axis, weights, largest):
    return axis.imshow(weights, cmap="RdBu", vmin=-largest, vmax=largest)


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
    figure, axis = draw.axes(4.6)
    axis.imshow(wrong, cmap="Oranges", aspect="auto")
    for row, column in np.argwhere(counts):
        dark = wrong[row, column] > wrong.max() / 2
        color = "white" if dark else "#888888" if row == column else "black"
        look = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
        axis.text(column, row, f"{counts[row, column]:,}", **look)
    axis.set(xticks=range(10), yticks=range(10))
    axis.grid(visible=False)
    draw.finish(axis, "predicted digit", "digit", title)
    return figure


def mistakes(images, labels, predictions, columns: int = 10):
    """Some images that are taken for another digit.

    Args:
        images: uint8 [n, h, w].
        labels, predictions: [n].
        columns: how many to show.
    """
    figure, panels = draw.axes(1.6, columns)
    wrong = np.flatnonzero(labels != predictions)
    chosen = wrong[np.linspace(0, len(wrong) - 1, columns).astype(int)]
    for axis, index in zip(panels, chosen, strict=True):
        text = f"{labels[index]}, not {predictions[index]}"
        draw.picture(axis, images[index], text, fontsize=9)
    figure.suptitle(f"{len(wrong)} test images go wrong; {columns} of them")
    return figure
