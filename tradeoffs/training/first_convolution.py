"""The first layers of K networks: faster than a convolution and a norm.

A convolution from one channel to F is a depthwise one of the image repeated F
times, the form that oneDNN computes fastest. And batch normalisation after it
needs no pass over the output: mean and variance of w·p over patches p follow
from the first and second moments of the patches, which are summed once for
each image, and normalising by them folds into the weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

# oneDNN has fast depthwise weight gradients up to this kernel.
DEPTHWISE_KERNEL = 3
MOMENTS_CHUNK = 500  # images


class Moments(NamedTuple):
    """What the patches of a step's images are like, for each network."""

    mean: torch.Tensor  # [K, t, 1]
    covariance: torch.Tensor  # [K, t, t]
    count: int  # patches a network


class FirstConvolution:
    """The convolution that takes the image, with its normalisation if any.

    Args:
        convolution: a `Convolution` of one input channel.
        norm: the `Normalization` that follows, or None.
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
