"""The figures of models, their trainings and their costs; each function returns one."""

from __future__ import annotations

import numpy as np

from tradeoffs import article
from tradeoffs import drawing as draw
from tradeoffs.tables import inversions, label, summarize

ACCURACY = "test accuracy (%)"
PARAMETERS = "parameters (logarithmic)"


def digits(dataset, columns: int = 10, rows: int = 2):
    """The first training images of each class, one class a column."""
    figure, panels = draw.axes(0.95 * rows + 0.4, columns, rows)
    for digit, column in enumerate(panels.T):
        examples = np.flatnonzero(dataset.train_labels == digit)[:rows]
        for axis, index in zip(column, examples, strict=True):
            draw.picture(axis, dataset.train_images[index])
        column[0].set_title(str(digit))
    figure.suptitle("MNIST: training images of 28 × 28 pixels, by label")
    return figure


def schedule(schedule):
    """The learning rate of each epoch."""
    figure, axis = draw.axes(2.4)
    epochs = np.arange(1, schedule.epochs + 1)
    rates = [schedule.learning_rate_of(epoch) for epoch in epochs]
    axis.step(epochs, rates, where="mid", color="#0072b2", marker=".")
    name, batch = schedule.optimizer.upper(), schedule.batch_size
    title = f"The schedule: {name}, batch size {batch}"
    draw.finish(axis, "epoch", "learning rate", title, log="y")
    return figure


def parameters_by_layer(model_label: str, counts: dict[str, int]):
    """A bar for each layer with parameters, its count written beside it."""
    figure, axis = draw.axes(0.45 * len(counts) + 1.1)
    total = sum(counts.values())
    bars = axis.barh(list(counts), list(counts.values()), color="#0072b2")
    shares = [f"{count:,}  ({count / total:.1%})" for count in counts.values()]
    axis.bar_label(bars, shares, padding=4)
    axis.invert_yaxis()
    axis.margins(x=0.22)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    title = f"Where the {total:,} parameters of the {model_label} lie"
    draw.finish(axis, "parameters (weights and biases)", "layer", title)
    return figure


def curves(runs_by_model: dict[str, list], title: str):
    """Test loss and test accuracy by epoch, mean and range over seeds.

    Args:
        runs_by_model: model name to its runs of equal length.
        title: of the figure.
    """
    figure, (left, right) = draw.axes(3.6, 2)
    for name, runs in runs_by_model.items():
        seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        style = draw.style(name, markersize=4, label=f"{label(name)} ({seeds})")
        draw.by_epoch(left, runs, "test_loss", **style)
        draw.by_epoch(right, runs, "test_accuracy", **style)
    epochs = "epoch (line: mean, band: range over seeds)"
    draw.finish(left, epochs, "cross-entropy (nats)", "Test loss", legend="best")
    draw.finish(right, epochs, "accuracy (%)", "Test accuracy")
    figure.suptitle(title)
    return figure


def accuracy_against_parameters(runs: list, title: str):
    """Each model's accuracy and size, with the article's points beside ours."""
    figure, axis = draw.axes(4.0)
    for row in summarize(runs).itertuples():
        x, name = row.num_parameters, row.model
        small = name == "small_net"  # several, one above the other
        text = f"{label(row.variant)}{': ' if small else chr(10)}{x:,}"
        crowded = name in ("keras_mlp", "pytorch_cnn")  # others are above them
        side = "right" if small else "below" if crowded else "above"
        draw.point(axis, name, x, row.accuracy_mean, row.accuracy_std, text, side=side)
        if row.variant == name:  # hollow, and around ours where the two agree
            published = article.ACCURACY[name]
            draw.point(axis, name, x, published, size=14, markerfacecolor="none")
    draw.filled_and_hollow(axis, "measured: mean ± deviation", "the article")
    axis.margins(x=0.15, y=0.3)
    draw.finish(axis, PARAMETERS, ACCURACY, title, log="x", legend="best")
    return figure


COST_PANELS = {
    "inference_seconds": "inference, 10,000 images (s)",
    "num_parameters": "parameters",
    "file_bytes": "file (bytes)",
    "epoch_seconds": "training, one epoch (s)",
    "latency_ms_p50": "latency of one image (ms)",
    "peak_train_memory_mib": "memory in training (MiB)",
}


