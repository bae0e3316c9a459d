"""A port must compute what the Keras model computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tradeoffs
from tradeoffs.models.pytorch import copy_keras_weights


@pytest.mark.parametrize("name", ["keras_mlp", "keras_cnn"])
def test_port_gives_the_logits_of_keras(name, tmp_path, mnist):
    path = tmp_path / "keras.npz"
    script = Path(__file__).with_name("keras_logits.py")
    subprocess.run(
        [sys.executable, script, name, path], check=True, capture_output=True
    )
    port = tradeoffs.build(name, "pytorch").eval()
    with np.load(path, allow_pickle=False) as arrays:
        expected = arrays["logits"]
        weights = [arrays[f"arr_{i}"] for i in range(len(arrays.files) - 1)]
    copy_keras_weights(port, weights)
    images = torch.tensor(mnist.test_images[:256]).float()[:, None] / 255
    with torch.inference_mode():
        logits = port(images).numpy()
    assert np.abs(logits - expected).max() < 1e-5
