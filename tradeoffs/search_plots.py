"""The figures of the search for the Small Net, and of what it found."""

import numpy as np

from tradeoffs import article
from tradeoffs import drawing as draw

WANTED = 0.95  # the least accuracy that the article accepts


def searched_networks(table, front, title: str):
    """Every network searched, the front, and what is wanted of them.

    Args:
        table: as from `tradeoffs.read_table`.
        front: the rows of it that no other beats in both.
    """
    figure, axis = draw.axes(4.2)
    learnt = table[table.validation_accuracy > 0]
    for normalized, marker, color in ((True, "o", "#0072b2"), (False, "x", "#d55e00")):
        part = learnt[learnt.batch_norm == normalized]
        text = f"with{'' if normalized else 'out'} batch norm"
        look = {"color": color, "markersize": 4, "alpha": 0.5, "label": text}
        axis.plot(
            part.num_parameters, draw.error(part.validation_accuracy), marker, **look
        )
    ordered = front.sort_values("num_parameters")
    look = {"color": "#222222", "linewidth": 1, "label": "Pareto front"}
    steps = ordered.num_parameters, draw.error(ordered.validation_accuracy)
    axis.step(*steps, where="post", **look)
    axis.axhline(
        1 - WANTED, label=f"the least that is wanted: {WANTED:.0%}", **draw.THIN
    )
    count, accuracy = article.NUM_PARAMETERS["small_net"], article.ACCURACY["small_net"]
    text = f"the article's network (test images): {accuracy:.2%}"
    look = {"markersize": 14, "markeredgecolor": "white", "color": "#009e73"}
    axis.plot(count, draw.error(accuracy), "*", label=text, **look)
    names = "parameters (logarithmic)", "validation error (%)", title
    draw.finish(axis, *names, log="xy", legend="upper right")
    return figure


def search_efficiency(found: dict[str, object], title: str):
    """Best error by the number of networks trained: median and middle half.

    Args:
        found: a way of searching to the lower quartile, median and upper quartile of
            its best accuracy after 1, 2, ... networks, [3, n]; NaN at first.

    Raises:
        ValueError: more than four ways.
    """
    figure, axis = draw.axes(3.6)
    for (name, quartiles), line in draw.with_lines(found):
        low, median, high = draw.error(np.asarray(quartiles))
        tried = range(1, len(median) + 1)
        axis.plot(tried, median, label=name, **line)
        axis.fill_between(tried, low, high, color=line["color"], alpha=0.15)
    names = "networks trained", "best validation error (%)", title
    draw.finish(axis, *names, log="xy", legend="upper right")
    return figure


def learnt_filters(network, title: str):
    """The weights of a Small Net: both convolutions, and the linear layer.

    All on one scale of colours.
    """
    layers = network.conv1, network.conv2, network.linear
    first, second, last = (layer.weight.detach().numpy() for layer in layers)
    columns, rows, *kernel = second.shape
    largest = max(np.abs(weights).max() for weights in (first, second, last))
    figure, axis = draw.axes(0.55 * rows + 1.6, title=title)
    axis.remove()
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.4, columns, 4.5))
    of = "of {} × {}"
    text = f"conv1\n{rows} filters\n{of.format(*first.shape[2:])}"
    _kernels(left, first, text, largest)
    text = f"{of.format(*kernel)}, a row for each input"
    text = f"conv2: a column for each of {columns} filters\n{text}"
    _kernels(middle, second.swapaxes(0, 1), text, largest)
    axis = right.subplots()
    right.colorbar(weights_of(axis, last, largest), ax=axis, label="weight")
    axis.set(xticks=range(columns), yticks=range(10))
    axis.tick_params(labelsize=7)
    draw.finish(axis, "filter of conv2", "digit", f"linear: {columns} × 10")
    return figure


def _kernels(figure, kernels, title, largest):
    """Kernels [rows, columns, height, width], in colours up to the largest weight."""
    panels = figure.subplots(*kernels.shape[:2], squeeze=False)
    for place in np.ndindex(panels.shape):
        weights_of(panels[place], kernels[place], largest)
        panels[place].set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=9)


def weights_of(axis, weights, largest):
    return axis.imshow(weights, cmap="RdBu", vmin=-largest, vmax=largest)


def confusions(labels, predictions, title: str):
    """How often each digit is taken for each other, in images.

    Args:
        labels: the true ones, [n].
        predictions: [n].
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


def mistakes(images, labels, predictions, title: str):
    """Ten images that are taken for another digit; with fewer, some come again.

    Args:
        images: uint8 [n, h, w].
        labels, predictions: [n].

    Raises:
        ValueError: there are none.
    """
    wrong = np.flatnonzero(labels != predictions)
    if not len(wrong):
        raise ValueError("no image is taken for another digit")
    figure, panels = draw.axes(1.6, 10, title=title)
    chosen = wrong[np.linspace(0, len(wrong) - 1, 10).astype(int)]
    for axis, index in zip(panels, chosen, strict=True):
        text = f"{labels[index]} read as {predictions[index]}"
        draw.picture(axis, images[index], text, fontsize=8)
    return figure
