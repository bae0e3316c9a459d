"""The layers of K networks that are computed side by side.

Between layers the values are [b, K * channels, h, w] in `channels_last`, or,
after a `Flatten`, [K, b, features]. A layer holds the parameters of all
networks as [K, ...]; no operation here mixes two networks.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def stack_padded(tensors, value: float = 0.0):
    """Tensors of one rank as [K, ...], padded at their ends to the largest."""
    shape = torch.Size(map(max, zip(*(t.shape for t in tensors), strict=True)))
    stacked = tensors[0].new_full((len(tensors), *shape), value)
    for place, tensor in zip(stacked, tensors, strict=True):
        place[tuple(map(slice, tensor.shape))] = tensor
    return stacked


class Convolution:
    """K convolutions: one of K groups."""

    def __init__(self, layers, weight, bias=None):
        self.weight, self.bias = weight, bias
        self.settings = {
            "stride": layers[0].stride,
            "padding": layers[0].padding,
            "dilation": layers[0].dilation,
        }

    def __call__(self, x, training):
        bias = None if self.bias is None else self.bias.flatten()
        return self.convolve(x, self.weight, bias)

    def convolve(self, x, weight, bias):
        groups = len(weight)
        return functional.conv2d(
            x, weight.flatten(0, 1), bias, groups=groups, **self.settings
        )


class Normalization:
    """K batch normalisations: each channel has statistics of its own anyway."""

    def __init__(self, layers, weight, bias):
        self.weight, self.bias = weight, bias
        self.layers = layers
        self.momentum, self.eps = layers[0].momentum, layers[0].eps
        self.mean = stack_padded([layer.running_mean for layer in layers])
        self.variance = stack_padded([layer.running_var for layer in layers], 1.0)
        self.num_batches = 0

    def __call__(self, x, training):
        self.num_batches += training
        return functional.batch_norm(
            x,
            self.mean.view(-1),
            self.variance.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            training,
            self.momentum,
            self.eps,
        )

    def track(self, mean, variance, count):
        """Move the running statistics towards those of batches of `count`."""
        self.num_batches += 1
        self.mean.lerp_(mean, self.momentum)
        self.variance.lerp_(variance * (count / (count - 1)), self.momentum)

    def copy_back(self):
        for layer, mean, variance in zip(
            self.layers, self.mean, self.variance, strict=True
        ):
            layer.running_mean.copy_(mean[: layer.num_features])
            layer.running_var.copy_(variance[: layer.num_features])
            layer.num_batches_tracked += self.num_batches


class _Rectify(torch.autograd.Function):
    """LeakyReLU of a slope for each network, in operations that vectorise."""

    @staticmethod
    def forward(context, x, slopes):
        context.save_for_backward(x, slopes)
        return torch.maximum(x, x * slopes)

    @staticmethod
    def backward(context, gradient):
        x, slopes = context.saved_tensors
        positive = torch.ops.aten.threshold_backward(gradient, x, 0)
        return torch.lerp(positive, gradient, slopes), None


class Rectifier:
    """K rectifiers, of a slope each."""

    def __init__(self, layers):
        slopes = [getattr(layer, "negative_slope", 0.0) for layer in layers]
        self.slope = slopes[0] if len(set(slopes)) == 1 else None
        self.slopes = torch.tensor(slopes)

    def __call__(self, x, training):
        if self.slope is not None:
            return functional.leaky_relu(x, self.slope)
        slopes = self.slopes.to(x)
        if x.dim() == 3:
            return _Rectify.apply(x, slopes[:, None, None])
        channels = x.shape[1] // len(slopes)
        slopes = slopes.repeat_interleave(channels)[:, None, None]
        return _Rectify.apply(x, slopes)


class Pool:
    """K pools: they look at one channel at a time anyway."""

    def __init__(self, layers):
        self.layer = layers[0]

    def __call__(self, x, training):
        return self.layer(x)


class GlobalPool(Pool):
    """K adaptive average pools."""

    def __call__(self, x, training):
        if self.layer.output_size not in (1, (1, 1)):
            return self.layer(x)
        # The gradient of a sum is a view; that of a mean is a tensor whose
        # layout makes the backward pass of the layer below crawl.
        return x.sum((2, 3), keepdim=True) * (1 / math.prod(x.shape[2:]))


class Flatten:
    """From channels side by side to [K, b, features]."""

    def __init__(self, layers):
        self.networks = len(layers)

    def __call__(self, x, training):
        if x.dim() == 3:
            return x
        return x.unflatten(1, (self.networks, -1)).transpose(0, 1).flatten(2)


class Dense:
    """K linear layers: one batched product."""

    def __init__(self, layers, weight, bias=None):
        self.weight, self.bias = weight, bias

    def __call__(self, x, training):
        if self.bias is None:
            return x @ self.weight.mT
        return torch.baddbmm(self.bias[:, None], x, self.weight.mT)


STACKED = {
    nn.Conv2d: Convolution,
    nn.BatchNorm2d: Normalization,
    nn.MaxPool2d: Pool,
    nn.AvgPool2d: Pool,
    nn.AdaptiveAvgPool2d: GlobalPool,
    nn.ReLU: Rectifier,
    nn.LeakyReLU: Rectifier,
    nn.Flatten: Flatten,
    nn.Linear: Dense,
}
