"""The figures of exported models; each function returns one.

Tables are of `tradeoffs.cost_table`, a row a model, runtime and precision.
"""

from tradeoffs import drawing as draw
from tradeoffs.frameworks import FRAMEWORKS
from tradeoffs.labels import label
from tradeoffs.plots import ERROR
from tradeoffs.probes.profile import MIB

# How what computes a model is drawn: filled, half and hollow.
_FILLS = {"framework": "full", "float32": "left", "float16": "bottom", "int8": "none"}


def in_the_app(table, app_mib: float, title: str):
    """The bytes of each model's files, beside those of a runtime and of an app.

    Args:
        table: of exported models.
        app_mib: what the whole app may take.
    """
    figure, axis = draw.axes(3.6)
    places, _ = table.variant.factorize()
    for place, row in zip(places, table.itertuples(), strict=True):
        look = {"fillstyle": _FILLS[_kind(row)]}
        draw.point(axis, row.variant, row.file_bytes / MIB, place, **look)
    runtimes = table.groupby("framework").runtime_bytes.first() / MIB
    for side, (runtime, mib) in zip(("right", "left"), runtimes.items(), strict=False):
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
    """
    figure, axis = draw.axes(3.6)
    for place, (_, rows) in enumerate(table.groupby("variant", sort=False)):
        for number, row in enumerate(rows.itertuples(), -1):
            ends = row.latency_ms_p50_lowest, row.latency_ms_p50_highest
            height = place + 0.25 * number  # so that no interval lies over another
            axis.plot(ends, (height, height), **draw.THIN | {"linestyle": "-"})
            look = {"fillstyle": _FILLS[_kind(row)]}
            draw.point(axis, row.variant, row.latency_ms_p50, height, **look)
    xlabel = "latency of one image (ms): median, lowest and highest of the turns"
    return _finished(figure, axis, table, xlabel, title)


def error_against_bytes(table, title: str):
    """The test error and the file of each model, with a line to its quantised self.

    Args:
        table: of exported models in float32 and int8, with their accuracies.
    """
    figure, axis = draw.axes(4.2)
    for name, rows in table.groupby("variant", sort=False):
        rows = rows.sort_values("file_bytes", ascending=False)
        kib, errors = rows.file_bytes / 1024, draw.error(rows.accuracy_mean)
        axis.plot(kib, errors, **draw.style(name, linestyle="-", marker="", label=None))
        texts = [label(name)] + [""] * (len(rows) - 1)
        side = "below" if name == "gap_cnn" else "above"
        for x, y, text, kind in zip(kib, errors, texts, rows.precision, strict=True):
            look = {"side": side, "fillstyle": _FILLS[kind]}
            draw.point(axis, name, x, y, text=text, **look)
    axis.margins(0.12, 0.2)
    _explain(axis, table)
    draw.finish(axis, "file (KiB)", ERROR, title, log="xy", legend="upper right")
    return figure


def _kind(row):
    return "framework" if row.framework in FRAMEWORKS else row.precision


def _finished(figure, axis, table, xlabel, title):
    names = table.variant.unique()
    axis.set_yticks(range(len(names)), map(label, names))
    axis.invert_yaxis()
    axis.margins(0.06, 0.12)
    draw.finish(axis, xlabel, "", title, log="x")
    kinds = _explain(axis, table)
    place = {"loc": "outside lower center", "ncols": len(kinds), "fontsize": 8}
    figure.legend(frameon=False, **place)
    return figure


def _explain(axis, table):
    """Entries of the legend that say what computes a model."""
    kinds = dict.fromkeys(_kind(row) for row in table.itertuples())
    for kind in kinds:
        look = {"color": "#666666", "fillstyle": _FILLS[kind], "linestyle": "none"}
        axis.plot([], [], marker="o", label=kind, **look)
    return kinds
