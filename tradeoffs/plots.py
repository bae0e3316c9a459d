"""The figures of models and their costs, and what all pages of figures share.

Each function returns its figure. All have one width, a title, and units on both
axes. A model keeps its colour, marker and line in every figure; the three differ
in lightness and in form, so that they tell apart in greyscale too.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, PercentFormatter

from tradeoffs import article
from tradeoffs.tables import inversions, label, summarize

WIDTH = 8.0  # inches, of every figure
STYLES = {
    "keras_mlp": {"color": "#e69f00", "marker": "s", "linestyle": "--"},
    "keras_cnn": {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    "pytorch_cnn": {"color": "#222222", "marker": "^", "linestyle": "-."},
    "gap_cnn": {"color": "#cc79a7", "marker": "D", "linestyle": ":"},
    "small_net": {"color": "#009e73", "marker": "v", "linestyle": "-"},
}
A_READERS_STYLE = {"color": "#d55e00", "marker": "P", "linestyle": "--"}
GREY = "#999999"


def axes(height: float = 3.4, columns: int = 1, rows: int = 1, **options):
    """A figure of the common width, and its axes; options as of `plt.subplots`."""
    size = {"figsize": (WIDTH, height), "dpi": 100, "layout": "constrained"}
    figure, panels = plt.subplots(rows, columns, **size, **options)
    # Closed for pyplot, so that a notebook shows the figure that a cell returns,
    # once, and no other.
    plt.close(figure)
    for axis in np.ravel(panels):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, panels


def style_of(name: str) -> dict:
    """Colour, marker and line of a model, whatever its arguments."""
    return STYLES.get(name.split(",")[0], A_READERS_STYLE)


def percent_axis(axis, text: str = "test accuracy (%)", decimals: int | None = None):
    """Name the y-axis, and write its shares from 0 to 1 as per cent."""
    axis.set_ylabel(text)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals, symbol=""))


def plain(value: float, _=None) -> str:
    """A tick as a plain number: 0.00005, 0.5, 20, 5k, 1M."""
    if value < 1000:
        return np.format_float_positional(value, 6, fractional=False, trim="-")
    return EngFormatter(sep="")(value)


def log_axis(axis, side: str = "x", **options) -> None:
    """A logarithmic axis with plain ticks; call it when everything is drawn."""
    axis.set(**{f"{side}scale": "log"}, **options)
    low, high = getattr(axis, f"get_{side}lim")()
    steps = (1, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5)
    ticks = getattr(axis, f"{side}axis")
    ticks.set_major_locator(LogLocator(subs=steps if high < 1000 * low else (1,)))
    ticks.set_major_formatter(plain)
    ticks.set_minor_formatter(NullFormatter())


def epoch_axis(axis, epochs: int, text: str = "epoch") -> None:
    """Name the x-axis, with a tick every five epochs."""
    axis.set(xlabel=text, xticks=range(0, epochs + 1, 5))


def legend(axis, place: str = "best", **options) -> None:
    """A small legend without a frame."""
    axis.legend(loc=place, frameon=False, **{"fontsize": 8} | options)


def legend_of_fills(axis, filled: str, hollow: str, place: str, **options) -> None:
    """A legend that says what filled and what hollow points are."""
    axis.plot([], [], "o", color="#666666", label=filled)
    axis.plot([], [], "o", color="#666666", markerfacecolor="none", label=hollow)
    legend(axis, place, **options)


def point(axis, name, x, y, deviation=None, *, size=9, hollow=False, **options):
    """A model's point; with a deviation, the bar of it."""
    style = style_of(name)
    options |= {"markerfacecolor": "none" if hollow else style["color"]}
    options |= {"fmt": style["marker"], "color": style["color"], "markersize": size}
    axis.errorbar(x, y, yerr=deviation or None, capsize=size / 2, **options)


