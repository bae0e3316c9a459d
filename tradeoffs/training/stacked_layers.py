"""The layers of K networks that are computed side by side.

Between layers the values are [b, K * channels, h, w] in `channels_last`, or,
after a `Flatten`, [K, b, features]. A layer holds the parameters of all
networks as [K, ...]; no operation here mixes two networks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

# oneDNN has fast depthwise weight gradients up to this kernel.
DEPTHWISE_KERNEL = 3
MOMENTS_CHUNK = 500  # images


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


class Moments(NamedTuple):
    """What the patches of a step's images are like, for each network."""

    mean: torch.Tensor  # [K, t, 1]
    covariance: torch.Tensor  # [K, t, t]
    count: int  # patches a network


class FirstConvolution:
    """The convolution that takes the image, with its normalisation if any.

    Faster than the two layers, in two ways. A convolution from one channel to
    F is a depthwise one of the image repeated F times, the form that oneDNN
    computes fastest. And the normalisation needs no pass over the output:
    mean and variance of w·p over patches p follow from the first and second
    moments of the patches, which are summed once for each image, and
    normalising by them folds into the weights.
    """

    def __init__(self, convolution, norm=None):
        self.convolution, self.norm = convolution, norm
        networks, self.filters, _, *kernel = convolution.weight.shape
        self.kernel = tuple(kernel)
        self.depthwise = max(kernel) <= DEPTHWISE_KERNEL
        self.repeats = torch.arange(
            networks, device=convolution.weight.device
        ).repeat_interleave(self.filters)

    def patch_moments(self, images):
        """Sums over the patches of each image, and over their outer products.

        Args:
            images: float32 [n, 1, h, w].

        Returns:
            float32 [n, t + t * t] for the t taps of the kernel; None where no
            normalisation follows.
        """
        if self.norm is None:
            return None
        rows = []
        for part in images.split(MOMENTS_CHUNK):
            patches = functional.unfold(part, self.kernel, **self.convolution.settings)
            products = patches @ patches.mT
            rows.append(torch.cat([patches.sum(2), products.flatten(1)], 1))
        self.num_patches = patches.shape[2]
        return torch.cat(rows)

    def batch_moments(self, table, indices):
        """Mean and covariance of the patches of batches, for each step.

        Args:
            table: of `patch_moments`.
            indices: of its rows, [steps, K, b].

        Returns:
            A `Moments` a step.
        """
        steps, networks, batch = indices.shape
        count = batch * self.num_patches
        sums = functional.embedding_bag(indices.flatten(0, 1), table, mode="sum")
        # Float64: a variance as the difference of two moments cancels.
        sums = sums.view(steps, networks, -1).double() / count
        taps = math.prod(self.kernel)
        mean, products = sums.split([taps, taps * taps], 2)
        covariance = products.unflatten(2, (taps, taps))
        covariance = covariance - mean[..., None] * mean[:, :, None]
        return [
            Moments(m[..., None], c, count)
            for m, c in zip(
                mean.to(table.dtype), covariance.to(table.dtype), strict=True
            )
        ]

    def __call__(self, x, training, moments):
        weight, bias = self.convolution.weight, self.convolution.bias
        if self.norm is not None:
            weight, bias = self._normalized(weight, bias, training, moments)
        if bias is not None:
            bias = bias.flatten()
        if not self.depthwise:
            return self.convolution.convolve(x, weight, bias)
        b, networks, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, networks)
        repeated = rows.index_select(1, self.repeats)
        repeated = repeated.view(b, height, width, -1).permute(0, 3, 1, 2)
        return self.convolution.convolve(repeated, weight.flatten(0, 1)[:, None], bias)

    def _normalized(self, weight, bias, training, moments):
        norm = self.norm
        taps = weight.flatten(2)
        if training:
            mean = (taps @ moments.mean).squeeze(2)
            variance = (taps @ moments.covariance * taps).sum(2)
            with torch.no_grad():
                shift = 0 if bias is None else bias
                norm.track(mean + shift, variance, moments.count)
        else:
            # The convolution's bias is part of the running mean.
            mean, variance = norm.mean, norm.variance
            mean = mean if bias is None else mean - bias
        scale = norm.weight * (variance + norm.eps).rsqrt()
        return weight * scale[..., None, None, None], norm.bias - mean * scale


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
