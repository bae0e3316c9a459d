import dataclasses
import json
import multiprocessing

import numpy as np
import pytest

import tradeoffs
from tradeoffs import ARTICLE, Experiment, RecordError, Run, records
from tradeoffs.evidence import measurements_path, profile_path
from tradeoffs.models import MODELS
from tradeoffs.reproduction import missing, recorded_experiments


@pytest.fixture
def made():
    """A run that was not trained: for the file format alone."""
    return Run(
        Experiment("gap_cnn", "pytorch", ARTICLE.first(2), 3, {"dropout": True}),
        7_090,
        {
            "epoch": [1, 2],
            "train_loss": [0.5, 0.25],
            "test_loss": [0.4, 0.2],
            "test_accuracy": [0.75, 0.875],
            "train_seconds": [1.5, 1.25],
        },
        np.arange(8, dtype=np.uint8),
        {"threads": 1},
    )


@pytest.mark.parametrize("experiment", recorded_experiments(), ids=lambda e: e.path)
def test_record_is_whole_and_agrees_with_itself(experiment, mnist):
    run = records.load(experiment)
    assert run is not None, f"{experiment.path} is missing"
    assert len(run.history) == experiment.schedule.epochs
    measured = np.mean(run.test_predictions == mnist.test_labels)
    assert run.test_accuracy == pytest.approx(measured, abs=1e-9)
    assert run.environment["threads"] == 1
    noted = {"versions", "processor", "system", "threads", "date", "trainings_at_once"}
    assert set(run.environment) - {"trained_side_by_side"} == noted


def test_every_file_in_results_is_a_known_record():
    folder = records.results_folder()
    kept = {
        path.relative_to(folder)
        for path in folder.rglob("*.json")
        if not path.parent.name.startswith("custom-")
    }
    measured = [profile_path(model) for model in MODELS]
    measured += [measurements_path(name) for name in ("gpu_memory", "dead_units")]
    known = {path.relative_to(folder) for path in measured}
    assert kept == known | {experiment.path for experiment in recorded_experiments()}


def test_results_stay_under_5_mb():
    files = records.results_folder().rglob("*")
    assert sum(file.stat().st_size for file in files) < 5e6


def test_record_survives_the_way_to_disk_and_back(made, tmp_path):
    path = records.save(made, tmp_path)
    again = records.load(made.experiment, tmp_path)
    assert again.experiment == made.experiment
    assert again.history_columns == made.history_columns
    assert again.test_predictions.tolist() == list(range(8))
    assert again.test_predictions.dtype == np.uint8
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays


def test_record_is_found_by_a_person(made):
    run = dataclasses.replace(
        made, experiment=Experiment("keras_mlp", "keras", ARTICLE, 4)
    )
    assert str(run.experiment.path) == "article/keras_mlp-keras-seed4.json"
    assert "dropout=true" in made.experiment.path.name


def test_missing_record_is_none_not_an_error(made, tmp_path):
    assert records.load(made.experiment, tmp_path) is None
    assert missing([made.experiment]) == [made.experiment]


def test_altered_record_is_an_error_that_names_the_file(made, tmp_path):
    path = records.save(made, tmp_path)
    path.write_text(path.read_text().replace("0.875", "0.975"))
    with pytest.raises(RecordError, match="changed after it was written") as caught:
        records.load(made.experiment, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 100, 400])
def test_record_cut_short_is_an_error_that_names_the_file(made, tmp_path, length):
    path = records.save(made, tmp_path)
    path.write_text(path.read_text()[:length])
    with pytest.raises(RecordError, match="not a whole record") as caught:
        records.load(made.experiment, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '"text"', '{"format": 99}'])
def test_file_that_is_no_record_is_an_error(made, tmp_path, text):
    path = records.save(made, tmp_path)
    path.write_text(text)
    with pytest.raises(RecordError, match=path.name):
        records.load(made.experiment, tmp_path)


def test_record_under_another_name_is_an_error(made, tmp_path):
    path = records.save(made, tmp_path)
    other = dataclasses.replace(made.experiment, seed=4)
    path.rename(path.with_name(other.path.name))
    with pytest.raises(RecordError, match="another experiment than its name says"):
        records.load(other, tmp_path)


def test_failed_write_leaves_the_old_record(made, tmp_path, monkeypatch):
    path = records.save(made, tmp_path)
    before = path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.save(made, tmp_path)
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_two_processes_may_save_at_once(made, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(
            target=lambda: [records.save(made, tmp_path) for _ in range(20)]
        )
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert records.load(made.experiment, tmp_path).num_parameters == 7_090


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=str(seed)):
        Experiment("keras_mlp", "keras", ARTICLE, seed)


@pytest.mark.parametrize("seed", [1.0, "0", True, None])
def test_seed_of_another_type_is_refused(seed):
    with pytest.raises(TypeError, match="whole number"):
        Experiment("keras_mlp", "keras", ARTICLE, seed)


def test_unknown_framework_is_refused():
    with pytest.raises(ValueError, match="pytorch, keras"):
        Experiment("keras_mlp", "jax", ARTICLE)
    with pytest.raises(ValueError, match="it is in pytorch"):
        tradeoffs.run("pytorch_cnn", "keras")


def test_run_of_an_unknown_model_names_the_known_ones():
    with pytest.raises(ValueError, match="keras_mlp, keras_cnn, pytorch_cnn"):
        tradeoffs.run("resnet")


def test_history_is_a_table_of_epochs():
    history = tradeoffs.run("pytorch_cnn", seed=1).history
    assert list(history.columns) == list(records.HISTORY_COLUMNS)
    assert history.epoch.tolist() == list(range(1, 21))


def test_record_holds_no_name_or_path_of_a_machine():
    import getpass
    import socket

    for path in records.results_folder().rglob("*.json"):
        content = json.loads(path.read_text())
        content.pop("test_predictions", None)
        text = json.dumps(content)
        assert "/" not in text.replace("w/", ""), path
        assert socket.gethostname() not in text, path
        assert f'"{getpass.getuser()}"' not in text, path
