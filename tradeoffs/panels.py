"""Limits to move with sliders, and the figure of what fits them."""

from __future__ import annotations

import math

from tradeoffs.decision_plots import choice
from tradeoffs.decisions import choose
from tradeoffs.labels import label
from tradeoffs.limits import LIMITS

STEPS = 40  # of a slider, for each factor of ten


def decision_panel(table, *, live: bool = False, **limits: float):
    """The figure of what fits some limits; live, with a slider for each limit.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        live: show sliders, which need a notebook that somebody has open.
        limits: names of `tradeoffs.LIMITS` and where they start.

    Returns:
        The figure; or an `ipywidgets.interactive`, whose `result` is the `Choice`.

    Raises:
        TypeError, ValueError: as `tradeoffs.choose`; or no limits.
    """
    limits = choose(table, **limits).limits
    if not limits:
        raise ValueError(f"give limits to move, of {', '.join(LIMITS)}")
    if not live:
        return _figure(table, choose(table, **limits))
    from IPython.display import display
    from ipywidgets import interactive

    def draw(**moved):
        chosen = choose(table, **moved)
        display(_figure(table, chosen))
        print(chosen)
        return chosen

    sliders = {name: _slider(table, name, value) for name, value in limits.items()}
    return interactive(draw, **sliders)


def _figure(table, chosen):
    best = f"; the best of them: {label(chosen.best)}" if chosen.best else ""
    title = f"{len(chosen.fitting)} of {len(table)} models fit{best}"
    return choice(table, chosen, title)


def _slider(table, name, value):
    """From a little below what any model needs to a little above."""
    from ipywidgets import FloatLogSlider, FloatSlider

    limit = LIMITS[name]
    look = {"style": {"description_width": "14em"}, "layout": {"width": "40em"}}
    look |= {"value": value, "continuous_update": False}
    if limit.least:
        return FloatSlider(min=0.9, max=1, step=0.001, readout_format=".1%", **look)
    known = (table[limit.column].astype(float) / limit.scale).dropna()
    ends = [math.log10(end) for end in (*known, value) if end > 0] or [0.0]
    low, high = math.floor(min(ends) - 0.1), math.ceil(max(ends) + 0.1)
    look |= {"step": 1 / STEPS, "readout_format": ".3g"}
    return FloatLogSlider(min=low, max=high, **look)
