"""Every figure of the series.

All have one width, a title, and units on both axes. A model keeps its colour,
marker and line in every figure; the three differ in lightness and in form, so
that they tell apart in greyscale too.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from tradeoffs import article
from tradeoffs.comparison import summarize
from tradeoffs.models import MODELS

WIDTH = 8.0  # inches, of every figure
STYLES = {
    "keras_mlp": {"color": "#e69f00", "marker": "s", "linestyle": "--"},
    "keras_cnn": {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    "pytorch_cnn": {"color": "#222222", "marker": "^", "linestyle": "-."},
    "gap_cnn": {"color": "#cc79a7", "marker": "D", "linestyle": ":"},
    "small_net": {"color": "#009e73", "marker": "v", "linestyle": "-"},
}


def _axes(height=3.4, columns=1, rows=1, **options):
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(WIDTH, height),
        dpi=100,
        layout="constrained",
        **options,
    )
    for axis in np.ravel(axes):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def digits(dataset, columns: int = 10, rows: int = 2):
    """The first training images of each class, one class a column."""
    figure, axes = _axes(0.95 * rows + 0.4, columns, rows)
    for digit in range(columns):
        examples = np.flatnonzero(dataset.train_labels == digit)[:rows]
        for row, index in enumerate(examples):
            axis = axes[row, digit]
            axis.imshow(dataset.train_images[index], cmap="gray_r")
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[["left", "bottom"]].set_visible(False)
        axes[0, digit].set_title(str(digit))
    figure.suptitle("MNIST: training images of 28 × 28 pixels, by label")
    return figure


def schedule(schedule):
    """The learning rate of each epoch."""
    figure, axis = _axes(2.4)
    epochs = np.arange(1, schedule.epochs + 1)
    rates = [schedule.learning_rate_of(epoch) for epoch in epochs]
    axis.step(epochs, rates, where="mid", color="#0072b2", marker=".")
    axis.set(
        title=f"The schedule: {schedule.optimizer.upper()}, batch size "
        f"{schedule.batch_size}",
        xlabel="epoch",
        ylabel="learning rate",
        yscale="log",
        xticks=range(0, schedule.epochs + 1, 5),
    )
    return figure


def parameters_by_layer(model_label: str, counts: dict[str, int]):
    """A bar for each layer with parameters, its count written beside it."""
    figure, axis = _axes(0.45 * len(counts) + 1.1)
    names, values = list(counts), list(counts.values())
    bars = axis.barh(names, values, color="#0072b2")
    total = sum(values)
    axis.bar_label(bars, [f"{v:,}  ({v / total:.1%})" for v in values], padding=4)
    axis.invert_yaxis()
    axis.margins(x=0.22)
    axis.set(
        title=f"Where the {total:,} parameters of the {model_label} lie",
        xlabel="parameters (weights and biases)",
        ylabel="layer",
    )
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def curves(runs_by_model: dict[str, list], title: str):
    """Test loss and test accuracy by epoch, mean and range over seeds.

    Args:
        runs_by_model: model name to its runs of equal length.
        title: of the figure.
    """
    figure, axes = _axes(3.6, 2)
    for name, runs in runs_by_model.items():
        style = STYLES[name] | {"markersize": 4}
        label = f"{MODELS[name].label} ({_seeds(runs)})"
        for axis, column in zip(axes, ("test_loss", "test_accuracy"), strict=True):
            values = np.stack([run.history[column] for run in runs])
            epochs = runs[0].history.epoch
            axis.plot(epochs, values.mean(0), label=label, **style)
            axis.fill_between(
                epochs, values.min(0), values.max(0), color=style["color"], alpha=0.2
            )
    axes[0].set(title="Test loss", ylabel="cross-entropy (nats)")
    axes[1].set(title="Test accuracy", ylabel="accuracy (%)")
    axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=""))
    for axis in axes:
        axis.set_xlabel("epoch (line: mean over seeds, band: their range)")
        axis.set_xticks(range(0, int(epochs.max()) + 1, 5))
        axis.xaxis.label.set_size(8)
    axes[0].legend(fontsize=8, frameon=False)
    figure.suptitle(title)
    return figure


def _seeds(runs):
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def accuracy_against_parameters(runs: list, title: str):
    """Each model's accuracy and size, with the article's points beside ours."""
    figure, axis = _axes(4.0)
    table = summarize(runs)
    for row in table.itertuples():
        style = STYLES[row.model]
        axis.errorbar(
            row.num_parameters,
            row.accuracy_mean,
            yerr=None if row.seeds < 2 else row.accuracy_std,
            fmt=style["marker"],
            color=style["color"],
            markersize=9,
            capsize=5,
        )
        published = article.ACCURACY[row.model]
        axis.plot(
            row.num_parameters,
            published,
            marker=style["marker"],
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=style["color"],
            linestyle="none",
        )
        axis.annotate(
            f"{MODELS[row.model].label}\n{row.num_parameters:,}",
            (row.num_parameters, max(row.accuracy_mean, published)),
            xytext=(0, 14),
            textcoords="offset points",
            ha="center",
        )
    axis.plot([], [], "o", color="#666666", label="measured: mean ± deviation")
    axis.plot([], [], "o", mfc="none", color="#666666", label="the article")
    axis.legend(loc="lower right", frameon=False)
    axis.set(
        title=title,
        xscale="log",
        xlabel="parameters (logarithmic)",
        ylabel="test accuracy (%)",
    )
    axis.margins(x=0.15, y=0.3)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=""))
    return figure
