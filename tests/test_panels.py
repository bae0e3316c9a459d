"""The panel of limits, live and as a figure, and the figures of decisions."""

import pytest
from matplotlib.figure import Figure

import tradeoffs
from tradeoffs import decision_panel, decision_plots
from tradeoffs.claim import Claim, Finding
from tradeoffs.limits import LIMITS
from tradeoffs.models import MODELS


@pytest.fixture(scope="module")
def table():
    runs = [run for name in MODELS for run in tradeoffs.runs(name)]
    return tradeoffs.cost_table(tradeoffs.recorded_profiles(), runs)


def test_panel_is_a_figure_unless_live(table):
    figure = decision_panel(table, min_accuracy=0.98, max_file_mib=1)
    assert isinstance(figure, Figure)
    (axis,) = figure.axes
    assert axis.get_title().startswith("2 of 5 models fit")


def test_moving_a_slider_chooses_anew(table):
    panel = decision_panel(table, live=True, min_accuracy=0.98, max_file_mib=1)
    accuracy, size = panel.children[:2]
    accuracy.value = 0.9
    assert "small_net" in panel.result.fitting.index
    assert "keras_cnn" not in panel.result.fitting.index
    size.value = 10**size.max
    assert "keras_cnn" in panel.result.fitting.index


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_has_a_slider(table, name):
    table = table.assign(cost_per_month=[1.0, 2.0, 3.0, 4.0, 5.0])
    limit = LIMITS[name]
    start = 0.95 if limit.least else float(table[limit.column].median()) / limit.scale
    slider = decision_panel(table, live=True, **{name: start}).children[0]
    assert slider.value == pytest.approx(start)
    low, high = slider.min, slider.max
    if not limit.least:  # exponents of ten
        low, high = 10**low, 10**high
    assert low < start < high


def test_a_panel_without_limits_is_refused(table):
    with pytest.raises(ValueError, match="give limits to move"):
        decision_panel(table)


def test_what_does_not_fit_is_drawn_hollow(table):
    chosen = tradeoffs.choose(table, max_parameters=10_000)
    (axis,) = decision_plots.choice(table, chosen, "t").axes
    hollow = {
        line.get_xdata()[0]
        for line in axis.lines
        if len(line.get_xdata()) and line.get_markerfacecolor() == "none"
    }
    assert hollow == {21_840, 669_706, 1_199_882}


def test_figures_of_verdicts_count_every_claim():
    import pandas as pd

    made = pd.DataFrame(
        {
            "section": ["a", "a", "b"],
            "verdict": ["holds", "does not hold", "holds"],
        }
    )
    (axis,) = decision_plots.verdicts(made, "t").axes
    assert sum(bar.get_width() for bar in axis.patches) == 3


def test_figure_of_intervals_is_in_units_of_the_tests():
    common = {"section": "s", "quote": "a b", "statement": "t", "unit": "%"}
    common |= {"reason": "for this test"}
    number = Claim(
        id="x", test="within", article=98.0, tolerance=0.5, decimals=1, **common
    )
    ratio = Claim(id="y", test="within a factor", article=4, tolerance=2, **common)
    effect = Claim(id="z", test="above", article=0, matters=0.2, **common)
    measured = {
        "x": (number, Finding(98.25, "recorded runs", 98.0, 98.5)),
        "y": (ratio, Finding(4, "times on this machine", 2, 16)),
        "z": (effect, Finding(0.2, "recorded runs", 0, 0.4)),
    }
    drawn = []
    for axis in decision_plots.intervals(measured, "t", "a", "b").axes:
        lines = [line.get_xdata() for line in axis.lines]
        drawn += [list(ends) for ends in lines if len(ends) == 2 and ends[0] != ends[1]]
    assert drawn == [[0, 1], [-1, 2], [0, pytest.approx(2)]]
