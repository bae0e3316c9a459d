"""Tables of costs beside accuracies, and telling two accuracies apart."""

import dataclasses
import math

import numpy as np
import pytest
from helpers import profile

import tradeoffs
from tradeoffs import (
    cost_table,
    inversions,
    paired_test,
    readable_costs,
    wilson_interval,
)
from tradeoffs.probes.timing import BUSY

PROFILES = [
    profile("keras_mlp", 669_706, "keras", inference_seconds=0.2),
    profile("pytorch_cnn", 21_840, inference_seconds=1.0),
    profile("gap_cnn", 7_090, inference_seconds=0.95),
]


def test_cost_table_joins_profiles_and_accuracies():
    table = cost_table(PROFILES, tradeoffs.runs("pytorch_cnn"))
    assert list(table.index) == ["keras_mlp", "pytorch_cnn", "gap_cnn"]
    assert table.accuracy_mean["pytorch_cnn"] == pytest.approx(0.989, abs=0.002)
    assert table.accuracy_mean.isna().sum() == 2
    with pytest.raises(ValueError, match="no profiles"):
        cost_table([])
    assert cost_table(PROFILES[0]).equals(cost_table(PROFILES[:1]))
    run = tradeoffs.run("gap_cnn")
    own = dataclasses.replace(
        run, experiment=dataclasses.replace(run.experiment, model="Sequential")
    )
    for size, joined in ((7_090, True), (7_091, False), (None, False)):
        measured = dataclasses.replace(
            PROFILES[2], name="Sequential", num_parameters=size
        )
        found = cost_table([measured], [own]).accuracy_mean
        assert found.notna().tolist() == [joined]


def test_accuracies_of_two_data_sets_are_not_mixed():
    run = tradeoffs.run("gap_cnn")
    harder = dataclasses.replace(run.experiment, dataset="fashion_mnist")
    other = dataclasses.replace(run, experiment=harder)
    assert cost_table(PROFILES, [other]).accuracy_mean["gap_cnn"] == run.test_accuracy
    with pytest.raises(ValueError, match="fashion_mnist and mnist; give those of one"):
        cost_table(PROFILES, [run, other])
    with pytest.raises(ValueError, match="there are no runs"):
        tradeoffs.mean_accuracy([])
    with pytest.raises(TypeError, match="'g' is no Run"):
        tradeoffs.ensemble("gap_cnn", tradeoffs.mnist().test_labels)
    with pytest.raises(TypeError, match="runs_by_name is a list; give a Mapping"):
        tradeoffs.score_table([run])
    labels = tradeoffs.mnist().test_labels
    for combine in (
        lambda: tradeoffs.paired_test(run, other, labels),
        lambda: tradeoffs.ensemble([run, other], labels),
        lambda: tradeoffs.epoch_returns([run, other], 1, 1),
    ):
        with pytest.raises(ValueError, match="fashion_mnist and mnist; give those of"):
            combine()


def test_readable_costs_say_what_was_not_measured():
    table = readable_costs(cost_table(PROFILES))
    assert table.loc["PyTorch CNN", "parameters"] == "21,840"
    assert table.loc["PyTorch CNN", "epoch (s)"] == "not measured"
    assert table.loc["PyTorch CNN", "accuracy"] == "not measured"


def test_inversions_are_pairs_of_which_the_smaller_costs_more():
    found = inversions(cost_table(PROFILES), "inference_seconds")
    pairs = list(zip(found.smaller, found.larger, strict=True))
    assert pairs == [("pytorch_cnn", "keras_mlp"), ("gap_cnn", "keras_mlp")]
    assert found.cost_ratio[0] == pytest.approx(5)
    assert found.parameters_ratio[0] == pytest.approx(669_706 / 21_840)
    assert inversions(cost_table(PROFILES[1:]), "inference_seconds").empty
    for cost in "nope", "peak_train_memory_mib":
        with pytest.raises(ValueError, match=f"cost is '{cost}'; it must be a column"):
            inversions(cost_table(PROFILES), cost)


def test_spread_and_busy_machine_are_shown():
    spread = {"inference_seconds": (0.1, 0.3)}
    busy = dataclasses.replace(PROFILES[0], spread=spread, notes=(f"{BUSY}: 1.0",))
    table = cost_table([busy, PROFILES[1]], spread=True)
    assert table.inference_seconds_lowest["keras_mlp"] == 0.1
    assert table.inference_seconds_highest.isna().tolist() == [False, True]
    shown = readable_costs(table)
    assert shown.note.tolist() == [BUSY, ""]
    assert shown["10,000 images (s)"].tolist() == ["0.20 (0.10 to 0.30)", "1.00"]
    assert "note" not in readable_costs(cost_table(PROFILES))


def test_run_table_shows_what_was_set():
    table = tradeoffs.run_table(tradeoffs.runs("pytorch_cnn")[:2])
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["parameters", "epochs"]].tolist() == ["21,840", 20]
    assert table["optimizer, momentum"].unique() == ["sgd, 0.9"]
    assert tradeoffs.run_table([]).empty


def test_runs_of_two_networks_are_never_one_row():
    runs = tradeoffs.runs("gap_cnn")[:2]
    with pytest.raises(ValueError, match="gap_cnn is there twice with seed 0"):
        cost_table(PROFILES, [*runs, runs[0]])
    with pytest.raises(ValueError, match="the runs of 'mine' are of several networks"):
        tradeoffs.score_table({"mine": [*runs, tradeoffs.run("pytorch_cnn")]})
    with pytest.raises(ValueError, match="at least one network"):
        tradeoffs.score_table({})


def test_wilson_interval_is_the_known_formula():
    p, n, z = 0.9, 200, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson_interval(p, n) == pytest.approx((middle - half, middle + half))
    assert wilson_interval(1.0)[1] == pytest.approx(1)
    for bad in (
        {"accuracy": math.nan},
        {"accuracy": 2},
        {"accuracy": 0.5, "num_images": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            wilson_interval(**bad)


def test_paired_test_counts_the_images_that_tell_two_runs_apart(mnist):
    run = tradeoffs.runs("pytorch_cnn")[0]
    labels = mnist.test_labels
    perfect = dataclasses.replace(run, test_predictions=labels)
    errors = int(np.sum(run.test_predictions != labels))
    found = paired_test(perfect, run, labels)
    assert found["only_first_right"] == errors
    assert found["only_second_right"] == 0
    assert found["p_value"] == pytest.approx(2 * 0.5**errors)
    assert paired_test(run, run, labels)["p_value"] == 1
    written = tradeoffs.paired_tests([perfect, run], [run, run], labels).p_value
    assert written.tolist() == ["< 0.001", "1.000"]
    with pytest.raises(ValueError, match="do not pair"):
        paired_test(run, run, labels[:10])
    with pytest.raises(ValueError, match=r"\[0\] do not pair with those of \[1\]"):
        tradeoffs.paired_tests([run], tradeoffs.runs("pytorch_cnn")[1:2], labels)
    for wrong in (labels[:, np.newaxis], labels.astype(str)):
        for call in (paired_test, tradeoffs.ensemble):
            given = (run, run) if call is paired_test else ([run],)
            with pytest.raises((ValueError, TypeError), match=r"labels .*must be"):
                call(*given, wrong)
