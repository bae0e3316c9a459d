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

DEPTHWISE_KERNEL = 3
MOMENTS_CHUNK = 500  # images
MOMENTS_BYTES = 2**30  # of all images, at most
FAR = 10  # means, in deviations, from which on moments in float32 are too coarse


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


def _moments_fail(convolution, images):
    """Whether those of patches take too much memory, or lose too many digits."""
    taps = convolution.weight[0, 0].numel()
    room = taps**2 * len(images) * images.element_size() <= MOMENTS_BYTES
    precise = images.element_size() >= 4
    return not (room and precise and abs(images.mean()) <= FAR * images.std())


class FirstLayers:
    """A convolution of one channel, and its norm if one follows, made faster.

    A convolution from one channel to F is a depthwise one of the image repeated F
    times, the form that oneDNN computes fastest up to 3 x 3 taps. And batch
    normalisation after it needs no pass over the output: mean and variance of w·p over
    patches p follow from the first and second moments of the patches, which are summed
    once for each image, and normalising by them folds into the weights. A step is up
    to 1.6 times as fast.

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

        If each step is `changing` the images, the moments of their patches are not
        known, and a norm stays a layer of its own.

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
        if norms and (changing or _moments_fail(convolution, images)):
            norms = []
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
