"""The figures of exported models; each function returns one.

Tables are of `tradeoffs.cost_table`, a row a model, runtime and precision.
"""

from tradeoffs import drawing as draw
from tradeoffs.frameworks import FRAMEWORKS
from tradeoffs.labels import label
from tradeoffs.plots import ERROR
from tradeoffs.probes.profile import MIB

# How what computes a model is drawn: filled, half and hollow.
_FILLS = {
    "framework": "full",
    "float32": "left",
    "float16": "bottom",
    "int8": "none",
}


def in_the_app(table, app_mib: float, title: str):
    """The bytes of each model's files, beside those of a runtime and of an app.

    Args:
        table: of exported models.
        app_mib: what the whole app may take.
        title: of the figure.
    """
    figure, axis = draw.axes(3.6)
    for place, (name, rows) in enumerate(table.groupby("variant", sort=False)):
        for row in rows.itertuples():
            _dot(axis, name, row, row.file_bytes / MIB, place)
    for side, (runtime, rows) in zip(
        ("right", "left"), table.groupby("framework"), strict=False
    ):
        mib = rows.runtime_bytes.iloc[0] / MIB
        axis.axvline(mib, **draw.THIN)
        place = {"transform": axis.get_xaxis_transform(), "va": "bottom", "ha": side}
        axis.text(mib, 0.03, f" {runtime} ", rotation=90, fontsize=7, **place)
    end = 2 * max(app_mib, table.runtime_bytes.max() / MIB)
    too_much = f"more than the {app_mib:g} MiB of the app"
    axis.axvspan(app_mib, end, color="#d55e00", alpha=0.12, label=too_much)
    _finished(figure, axis, table, "MiB in the app", title)
    axis.set_xlim(right=end)
    return figure


def latencies(table, title: str):
    """The latency of one image of each model, by what computes it.

    Args:
        table: of models in their frameworks and as files, with the spread.
        title: of the figure.
    """
    figure, axis = draw.axes(3.6)
    for place, (name, rows) in enumerate(table.groupby("variant", sort=False)):
        for number, row in enumerate(rows.itertuples(), -1):
            ends = row.latency_ms_p50_lowest, row.latency_ms_p50_highest
            height = place + 0.25 * number  # so that no interval lies over another
            axis.plot(ends, (height, height), **draw.THIN | {"linestyle": "-"})
            _dot(axis, name, row, row.latency_ms_p50, height)
    xlabel = "latency of one image (ms): median, lowest and highest of the turns"
    return _finished(figure, axis, table, xlabel, title)


def error_against_bytes(table, title: str):
    """The test error and the file of each model, with a line to its quantised self.

    Args:
        table: of exported models in float32 and int8, with their accuracies.
        title: of the figure.
    """
    figure, axis = draw.axes(4.2)
    for name, rows in table.groupby("variant", sort=False):
        rows = rows.sort_values("file_bytes", ascending=False)
        kib, errors = rows.file_bytes / 1024, 1 - rows.accuracy_mean
        look = draw.style(name, linestyle="-", marker="", label=None)
        axis.plot(kib, errors, **look)
        for number, row in enumerate(rows.itertuples()):
            text = "" if number else label(name)
            fill = {"fillstyle": _FILLS[row.precision]}
            place = row.file_bytes / 1024, 1 - row.accuracy_mean
            side = "below" if name == "gap_cnn" else "above"
            draw.point(axis, name, *place, text=text, side=side, **fill)
    axis.margins(0.12, 0.2)
    draw.finish(axis, "file (KiB)", ERROR, title, log="xy")
    _explain(axis, table)
    axis.legend(loc="upper right", fontsize=8, frameon=False)
    return figure


def _kind(row):
    return "framework" if row.framework in FRAMEWORKS else row.precision


def _dot(axis, name, row, value, place):
    look = draw.style(name, label=None, linestyle="none", markersize=9)
    axis.plot(value, place, **look | {"fillstyle": _FILLS[_kind(row)]})


def _finished(figure, axis, table, xlabel, title):
    names = [name for name, _ in table.groupby("variant", sort=False)]
    axis.set_yticks(range(len(names)), map(label, names))
    axis.invert_yaxis()
    axis.margins(0.06, 0.12)
    draw.finish(axis, xlabel, "", title, log="x")
    kinds = _explain(axis, table)
    place = {"loc": "outside lower center", "ncols": len(kinds), "fontsize": 8}
    figure.legend(*axis.get_legend_handles_labels(), frameon=False, **place)
    return figure


def _explain(axis, table):
    """Entries of the legend that say what computes a model."""
    kinds = dict.fromkeys(_kind(row) for row in table.itertuples())
    for kind in kinds:
        look = {"color": "#666666", "fillstyle": _FILLS[kind], "linestyle": "none"}
        axis.plot([], [], marker="o", label=kind, **look)
    return kinds
