"""The Small Net of the article, in PyTorch, and the networks around it.

Takes images [n, 1, 28, 28] and returns logits [n, 10]. Source: the article,
whose text leaves open where the network pools.
"""

from collections import OrderedDict

from torch import nn

from tradeoffs.checks import number, one_of, whole_number

KERNEL_SIZES = (1, 2, 3, 4, 5, 6, 7)
POOLS = (None, 2, 3, 4, 5, 6)
POOL_KINDS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
POOL_PLACES = {1: (1,), 2: (2,), "both": (1, 2)}


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
    first, second = _two_filters(filters)
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


def _two_filters(filters):
    if not isinstance(filters, (tuple, list)) or len(filters) != 2:
        raise ValueError(
            f"filters is {filters!r}; it must be two whole numbers of at least 1, "
            "such as (5, 8)"
        )
    return [whole_number("a number of filters", n) for n in filters]
