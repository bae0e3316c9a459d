"""The figures of the search for the Small Net, and of what it found."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MultipleLocator, PercentFormatter

from tradeoffs import article
from tradeoffs.plots import STYLES, _axes

COLORS = ("#009e73", "#d55e00", "#0072b2", "#e69f00", "#222222")
LINES = ("-", "--", "-.", ":")
WANTED = 0.95  # the least accuracy that the article accepts


def searched_networks(table, front, title: str):
    """Every network searched, the front, and what is wanted of them.

    Args:
        table: as from `tradeoffs.read_table`.
        front: the rows of it that no other beats in both.
        title: of the figure.
    """
    figure, axis = _axes(4.2)
    learnt = table[table.validation_accuracy > 0]
    for normalized, marker in ((True, "o"), (False, "x")):
        part = learnt[learnt.batch_norm == normalized]
        axis.plot(
            part.num_parameters,
            part.validation_accuracy,
            marker,
            color="#0072b2" if normalized else "#d55e00",
            markersize=4,
            alpha=0.5,
            label=f"with{'' if normalized else 'out'} batch norm",
        )
    ordered = front.sort_values("num_parameters")
    axis.step(
        ordered.num_parameters,
        ordered.validation_accuracy,
        where="post",
        color="#222222",
        linewidth=1,
        label="Pareto front",
    )
    axis.axhline(
        WANTED, color="#999999", linestyle="--", linewidth=1, label=f"{WANTED:.0%}"
    )
    count, accuracy = article.NUM_PARAMETERS["small_net"], article.ACCURACY["small_net"]
    axis.plot(
        count,
        accuracy,
        "*",
        color=STYLES["small_net"]["color"],
        markersize=14,
        markeredgecolor="white",
        linestyle="none",
        label=f"the article (test): {count} parameters, {accuracy:.2%}",
    )
    axis.set(
        title=title,
        xscale="log",
        xlabel="parameters (logarithmic)",
        ylabel="validation accuracy (%)",
        ylim=(max(0, learnt.validation_accuracy.quantile(0.02) - 0.05), 1),
    )
    smallest, largest = learnt.num_parameters.min(), learnt.num_parameters.max()
    ticks = [100 * n for n in (1, 2, 3, 5, 7, 10, 20, 50, 100)]
    ticks = [tick for tick in ticks if smallest / 1.2 <= tick <= largest * 1.2]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
    axis.yaxis.set_major_locator(MultipleLocator(0.05))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def search_efficiency(found: dict[str, list], title: str):
    """Best accuracy by the number of networks trained: mean and range.

    Args:
        found: a way of searching to its repetitions, each [n], NaN at first.
        title: of the figure.
    """
    figure, axis = _axes(3.6)
    for (name, rows), color, line in zip(found.items(), COLORS, LINES, strict=False):
        values = np.stack(rows)
        networks = np.arange(1, values.shape[1] + 1)
        axis.plot(networks, values.mean(0), color=color, linestyle=line, label=name)
        axis.fill_between(
            networks, values.min(0), values.max(0), color=color, alpha=0.15
        )
    axis.set(
        title=title,
        xlabel="networks trained",
        ylabel="best validation accuracy (%)",
        xscale="log",
    )
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if t <= networks[-1]]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=""))
    axis.legend(frameon=False, loc="lower right")
    return figure


def accuracy_by_epoch(runs_by_label: dict[str, list], title: str):
    """Test accuracy of each epoch, mean and range over seeds, for a few networks."""
    figure, axis = _axes(3.4)
    for (name, runs), color, line in zip(
        runs_by_label.items(), COLORS, LINES, strict=False
    ):
        values = np.stack([run.history.test_accuracy for run in runs])
        epochs = runs[0].history.epoch
        axis.plot(epochs, values.mean(0), color=color, linestyle=line, label=name)
        axis.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.15)
    axis.set(
        title=title,
        xlabel="epoch (line: mean over seeds, band: their range)",
        ylabel="test accuracy (%)",
        xticks=range(0, int(epochs.max()) + 1, 5),
    )
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.legend(frameon=False, loc="lower right")
    return figure


def learnt_filters(network, title: str):
    """The weights of a Small Net: both convolutions, and the linear layer."""
    first, second, last = (
        layer.weight.detach().numpy()
        for layer in (network.conv1, network.conv2, network.linear)
    )
    rows, columns = second.shape[1], second.shape[0]
    figure, _ = _axes(0.55 * rows + 1.6)
    figure.clear()
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.4, columns, 4.5))
    kernel = "{} × {}".format(*first.shape[2:])
    _pictures(left, first, rows, 1, f"conv1\n{rows} filters\nof {kernel}")
    kernel = "{} × {}".format(*second.shape[2:])
    _pictures(
        middle,
        second.transpose(1, 0, 2, 3).reshape(-1, 1, *second.shape[2:]),
        rows,
        columns,
        f"conv2: a column for each of {columns} filters\n"
        f"of {kernel}, a row for each input",
    )
    axis = right.subplots()
    limit = np.abs(last).max()
    shown = axis.imshow(last, cmap="RdBu", vmin=-limit, vmax=limit)
    axis.set(
        title=f"linear: {columns} × 10",
        xlabel="filter of conv2",
        ylabel="digit",
        xticks=range(columns),
        yticks=range(10),
    )
    axis.tick_params(labelsize=7)
    right.colorbar(shown, ax=axis, label="weight")
    figure.suptitle(title)
    return figure


def _pictures(figure, kernels, rows, columns, title):
    axes = np.ravel(figure.subplots(rows, columns))
    limit = np.abs(kernels).max()
    for axis, kernel in zip(axes, kernels[:, 0], strict=True):
        axis.imshow(kernel, cmap="RdBu", vmin=-limit, vmax=limit)
        axis.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=9)


def confusions(labels, predictions, title: str):
    """How often each digit is taken for each other, in images.

    Args:
        labels: the true ones, [n].
        predictions: [n].
        title: of the figure.
    """
    import pandas as pd

    counts = pd.crosstab(labels, predictions).reindex(
        index=range(10), columns=range(10), fill_value=0
    )
    figure, axis = _axes(4.6)
    wrong = counts.to_numpy() * (1 - np.eye(10, dtype=int))
    axis.imshow(wrong, cmap="Oranges", aspect="auto")
    for row, column in np.ndindex(10, 10):
        count = counts.iloc[row, column]
        dark = wrong[row, column] > wrong.max() / 2
        axis.text(
            column,
            row,
            f"{count:,}" if count else "",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "#888888" if row == column else "black",
        )
    axis.set(
        title=title,
        xlabel="predicted digit",
        ylabel="digit",
        xticks=range(10),
        yticks=range(10),
    )
    axis.grid(visible=False)
    return figure


def mistakes(images, labels, predictions, columns: int = 10):
    """Some images that are taken for another digit.

    Args:
        images: uint8 [n, h, w].
        labels, predictions: [n].
        columns: how many to show.
    """
    figure, axes = _axes(1.6, columns)
    wrong = np.flatnonzero(labels != predictions)
    chosen = wrong[np.linspace(0, len(wrong) - 1, columns).astype(int)]
    for axis, index in zip(axes, chosen, strict=True):
        axis.imshow(images[index], cmap="gray_r")
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.set_title(f"{labels[index]}, not {predictions[index]}", fontsize=9)
    figure.suptitle(f"{len(wrong)} test images go wrong; {columns} of them")
    return figure
