import dataclasses
import functools
import hashlib
import json
import math
import re
import sys

import numpy as np
import pytest
import torch

import tradeoffs
from tradeoffs import ARTICLE, Experiment, RecordError, Run, records
from tradeoffs.device import exported_runs
from tradeoffs.labels import CHOSEN
from tradeoffs.measurements import device_folder, measurements_path, profile_path
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import PRECISIONS
from tradeoffs.processes import in_fresh_process
from tradeoffs.recorded import KEPT, ROW_SERIES, recorded_experiments
from tradeoffs.series import note_path
from tradeoffs.training.pytorch import images_to_tensor
from tradeoffs.weights import SEEDS_KEPT, save_weights


@pytest.fixture
def made():
    """A run that was not trained: for the file format alone."""
    return Run(
        Experiment("own", "pytorch", ARTICLE.first(2), 3, {"wide": True}, "eight"),
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
def test_record_is_whole_and_says_the_same_when_written_again(experiment, tmp_path):
    run = records.load(experiment)
    assert run is not None, f"{experiment.path} is missing"
    text = (records.results_folder() / experiment.path).read_text()
    file = json.loads(text)
    assert text == json.dumps(file, indent=1, sort_keys=True) + "\n"
    again = json.loads(records.save(run, tmp_path).read_text())
    packed = {"test_predictions", "format", "sha256"}  # zlibs may pack otherwise
    assert again.keys() == file.keys() > packed
    assert all(again[name] == file[name] for name in file.keys() - packed)
    copy = records.load(experiment, tmp_path)
    assert (copy.experiment, copy.history_columns) == (experiment, run.history_columns)
    assert np.array_equal(copy.test_predictions, run.test_predictions)
    assert copy.test_predictions.dtype == np.uint8
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
    measured = [
        profile_path(model, framework)
        for model, info in MODELS.items()
        for framework in info.frameworks
    ]
    measured.append(profile_path(CHOSEN))
    subjects = "gpu_memory", "dead_units", "search_replays", "ensembles"
    measured += map(measurements_path, subjects)
    runtimes = {
        "pytorch": ("pytorch", "onnxruntime-float32", "onnxruntime-int8"),
        "keras": ("keras", *(f"ai-edge-litert-{one}" for one in PRECISIONS)),
    }
    measured += [
        device_folder() / f"{run.experiment.variant}-{computed}.json"
        for run in exported_runs()
        for framework in MODELS[run.experiment.model].frameworks
        for computed in runtimes[framework]
    ]
    measured += [note_path(one[0]) for one in ROW_SERIES.values()]
    known = {path.relative_to(folder) for path in measured}
    assert kept == known | {experiment.path for experiment in recorded_experiments()}


def test_results_stay_under_5_mb():
    files = records.results_folder().rglob("*")
    assert sum(file.stat().st_size for file in files) < 5e6


DAMAGES = {
    "altered": (lambda text: text.replace("0.875", "0.975"), "changed after it was"),
    "cut short": (lambda text: text[:400], "not a whole record"),
    "a list": (lambda text: "[]", "not a whole record"),
    "null": (lambda text: "null", "not a whole record"),
    "of tomorrow": (lambda text: '{"format": 99}', "has format 99, not 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_record_is_an_error_that_names_the_file(made, tmp_path, damage):
    path = records.save(made, tmp_path)
    change, said = DAMAGES[damage]
    path.write_text(change(path.read_text()))
    with pytest.raises(RecordError, match=said) as caught:
        records.load(made.experiment, tmp_path)
    assert str(path) in str(caught.value)


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


def test_two_processes_may_save_at_once(made, tmp_path, in_two_processes):
    def save():
        for _ in range(20):
            records.save(made, tmp_path)

    in_two_processes(save)
    assert records.load(made.experiment, tmp_path).num_parameters == 7_090


@pytest.mark.parametrize(
    "argument", ["average", 'a "quoted" one', "C:\\path", "a/b", "tab\t"]
)
def test_file_name_is_legal_on_every_system(argument):
    path = Experiment("own", "pytorch", ARTICLE, 0, {"kind": argument}).path
    assert re.fullmatch(r"[\w.,=+-]+", path.name)


def test_classes_above_9_are_kept_as_they_are(made, tmp_path):
    labels = np.array([3, 259, 12])
    own = made.environment | {"gpu": "none"}  # and whatever else a reader notes
    records.save(
        dataclasses.replace(made, test_predictions=labels, environment=own), tmp_path
    )
    again = records.load(made.experiment, tmp_path)
    assert again.test_predictions.tolist() == [3, 259, 12]
    assert again.test_predictions.dtype == np.uint16


FAULTS = {
    "has 'evil'": lambda c: c.update(evil=1),
    "has 'f1'": lambda c: c["history"].update(f1=[1]),
    "has 'hostname'": lambda c: c["environment"].update(hostname="h"),
    "test_accuracy has not one finite": lambda c: c["history"][
        "test_accuracy"
    ].__setitem__(0, True),
    "test_loss goes from -1.5": lambda c: c["history"]["test_loss"].__setitem__(
        0, -1.5
    ),
    "test_accuracy goes from .* to 1.5": lambda c: c["history"][
        "test_accuracy"
    ].__setitem__(0, 1.5),
    "train_loss has not one finite": lambda c: c["history"]["train_loss"].pop(),
    "test_loss has not one finite": lambda c: c["history"]["test_loss"].__setitem__(
        0, math.nan
    ),
    "epochs are not 1 to 20": lambda c: c["history"]["epoch"].pop(),
    "has 7,090 parameters": lambda c: c.update(num_parameters=7_091),
    "7090.5; it must be a whole": lambda c: c.update(num_parameters=7_090.5),
    "one label from 0 to 9": lambda c: c.update(
        test_predictions=records._packed(
            records._unpacked(c["test_predictions"], "mnist")[:-1], "mnist"
        )
    ),
    "not a whole record": lambda c: c.update(test_predictions="ABCD"),
    "give an accuracy of": lambda c: c["history"]["test_accuracy"].__setitem__(-1, 0.5),
}


@pytest.mark.parametrize("said", FAULTS)
def test_record_that_contradicts_itself_is_refused_whatever_its_digest(said, tmp_path):
    experiment = Experiment("gap_cnn", "pytorch", ARTICLE)
    path = records.save(records.load(experiment), tmp_path)
    content = json.loads(path.read_text())
    FAULTS[said](content)
    content.pop("sha256")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content | {"sha256": digest}))
    with pytest.raises(RecordError, match=said) as caught:
        records.load(experiment, tmp_path)
    assert str(path) in str(caught.value)


def test_folder_that_cannot_be_written_is_found_before_the_training(
    tmp_path, monkeypatch
):
    (tmp_path / "results").write_text("a file in the way")
    monkeypatch.setenv("TRADEOFFS_RESULTS", str(tmp_path / "results"))
    with pytest.raises(OSError, match="cannot be written"):
        tradeoffs.run("pytorch_cnn", schedule=ARTICLE.first(1))


def limited(path):
    """Try to write where no file may have as much as a record."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    records.check_writable(path)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
def test_full_disk_is_found_before_the_training(tmp_path):
    with pytest.raises(OSError, match=r"a\.json cannot be written: File too large"):
        in_fresh_process(limited, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_missing_seed_is_named(tmp_path, monkeypatch):
    for seed in (0, 2):
        records.save(tradeoffs.run("gap_cnn", seed=seed), tmp_path)
    monkeypatch.setenv("TRADEOFFS_RESULTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"TRADEOFFS_RESULTS.*search\.csv"):
        tradeoffs.read_table()
    with pytest.raises(RecordError, match=r"seed 1 is missing.*TRADEOFFS_RESULTS"):
        tradeoffs.runs("gap_cnn")
    with pytest.raises(RecordError, match="no series of runs is recorded of small_net"):
        tradeoffs.runs("small_net", pool=5)


SMALL = [
    experiment
    for experiment in recorded_experiments()
    if experiment.dataset == "mnist"
    if experiment.model == "tiny"
    or (experiment.model, experiment.schedule) == ("small_net", ARTICLE)
    if experiment.model == "tiny" or experiment.seed < SEEDS_KEPT
]


@functools.cache
def images_scaled(how):
    """A few at once, which stay in cache: three times as fast."""
    return images_to_tensor(tradeoffs.mnist().test_images, how).split(100)


@pytest.mark.parametrize("experiment", [*SMALL, *KEPT], ids=lambda e: e.path)
def test_recorded_weights_predict_what_the_record_says(experiment):
    run = records.load(experiment)
    images = images_scaled(run.experiment.schedule.input_scaling)
    network = tradeoffs.trained(run)
    with torch.inference_mode():
        predictions = torch.cat([network(some).argmax(1) for some in images])
    # Two logits that all but tie may change places on another processor.
    assert np.mean(predictions.numpy() != run.test_predictions) <= 0.0005


def test_every_file_of_weights_has_its_record():
    folder = records.results_folder()
    known = {(folder / e.path).with_suffix(".safetensors") for e in SMALL}
    known |= {(folder / e.path).with_suffix(".safetensors.xz") for e in KEPT}
    assert set(folder.rglob("*.safetensors*")) == known


def test_missing_or_damaged_weights_are_named(tmp_path):
    run = records.load(SMALL[0])
    with pytest.raises(FileNotFoundError, match=r"seed0\.safetensors"):
        tradeoffs.trained(run, tmp_path)
    save_weights(run, tradeoffs.build("small_net"), tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match="git checkout"):
        tradeoffs.trained(run, tmp_path)
    save_weights(run, tradeoffs.build("small_net", kernel_size=5), tmp_path)
    with pytest.raises(RecordError, match="does not hold the weights of its network"):
        tradeoffs.trained(run, tmp_path)
    with pytest.raises(ValueError, match="each Small Net on MNIST"):
        tradeoffs.trained(tradeoffs.run("gap_cnn", seed=1))
    with pytest.raises(ValueError, match="first 5 seeds"):
        tradeoffs.trained(tradeoffs.run("small_net", seed=SEEDS_KEPT))


MLP = "keras_mlp", "keras"


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        *(((*MLP, ARTICLE, seed), ValueError, str(seed)) for seed in (-1, 2**32)),
        ((*MLP, ARTICLE, 1.0), TypeError, "1.0"),
        (
            (*MLP, ARTICLE, 0, [True]),
            TypeError,
            "model_arguments is a list; give a Mapping",
        ),
        (
            (1, "pytorch", ARTICLE),
            TypeError,
            "model is an int; give a str, such as 'gap_cnn'",
        ),
        (("keras_mlp", "jax", ARTICLE), ValueError, "pytorch, keras"),
    ],
)
def test_experiment_names_what_it_cannot_take(given, error, said):
    with pytest.raises(error, match=said):
        Experiment(*given)


def test_what_is_no_run_or_of_no_such_framework_is_refused():
    with pytest.raises(ValueError, match="it must be one of pytorch"):
        tradeoffs.run("pytorch_cnn", "keras")
    with pytest.raises(TypeError, match="run is a str; give a Run, such as"):
        tradeoffs.trained("gap_cnn")
    with pytest.raises(TypeError, match="runs is a Run; give an Iterable, such as"):
        tradeoffs.summarize(tradeoffs.run("gap_cnn"))


def test_numpys_numbers_are_arguments_too():
    given, plain = {"filters": (np.int64(5), 10)}, {"filters": [5, 10]}
    made = (Experiment("gap_cnn", "pytorch", ARTICLE, 0, a) for a in (given, plain))
    assert len({experiment.path for experiment in made}) == 1
    network = tradeoffs.build("small_net", kernel_size=np.int64(5))
    assert tradeoffs.as_recorded(network, "small_net", kernel_size=5)


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
