"""The figures of models, their trainings and their costs; each function returns one.

Near 100 % accuracies look alike, so figures show the test error, what the accuracy
leaves, on a logarithmic axis: lower is better.
"""

import numpy as np

from tradeoffs import article
from tradeoffs import drawing as draw
from tradeoffs.labels import label
from tradeoffs.tables import summarize

ERROR = "test error (%)"
PARAMETERS = "parameters (logarithmic)"
STEPS = 50  # of an epoch, where a rate that changes with the steps is drawn
_EPOCHS = "epoch", "epoch (line: mean, band: range over seeds)"
# Where a model's text stands, so that none touches another.
_SIDES = {"gap_cnn": "below", "keras_cnn": "below", "small_net": "right"}


def schedule(schedule, title: str):
    """The learning rate of each epoch."""
    figure, axis = draw.axes(2.4)
    epochs = np.arange(1, schedule.epochs + 1)
    rates = np.array([schedule.learning_rate_of(epoch) for epoch in epochs])
    if schedule.cycle:  # in which the rate changes with each step
        shares = np.array(list(schedule.shares(STEPS)))
        steps = 0.5 + np.arange(1, len(shares) + 1) / STEPS
        axis.plot(steps, rates.repeat(STEPS) * shares, color="#0072b2")
    else:
        axis.step(epochs, rates, where="mid", color="#0072b2", marker=".")
    draw.finish(axis, "epoch", "learning rate", title, log="y")
    return figure


def parameters_by_layer(counts: dict[str, int], model: str):
    """A bar for each layer with parameters, its count written beside it.

    Args:
        counts: as from `tradeoffs.parameters_by_layer`.
        model: its name, for the title, which says which layer is the largest.
    """
    counts = {name: count for name, count in counts.items() if count}
    figure, axis = draw.axes(0.45 * len(counts) + 1.1)
    total = sum(counts.values())
    bars = axis.barh(list(counts), list(counts.values()), color="#0072b2")
    shares = {name: f"{100 * count / total:.3g} %" for name, count in counts.items()}
    texts = [f"{count:,}  ({shares[name]})" for name, count in counts.items()]
    axis.bar_label(bars, texts, padding=4)
    axis.invert_yaxis()
    axis.margins(x=0.28)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    largest = max(counts, key=counts.get)
    title = (
        f"{shares[largest]} of the {model}'s {total:,} parameters are in {largest!r}"
    )
    draw.finish(axis, "parameters (weights and biases)", "layer", title)
    return figure


def curves(runs_by_name: dict[str, list], title: str, mine: list = ()):
    """Test loss and test error by epoch, mean and range over seeds.

    Args:
        runs_by_name: a model's name to its runs of equal length.
        mine: runs of the reader's own, drawn over them; the last one stands out.
    """
    figure, (left, right) = draw.axes(3.6, 2, title=title)
    for name, runs in runs_by_name.items():
        seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        style = draw.style(name, markersize=4, label=f"{label(name)} ({seeds})")
        draw.by_epoch(left, runs, "test_loss", **style)
        draw.by_epoch(right, runs, "test_error", **style | {"label": None})
    for place, run in enumerate(mine, 1):
        last = place == len(mine)
        style = draw.A_READERS | {"markersize": 9 if last else 5}
        style |= {"alpha": 1 if last else 0.4, "zorder": 5}
        text = f"my run {place}" if last else None
        draw.by_epoch(left, [run], "test_loss", **style, label=text)
        draw.by_epoch(right, [run], "test_error", **style)
    several = any(len(runs) > 1 for runs in runs_by_name.values())
    draw.finish(left, _EPOCHS[several], "cross-entropy (nats)", "Test loss", log="y")
    draw.finish(right, _EPOCHS[several], "error (%)", "Test error", log="y")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def error_by_epoch(
    runs_by_label: dict[str, list], title: str, column="test_error", mine: list = ()
):
    """Test error of each epoch, mean and range over seeds, for a few networks.

    Args:
        runs_by_label: what was trained to its runs of equal length; four at most.
        column: "train_loss" in place of the error.
        mine: runs of the reader's own, drawn over them, each from its first epoch.

    Raises:
        ValueError: more than four networks.
    """
    figure, axis = draw.axes(3.4)
    for (name, runs), line in draw.with_lines(runs_by_label):
        draw.by_epoch(axis, runs, column, label=name, **line)
    for place, run in enumerate(mine):
        text = f"my runs ({len(mine)})" if not place else None
        draw.by_epoch(axis, [run], column, **draw.A_READERS, label=text)
    several = any(len(runs) > 1 for runs in runs_by_label.values())
    ylabel = ERROR if column == "test_error" else "training loss (nats)"
    draw.finish(axis, _EPOCHS[several], ylabel, title, log="y", legend="upper right")
    return figure


