"""The layers of K networks that are computed side by side.

Between layers the values are [b, K * channels, h, w] in `channels_last`, or,
after a `Flatten`, [K, b, features]. A layer holds the parameters of all
networks as [K, ...]; no operation here mixes two networks.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from tradeoffs.models.tiny import Scale, ShiftNorm


def slope_of(layer) -> float:
    """Of a rectifier's negative side; `ReLU` has 0."""
    return getattr(layer, "negative_slope", 0.0)


@torch.no_grad()
def stack_padded(tensors):
    """Tensors of one rank as [K, ...], with zeros at their ends up to the largest."""
    shape = torch.Size(map(max, zip(*(t.shape for t in tensors), strict=True)))
    stacked = tensors[0].new_zeros((len(tensors), *shape))
    for place, tensor in zip(stacked, tensors, strict=True):
        place[tuple(map(slice, tensor.shape))] = tensor
    return stacked


class Convolution:
    """K convolutions: one of K groups, or, if each is depthwise, a depthwise one."""

    def __init__(self, layers, weight, bias=None):
        self.weight, self.bias = weight, bias
        self.depthwise = layers[0].groups > 1
        names = ("stride", "padding", "dilation")
        self.settings = {name: getattr(layers[0], name) for name in names}

    def __call__(self, x, training):
        groups = x.shape[1] if self.depthwise else len(self.weight)
        return self.convolve(x, self.weight, self.bias, groups)

    def convolve(self, x, weight, bias, groups):
        """With a weight and a bias of these shapes, [K, ...]."""
        weight, bias = weight.flatten(0, 1), None if bias is None else bias.flatten()
        return functional.conv2d(x, weight, bias, groups=groups, **self.settings)


class Normalization:
    """K batch normalisations: each channel has statistics of its own anyway."""

    def __init__(self, layers, *tensors):
        # A norm that learns a shift alone has no weight.
        *weight, self.bias, self.mean, self.variance, _ = tensors
        self.weight = weight[0] if weight else torch.ones_like(self.bias)
        self.momentum, self.eps = layers[0].momentum, layers[0].eps

    def __call__(self, x, training):
        statistics = self.mean.view(-1), self.variance.view(-1)
        weights = self.weight.flatten(), self.bias.flatten()
        return functional.batch_norm(
            x, *statistics, *weights, training, self.momentum, self.eps
        )


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


def rectifier(layers):
    """K rectifiers, of a slope each."""
    slopes = [slope_of(layer) for layer in layers]
    if len(set(slopes)) == 1:
        return lambda x, training: functional.leaky_relu(x, slopes[0])

    def rectify(x, training):
        each = torch.tensor(slopes, dtype=torch.float64).to(x)
        if x.dim() == 4:
            each = each.repeat_interleave(x.shape[1] // len(slopes))
        return _Rectify.apply(x, each[:, None, None])

    return rectify


def same(layers):
    """K pools or activations: they look at one channel at a time anyway."""
    return lambda x, training: layers[0](x)


def global_pool(layers):
    """K adaptive average pools."""
    if layers[0].output_size not in (1, (1, 1)):
        return same(layers)
    # The gradient of a sum is a view; that of a mean is a tensor whose layout
    # makes the backward pass of the layer below crawl.
    return lambda x, training: (
        x.sum((2, 3), keepdim=True) * (1 / math.prod(x.shape[2:]))
    )


def flatten(layers):
    """From channels side by side to [K, b, features]."""

    def rearrange(x, training):
        if x.dim() == 3:
            return x
        return x.unflatten(1, (len(layers), -1)).transpose(0, 1).flatten(2)

    return rearrange


def dense(layers, weight, bias=None):
    """K linear layers: one batched product."""
    if bias is None:
        return lambda x, training: x @ weight.mT
    return lambda x, training: torch.baddbmm(bias[:, None], x, weight.mT)


STACKED = {
    nn.Conv2d: Convolution,
    nn.BatchNorm2d: Normalization,
    ShiftNorm: Normalization,
    nn.MaxPool2d: same,
    nn.AvgPool2d: same,
    nn.AdaptiveAvgPool2d: global_pool,
    nn.ReLU: rectifier,
    nn.LeakyReLU: rectifier,
    nn.SiLU: same,
    Scale: same,
    nn.Flatten: flatten,
    nn.Linear: dense,
}
