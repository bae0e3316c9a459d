"""Limits to move with sliders, beside the models that still keep them.

The panel is a Vega-Lite chart, made with Altair: a browser computes it, without a
kernel or a server.
"""

import math
from dataclasses import dataclass

import altair as alt
import pandas as pd

from tradeoffs.decisions import Choice, choose
from tradeoffs.drawing import error, style
from tradeoffs.labels import label
from tradeoffs.limits import LIMITS, as_table

# JupyterLab and VS Code draw this version themselves.
MIME_TYPE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
STEPS = 200  # of a slider
FITS = "datum.broken === ''"  # in Vega's language
OWN = alt.Color("color:N", scale=None)  # of a model
GREY, DARK_GREY = alt.value("#bbbbbb"), alt.value("#767676")  # of points, of text
WIDTH = 560  # pixels


@dataclass(frozen=True, eq=False, repr=False)
class DecisionPanel:
    """Sliders for limits, and every model, grey where it breaks one of them.

    Attributes:
        specification: of the chart in Vega-Lite, as a dictionary.
        choice: the `Choice` at the limits where the sliders start.
    """

    specification: dict
    choice: Choice

    def __repr__(self):
        return repr(self.choice)

    def _repr_mimebundle_(self, **_):
        return {MIME_TYPE: self.specification, "text/plain": repr(self)}


def decision_panel(table, **limits: float) -> DecisionPanel:
    """A chart of all models with a slider for each limit; greyed is what breaks one.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        limits: names of `tradeoffs.LIMITS` and where they start.

    Raises:
        TypeError, ValueError: as `tradeoffs.choose`; or no limits.

    >>> import tradeoffs
    >>> profiles, runs = tradeoffs.recorded_profiles(), tradeoffs.runs("gap_cnn")
    >>> table = tradeoffs.cost_table(profiles, runs)
    >>> panel = tradeoffs.decision_panel(table, max_parameters=10_000)
    >>> panel.choice.fitting.index.tolist()
    ['gap_cnn', 'small_net']
    """
    table = as_table(table)
    choice = choose(table, **limits)
    if not choice.limits:
        raise ValueError(f"give limits to move, of {', '.join(LIMITS)}")
    values = pd.DataFrame(
        {name: table[LIMITS[name].column] / _scale(name) for name in choice.limits}
    ).astype(float)
    rows = values.assign(
        model=[label(name) for name in table.index],
        error=100 * error(table.accuracy_mean.astype(float)),
        parameters=table.num_parameters.astype(float),
        color=[style(name)["color"] for name in table.index],
    )
    sliders = [
        _slider(name, limit, values[name]) for name, limit in choice.limits.items()
    ]
    broken = " + ".join(f"({_breaks(name)} ? ', {name}' : '')" for name in values)
    base = alt.Chart(rows).transform_calculate(broken=f"slice({broken}, 2)")
    panel = alt.vconcat(_points(base), _list(base)).add_params(*sliders)
    specification = panel.configure_view(stroke=None).to_dict()
    return DecisionPanel(specification | {"$schema": SCHEMA}, choice)


def _scale(name):
    """What a table's value is divided by: an accuracy is shown in per cent."""
    return 0.01 if LIMITS[name].least else LIMITS[name].scale


def _breaks(name):
    """In Vega's language, whether a model breaks a limit, as an unknown value does."""
    sign = "<" if LIMITS[name].least else ">"
    return f"(!isValid(datum.{name}) || datum.{name} {sign} {name})"


def _slider(name, start, values):
    """From nothing, or 90 %, to more than any model needs."""
    low, high, unit = 0, 1.1 * max(start, values.max()) or 1, ""
    if LIMITS[name].least:
        start = start / _scale(name)
        low, high, unit = min(90, start), 100, " (%)"
    step = float(f"{(high - low) / STEPS:.0e}")
    high = round(step * math.ceil(high / step), 6)
    bound = alt.binding_range(min=low, max=high, step=step, name=f"{name}{unit} ")
    return alt.param(name=name, value=start, bind=bound)


def _points(base):
    looks = {"scale": alt.Scale(type="log", nice=False, padding=30)}
    looks["axis"] = alt.Axis(grid=False, titleFontWeight="normal")
    base = base.encode(
        x=alt.X("parameters:Q", title="parameters (logarithmic)", **looks),
        y=alt.Y("error:Q", title="test error (%)", **looks),
    )
    dots = base.mark_point(size=140, filled=True, opacity=1).encode(
        color=alt.condition(FITS, OWN, GREY), tooltip=["model", "error", "parameters"]
    )
    names = base.mark_text(dy=-15, fontSize=12).encode(
        color=alt.condition(FITS, OWN, DARK_GREY), text="model:N"
    )
    return (dots + names).properties(width=WIDTH, height=220)


def _list(base):
    """A line a model: that it fits, or the limits that it breaks."""
    text = base.transform_calculate(said=f"{FITS} ? 'fits' : 'breaks ' + datum.broken")
    best_first = alt.EncodingSortField("error")
    axis = alt.Axis(labelFontSize=12, labelLimit=220, domain=False, ticks=False)
    rows = alt.Y("model:N", sort=best_first, title=None, axis=axis)
    color = alt.condition(FITS, alt.value("#00513b"), DARK_GREY)
    return (
        text.mark_text(align="left", fontSize=12)
        .encode(y=rows, x=alt.value(8), text="said:N", color=color)
        .properties(width=WIDTH, height=alt.Step(18))
    )
