"""The Small Net of the article, and smaller networks still, in PyTorch.

All take images [n, 1, 28, 28] and return logits [n, 10]. Source of `small_net`: the
article, whose text leaves open where the network pools. `tiny` has separable
convolutions as in MobileNet, https://arxiv.org/abs/1704.04861, with one norm and one
activation each.
"""

import copy
from collections import OrderedDict

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tradeoffs.checks import number, one_of, whole_number
from tradeoffs.models.rows import arguments_of

SIDE = 28
KERNEL_SIZES = (1, 2, 3, 4, 5, 6, 7)
POOLS = (None, 2, 3, 4, 5, 6)
POOL_KINDS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
POOL_PLACES = {1: (1,), 2: (2,), "both": (1, 2)}
ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU}


def sequence(**layers) -> nn.Sequential:
    """Layers by name, without those that are None."""
    return nn.Sequential(OrderedDict((k, v) for k, v in layers.items() if v))


def small_net(
    *,
    filters: tuple[int, int] = (5, 8),
    kernel_size: int = 3,
    second_kernel_size: int = 3,
    pool: int | None = 2,
    pool_stride: int | None = None,
    pool_kind: str = "max",
    pool_after: int | str = 1,
    slope: float = 0.01,
    batch_norm: bool = True,
):
    """The Small Net of the article, with both of its kernels, and its kin.

    With `kernel_size=3` the counts add up to the article's 518 parameters;
    with the 5 of the article's text they are 598. The text does not say where
    it pools.

    Args:
        filters: of the two convolutions, each at least 1.
        kernel_size, second_kernel_size: of the two convolutions, 1 to 7.
        pool: window of the pool, 2 to 6, or None for no pool.
        pool_stride: of the pool, 1 to its window; None for the window itself,
            so that no two windows overlap.
        pool_kind: "max" or "average".
        pool_after: the convolution that it follows, 1 or 2, or "both".
        slope: of LeakyReLU, from 0 to 1; 0 gives ReLU.
        batch_norm: normalise after the first convolution.

    Raises:
        TypeError, ValueError: a value is not allowed; the message says what is.
    """
    first, second = checked_filters(filters, "two whole numbers, such as (5, 8)", 2)
    one_of("kernel_size", kernel_size, KERNEL_SIZES)
    one_of("second_kernel_size", second_kernel_size, KERNEL_SIZES)
    one_of("pool", pool, POOLS)
    one_of("pool_stride", pool_stride, (None, *range(1, (pool or 0) + 1)))
    one_of("pool_kind", pool_kind, tuple(POOL_KINDS))
    one_of("pool_after", pool_after, tuple(POOL_PLACES))
    number("slope", slope, least=0, most=1)
    one_of("batch_norm", batch_norm, (True, False))
    pools = {1: None, 2: None}
    for place in POOL_PLACES[pool_after] if pool else ():
        pools[place] = POOL_KINDS[pool_kind](pool, pool_stride)
    return sequence(
        conv1=nn.Conv2d(1, first, kernel_size),
        norm=nn.BatchNorm2d(first) if batch_norm else None,
        pool=pools[1],
        activation1=nn.LeakyReLU(slope),
        conv2=nn.Conv2d(first, second, second_kernel_size),
        pool2=pools[2],
        activation2=nn.LeakyReLU(slope),
        gap=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(second, 10),
    )


def checked_filters(filters, wanted: str, count: int | None = None) -> list[int]:
    """Numbers of filters, as many as are wanted, or any but none."""
    found = len(filters) if isinstance(filters, (tuple, list)) else 0
    if found != (count or found or 1):
        raise ValueError(f"filters is {filters!r}; it must be {wanted}, of at least 1")
    return [whole_number("a number of filters", n) for n in filters]


class Scale(nn.Module):
    """Times a fixed number: a layer that learns nothing."""

    __constants__ = ("factor",)

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor

    def extra_repr(self):
        return f"{self.factor:g}"


class ShiftNorm(nn.BatchNorm2d):
    """A batch norm that learns a shift alone; weights after a ReLU could scale."""

    def __init__(self, num_features: int):
        super().__init__(num_features)
        self.weight = None


NORMS = {"batch": nn.BatchNorm2d, "shift": ShiftNorm, None: lambda filters: None}


