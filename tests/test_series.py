"""Training into a results folder of its own, on real MNIST, and stopping it."""

import os
import signal

import pytest

import tradeoffs
from tradeoffs import ARTICLE, Experiment, records, series
from tradeoffs.recorded import recorded_experiments


def read_until(process, text):
    seen = ""
    while text not in seen:
        letter = process.stdout.read(1)
        assert letter, f"ended without {text!r}: {seen}"
        seen += letter
    return seen


def test_run_trains_what_is_not_recorded_then_reads_it(results, monkeypatch):
    options = {"schedule": ARTICLE.first(1), "dataset": "mnist-head600-100"}
    first = tradeoffs.run("small_net", seed=3, pool=3, **options)
    assert (results / first.experiment.path).exists()
    assert first.environment["threads"] == 1
    monkeypatch.setattr(series, "in_fresh_process", None)  # it could not train
    second = tradeoffs.run("small_net", seed=3, pool=3, **options)
    assert second.history_columns == first.history_columns


def test_damaged_record_is_never_silently_retrained(results, start_command):
    experiment = Experiment("pytorch_cnn", "pytorch", ARTICLE)
    path = results / experiment.path
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 1, "exper')
    with pytest.raises(records.RecordError, match=str(path)):
        tradeoffs.run("pytorch_cnn")
    process = start_command("reproduce", "--only", "pytorch_cnn", "--seeds", "1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "not a whole record" in output
    assert "Traceback" not in output
    assert path.read_text() == '{"format": 1, "exper'


def test_a_training_that_fails_takes_no_other_with_it(results):
    network = "pytorch_cnn", "pytorch", ARTICLE.first(1), 0
    impossible, good = (
        Experiment(*network, arguments, "mnist-head600-100")
        for arguments in ({"dropuot": True}, {})
    )
    with pytest.raises(TypeError, match="dropuot"):
        series.reproduce([impossible, good])
    assert records.load(good)


def test_stopped_reproduce_leaves_no_half_record_and_goes_on(results, start_command):
    only_one = "reproduce", "--only", "pytorch_cnn", "--seeds", "1"
    wanted = [
        e for e in recorded_experiments() if e.model == "pytorch_cnn" and e.seed == 0
    ]
    for stop in (signal.SIGINT, signal.SIGKILL):
        process = start_command(*only_one)
        # Of what was stopped before nothing counts.
        assert f"{len(wanted)} to train" in read_until(process, "images/s")
        if stop == signal.SIGKILL:
            second = start_command("reproduce", "--only", "keras_mlp")
            assert "another process is reproducing" in second.communicate(timeout=60)[0]
            assert second.returncode == 1
        os.killpg(process.pid, stop)
        rest = process.communicate(timeout=60)[0]
        if stop == signal.SIGINT:
            assert process.returncode == 130
            assert "what has finished is kept" in rest
            assert "Traceback" not in rest
        assert list(results.rglob("*.json*")) == []
    again = start_command(*only_one)
    assert f"{len(wanted)} to train" in read_until(again, "images/s")
    os.killpg(again.pid, signal.SIGKILL)
    again.communicate(timeout=60)
