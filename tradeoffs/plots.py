"""Every figure of the series; each function returns it.

All have one width, a title, and units on both axes. A model keeps its colour,
marker and line in every figure; the three differ in lightness and in form, so
that they tell apart in greyscale too.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

from tradeoffs import article
from tradeoffs.models import MODELS
from tradeoffs.tables import inversions, label, summarize

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
    # Closed for pyplot, so that a notebook shows the figure that a cell returns,
    # once, and no other.
    plt.close(figure)
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
        deviation = 0 if row.seeds < 2 else row.accuracy_std
        axis.errorbar(
            row.num_parameters,
            row.accuracy_mean,
            yerr=deviation or None,
            fmt=style["marker"],
            color=style["color"],
            markersize=9,
            capsize=5,
        )
        if row.model == "small_net":  # two of them, one above the other
            axis.annotate(
                f"{label(row.variant)}: {row.num_parameters:,}",
                (row.num_parameters, row.accuracy_mean),
                xytext=(12, 0),
                textcoords="offset points",
                va="center",
            )
        if row.variant != row.model:
            continue
        published = article.ACCURACY[row.model]
        ends = [row.accuracy_mean - deviation, row.accuracy_mean + deviation, published]
        below = row.model in ("keras_mlp", "pytorch_cnn")  # others are above them
        axis.plot(
            row.num_parameters,
            published,
            marker=style["marker"],
            markersize=14,  # around ours where the two agree
            markerfacecolor="none",
            markeredgecolor=style["color"],
            linestyle="none",
        )
        if row.model == "small_net":
            continue
        axis.annotate(
            f"{MODELS[row.model].label}\n{row.num_parameters:,}",
            (row.num_parameters, min(ends) if below else max(ends)),
            xytext=(0, -9 if below else 9),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
        )
    axis.plot([], [], "o", color="#666666", label="measured: mean ± deviation")
    axis.plot(
        [], [], "o", markersize=9, mfc="none", color="#666666", label="the article"
    )
    axis.set(
        title=title,
        xscale="log",
        xlabel="parameters (logarithmic)",
        ylabel="test accuracy (%)",
    )
    axis.margins(x=0.15, y=0.3)
    axis.legend(loc="best", frameon=False)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=""))
    return figure


COST_PANELS = {
    "num_parameters": "parameters",
    "file_bytes": "file (bytes)",
    "epoch_seconds": "training, one epoch (s)",
    "inference_seconds": "inference, 10,000 images (s)",
    "latency_ms_p50": "latency of one image (ms)",
    "peak_train_memory_mib": "memory in training (MiB)",
}
NAMED_PANEL = "inference_seconds"  # where 'fewer parameters, less time' fails


def accuracy_against_costs(table, title: str):
    """One small panel a cost; the surest exception to 'less is less' is named.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        title: of the figure.
    """
    figure, axes = _axes(5.4, 3, 2, sharey=True)
    for axis, (column, name) in zip(axes.flat, COST_PANELS.items(), strict=True):
        for row in table.itertuples():
            style = STYLES[row.Index]
            axis.errorbar(
                getattr(row, column),
                row.accuracy_mean,
                yerr=row.accuracy_std,
                fmt=style["marker"],
                color=style["color"],
                markersize=7,
                capsize=3,
                label=MODELS[row.Index].label,
            )
        axis.margins(y=0.15)
        axis.set(xscale="log", xlabel=name)
        _few_log_ticks(axis, table[column])
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=""))
        if column == NAMED_PANEL:
            _name_inversion(axis, table, column)
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy (%)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False
    )
    figure.suptitle(title)
    return figure


def _few_log_ticks(axis, values):
    low, high = values.min() / 1.6, values.max() * 1.6
    wide = high > 100 * low
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    thousands = EngFormatter(sep="")
    axis.xaxis.set_major_formatter(
        lambda value, _: f"{value:g}" if value < 1000 else thousands(value)
    )
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=8)


def _name_inversion(axis, table, column):
    found = inversions(table, column)
    if found.empty:
        return
    pair = found.iloc[0]
    ends = [(table[column][name], table.accuracy_mean[name]) for name in pair[:2]]
    axis.annotate("", *ends, arrowprops={"arrowstyle": "<->", "color": "#555555"})
    axis.set_title(
        f"{pair.parameters_ratio:,.0f} × fewer parameters, "
        f"{pair.cost_ratio:.1f} × the time:\n{MODELS[pair.smaller].label} against "
        f"{MODELS[pair.larger].label}",
        fontsize=8,
        color="#444444",
    )


def batch_sizes(table, runs_by_size: dict[int, list], model: str):
    """Time, memory and accuracy against the batch size.

    Args:
        table: columns batch_size, epoch_seconds, peak_train_memory_mib and
            predicted_gpu_memory_mib.
        runs_by_size: recorded runs of equal length.
        model: its name.
    """
    figure, axes = _axes(3.2, 3)
    style = STYLES[model] | {"markersize": 5}
    axes[0].plot(table.batch_size, table.epoch_seconds, **style)
    axes[0].set(title="Time", ylabel="seconds an epoch", yscale="log")
    axes[1].plot(
        table.batch_size, table.peak_train_memory_mib, label="measured, CPU", **style
    )
    axes[1].plot(
        table.batch_size,
        table.predicted_gpu_memory_mib,
        label="predicted, GPU",
        **style | {"markerfacecolor": "none", "linestyle": ":"},
    )
    axes[1].set(title="Memory", ylabel="MiB, training", yscale="log")
    axes[1].legend(frameon=False, fontsize=8)
    sizes = sorted(runs_by_size)
    spread = [np.array([r.test_accuracy for r in runs_by_size[s]]) for s in sizes]
    axes[2].plot(sizes, [values.mean() for values in spread], **style)
    axes[2].fill_between(
        sizes,
        [values.min() for values in spread],
        [values.max() for values in spread],
        color=style["color"],
        alpha=0.2,
    )
    axes[2].set(title="Accuracy after 20 epochs", ylabel="test accuracy (%)")
    axes[2].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    for axis in axes:
        axis.set(xscale="log", xlabel="batch size")
        axis.tick_params(labelsize=8)
    figure.suptitle(
        f"The {MODELS[model].label}, and nothing but the batch size changed"
    )
    return figure


CARDS_GIB = (8, 24, 80)


def memory_by_image_size(pictures: dict, volumes: dict):
    """Predicted GPU memory of training at batch 1, and where a card is full.

    Args:
        pictures, volumes: model name to a DataFrame of `predict_memory`.
    """
    figure, axes = _axes(3.8, 2, sharey=True)
    for axis, tables, title, unit in (
        (axes[0], pictures, "Pictures", "width = height (pixels)"),
        (axes[1], volumes, "Volumes", "width = height = depth (voxels)"),
    ):
        for name, table in tables.items():
            sizes = [shape[-1] for shape in table.input_shape]
            axis.plot(
                sizes,
                table.reserved_mib / 1024,
                label=MODELS[name].label,
                **STYLES[name] | {"markersize": 5},
            )
        for card in CARDS_GIB:
            axis.axhline(card, color="#999999", linewidth=1, linestyle="--")
            axis.annotate(
                f"a card of {card} GiB is full",
                (min(sizes), card),
                xytext=(0, 2),
                textcoords="offset points",
                fontsize=7,
                color="#555555",
            )
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set(title=title, xlabel=unit, xscale="log", yscale="log")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
    axes[0].set_ylabel("memory (GiB), without the driver's")
    axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.suptitle("Training at batch size 1: predicted GPU memory")
    return figure


def filter_sweep(runs: list, reference: dict[str, list], title: str):
    """Accuracy of networks of many sizes against their parameters.

    Args:
        runs: a run each network.
        reference: model name to its runs over seeds, drawn with deviation.
        title: of the figure.
    """
    figure, axis = _axes(3.8)
    for run in runs:
        filters = run.experiment.model_arguments["filters"]
        axis.plot(
            run.num_parameters,
            run.test_accuracy,
            color=STYLES["gap_cnn"]["color"],
            marker=STYLES["gap_cnn"]["marker"],
            markersize=5,
            alpha=0.6,
        )
        axis.annotate(
            "-".join(map(str, filters)),
            (run.num_parameters, run.test_accuracy),
            xytext=(0, -12),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    for row in summarize([r for runs in reference.values() for r in runs]).itertuples():
        style = STYLES[row.model]
        axis.errorbar(
            row.num_parameters,
            row.accuracy_mean,
            yerr=row.accuracy_std,
            fmt=style["marker"],
            color=style["color"],
            markersize=9,
            capsize=5,
            label=f"{MODELS[row.model].label}, {row.seeds} seeds",
        )
    axis.legend(frameon=False, loc="lower right")
    axis.set(
        title=title,
        xscale="log",
        xlabel="parameters (logarithmic); beside a point: filters of both convolutions",
        ylabel="test accuracy (%)",
    )
    axis.margins(y=0.12)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=""))
    return figure


def rule_of_thumb(bounds, counts: dict[str, int]):
    """Numbers of parameters on a line, with the range that the rule advises."""
    figure, axis = _axes(2.2)
    axis.axvspan(bounds.lower, bounds.upper, color="#009e73", alpha=0.12)
    for height, (name, count) in enumerate(counts.items()):
        style = STYLES[name]
        axis.plot(count, height, marker=style["marker"], color=style["color"])
        axis.annotate(
            f"{MODELS[name].label}, {count:,}",
            (count, height),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set(
        title=f"The rule of thumb for MNIST: from {bounds.lower:,} to "
        f"{bounds.upper:,} parameters",
        xscale="log",
        xlim=(100, 2e7),
        ylim=(-0.7, len(counts) - 0.3),
        xlabel="parameters (logarithmic)",
        yticks=[],
    )
    axis.spines["left"].set_visible(False)
    return figure


def canvas(image, evidence, digit: int):
    """A canvas, and where on it a network sees its answer.

    Args:
        image: [height, width], what the network was given.
        evidence: [height, width], the last convolution's output for the digit.
        digit: the answer.
    """
    figure, axes = _axes(3.4, 2)
    axes[0].imshow(image, cmap="gray_r")
    axes[0].set(title=f"{image.shape[0]} × {image.shape[1]} pixels")
    shown = axes[1].imshow(evidence, cmap="viridis")
    axes[1].set(title=f"evidence for a {digit}, before its average")
    figure.colorbar(shown, ax=axes[1], label="last convolution's output")
    for axis in axes:
        axis.grid(visible=False)
        axis.set(xlabel="column", ylabel="row")
    return figure
