"""Other ways of searching, in a table whose best network is known."""

import numpy as np
import pandas as pd
import pytest

import tradeoffs

SIDE = 12


@pytest.fixture
def table():
    """144 networks; accuracy rises with both values, and so do parameters."""
    first, second = np.divmod(np.arange(SIDE**2), SIDE)
    frame = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "num_parameters": 100 + 10 * (first + second),
            "validation_accuracy": 0.5 + 0.01 * first + 0.02 * second,
        }
    )
    values = list(range(SIDE))
    frame.attrs["plan"] = {
        "space": {"first": values, "second": values},
        "sampler": "grid",
    }
    return frame


@pytest.mark.parametrize("sampler", ["grid", "tpe", "nsga2"])
def test_best_so_far_rises_and_keeps_to_the_limit(table, sampler):
    best = tradeoffs.replay(table, sampler, 60, 1, 250)
    assert best.shape == (60,)
    known = best[~np.isnan(best)]
    assert len(known) > 30
    assert (np.diff(known) >= 0).all()
    allowed = table[table.num_parameters <= 250].validation_accuracy
    assert set(known) <= set(allowed)
    again = tradeoffs.replay(table, sampler, 60, 1, 250)
    assert np.array_equal(best, again, equal_nan=True)


def test_whole_grid_finds_the_best_whatever_the_order(table):
    limited = table[table.num_parameters <= 250]
    for seed in range(3):
        best = tradeoffs.replay(table, "grid", SIDE**2, seed, 250)
        assert best[-1] == limited.validation_accuracy.max()


def test_sampler_that_asks_for_nothing_new_keeps_what_it_has(table):
    few = table[(table["first"] < 2) & (table.second < 2)]
    few.attrs["plan"] = {
        "space": {"first": [0, 1], "second": [0, 1]},
        "sampler": "grid",
    }
    best = tradeoffs.replay(few, "tpe", 4, 0, 250)
    assert best.shape == (4,)
    assert best[-1] == few.validation_accuracy.max()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("annealing", 10, 0, 500), "sampler is 'annealing'; it must be one of grid"),
        (("grid", 0, 0, 500), "num_networks is 0; it must be from 1 to 144"),
        (("grid", 145, 0, 500), "num_networks is 145"),
    ],
)
def test_wrong_values_are_named(table, arguments, said):
    with pytest.raises(ValueError, match=said):
        tradeoffs.replay(table, *arguments)


def test_part_of_a_grid_is_no_grid(table):
    with pytest.raises(ValueError, match="143 networks are not the grid of 144"):
        tradeoffs.replay(table.iloc[1:], "grid", 10, 0, 500)
