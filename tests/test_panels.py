"""The panel of limits, and the figures of decisions."""

import dataclasses
import json

import pytest
import vl_convert

import tradeoffs
from tradeoffs import cost_plots, decision_panel, decision_plots, plots
from tradeoffs.claim import Claim
from tradeoffs.intervals import Finding
from tradeoffs.limits import LIMITS
from tradeoffs.models import MODELS


@pytest.fixture(scope="module")
def table():
    runs = [run for name in MODELS for run in tradeoffs.runs(name)]
    return tradeoffs.cost_table(tradeoffs.recorded_profiles(), runs)


def sliders(panel):
    return {each["name"]: each for each in panel.specification["params"]}


def test_panel_is_a_chart_for_jupyter_and_a_choice_in_text(table):
    panel = decision_panel(table, min_accuracy=0.98, max_file_mib=1)
    data = panel._repr_mimebundle_()
    assert data["text/plain"] == repr(tradeoffs.choose(table, **panel.choice.limits))
    specification = data["application/vnd.vegalite.v5+json"]
    assert "/vega-lite/v5" in specification["$schema"]
    assert len(next(iter(specification["datasets"].values()))) == 5
    json.dumps(specification, allow_nan=False)


def test_panel_finds_what_choose_finds(table):
    """As a browser does, at the sliders' start."""
    panel = decision_panel(table, min_accuracy=0.98, max_file_mib=1)
    drawn = vl_convert.vegalite_to_svg(panel.specification, vl_version="5.21")
    assert drawn.count(">fits<") == len(panel.choice.fitting) == 2
    assert drawn.count(">breaks min_accuracy<") == 1


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_has_a_slider(table, name):
    table = table.assign(cost_per_month=[1.0, 2.0, 3.0, 4.0, 5.0])
    limit = LIMITS[name]
    start = 0.95 if limit.least else float(table[limit.column].median()) / limit.scale
    slider = sliders(decision_panel(table, **{name: start}))[name]
    assert slider["value"] == pytest.approx(100 * start if limit.least else start)
    assert slider["bind"]["min"] < slider["value"] < slider["bind"]["max"]


def test_a_panel_without_limits_is_refused(table):
    with pytest.raises(ValueError, match="give limits to move"):
        decision_panel(table)


def test_figures_of_verdicts_count_every_claim():
    import pandas as pd

    made = pd.DataFrame(
        {
            "section": ["a", "a", "b", "b"],
            "verdict": ["holds", "does not hold", "holds", "holds"],
            "basis": ["recorded runs", "recorded runs", "a count", "recorded runs"],
        }
    )
    (axis,) = decision_plots.verdicts(made, "t").axes
    assert sum(bar.get_width() for bar in axis.patches) == 4
    # Counts are apart from what was measured.
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["counts and arithmetic", "a", "b"]


def test_figure_of_intervals_is_in_units_of_the_tests():
    common = {"section": "s", "quote": "a b", "statement": "t", "unit": "%"}
    common |= {"reason": "for this test"}
    number = Claim(
        id="x", test="within", article=98.0, tolerance=0.5, decimals=1, **common
    )
    ratio = Claim(id="y", test="within a factor", article=4, tolerance=2, **common)
    limit = Claim(id="w", test="at most", article=0, tolerance=0.5, **common)
    effect = Claim(id="z", test="above", article=0, matters=0.2, **common)
    measured = {
        "x": (number, Finding(98.25, "recorded runs", 98.0, 98.5)),
        "y": (ratio, Finding(4, "times on this machine", 2, 16)),
        "w": (limit, Finding(0.25, "recorded runs", -0.25, 0.5)),
        "z": (effect, Finding(0.2, "recorded runs", 0, 0.4)),
    }
    drawn = []
    figure = decision_plots.intervals(measured, "t", "a", "b")
    for axis in figure.axes:
        lines = [line.get_xdata() for line in axis.lines]
        drawn += [list(ends) for ends in lines if len(ends) == 2 and ends[0] != ends[1]]
    edge, _ = figure.axes[0].get_xlim()
    bands = [-1, 1], [-1, 1], [edge, 1]  # what each test allows
    expected = [[0, 1], [-1, 2], [-0.5, 1], *bands, [0, 2]]
    assert drawn == [pytest.approx(ends) for ends in expected]


def test_a_run_without_errors_is_drawn():
    run = tradeoffs.run("small_net")
    columns = run.history_columns | {"test_accuracy": [0.9, 1.0] * 10}
    perfect = dataclasses.replace(run, history_columns=columns)
    for figure in (
        plots.curves({"mine": [perfect]}, "t"),
        plots.error_against_parameters([perfect], "t"),
    ):
        lines = [line for axis in figure.axes for line in axis.lines]
        assert min(min(line.get_ydata(), default=1) for line in lines) == 5e-5
    with pytest.raises(ValueError, match="have no epochs"):
        plots.curves({"mine": []}, "t")


def test_a_cycle_of_the_learning_rate_is_drawn_as_it_is():
    figure = plots.schedule(tradeoffs.ARTICLE.replace(milestones=(), cycle=True), "t")
    (line,) = figure.axes[0].lines
    rates = line.get_ydata()
    assert max(rates) == tradeoffs.ARTICLE.learning_rate
    assert rates[0] < max(rates) / 10 > rates[-1]


def test_costs_of_one_model_are_drawn(table):
    table = table[:1].assign(peak_train_memory_mib=1.3157, latency_ms_p50=0.2278)
    for axis in cost_plots.error_against_costs(table, "t").axes:
        low, high = axis.get_xlim()
        assert high > 5 * low
