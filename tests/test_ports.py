"""A port must compute what the Keras model computes."""

import numpy as np
import pytest
import torch
from torch import nn

import tradeoffs
from tradeoffs.processes import in_fresh_process


def keras_weights_and_logits(name):
    """Called in a process of its own: Keras and PyTorch never share one."""
    keras = tradeoffs.import_keras()
    model = tradeoffs.build(name, seed=0)
    model.layers[-1].activation = keras.activations.linear
    # Biases start at zero: others, so that the comparison sees them.
    random = np.random.default_rng(0)
    weights = [
        w if w.ndim > 1 else random.normal(0, 0.1, w.shape).astype(w.dtype)
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    images = tradeoffs.mnist().test_images[:256, ..., None] / np.float32(255)
    return weights, np.asarray(model(images, training=False))


@torch.no_grad()
def copy_weights(port, weights):
    """Kernels are [in, out] or [height, width, in, out], and biases follow them."""
    layers = [m for m in port if isinstance(m, (nn.Conv2d, nn.Linear))]
    channels = None
    for layer, kernel, bias in zip(layers, weights[::2], weights[1::2], strict=True):
        kernel = torch.as_tensor(kernel)
        if isinstance(layer, nn.Conv2d):
            kernel, channels = kernel.permute(3, 2, 0, 1), layer.out_channels
        else:
            if channels:  # Keras flattens channels last, PyTorch channels first
                kernel = kernel.unflatten(0, (-1, channels)).transpose(0, 1)
                kernel, channels = kernel.flatten(0, 1), None
            kernel = kernel.T
        layer.weight.copy_(kernel)
        layer.bias.copy_(torch.as_tensor(bias))


@pytest.mark.parametrize("name", ["keras_mlp", "keras_cnn"])
def test_port_gives_the_logits_of_keras(name, mnist):
    weights, expected = in_fresh_process(keras_weights_and_logits, name)
    port = tradeoffs.build(name, "pytorch").eval()
    copy_weights(port, weights)
    images = torch.tensor(mnist.test_images[:256]).float()[:, None] / 255
    with torch.inference_mode():
        logits = port(images).numpy()
    assert np.abs(logits - expected).max() < 1e-5