def write(axis, text: str, place, offset=(0, 9), **options) -> None:
    """A text beside a place: below it where the offset in points is negative."""
    x, y = offset
    align = {"ha": "left" if x > 0 else "center"}
    align["va"] = "center" if y == 0 else "bottom" if y > 0 else "top"
    shift = {"xytext": offset, "textcoords": "offset points"}
    axis.annotate(text, place, **shift, **align, **options)


def band(axis, x, values, *, color: str, **style) -> None:
    """A line through the means, and a band from the lowest to the highest.

    Args:
        axis: to draw on.
        x: where, [n].
        values: the several values at each x, n lists.
        color: of both.
        style: of the line.
    """
    ends = [min(v) for v in values], [max(v) for v in values]
    axis.plot(x, [np.mean(v) for v in values], color=color, **style)
    axis.fill_between(x, *ends, color=color, alpha=0.2)


def by_epoch(axis, runs: list, column: str, **style) -> None:
    """A column of the runs' histories by epoch, as a `band` over their seeds."""
    epochs = runs[0].history.epoch
    band(axis, epochs, np.stack([run.history[column] for run in runs], 1), **style)
    epoch_axis(axis, int(epochs.max()), "epoch (line: mean over seeds, band: range)")


def picture(axis, image, title: str = "", fontsize: float = 12) -> None:
    """A grey image without ticks or a frame."""
    axis.imshow(image, cmap="gray_r")
    axis.axis("off")
    axis.set_title(title, fontsize=fontsize)


def digits(dataset, columns: int = 10, rows: int = 2):
    """The first training images of each class, one class a column."""
    figure, panels = axes(0.95 * rows + 0.4, columns, rows)
    for digit, column in enumerate(panels.T):
        examples = np.flatnonzero(dataset.train_labels == digit)[:rows]
        for axis, index in zip(column, examples, strict=True):
            picture(axis, dataset.train_images[index])
        column[0].set_title(str(digit))
    figure.suptitle("MNIST: training images of 28 × 28 pixels, by label")
    return figure


def schedule(schedule):
    """The learning rate of each epoch."""
    figure, axis = axes(2.4)
    epochs = np.arange(1, schedule.epochs + 1)
    rates = [schedule.learning_rate_of(epoch) for epoch in epochs]
    axis.step(epochs, rates, where="mid", color="#0072b2", marker=".")
    name, batch = schedule.optimizer.upper(), schedule.batch_size
    axis.set(title=f"The schedule: {name}, batch size {batch}", ylabel="learning rate")
    epoch_axis(axis, schedule.epochs)
    log_axis(axis, "y")
    return figure


def parameters_by_layer(model_label: str, counts: dict[str, int]):
    """A bar for each layer with parameters, its count written beside it."""
    figure, axis = axes(0.45 * len(counts) + 1.1)
    total = sum(counts.values())
    bars = axis.barh(list(counts), list(counts.values()), color="#0072b2")
    shares = [f"{count:,}  ({count / total:.1%})" for count in counts.values()]
    axis.bar_label(bars, shares, padding=4)
    axis.invert_yaxis()
    axis.margins(x=0.22)
    axis.set_title(f"Where the {total:,} parameters of the {model_label} lie")
    axis.set(xlabel="parameters (weights and biases)", ylabel="layer")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def curves(runs_by_model: dict[str, list], title: str):
    """Test loss and test accuracy by epoch, mean and range over seeds.

    Args:
        runs_by_model: model name to its runs of equal length.
        title: of the figure.
    """
    figure, (left, right) = axes(3.6, 2)
    for name, runs in runs_by_model.items():
        seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        style = STYLES[name] | {"markersize": 4, "label": f"{label(name)} ({seeds})"}
        by_epoch(left, runs, "test_loss", **style)
        by_epoch(right, runs, "test_accuracy", **style)
    left.set(title="Test loss", ylabel="cross-entropy (nats)")
    right.set_title("Test accuracy")
    percent_axis(right, "accuracy (%)", 1)
    legend(left)
    figure.suptitle(title)
    return figure


