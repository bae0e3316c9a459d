"""Recorded weights are those of the recorded run."""

import numpy as np
import pytest
import torch

import tradeoffs
from tradeoffs import ARTICLE, Experiment, RecordError, Run, records, weights
from tradeoffs.reproduction import recorded_experiments
from tradeoffs.training.pytorch import images_to_tensor

KEPT = [e for e in recorded_experiments() if e.model == "small_net"]


@pytest.mark.parametrize("experiment", KEPT, ids=lambda e: e.path)
def test_recorded_weights_predict_what_the_record_says(experiment, mnist):
    run = records.load(experiment)
    images = images_to_tensor(mnist.test_images, run.experiment.schedule.input_scaling)
    with torch.inference_mode():
        predictions = tradeoffs.trained(run)(images).argmax(1)
    # Two logits that all but tie may change places on another processor.
    assert np.mean(predictions.numpy() != run.test_predictions) <= 0.0005


def test_every_file_of_weights_has_its_record():
    folder = records.results_folder()
    found = set(folder.rglob("*.safetensors"))
    assert found == {
        (folder / experiment.path).with_suffix(".safetensors") for experiment in KEPT
    }


def made(**changes):
    values = {
        "experiment": Experiment("small_net", "pytorch", ARTICLE.first(1)),
        "num_parameters": 518,
        "history_columns": {"epoch": [1], "test_accuracy": [0.1], "test_loss": [1.0]},
        "test_predictions": np.zeros(1, np.uint8),
        "environment": {},
    }
    return Run(**values | changes)


def test_weights_survive_the_way_to_disk_and_back(tmp_path):
    network = tradeoffs.build("small_net", seed=5)
    network.to(memory_format=torch.channels_last)  # as training leaves it
    weights.save(made(), network, tmp_path)
    again = tradeoffs.trained(made(), tmp_path)
    assert not again.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_missing_or_damaged_weights_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"small_net-pytorch-seed0\.safetensors"
    ):
        tradeoffs.trained(made(), tmp_path)
    path = weights.save(made(), tradeoffs.build("small_net"), tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match="git checkout"):
        tradeoffs.trained(made(), tmp_path)
    weights.save(made(), tradeoffs.build("small_net", kernel_size=5), tmp_path)
    with pytest.raises(RecordError, match="does not hold the weights of its network"):
        tradeoffs.trained(made(), tmp_path)


def test_weights_of_a_large_network_are_not_kept(tmp_path):
    with pytest.raises(ValueError, match="at most 1,000 parameters"):
        tradeoffs.trained(made(num_parameters=7_090), tmp_path)
