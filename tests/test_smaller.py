"""The search for smaller networks: scores, and test images that are read once."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tradeoffs
from tradeoffs import Experiment, held_back, records, searches, series, smaller
from tradeoffs.__main__ import main
from tradeoffs.models import count_parameters
from tradeoffs.models.rows import ROWS, Row
from tradeoffs.recorded import FIRST_SEED_OF_ROWS, ROW_SERIES
from tradeoffs.schedules import CYCLE, Schedule

SMALL = {"filters": [2, 3], "pools": 4}
QUICK = CYCLE.replace(epochs=2, batch_size=100)


@pytest.fixture
def row(results, monkeypatch, mnist):
    """A row of its own, in a results folder of its own, on a few images."""
    monkeypatch.setitem(ROWS, 9, Row(SMALL, QUICK))
    own = [
        Experiment("tiny", "pytorch", QUICK, seed, {"parameters": 9}) for seed in (3, 4)
    ]
    monkeypatch.setattr(smaller, "ROW_SERIES", {9: own})
    few = dataclasses.replace(mnist.head(2_000, 10_000), name="mnist")
    monkeypatch.setattr(series, "dataset_named", lambda _: few)
    return own


def read(limit=9):
    smaller._read_test_images(limit, jobs=1, position=0)


@pytest.fixture
def few(monkeypatch, mnist):
    """Of the images that are held back, or trained on beside these, only so many."""

    def take(num_train, num_test):
        held = SimpleNamespace(
            validation_split=lambda _: mnist.head(num_train, num_test)
        )
        monkeypatch.setattr(searches, "mnist", lambda: held)

    return take


def test_a_row_is_tested_after_its_last_epoch_alone(row, mnist):
    read()
    for experiment in row:
        run = records.load(experiment)
        assert run.history_columns["test_accuracy"][:-1] == [None]
        assert run.history_columns["test_loss"][:-1] == [None]
        network = tradeoffs.trained(run)
        assert not list(network.buffers())  # no statistics of a norm
        images = torch.tensor(mnist.test_images)[:, None].float() / 255
        images = (images - mnist.pixels[0]) / mnist.pixels[1]
        with torch.inference_mode():
            predicted = network(images).argmax(1).numpy()
        assert np.array_equal(predicted, run.test_predictions)
        assert run.num_parameters == count_parameters("tiny", **SMALL)
    note = json.loads(series.note_path(row[0]).read_text())
    assert note["weights"].keys() == {"3", "4"}
    assert note["network"] == "tiny,filters=2x3,pools=4"


def test_test_images_are_read_after_that_is_noted(row, mnist, monkeypatch):
    tested, trained = series.tested, series._trained

    def noted_before(network, run):
        assert series.note_path(run.experiment).exists()
        if run.experiment == row[1]:
            raise KeyboardInterrupt
        return tested(network, run)

    def without_test_images(experiments, dataset, options):
        assert np.array_equal(dataset.test_images, mnist.train_images[:1_000])
        return trained(experiments, dataset, options)

    monkeypatch.setattr(series, "tested", noted_before)
    monkeypatch.setattr(series, "_trained", without_test_images)
    with pytest.raises(KeyboardInterrupt):
        read()
    assert series.missing(row) == row[1:]
    monkeypatch.setattr(series, "tested", tested)
    read()
    assert not series.missing(row)


def test_what_is_taken_back_is_in_its_line():
    table = held_back.table("ablation").set_index("tried")
    row = ROWS[held_back.ABLATED]
    assert list(table.index) == [held_back.AS_CHOSEN, *held_back.CHANGES]
    for tried, (arguments, changes) in held_back.CHANGES.items():
        assert json.loads(table.network[tried]) == row.arguments | arguments
        known = dataclasses.asdict(CYCLE) | json.loads(table.schedule[tried])
        assert Schedule(**known) == row.schedule.replace(**changes)


def test_test_images_are_read_once(row, capsys):
    with pytest.raises(records.RecordError, match=r"not read yet for .*tiny,param"):
        series.train(row, progress=False)
    read()
    other = dataclasses.replace(row[0], schedule=QUICK.replace(learning_rate=0.1))
    for wrong in dataclasses.replace(row[0], seed=7), other:
        with pytest.raises(records.RecordError, match="not read yet"):
            series.train([wrong], progress=False)
    # Nor for another network under the same name.
    note = series.note_path(row[0])
    text = note.read_text()
    note.write_text(text.replace("filters=", "filters=3x"))
    with pytest.raises(records.RecordError, match="own network"):
        series.train(row, progress=False)
    note.write_text(text)
    with pytest.raises(RuntimeError, match=r"read once, and .*9\.json says when"):
        smaller.read_test_images([9])
    # The recipe can be trained again, for the audit.
    (_, again), *_ = series.train(row, progress=False)
    assert again.test_accuracy == records.load(row[0]).test_accuracy


def test_what_was_stopped_between_goes_on_with_the_same_weights(row):
    read()
    paths = [records.results_folder() / experiment.path for experiment in row]
    paths[0].unlink()
    read()
    assert paths[0].exists()
    path = series.note_path(row[0])
    note = json.loads(path.read_text())
    note["weights"]["3"] = "0" * 64
    path.write_text(json.dumps(note))
    with pytest.raises(RuntimeError, match="not read for others"):
        read()


def test_command_scores_the_ablation_anew(results, monkeypatch, few, capsys):
    row = ROWS[held_back.ABLATED]
    quick = row.schedule.replace(epochs=1, batch_size=16)
    short = dataclasses.replace(row, schedule=quick)
    monkeypatch.setitem(ROWS, held_back.ABLATED, short)
    wild = {"too fast": ({"norm": None}, {"learning_rate": 1e9})}
    monkeypatch.setattr(held_back, "CHANGES", wild)
    monkeypatch.setattr(held_back, "ABLATION_SEEDS", [200, 201])
    # Another process would not see that the images are few.
    here = lambda jobs, *, threads: ThreadPoolExecutor(jobs)  # noqa: E731
    monkeypatch.setattr(held_back, "FreshProcesses", here)
    few(6_000, 1_000)
    assert main(["smaller", "--ablate"]) == 0
    row, wild = held_back.table("ablation").itertuples()
    assert (row.tried, row.seeds, row.diverged) == (held_back.AS_CHOSEN, "200 201", 0)
    assert json.loads(row.schedule) == {
        "epochs": 1,
        "batch_size": 16,
        "learning_rate": 0.1,
    }
    assert 0.8 < row.mean < 1
    assert f"{row.mean:g}" in capsys.readouterr().out
    assert (wild.accuracies, wild.diverged) == ("0.1000 0.1000", 2)
    assert json.loads(wild.network)["norm"] is None


def test_a_row_that_there_is_not(capsys):
    with pytest.raises(ValueError, match="limit is 517; it must be one of 300, "):
        smaller.read_test_images([517])
    with pytest.raises(SystemExit):
        main(["smaller", "--test", "517"])
    assert "invalid choice: 517" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["candidates", "ablation"])
def test_recorded_scores_are_whole(name):
    table = held_back.table(name)
    assert table["mean"].between(0, 1).all()
    assert table.tried.notna().all()
    assert set(table.seeds.str.split().sum()) & {
        str(FIRST_SEED_OF_ROWS + n) for n in range(5)
    } == (set())


@pytest.mark.parametrize("text", [None, "tried,seeds\na,0\n"])
def test_a_table_that_is_cut_off_is_named(results, text):
    if text:
        records.write(results / "smaller" / "candidates.csv", text)
    with pytest.raises(records.RecordError, match=r"candidates\.csv is no table"):
        held_back.table("candidates")


def test_rows_keep_their_limits_and_were_read():
    for limit, one in ROW_SERIES.items():
        counted = count_parameters("tiny", parameters=limit)
        assert counted <= limit
        note = json.loads(series.note_path(one[0]).read_text())
        assert note["num_parameters"] == counted
        assert Schedule(**note["schedule"]) == one[0].schedule
        for experiment in one:
            network = tradeoffs.trained(records.load(experiment))
            digest = note["weights"][str(experiment.seed)]
            assert smaller._digest(network) == digest


def test_rows_are_the_best_candidates_of_three_seeds():
    table = held_back.table("candidates")
    table = table[table.seeds.str.split().str.len() >= 3]
    for limit, row in ROWS.items():
        best = table[table.num_parameters <= limit].nlargest(1, "mean").iloc[0]
        assert json.loads(best.network) == row.arguments, limit
        content = CYCLE.content() | json.loads(best.schedule)
        assert Schedule(**content) == row.schedule