def tiny(
    *,
    parameters: int | None = None,
    filters: tuple[int, ...] = (4, 6, 8, 10),
    pools: int | tuple[int | None, ...] | None = (2, 2, None, None),
    pool_kind: str = "average",
    activation: str = "silu",
    norm: str | None = "shift",
    scale: float = 20,
):
    """A convolution and separable ones, then global average pooling: 488 parameters.

    A separable convolution is a depthwise one, of a kernel a channel, and a pointwise
    one, of 1 x 1; other kernels are 3 x 3, within zeros that keep the size. A norm, the
    activation and a pool follow the first convolution and each pointwise one. What
    global average pooling leaves is scaled, so that the last layer's weights need not
    grow before the logits do.

    Args:
        parameters: the network that was chosen with at most so many, one of
            `tradeoffs.models.rows.ROWS`; without other arguments.
        filters: of the first convolution and of each pointwise one, at least 1.
        pools: window of the pool after each of them, 2 to 6, or None for no pool; or
            one for all.
        pool_kind: "max" or "average".
        activation: "relu" or "silu", x times its sigmoid.
        norm: after every convolution that mixes channels: "batch", "shift" for a batch
            norm that learns no scale, or None for a bias in place of a norm.
        scale: fixed factor of what global average pooling leaves, above 0.

    Raises:
        TypeError, ValueError: a value is not allowed; the message says what is.
    """
    if parameters is not None:
        given = locals()
        for name, default in tiny.__kwdefaults__.items():
            if name != "parameters" and given[name] != default:
                raise ValueError(
                    f"{name} is {given[name]!r} beside parameters={parameters!r}, "
                    "which says it all"
                )
        return tiny(**arguments_of(parameters))
    filters = checked_filters(filters, "whole numbers, such as (4, 6, 8)")
    count = len(filters)
    windows = pools if isinstance(pools, (tuple, list)) else [pools] * count
    if len(windows) != count:
        raise ValueError(
            f"pools is {pools!r}; with {count} filters it must be {count} values, or "
            "one for all"
        )
    for window in windows:
        one_of("a value of pools", window, POOLS)
    one_of("pool_kind", pool_kind, tuple(POOL_KINDS))
    one_of("activation", activation, tuple(ACTIVATIONS))
    one_of("norm", norm, tuple(NORMS))
    if number("scale", scale) <= 0:
        raise ValueError(f"scale is {scale}; it must be above 0")
    layers, side, before = {}, SIDE, 1
    for place, (after, window) in enumerate(zip(filters, windows, strict=True), 1):
        side //= window or 1
        if side < 1:
            raise ValueError(
                f"pools is {pools!r}; nothing is left of {SIDE} x {SIDE} pixels"
            )
        bias = norm is None
        if place == 1:
            layers["conv1"] = nn.Conv2d(1, after, 3, padding=1, bias=bias)
        else:
            layers[f"depthwise{place}"] = nn.Conv2d(
                before, before, 3, padding=1, groups=before, bias=False
            )
            layers[f"pointwise{place}"] = nn.Conv2d(before, after, 1, bias=bias)
        layers[f"norm{place}"] = NORMS[norm](after)
        layers[f"activation{place}"] = ACTIVATIONS[activation]()
        layers[f"pool{place}"] = POOL_KINDS[pool_kind](window) if window else None
        before = after
    return sequence(
        **layers,
        gap=nn.AdaptiveAvgPool2d(1),
        scale=Scale(scale) if scale != 1 else None,
        flatten=nn.Flatten(),
        linear=nn.Linear(before, 10),
    )


def fold_norms(network: nn.Sequential) -> nn.Sequential:
    """A copy for inference, each batch norm folded into the convolution before it.

    The convolution gets a bias; the norm's running statistics are in both, and no
    longer kept. It computes the same, within rounding.

    Args:
        network: whose batch norms follow convolutions.

    Raises:
        TypeError: the network is no `nn.Sequential`, or a norm follows another layer.

    >>> import tradeoffs
    >>> network = tradeoffs.build("tiny", filters=(4, 6), pools=2)
    >>> [name for name, _ in tradeoffs.fold_norms(network).named_children()][:4]
    ['conv1', 'activation1', 'pool1', 'depthwise2']
    """
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"only an nn.Sequential is folded, not {type(network)}")
    layers = {}
    # Not `named_children`, which has a layer that comes twice once.
    for name, layer in copy.deepcopy(network).eval()._modules.items():
        if not isinstance(layer, nn.BatchNorm2d):
            layers[name] = layer
            continue
        last, convolution = [(None, None), *layers.items()][-1]
        if not isinstance(convolution, nn.Conv2d):
            raise TypeError(f"{name!r} follows no convolution, and cannot be folded")
        layers[last] = fuse_conv_bn_eval(convolution, layer)
    return nn.Sequential(OrderedDict(layers)).eval()
