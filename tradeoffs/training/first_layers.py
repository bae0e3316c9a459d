"""The first layers of K networks: a convolution, and a batch norm if any, made faster.

A convolution from one channel to F is a depthwise one of the image repeated F times,
the form that oneDNN computes fastest up to 3 x 3 taps. And batch normalisation after
it needs no pass over the output: mean and variance of w·p over patches p follow from
the first and second moments of the patches, which are summed once for each image,
and normalising by them folds into the weights. A step is up to 1.6 times as fast.
"""

import torch
from torch.nn import functional

from tradeoffs.training.stacked_layers import Convolution, Normalization

DEPTHWISE_KERNEL = 3
MOMENTS_CHUNK = 500  # images


class FirstLayers:
    """A convolution of one channel, and its norm if one follows.

    Args:
        convolution: a `Convolution`.
        norm: the `Normalization` that follows and is to be part of it, or None.
        images: that will be trained on, float32 [n, 1, h, w].
    """

    def __init__(self, convolution, norm, images):
        self.convolution, self.norm = convolution, norm
        networks, filters, _, *kernel = convolution.weight.shape
        self.taps = kernel[0] * kernel[1]
        self.depthwise = max(kernel) <= DEPTHWISE_KERNEL
        repeats = torch.arange(networks, device=images.device)
        self.repeats = repeats.repeat_interleave(filters)
        if norm is None:
            return
        rows = []  # sums over an image's patches, and over their outer products
        for part in images.split(MOMENTS_CHUNK):
            patches = functional.unfold(part, kernel, **convolution.settings)
            products = patches @ patches.mT
            rows.append(torch.cat([patches.sum(2), products.flatten(1)], 1))
        self.num_patches, self.sums = patches.shape[2], torch.cat(rows)

    @classmethod
    def of(cls, stack, images, changing=False):
        """Put them in place of a stack's first layers, if these can be so computed.

        Args:
            stack: a `Stack`.
            images: that will be trained on, float32 [n, 1, h, w].
            changing: whether each step changes them, so that the moments of their
                patches are not known, and a norm stays a layer of its own.

        Returns:
            What was put there, or None.
        """
        convolution, *others = stack.layers[:2]
        if (
            not isinstance(convolution, Convolution)
            or convolution.weight.shape[2] > 1
            or convolution.depthwise
            or isinstance(convolution.settings["padding"], str)
        ):
            return None
        norms = [layer for layer in others if isinstance(layer, Normalization)]
        norms = [] if changing else norms
        first = cls(convolution, *norms or [None], images)
        stack.layers[: 1 + len(norms)] = [first]
        return first

    def prepare(self, indices):
        """Mean and covariance of the patches of the batches [steps, K, b] to come."""
        if self.norm is None:
            return
        steps, networks, batch = indices.shape
        self.count = batch * self.num_patches
        if self.count == 1:
            raise ValueError("more than 1 value per channel are needed")
        sums = functional.embedding_bag(indices.flatten(0, 1), self.sums, mode="sum")
        # Float64: a variance as the difference of two moments cancels.
        sums = sums.view(steps, networks, -1).double() / self.count
        mean, products = sums.split([self.taps, self.taps**2], 2)
        covariance = products.unflatten(2, (self.taps, self.taps))
        covariance = covariance - mean[..., None] * mean[:, :, None]
        like = self.sums
        self.moments = zip(mean[..., None].to(like), covariance.to(like), strict=True)

    def __call__(self, x, training):
        weight, bias = self.convolution.weight, self.convolution.bias
        if self.norm is not None:
            weight, bias = self._normalized(weight, bias, training)
        if self.depthwise:
            b, _, height, width = x.shape
            rows = x.permute(0, 2, 3, 1).flatten(0, 2).index_select(1, self.repeats)
            x = rows.view(b, height, width, -1).permute(0, 3, 1, 2)
        return self.convolution.convolve(x, weight, bias, groups=x.shape[1])

    def _normalized(self, weight, bias, training):
        """The weight and the bias of the convolution, with the norm in them."""
        norm, taps = self.norm, weight.flatten(2)
        if training:
            patch_mean, covariance = next(self.moments)
            mean = (taps @ patch_mean).squeeze(2)
            variance = (taps @ covariance * taps).sum(2)
            with torch.no_grad():
                shift = 0 if bias is None else bias
                norm.mean.lerp_(mean + shift, norm.momentum)
                unbiased = variance * (self.count / (self.count - 1))
                norm.variance.lerp_(unbiased, norm.momentum)
        else:
            # The convolution's bias is part of the running mean.
            mean = norm.mean if bias is None else norm.mean - bias
            variance = norm.variance
        scale = norm.weight * (variance + norm.eps).rsqrt()
        return weight * scale[..., None, None, None], norm.bias - mean * scale
