"""The tables of searches: on disk, as they were recorded, and replayed."""

import json

import numpy as np
import pandas as pd
import pytest

import tradeoffs
from tradeoffs import ARTICLE, SMALL_NET_SPACE, RecordError, Schedule, article
from tradeoffs.models import count_parameters
from tradeoffs.recorded import (
    CHOSEN_SMALL_NET,
    FIVE_PER_CENT_LESS,
    WITHOUT_OVERLAP,
)
from tradeoffs.records import results_folder
from tradeoffs.search_table import (
    FILE,
    REFINED_FILE,
    read_table,
    results_of,
    write_table,
)
from tradeoffs.spaces import Plan, arguments_of

SIDE = 12


@pytest.mark.parametrize("name", [FILE, REFINED_FILE])
def test_recorded_searches_are_whole(name, tmp_path):
    frame = read_table(results_folder() / name)
    assert read_table(write_table(frame, tmp_path / name)).equals(frame)
    recorded = frame.attrs["plan"]
    plan = Plan(
        **recorded
        | {
            "schedule": Schedule(**recorded["schedule"]),
            "objective": tuple(recorded["objective"]),
        }
    )
    assert plan.study_name == frame.attrs["study"]
    assert plan.schedule == ARTICLE
    assert plan.num_images is None
    assert plan.num_networks == len(frame)
    assert (frame.epochs == ARTICLE.epochs).all()
    assert not frame.diverged.any()
    if name == FILE:
        assert plan.study_name == Plan(space=SMALL_NET_SPACE).study_name
    points = [{"seed": plan.seed} | arguments_of(point) for point in plan.points]
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert {json.dumps([row[key] for key in points[0]]) for row in rows} == {
        json.dumps(list(point.values())) for point in points
    }
    for row in rows:
        assert row["num_parameters"] == count_parameters("small_net", **row)


def test_table_that_was_cut_or_is_none_is_said(tmp_path):
    path = write_table(read_table(), tmp_path / "table.csv")
    path.write_text(path.read_text()[:-5])
    with pytest.raises(RecordError, match=r"table\.csv was cut short"):
        read_table(path)
    path.write_text("filters,pool\n")
    with pytest.raises(RecordError, match="not the table of a search"):
        read_table(path)


@pytest.mark.parametrize(
    ("chosen", "overlap", "share"),
    [
        (CHOSEN_SMALL_NET, True, 1),
        (WITHOUT_OVERLAP, False, 1),
        (FIVE_PER_CENT_LESS, False, 0.95),
    ],
)
def test_chosen_small_nets_are_the_best_of_the_finer_search(chosen, overlap, share):
    frame = read_table(results_folder() / REFINED_FILE)
    limit = article.NUM_PARAMETERS["small_net"]
    assert frame.num_parameters.max() <= limit
    frame = frame[frame.num_parameters <= share * limit]
    if not overlap:
        frame = frame[frame.pool == frame.pool_stride]
    by_network = frame.groupby([*WITHOUT_OVERLAP, "pool_stride"]).validation_accuracy
    assert (by_network.size() == 3).all()
    means = by_network.mean()
    best = dict(zip(means.index.names, means.idxmax(), strict=True))
    assert best == {"pool_stride": 4} | chosen


def test_values_of_several_kinds_stay_what_they_are(tmp_path):
    searched = {
        "pool": [None, 2, 3],
        "kind": ["None", "3", "x"],
        "kernel": [(3, 5), 3, True],
        "rate": [0.1, 1, None],
    }
    points = [{name: searched[name][i] for name in searched} for i in range(3)]
    last = {"seed": 0, "num_parameters": 5, "side_by_side": 1, "diverged": True}
    last |= {"validation_accuracy": 0.0, "validation_loss": None}
    last |= {"epochs": 0, "seconds": 0.0}
    frame = results_of(Plan(searched), [last | {"arguments": p} for p in points])
    for table in frame, read_table(write_table(frame, tmp_path / "table.csv")):
        for name, values in searched.items():
            assert repr(table[name].tolist()) == repr(values)


def test_best_networks_come_first_without_what_all_share():
    frame = read_table()
    best = tradeoffs.best_networks(frame)
    assert best.validation_accuracy.iloc[0] == round(frame.validation_accuracy.max(), 4)
    assert "slope" in best
    same = frame[frame.slope == 0]
    assert "slope" not in tradeoffs.best_networks(same, by="num_parameters")
    by_loss = tradeoffs.best_networks(frame, by="validation_loss", count=1)
    assert by_loss.index == [frame.validation_loss.idxmin()]
    with pytest.raises(ValueError, match="by is 'beauty'; it must be one of filters"):
        tradeoffs.best_networks(frame, by="beauty")


def grid(side):
    """Networks whose accuracy rises with both values, and so do parameters."""
    first, second = np.divmod(np.arange(side**2), side)
    frame = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "num_parameters": 100 + 10 * (first + second),
            "validation_accuracy": 0.5 + 0.01 * first + 0.02 * second,
        }
    )
    values = list(range(side))
    frame.attrs["plan"] = {
        "space": {"first": values, "second": values},
        "sampler": "grid",
    }
    return frame


@pytest.fixture
def table():
    return grid(SIDE)


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


def test_sampler_that_asks_for_nothing_new_keeps_what_it_has():
    few = grid(2)
    best = tradeoffs.replay(few, "tpe", 4, 0, 250)
    assert best.shape == (4,)
    assert best[-1] == few.validation_accuracy.max()


@pytest.mark.parametrize(
    ("rows", "arguments", "said"),
    [
        (slice(None), ("annealing", 10, 0, 500), "sampler is annealing|'annealing'"),
        (slice(None), ("grid", 145, 0, 500), "num_networks is 145; it must be from 1"),
        (slice(1, None), ("grid", 9, 0, 500), "143 networks are not the grid of 144"),
    ],
)
def test_wrong_values_are_named(table, rows, arguments, said):
    part = table.iloc[rows]
    part.attrs = table.attrs
    with pytest.raises(ValueError, match=said):
        tradeoffs.replay(part, *arguments)
    part.attrs = {}
    with pytest.raises(ValueError, match=r"sampler|are not the grid"):
        tradeoffs.replay(part, *arguments)


def test_a_table_may_be_in_any_order(table):
    other = table.sort_values("num_parameters")
    for sampler in ("grid", "tpe"):
        options = sampler, 20, 0, 500
        assert np.array_equal(
            tradeoffs.replay(other, *options),
            tradeoffs.replay(table, *options),
            equal_nan=True,
        )