def accuracy_against_costs(table, title: str):
    """One small panel a cost; the surest exception to 'less is less' is named.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        title: of the figure.
    """
    figure, panels = draw.axes(5.4, 3, 2, sharey=True)
    for axis, (column, text) in zip(panels.flat, COST_PANELS.items(), strict=True):
        for row in table.itertuples():
            place = getattr(row, column), row.accuracy_mean, row.accuracy_std
            draw.point(axis, row.Index, *place, size=7, label=label(row.Index))
        axis.margins(x=0.12, y=0.15)
        axis.tick_params(labelsize=8)
        first = axis in panels[:, 0]
        draw.finish(axis, text, ACCURACY, log="x")
        axis.yaxis.label.set_visible(first)
    _name_inversion(panels[0, 0], table, "inference_seconds")
    entries = panels[0, 0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": len(table)}
    figure.legend(*entries, frameon=False, **place)
    figure.suptitle(title)
    return figure


def _name_inversion(axis, table, column):
    found = inversions(table, column)
    for pair in found[:1].itertuples():
        names = [pair.smaller, pair.larger]
        ends = table.loc[names, [column, "accuracy_mean"]].to_numpy()
        axis.annotate("", *ends, arrowprops={"arrowstyle": "<->", "color": "#555555"})
        few = f"{pair.parameters_ratio:,.0f} × fewer parameters"
        much = f"{pair.cost_ratio:.1f} × the time"
        text = f"{few}, {much}:\n{' against '.join(map(label, names))}"
        axis.set_title(text, fontsize=8, color="#444444")


def batch_sizes(table, runs_by_size: dict[int, list], model: str):
    """Time, memory and accuracy against the batch size.

    Args:
        table: columns batch_size, epoch_seconds, peak_train_memory_mib and
            predicted_gpu_memory_mib.
        runs_by_size: recorded runs of equal length.
        model: its name.
    """
    figure, (time, memory, accuracy) = draw.axes(3.2, 3)
    measured = draw.style(model, label="measured, CPU")
    predicted = measured | {"label": "predicted, GPU", "markerfacecolor": "none"}
    time.plot(table.batch_size, table.epoch_seconds, **measured)
    memory.plot(table.batch_size, table.peak_train_memory_mib, **measured)
    memory.plot(table.batch_size, table.predicted_gpu_memory_mib, **predicted)
    spread = [[run.test_accuracy for run in runs] for runs in runs_by_size.values()]
    draw.band(accuracy, list(runs_by_size), spread, **measured)
    size, both = "batch size", {"log": "xy"}
    draw.finish(time, size, "seconds an epoch", "Time", **both)
    draw.finish(memory, size, "MiB, training", "Memory", legend="best", **both)
    draw.finish(accuracy, size, ACCURACY, "Accuracy after 20 epochs", log="x")
    figure.suptitle(f"The {label(model)}, and nothing but the batch size changed")
    return figure


CARDS_GIB = (8, 24, 80)


def memory_by_image_size(pictures: dict, volumes: dict):
    """Predicted GPU memory of training at batch 1, and where a card is full.

    Args:
        pictures, volumes: model name to a DataFrame of `predict_memory`.
    """
    figure, panels = draw.axes(3.8, 2, sharey=True)
    for axis, tables in zip(panels, (pictures, volumes), strict=True):
        for name, table in tables.items():
            sizes = [shape[-1] for shape in table.input_shape]
            axis.plot(sizes, table.reserved_mib / 1024, **draw.style(name))
        for card in CARDS_GIB:
            axis.axhline(card, **draw.THIN)
            text = f"a card of {card} GiB is full"
            axis.text(sizes[0], card * 1.1, text, fontsize=7, color="#555555")
    left, right = panels
    memory, log = "memory (GiB), without the driver's", {"log": "xy"}
    draw.finish(left, "width = height (pixels)", memory, "Pictures", **log)
    draw.finish(right, "width = height = depth (voxels)", "", "Volumes", **log)
    left.legend(loc="lower right", fontsize=8, frameon=False)
    figure.suptitle("Training at batch size 1: predicted GPU memory")
    return figure


def filter_sweep(runs: list, reference: dict[str, list], title: str):
    """Accuracy of networks of many sizes against their parameters.

    Args:
        runs: a run each network.
        reference: model name to its runs over seeds, drawn with deviation.
        title: of the figure.
    """
    figure, axis = draw.axes(3.8)
    for run in runs:
        filters = "-".join(map(str, run.experiment.model_arguments["filters"]))
        place = run.num_parameters, run.test_accuracy
        look = {"size": 5, "alpha": 0.6, "side": "below"}
        draw.point(axis, run.experiment.model, *place, text=filters, **look)
    for row in summarize([r for runs in reference.values() for r in runs]).itertuples():
        place = row.num_parameters, row.accuracy_mean, row.accuracy_std
        text = f"{label(row.model)}, {row.seeds} seeds"
        draw.point(axis, row.model, *place, label=text)
    axis.margins(y=0.12)
    text = f"{PARAMETERS}; beside a point: filters of both convolutions"
    draw.finish(axis, text, ACCURACY, title, log="x", legend="lower right")
    return figure


def rule_of_thumb(bounds, counts: dict[str, int]):
    """Numbers of parameters on a line, with the range that the rule advises."""
    figure, axis = draw.axes(2.2)
    axis.axvspan(bounds.lower, bounds.upper, color="#009e73", alpha=0.12)
    for height, (name, count) in enumerate(counts.items()):
        text = f"{label(name)}, {count:,}"
        draw.point(axis, name, count, height, text=text, size=6, side="right")
    axis.set(xlim=(100, 2e7), ylim=(-0.7, len(counts) - 0.3), yticks=[])
    axis.spines["left"].set_visible(False)
    ends = f"from {bounds.lower:,} to {bounds.upper:,} parameters"
    title = f"The rule of thumb for MNIST: {ends}"
    draw.finish(axis, PARAMETERS, "", title, log="x")
    return figure


def canvas(image, evidence, digit: int):
    """A canvas, and where on it a network sees its answer.

    Args:
        image: [height, width], what the network was given.
        evidence: [height, width], the last convolution's output for the digit.
        digit: the answer.
    """
    figure, (left, right) = draw.axes(3.4, 2)
    left.imshow(image, cmap="gray_r")
    shown = right.imshow(evidence, cmap="viridis")
    figure.colorbar(shown, ax=right, label="last convolution's output")
    pixels = "{} × {} pixels".format(*image.shape)
    draw.finish(left, "column", "row", pixels)
    draw.finish(right, "column", "row", f"evidence for a {digit}, before its average")
    for axis in (left, right):
        axis.grid(visible=False)
    return figure
