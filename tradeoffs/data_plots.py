"""The figures of data sets, and of networks that learn from several of them.

Errors are on logarithmic axes, as on the page `plots`.
"""

import numpy as np

from tradeoffs import drawing as draw
from tradeoffs.data import Dataset
from tradeoffs.labels import label
from tradeoffs.plots import ERROR, finish_by_size
from tradeoffs.tables import summarize

# What the classes of Fashion-MNIST are, from label 0 on.
CLOTHES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)


def examples(dataset: Dataset, title: str, names=range(10)):
    """The first two training images of each class, one class a column.

    Args:
        dataset: of grey images.
        names: of the classes, from label 0 on.
    """
    figure, panels = draw.axes(2.3, len(names), 2, title=title)
    for number, (name, column) in enumerate(zip(names, panels.T, strict=True)):
        found = np.flatnonzero(dataset.train_labels == number)
        for axis, index in zip(column, found, strict=False):
            draw.picture(axis, dataset.train_images[index])
        for axis in column[len(found) :]:
            axis.set_axis_off()
        column[0].set_title(str(name), fontsize=10)
    return figure


def smaller(datasets: list[Dataset], border: int, title: str):
    """The mean image with what a crop leaves of it, and one image in several sizes.

    Args:
        datasets: the whole one first.
        border: of the crop, in pixels.
    """
    figure, (first, *panels) = draw.axes(2.2, 1 + len(datasets), title=title)
    mean = datasets[0].train_images.mean(0)
    draw.picture(first, mean, "mean of all", 10)
    side = len(mean) - 2 * border
    first.add_patch(
        draw.plt.Rectangle([border - 0.5] * 2, side, side, fill=False, color="#d55e00")
    )
    for axis, dataset in zip(panels, datasets, strict=True):
        image = dataset.train_images[0]
        draw.picture(axis, image, "{} × {}".format(*image.shape), 10)
    return figure


def error_by_dataset(runs: list, names: dict[str, str], title: str):
    """Test error against parameters, a line a data set through the same networks.

    Args:
        runs: over seeds, of every network on every data set.
        names: a data set's name to what it is called; the first is drawn filled.
    """
    figure, axis = draw.axes(4.4)
    table = summarize(runs).sort_values("num_parameters")
    for place, dataset in enumerate(names):
        rows = table[table.dataset == dataset]
        axis.plot(
            rows.num_parameters, draw.error(rows.accuracy_mean), zorder=1, **draw.THIN
        )
        for row in rows.itertuples():
            look = {"markerfacecolor": "white"} if place else {}
            spot = row.num_parameters, draw.error(row.accuracy_mean), row.accuracy_std
            text = label(row.variant).replace(", ", "\n") if place else ""
            side = "below" if row.model == "keras_cnn" else "above"
            draw.point(axis, row.model, *spot, text, side=side, **look)
    first, second = names.values()
    draw.filled_and_hollow(axis, f"{first}: mean ± deviation", second)
    finish_by_size(figure, axis, title, x=0.1, y=0.2)
    return figure


def error_by_amount(panels: dict, xlabel: str, title: str):
    """Test error against how much there is of something, mean and range over seeds.

    Args:
        panels: a title to the lines of a panel; each a label to a pair: the model,
            for the style, and a mapping of amounts to runs.
        xlabel: of what there is more or less.
    """
    figure, axes = draw.axes(3.6, len(panels), sharey=True, squeeze=False, title=title)
    for axis, (name, lines) in zip(axes[0], panels.items(), strict=True):
        for text, (model, runs_by_amount) in lines.items():
            draw.by_amount(axis, runs_by_amount, **draw.style(model, label=text))
        draw.finish(axis, xlabel, ERROR, name, log="xy")
        axis.label_outer()
    handles, labels = axes[0][0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": 3, "frameon": False}
    figure.legend(handles, labels, fontsize=9, **place)
    return figure
