"""The figures of what models cost; each function returns one."""

from tradeoffs import drawing as draw
from tradeoffs.cost_tables import inversions
from tradeoffs.labels import label
from tradeoffs.plots import ERROR

# A column, its name and its scale.
COST_PANELS = (
    ("inference_seconds", "inference, 10,000 images (s)", 1),
    ("num_parameters", "parameters (thousands)", 1e-3),
    ("file_bytes", "file (KiB)", 1 / 1024),
    ("epoch_seconds", "training, one epoch (s)", 1),
    ("latency_ms_p50", "latency of one image (ms)", 1),
    ("peak_train_memory_mib", "memory in training (MiB)", 1),
)


def error_against_costs(table, title: str):
    """One small panel a cost; the surest exception to 'less is less' is named.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
    """
    table = table.astype({column: float for column, *_ in COST_PANELS})
    figure, panels = draw.axes(5.4, 3, 2, sharey=True, title=title)
    for axis, (column, text, scale) in zip(panels.flat, COST_PANELS, strict=True):
        for row in table.itertuples():
            cost = scale * getattr(row, column)
            place = cost, draw.error(row.accuracy_mean), row.accuracy_std
            draw.point(axis, row.Index, *place, size=7, label=label(row.Index))
        if table[column].nunique() == 1:  # no width that a margin is a part of
            cost = scale * table[column].max()
            axis.set_xlim(cost / 3, cost * 3)
        axis.set(xscale="log", yscale="log")
        axis.margins(x=0.12, y=0.15)
        axis.tick_params(labelsize=8)
        draw.finish(axis, text, ERROR, log="xy")
        axis.yaxis.label.set_visible(axis in panels[:, 0])
    _name_inversion(panels[0, 0], table, "inference_seconds")
    entries = panels[0, 0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": min(len(table), 5)}
    figure.legend(*entries, frameon=False, **place)
    return figure


def _name_inversion(axis, table, column):
    for pair in inversions(table.dropna(subset=column), column)[:1].itertuples():
        rows = table.loc[[pair.smaller, pair.larger]]
        ends = list(zip(rows[column], draw.error(rows.accuracy_mean), strict=True))
        axis.annotate("", *ends, arrowprops={"arrowstyle": "<->", "color": "#555555"})
        few = f"{pair.parameters_ratio:,.0f} × fewer parameters"
        much = f"{pair.cost_ratio:.1f} × the time"
        names = f"{label(pair.smaller)} against {label(pair.larger)}"
        axis.set_title(f"{few}, {much}:\n{names}", fontsize=8, color="#444444")


def batch_sizes(table, runs_by_label: dict[str, dict[int, list]], title: str):
    """Time, memory and test error against the batch size.

    Args:
        table: of the PyTorch CNN, with the columns batch_size, epoch_seconds,
            peak_train_memory_mib and predicted_gpu_memory_mib.
        runs_by_label: what was trained to recorded runs by batch size.
    """
    figure, (time, memory, error) = draw.axes(3.6, 3, title=title)
    measured = draw.style("pytorch_cnn", label="measured, CPU")
    predicted = measured | {"label": "predicted, GPU", "markerfacecolor": "none"}
    time.plot(table.batch_size, table.epoch_seconds, **measured)
    memory.plot(table.batch_size, table.peak_train_memory_mib, **measured)
    memory.plot(table.batch_size, table.predicted_gpu_memory_mib, **predicted)
    looks = draw.STYLES["pytorch_cnn"], draw.A_READERS, draw.STYLES["small_net"]
    for (text, runs), look in zip(runs_by_label.items(), looks, strict=False):
        draw.by_amount(error, runs, label=text, **look, markersize=5)
    draw.finish(time, "batch size", "seconds an epoch", "Time", log="xy")
    names = "batch size", "MiB, training", "Memory"
    draw.finish(memory, *names, log="xy", legend="best")
    draw.finish(error, "batch size", ERROR, "Error after 20 epochs", log="xy")
    entries = error.get_legend_handles_labels()
    place = {"loc": "outside lower right", "ncols": len(runs_by_label), "fontsize": 8}
    figure.legend(*entries, frameon=False, **place)
    return figure


def memory_by_image_size(pictures: dict, volumes: dict, title: str):
    """Predicted GPU memory of training at batch 1, and where a card is full.

    Args:
        pictures, volumes: model name to a DataFrame of `predict_memory`.
    """
    figure, panels = draw.axes(3.8, 2, sharey=True, title=title)
    for axis, tables in zip(panels, (pictures, volumes), strict=True):
        for name, table in tables.items():
            sizes = [shape[-1] for shape in table.input_shape]
            axis.plot(sizes, table.reserved_mib / 1024, **draw.style(name))
        for card in (8, 24, 80):
            axis.axhline(card, **draw.THIN)
            text = f"a card of {card} GiB is full"
            look = {"fontsize": 7, "color": "#555555", "bbox": draw.BEHIND_TEXT}
            axis.text(sizes[0], card * 1.1, text, **look)
    left, right = panels
    names = "width = height (pixels)", "memory (GiB), without the driver's", "Pictures"
    draw.finish(left, *names, log="xy", legend="lower right")
    draw.finish(right, "width = height = depth (voxels)", "", "Volumes", log="xy")
    return figure