def accuracy_against_parameters(runs: list, title: str):
    """Each model's accuracy and size, with the article's points beside ours."""
    figure, axis = axes(4.0)
    for row in summarize(runs).itertuples():
        place = size, accuracy = row.num_parameters, row.accuracy_mean
        deviation = np.nan_to_num(row.accuracy_std)  # none of a single seed
        point(axis, row.model, size, accuracy, deviation)
        if row.model == "small_net":  # several, one above the other
            write(axis, f"{label(row.variant)}: {size:,}", place, (12, 0))
        if row.variant != row.model:
            continue
        published = article.ACCURACY[row.model]
        # Around ours where the two agree.
        point(axis, row.model, size, published, size=14, hollow=True)
        if row.model != "small_net":
            below = row.model in ("keras_mlp", "pytorch_cnn")  # others are above
            ends = accuracy - deviation, accuracy + deviation, published
            end = (size, min(ends) if below else max(ends))
            text = f"{label(row.model)}\n{size:,}"
            write(axis, text, end, (0, -9 if below else 9))
    axis.margins(x=0.15, y=0.3)
    log_axis(axis, title=title, xlabel="parameters (logarithmic)")
    percent_axis(axis, decimals=1)
    names = "measured: mean ± deviation", "the article"
    legend_of_fills(axis, *names, "best", fontsize=10)
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
    figure, panels = axes(5.4, 3, 2, sharey=True)
    for axis, (column, text) in zip(panels.flat, COST_PANELS.items(), strict=True):
        for row in table.itertuples():
            place = getattr(row, column), row.accuracy_mean, row.accuracy_std
            point(axis, row.Index, *place, size=7, label=label(row.Index))
        axis.margins(x=0.12, y=0.15)
        log_axis(axis, xlabel=text)
        axis.tick_params(labelsize=8)
    for axis in panels[:, 0]:
        percent_axis(axis)
    _name_inversion(panels.flat[list(COST_PANELS).index(NAMED_PANEL)], table)
    handles = panels[0, 0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": len(table)}
    figure.legend(*handles, frameon=False, **place)
    figure.suptitle(title)
    return figure


def _name_inversion(axis, table):
    found = inversions(table, NAMED_PANEL)
    if found.empty:
        return
    pair = found.iloc[0]
    names = [pair.smaller, pair.larger]
    ends = table.loc[names, [NAMED_PANEL, "accuracy_mean"]].to_numpy()
    axis.annotate("", *ends, arrowprops={"arrowstyle": "<->", "color": "#555555"})
    axis.set_title(
        f"{pair.parameters_ratio:,.0f} × fewer parameters, {pair.cost_ratio:.1f} × "
        f"the time:\n{label(pair.smaller)} against {label(pair.larger)}",
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
    figure, panels = axes(3.2, 3)
    time, memory, accuracy = panels
    style, sizes = STYLES[model] | {"markersize": 5}, table.batch_size
    time.plot(sizes, table.epoch_seconds, **style)
    memory.plot(sizes, table.peak_train_memory_mib, label="measured, CPU", **style)
    predicted = style | {"markerfacecolor": "none", "linestyle": ":"}
    predicted |= {"label": "predicted, GPU"}
    memory.plot(sizes, table.predicted_gpu_memory_mib, **predicted)
    legend(memory)
    sizes = sorted(runs_by_size)
    spread = [[run.test_accuracy for run in runs_by_size[size]] for size in sizes]
    band(accuracy, sizes, spread, **style)
    log_axis(time, "y", title="Time", ylabel="seconds an epoch")
    log_axis(memory, "y", title="Memory", ylabel="MiB, training")
    accuracy.set_title("Accuracy after 20 epochs")
    percent_axis(accuracy, decimals=0)
    for axis in panels:
        log_axis(axis, xlabel="batch size")
        axis.tick_params(labelsize=8)
    figure.suptitle(f"The {label(model)}, and nothing but the batch size changed")
    return figure


CARDS_GIB = (8, 24, 80)


def memory_by_image_size(pictures: dict, volumes: dict):
    """Predicted GPU memory of training at batch 1, and where a card is full.

    Args:
        pictures, volumes: model name to a DataFrame of `predict_memory`.
    """
    figure, panels = axes(3.8, 2, sharey=True)
    for axis, tables in zip(panels, (pictures, volumes), strict=True):
        for name, table in tables.items():
            sizes = [shape[-1] for shape in table.input_shape]
            style = STYLES[name] | {"markersize": 5, "label": label(name)}
            axis.plot(sizes, table.reserved_mib / 1024, **style)
        for card in CARDS_GIB:
            axis.axhline(card, color=GREY, linewidth=1, linestyle="--")
            text = f"a card of {card} GiB is full"
            place = min(sizes), card
            write(axis, text, place, (1, 2), fontsize=7, color="#555555")
        log_axis(axis)
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panels[0].set(title="Pictures", xlabel="width = height (pixels)")
    panels[1].set(title="Volumes", xlabel="width = height = depth (voxels)")
    log_axis(panels[0], "y", ylabel="memory (GiB), without the driver's")
    legend(panels[0], "lower right")
    figure.suptitle("Training at batch size 1: predicted GPU memory")
    return figure


def filter_sweep(runs: list, reference: dict[str, list], title: str):
    """Accuracy of networks of many sizes against their parameters.

    Args:
        runs: a run each network.
        reference: model name to its runs over seeds, drawn with deviation.
        title: of the figure.
    """
    figure, axis = axes(3.8)
    for run in runs:
        filters = "-".join(map(str, run.experiment.model_arguments["filters"]))
        place = run.num_parameters, run.test_accuracy
        point(axis, "gap_cnn", *place, size=5, alpha=0.6)
        write(axis, filters, place, (0, -5), fontsize=7)
    for row in summarize([r for runs in reference.values() for r in runs]).itertuples():
        text = f"{label(row.model)}, {row.seeds} seeds"
        place = row.num_parameters, row.accuracy_mean, row.accuracy_std
        point(axis, row.model, *place, label=text)
    axis.margins(y=0.12)
    text = "parameters (logarithmic); beside a point: filters of both convolutions"
    log_axis(axis, title=title, xlabel=text)
    percent_axis(axis)
    legend(axis, "lower right", fontsize=10)
    return figure


def rule_of_thumb(bounds, counts: dict[str, int]):
    """Numbers of parameters on a line, with the range that the rule advises."""
    figure, axis = axes(2.2)
    axis.axvspan(bounds.lower, bounds.upper, color="#009e73", alpha=0.12)
    for height, (name, count) in enumerate(counts.items()):
        point(axis, name, count, height, size=6)
        write(axis, f"{label(name)}, {count:,}", (count, height), (9, 0), fontsize=8)
    ends = f"from {bounds.lower:,} to {bounds.upper:,} parameters"
    axis.set(xlim=(100, 2e7), ylim=(-0.7, len(counts) - 0.3), yticks=[])
    title = f"The rule of thumb for MNIST: {ends}"
    log_axis(axis, title=title, xlabel="parameters (logarithmic)")
    axis.spines["left"].set_visible(False)
    return figure


def canvas(image, evidence, digit: int):
    """A canvas, and where on it a network sees its answer.

    Args:
        image: [height, width], what the network was given.
        evidence: [height, width], the last convolution's output for the digit.
        digit: the answer.
    """
    figure, (left, right) = axes(3.4, 2)
    left.imshow(image, cmap="gray_r")
    left.set_title(f"{image.shape[0]} × {image.shape[1]} pixels")
    shown = right.imshow(evidence, cmap="viridis")
    right.set_title(f"evidence for a {digit}, before its average")
    figure.colorbar(shown, ax=right, label="last convolution's output")
    for axis in (left, right):
        axis.grid(visible=False)
        axis.set(xlabel="column", ylabel="row")
    return figure