def error_against_parameters(runs: list, title: str):
    """Each model's test error and size, with the article's points beside ours."""
    figure, axis = draw.axes(4.0)
    for row in summarize(runs).itertuples():
        x, name = row.num_parameters, row.model
        small = name == "small_net"  # several, one above the other
        text = f"{label(row.variant)}{': ' if small else chr(10)}{x:,}"
        side = _SIDES.get(name, "above")
        error = draw.error(row.accuracy_mean)
        draw.point(axis, name, x, error, row.accuracy_std, text, side=side)
        # Hollow, and around ours where the two agree.
        if row.variant == name in article.ACCURACY:
            published = 1 - article.ACCURACY[name]
            text = f"the article's: {x:,}" if small else ""
            look = {"size": 14, "markerfacecolor": "none", "side": side}
            draw.point(axis, name, x, published, text=text, **look)
    draw.filled_and_hollow(axis, "measured: mean ± deviation", "the article")
    finish_by_size(figure, axis, title, x=0.15, y=0.2)
    return figure


def finish_by_size(figure, axis, title: str, **margins) -> None:
    """End a figure of test errors against parameters: its scales, names and legend."""
    axis.set(xscale="log", yscale="log")  # so that margins are of what is seen
    axis.margins(**margins)
    draw.finish(axis, PARAMETERS, ERROR, title, log="xy")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def filter_sweep(runs: list, reference: dict[str, list], title: str):
    """Test error of networks of many sizes against their parameters.

    Args:
        runs: a run each network.
        reference: model name to its runs over seeds, drawn with deviation.
    """
    figure, axis = draw.axes(3.8)
    for run in runs:
        filters = "-".join(map(str, run.experiment.model_arguments["filters"]))
        place = run.num_parameters, draw.error(run.test_accuracy)
        look = {"size": 5, "alpha": 0.6, "side": "below"}
        draw.point(axis, run.experiment.model, *place, text=filters, **look)
    for row in summarize([r for runs in reference.values() for r in runs]).itertuples():
        place = row.num_parameters, draw.error(row.accuracy_mean), row.accuracy_std
        text = f"{label(row.model)}, {row.seeds} seeds"
        draw.point(axis, row.model, *place, label=text)
    axis.set_yscale("log")
    axis.margins(y=0.15)
    text = f"{PARAMETERS}; below a point: filters of both convolutions"
    draw.finish(axis, text, ERROR, title, log="xy", legend="upper right")
    return figure


def losses_by_size(runs: list, title: str):
    """The losses on the training and the test images after the last epoch.

    Args:
        runs: a run each network, trained without dropout, which would add to the
            loss on the training images alone.
    """
    figure, axis = draw.axes(3.4)
    ordered = sorted(runs, key=lambda run: run.num_parameters)
    sizes = [run.num_parameters for run in ordered]
    train = [run.history.train_loss.iloc[-1] for run in ordered]
    test = [run.test_loss for run in ordered]
    axis.fill_between(
        sizes, train, test, color="#cc79a7", alpha=0.15, label="difference"
    )
    axis.plot(sizes, train, "o--", color="#0072b2", label="training images")
    axis.plot(sizes, test, "s-", color="#d55e00", label="test images")
    names = PARAMETERS, "cross-entropy, last epoch (nats)", title
    draw.finish(axis, *names, log="xy", legend="upper right")
    return figure


def rule_of_thumb(bounds, counts: dict[str, int], title: str):
    """Numbers of parameters on a line, with the range that the rule advises."""
    figure, axis = draw.axes(2.6)
    axis.axvspan(bounds.lower, bounds.upper, color="#009e73", alpha=0.12)
    for height, (name, count) in enumerate(counts.items()):
        text = f"{label(name)}, {count:,}"
        side = "left" if count < bounds.lower else "above"
        draw.point(axis, name, count, height, text=text, size=6, side=side)
    axis.set(xlim=(100, 2e7), ylim=(-0.7, len(counts)), yticks=[])
    axis.spines["left"].set_visible(False)
    draw.finish(axis, PARAMETERS, "", title, log="x")
    return figure


def canvas(image, evidence, title: str):
    """A canvas, and where on it a network sees a digit.

    Args:
        image: [height, width], what the network was given.
        evidence: [height, width], the last convolution's output for the digit.
    """
    figure, (left, right) = draw.axes(3.4, 2, title=title)
    left.imshow(image, cmap="gray_r")
    shown = right.imshow(evidence, cmap="viridis")
    figure.colorbar(shown, ax=right, label="last convolution's output")
    draw.finish(left, "column", "row", "{} × {} pixels".format(*image.shape))
    draw.finish(right, "column", "row", "the digit's picture, before it is pooled")
    for axis in (left, right):
        axis.grid(visible=False)
    return figure
