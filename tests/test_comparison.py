"""Tables of costs beside accuracies."""

import pytest

import tradeoffs
from tradeoffs import Profile, cost_table, inversions, readable_costs


def profile(name, num_parameters, inference_seconds):
    return Profile(
        name=name,
        framework="keras" if name == "keras_mlp" else "pytorch",
        input_shape=(1, 28, 28),
        batch_size=16,
        inference_batch_size=1000,
        threads=1,
        num_parameters=num_parameters,
        inference_seconds=inference_seconds,
    )


PROFILES = [
    profile("keras_mlp", 669_706, 0.2),
    profile("pytorch_cnn", 21_840, 1.0),
    profile("gap_cnn", 7_090, 0.95),
]


def test_cost_table_joins_profiles_and_accuracies():
    table = cost_table(PROFILES, tradeoffs.runs("pytorch_cnn"))
    assert list(table.index) == ["keras_mlp", "pytorch_cnn", "gap_cnn"]
    assert table.accuracy_mean["pytorch_cnn"] == pytest.approx(0.989, abs=0.002)
    assert table.accuracy_mean.isna().sum() == 2
    with pytest.raises(ValueError, match="no profiles"):
        cost_table([])


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
