"""Which models fit, what they cost, and what more would bring."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from helpers import profile

import tradeoffs
from tradeoffs import (
    choose,
    cost,
    ensemble,
    ensembles,
    pareto,
    records,
    rule_of_thumb,
)
from tradeoffs.limits import LIMITS
from tradeoffs.returns import expected_best

PROFILES = [
    profile("large", 1_048_576, epoch_seconds=60.0, latency_ms_p50=2, latency_ms_p90=4),
    profile("middle", 16_384, epoch_seconds=12.0, latency_ms_p50=1, latency_ms_p90=2),
    profile("small", 512, epoch_seconds=6.0),
]


@pytest.fixture
def table():
    costs = tradeoffs.cost_table(PROFILES)
    return costs.assign(accuracy_mean=[0.99, 0.98, 0.90])


def test_choose_gives_what_fits_best_first(table):
    choice = choose(table, max_epoch_seconds=60)
    assert list(choice.fitting.index) == ["large", "middle", "small"]
    assert choice.best == "large"
    assert choice.broken.empty
    cheapest = choose(table, by="epoch_seconds")
    assert list(cheapest.fitting.index) == ["small", "middle", "large"]
    just_kept = choose(table, min_accuracy=0.99, max_file_mib=4)
    assert list(just_kept.fitting.index) == ["large"]


def test_choose_says_which_limit_each_other_broke_and_by_how_much(table):
    choice = choose(table, min_accuracy=0.95, max_file_mib=1, max_epoch_seconds=12)
    assert list(choice.fitting.index) == ["middle"]
    broken = choice.broken.set_index(["model", "limit"])
    assert broken.loc[("large", "max_file_mib"), "value"] == 4
    assert broken.loc[("large", "max_file_mib"), "excess"] == pytest.approx(3)
    assert broken.loc[("large", "max_epoch_seconds"), "excess"] == pytest.approx(4)
    # 10 % errors for 5 %: twice as many.
    assert broken.loc[("small", "min_accuracy"), "excess"] == pytest.approx(1)
    assert len(broken) == 3
    assert "max_file_mib: 4 MiB for 1 MiB, +300%" in repr(choice)
    assert choice.reasons()["small"] == [
        "min_accuracy: 90.00% for 95.00%, +100% errors"
    ]


def test_choose_names_the_one_limit_to_relax_least(table):
    choice = choose(table, min_accuracy=0.985, max_file_mib=1)
    assert choice.fitting.empty
    # large: 300 % too much on disk; middle: a third more errors than allowed.
    assert choice.relax.model == "middle"
    assert choice.relax.limit == "min_accuracy"
    assert choice.relax.needed == 0.98
    assert choice.relax.excess == pytest.approx(1 / 3)
    assert "from 98.50% to 98.00%, and middle fits" in str(choice.relax)
    relaxed = choose(table, min_accuracy=choice.relax.needed, max_file_mib=1)
    assert relaxed.best == "middle"
    none = choose(table, min_accuracy=0.995, max_parameters=100, max_epoch_seconds=1)
    assert none.relax is None
    assert "no single limit is to blame" in repr(none)


@pytest.mark.parametrize(
    ("accuracy", "limit", "said"),
    [
        (0.985376, {"min_accuracy": 0.99}, "from 99.00% to 98.53%"),
        (0.98, {"max_epoch_seconds": 4}, "from 4 s to 4.79 s"),
        (0.98, {"max_inference_memory_mib": 1}, "from 1 MiB to 28 MiB"),
    ],
)
def test_a_limit_relaxed_as_it_says_is_kept(accuracy, limit, said):
    costs = {"epoch_seconds": 4.7822, "peak_inference_memory_mib": 27.35}
    one = tradeoffs.cost_table([profile("one", 5_000, **costs)])
    assert said in str(choose(one.assign(accuracy_mean=accuracy), **limit).relax)


def test_of_limits_of_nothing_the_least_broken_is_named(table):
    assert choose(table, max_file_mib=0).relax.model == "small"
    assert choose(table, min_accuracy=1).relax.model == "large"


def test_what_was_not_measured_keeps_no_limit(table):
    choice = choose(table, max_latency_ms=100)
    assert list(choice.fitting.index) == ["large", "middle"]
    assert choice.reasons() == {"small": ["max_latency_ms: not measured"]}
    assert math.isnan(choice.broken.excess[0])
    alone = choose(table.loc[["small"]], max_latency_ms=100)
    assert alone.relax is None
    where = tradeoffs.environments(table, {"phone": {"max_latency_ms": 3}})
    assert where.loc["phone"].to_dict() == {
        "large": "latency",
        "middle": "fits",
        "small": "latency?",
    }


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_held_against_a_column(name, table):
    complete = table.assign(cost_per_month=1.0)
    column = LIMITS[name].column
    complete[column] = 0.5
    lenient, strict = (0.4, 0.6) if LIMITS[name].least else (0.6, 0.4)
    scale = LIMITS[name].scale
    assert len(choose(complete, **{name: lenient / scale}).fitting) == 3
    assert choose(complete, **{name: strict / scale}).fitting.empty


@pytest.mark.parametrize(
    ("limits", "error", "said"),
    [
        ({"max_size": 1}, TypeError, "'max_size'; the limits are min_accuracy, max_p"),
        ({"max_file_mib": -1}, ValueError, "max_file_mib is -1; it must be 0 or more"),
        ({"min_accuracy": 98}, ValueError, "is 98; it must be from 0 to 1"),
        ({"max_file_mib": "1"}, TypeError, "max_file_mib is '1'"),
        ({"max_cost_per_month": 1}, ValueError, "join the table of tradeoffs.cost"),
        ({"by": "beauty"}, ValueError, "no column 'beauty' of numbers"),
        ({"by": ["macs"]}, ValueError, r"no column \['macs'\] of numbers"),
    ],
)
def test_choose_refuses_what_it_cannot_answer(table, limits, error, said):
    with pytest.raises(error, match=said):
        choose(table, **limits)


@pytest.mark.parametrize(
    "decide", [choose, pareto, lambda p: cost(p, price_per_hour=1)]
)
def test_decisions_refuse_what_are_no_models(decide, table):
    with pytest.raises(TypeError, match="is a NoneType; give a Mapping, such as"):
        tradeoffs.environments(table, {"a browser": None})
    with pytest.raises(ValueError, match="no profiles"):
        decide([])
    with pytest.raises(ValueError, match="no profiles"):
        decide(table.iloc[:0])
    for wrong in ("gap_cnn", ["gap_cnn"], {"gap_cnn": 1}):
        with pytest.raises(TypeError, match="'gap_cnn' is not a Profile; give a list"):
            decide(wrong)
    with pytest.raises(ValueError, match="'large' is there twice"):
        decide([PROFILES[0], PROFILES[0]])


def test_pareto_agrees_with_the_definition():
    random = np.random.default_rng(0)
    values = random.integers(0, 6, (40, 3)).astype(float).repeat(2, axis=0)  # equals
    names = ["accuracy_mean", "macs", "epoch_seconds"]
    table = pd.DataFrame(values, columns=names)
    signed = values * [-1, 1, 1]
    expected = [
        i
        for i, row in enumerate(signed)
        if not any((o <= row).all() and (o < row).any() for o in signed)
    ]
    assert list(pareto(table, over=names).index) == expected


def test_pareto_refuses_unknown_values_and_columns(table):
    with pytest.raises(ValueError, match="latency_ms_p50 of small was not measured"):
        pareto(table, over=["latency_ms_p50"])
    with pytest.raises(ValueError, match="no column 'speed' of numbers; the columns"):
        pareto(table, over=["speed"])
    with pytest.raises(ValueError, match="no column 'framework' of numbers"):
        pareto(table, over=["framework"])
    with pytest.raises(ValueError, match="over is empty"):
        pareto(table, over=[])
    with pytest.raises(TypeError, match="give a list"):
        pareto(table, over="macs")


def test_cost_is_arithmetic_that_can_be_done_by_hand(table):
    found = cost(
        table,
        price_per_hour=3.0,
        retrainings_per_month=6,
        requests_per_day=1200,
        epochs=10,
        search_seconds={"large": 7200},
    )
    large = found.loc["large"]
    assert large.training_cost == pytest.approx(600 / 3600 * 3)
    assert large.training_cost_per_month == pytest.approx(3.0)
    assert large.requests_cost_per_month == pytest.approx(36_000 * 0.002 / 3600 * 3)
    assert large.search_cost == pytest.approx(6.0)
    assert large.first_month_cost == pytest.approx(large.cost_per_month + 6)
    assert found.search_cost["middle"] == 0
    assert math.isnan(found.cost_per_month["small"])  # its latency is not known
    unasked = cost(table, price_per_hour=3.0, retrainings_per_month=6)
    assert unasked.cost_per_month["small"] == pytest.approx(6 * 120 / 3600 * 3)
    joined = table.join(found)
    assert choose(joined, max_cost_per_month=4).best == "large"


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"price_per_hour": -1}, ValueError, "price_per_hour is -1"),
        ({"price_per_hour": 1, "epochs": 0}, ValueError, "epochs is 0"),
        ({"price_per_hour": 1, "search_seconds": {"x": 1}}, ValueError, "has 'x'"),
        ({"price_per_hour": 1, "requests_per_day": None}, TypeError, "requests_per"),
    ],
)
def test_cost_refuses_what_is_no_price_or_number(table, arguments, error, said):
    with pytest.raises(error, match=said):
        cost(table, **arguments)


def voters(*labels):
    run = tradeoffs.runs("pytorch_cnn")[0]
    return [
        dataclasses.replace(run, test_predictions=np.array(row, np.uint8))
        for row in labels
    ]


def test_vote_goes_to_the_majority_and_a_tie_to_the_earliest_run():
    truth = np.array([1, 2, 3, 4])
    runs = voters([7, 2, 9, 1], [1, 2, 8, 2], [1, 5, 3, 2], [1, 5, 3, 1])
    voted = ensemble(runs, truth)
    # Image 1 ties 2 with 5, and image 3 ties 1 with 2: the first run decides.
    assert voted.test_predictions.tolist() == [1, 2, 3, 1]
    assert voted.test_accuracy == 0.75
    assert voted.num_parameters == 4 * 21_840
    assert ensemble(runs[::-1], truth).test_predictions.tolist() == [1, 5, 3, 1]
    for order in itertools.permutations(runs):
        assert ensemble(list(order), truth).shares.tolist() == [1, 0.5, 1, 0]
    assert ensemble(runs, np.array([1, 2, 3, 1])).shares[3] == 0.5


def test_one_voter_is_itself_and_none_is_refused(mnist):
    (run,) = voters(tradeoffs.runs("gap_cnn")[0].test_predictions)
    alone = ensemble([run], mnist.test_labels)
    assert alone.test_accuracy == pytest.approx(
        tradeoffs.runs("gap_cnn")[0].test_accuracy
    )
    with pytest.raises(ValueError, match="no runs"):
        ensemble([], mnist.test_labels)
    with pytest.raises(ValueError, match="do not pair with 3 labels"):
        ensemble([run], mnist.test_labels[:3])


def test_mean_of_probabilities_is_recorded_with_the_vote_of_the_same(mnist):
    rows = {row["model"]: row for row in tradeoffs.recorded_ensembles()}
    assert set(rows) == set(ensembles.MEMBERS)
    for model, members in ensembles.MEMBERS.items():
        runs = [records.load(experiment) for experiment in members]
        vote, row = ensemble(runs, mnist.test_labels), rows[model]
        assert row["num_parameters"] == vote.num_parameters
        assert row["vote"] == pytest.approx(vote.test_accuracy, abs=0.0005)
        alone = [run.test_accuracy for run in runs]
        assert row["alone"] == pytest.approx(alone, abs=0.0005)
        assert max(row["alone"]) < row["mean_probability"] < 1


def test_the_surer_network_decides_a_mean_of_probabilities(mnist):
    members = ensembles.MEMBERS["gap_cnn"][:2]
    true, wrong = (np.eye(10)[(mnist.test_labels + n) % 10] for n in (0, 1))
    row = ensembles.row_of("gap_cnn", members, [0.9 * wrong, true])
    assert row["alone"] == [0, 1]
    assert row["vote"] == 0  # a tie goes to the first
    assert row["mean_probability"] == 1


def test_kept_network_answers_with_probabilities_of_the_labels_that_it_predicted():
    kept = ensembles.MEMBERS["gap_cnn"][0]
    found = ensembles.probabilities(kept)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    recorded = records.load(kept).test_predictions
    assert np.mean(found.argmax(1) != recorded) <= 0.0005


def test_expected_best_is_the_mean_over_all_orders():
    scores = [0.3, 0.9, 0.5, 0.5]
    orders = list(itertools.permutations(scores))
    expected = np.mean([np.maximum.accumulate(order) for order in orders], axis=0)
    assert expected_best(scores) == pytest.approx(expected)
    many = expected_best(np.linspace(0, 1, 500))
    assert np.all(np.diff(many) > 0)
    assert many[-1] == pytest.approx(1)
    for bad in ([], [0.5, math.nan]):
        with pytest.raises(ValueError, match="finite"):
            expected_best(bad)


def test_epoch_returns_add_up():
    runs = tradeoffs.runs("pytorch_cnn")
    table = tradeoffs.epoch_returns(runs, epoch_seconds=36.0, price_per_hour=2.0)
    assert len(table) == 20
    last = table.iloc[-1]
    assert last.accuracy == pytest.approx(np.mean([r.test_accuracy for r in runs]))
    assert table.gain_points.sum() == pytest.approx(100 * last.accuracy - 10)
    assert last.total_cost == pytest.approx(20 * 0.02)
    assert table.cost_per_point[table.gain_points <= 0].isna().all()
    with pytest.raises(ValueError, match="equal length"):
        tradeoffs.epoch_returns([], 1, 1)
    with pytest.raises(ValueError, match="give runs of one network and schedule"):
        tradeoffs.epoch_returns([runs[0], tradeoffs.run("gap_cnn")], 1, 1)
    with pytest.raises(ValueError, match="epoch_seconds is nan"):
        tradeoffs.epoch_returns(runs, math.nan, 1)
    with pytest.raises(ValueError, match="price_per_hour is 0; it must be above 0"):
        tradeoffs.epoch_returns(runs, 1, 0)


def test_rule_of_thumb_refuses_what_it_cannot_answer():
    with pytest.raises(ValueError, match="num_features is 0"):
        rule_of_thumb(100, 0)
    with pytest.raises(TypeError, match="num_observations is 1"):
        rule_of_thumb(1.5, 10)
    with pytest.raises(ValueError, match="no room"):
        rule_of_thumb(100, 10_000)
