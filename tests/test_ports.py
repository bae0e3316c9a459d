"""A port must compute what the Keras model computes."""

import numpy as np
import pytest
import torch
from torch import nn

import tradeoffs
from tradeoffs.processes import in_fresh_process


def keras_logits(name, arrays):
    """Called in a process of its own: Keras and PyTorch never share one."""
    keras = tradeoffs.import_keras()
    from tradeoffs.models.keras import with_weights

    model = with_weights(tradeoffs.build(name), arrays)
    model.layers[-1].activation = keras.activations.linear
    images = tradeoffs.mnist().test_images[:256, ..., None] / np.float32(255)
    return np.asarray(model(images, training=False))


@pytest.mark.parametrize("name", ["keras_mlp", "keras_cnn"])
def test_port_gives_the_logits_of_keras(name, mnist):
    port = tradeoffs.build(name, "pytorch", seed=0).eval()
    # Biases start at zero: others, so that the comparison sees them.
    for parameter in port.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.1)
    arrays = {name: tensor.numpy() for name, tensor in port.state_dict().items()}
    expected = in_fresh_process(keras_logits, name, arrays, framework="keras")
    images = torch.tensor(mnist.test_images[:256]).float()[:, None] / 255
    with torch.inference_mode():
        logits = port(images).numpy()
    assert np.abs(logits - expected).max() < 1e-5
