"""An interactive panel: limits to move, and the figure of what fits.

Widgets need a front end that runs them. Where there is none, as when a notebook
is executed by a command or read as a page, the panel is its own static figure.
"""

from __future__ import annotations

import io
import math
import os
import sys

from tradeoffs import decision_plots
from tradeoffs.decisions import choose
from tradeoffs.limits import LIMITS
from tradeoffs.tables import label

STEPS = 40


def has_live_front_end() -> bool:
    """Whether somebody looks on who could move a slider.

    Jupyter's server names the session of a kernel that it starts for a notebook;
    VS Code does so in a variable. Commands that execute notebooks do neither.
    `TRADEOFFS_PANEL` (0 or 1) decides it by hand.
    """
    by_hand = os.environ.get("TRADEOFFS_PANEL")
    if by_hand is not None:
        return by_hand not in ("", "0")
    if "JPY_SESSION_NAME" in os.environ:
        return True
    return hasattr(sys.modules["__main__"], "__vsc_ipynb_file__")


def decision_panel(table, *, live: bool | None = None, **limits: float):
    """Sliders for limits, and what fits them.

    Args:
        table: as from `tradeoffs.cost_table`, with accuracies.
        live: show widgets; by default where they can run.
        limits: names of `tradeoffs.LIMITS` and where they start.

    Returns:
        A widget; or the figure that it would show at first.

    Raises:
        TypeError, ValueError: as `tradeoffs.choose`; or no limits.
    """
    chosen = choose(table, **limits)
    if not chosen.limits:
        raise ValueError(f"give limits to move, of {', '.join(LIMITS)}")
    if live is None:
        live = has_live_front_end()
    return _widget(table, chosen.limits) if live else _figure(table, chosen)


def _figure(table, chosen):
    number = len(chosen.fitting)
    best = f"; the best of them: {label(chosen.best)}" if chosen.best else ""
    title = f"{number} of {len(table)} models fit{best}"
    return decision_plots.choice(table, chosen, title)


def _widget(table, limits):
    import ipywidgets

    sliders = {name: _slider(table, name, value) for name, value in limits.items()}
    picture = ipywidgets.Image(format="png", width=800)
    text = ipywidgets.HTML()

    def redraw(_=None):
        chosen = choose(table, **{name: s.value for name, s in sliders.items()})
        drawn = io.BytesIO()
        _figure(table, chosen).savefig(drawn, format="png", dpi=100)
        picture.value = drawn.getvalue()
        text.value = f"<pre>{chosen!r}</pre>"

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*sliders.values(), picture, text])


def _slider(table, name, value):
    """From a little below what any model needs to a little above."""
    import ipywidgets

    limit = LIMITS[name]
    options = {
        "description": name,
        "continuous_update": False,
        "style": {"description_width": "14em"},
        "layout": {"width": "40em"},
    }
    if limit.least:
        return ipywidgets.FloatSlider(
            value=value, min=0.9, max=1, step=0.001, readout_format=".1%", **options
        )
    known = (table[limit.column].astype(float) / limit.scale).dropna()
    ends = [math.log10(end) for end in (*known, value) if end > 0] or [0.0]
    low, high = math.floor(min(ends) - 0.1), math.ceil(max(ends) + 0.1)
    return ipywidgets.FloatLogSlider(
        value=value,
        base=10,
        min=low,
        max=high,
        step=(high - low) / STEPS / 10,
        readout_format=".3g",
        **options,
    )
