"""Networks of a few hundred to a few thousand parameters, in PyTorch.

Takes images [n, 1, 28, 28] and returns logits [n, 10]. Separable convolutions as in
MobileNet, https://arxiv.org/abs/1704.04861, with one norm and one activation each.
"""

from __future__ import annotations

from torch import nn

from tradeoffs.checks import number, one_of, whole_number
from tradeoffs.models.small_net import KERNEL_SIZES, POOL_KINDS, POOLS, sequence

SIDE = 28
NORMS = (True, False, "blocks")


def tiny(
    *,
    filters: tuple[int, ...] = (4, 6, 8, 10),
    kernel_sizes: int | tuple[int, ...] = 3,
    pools: int | tuple[int | None, ...] | None = (2, 2, None, None),
    pool_kind: str = "max",
    slope: float = 0.0,
    batch_norm: bool | str = True,
    padding: bool = True,
    bias: bool = True,
):
    """A convolution and separable ones, then global average pooling: 516 parameters.

    A separable convolution is a depthwise one, of a kernel a channel, and a pointwise
    one, of 1 x 1. A norm, the activation and a pool follow the first convolution and
    each pointwise one. A maximum and the activation commute, so a max pool comes before
    it, where there is less to compute; an average pool comes after it.

    Args:
        filters: of the first convolution and of each pointwise one, at least 1.
        kernel_sizes: of the first convolution and of each depthwise one, 1 to 7; or
            one for all.
        pools: window of the pool after each of them, 2 to 6, or None for no pool; or
            one for all.
        pool_kind: "max" or "average".
        slope: of LeakyReLU, from 0 to 1; 0 gives ReLU.
        batch_norm: normalise after every convolution that mixes channels; "blocks":
            not after the first. Such a convolution has a bias where no norm follows.
        padding: zeros around what each kernel is given, so that odd ones keep its size
            and even ones take a pixel off it.
        bias: of the linear layer.

    Raises:
        TypeError, ValueError: a value is not allowed; the message says what is.
    """
    if not isinstance(filters, (tuple, list)) or not filters:
        raise ValueError(
            f"filters is {filters!r}; it must be whole numbers of at least 1, such as "
            "(4, 6, 8)"
        )
    filters = [whole_number("a number of filters", n) for n in filters]
    kernels = _each("kernel_sizes", kernel_sizes, KERNEL_SIZES, len(filters))
    windows = _each("pools", pools, POOLS, len(filters))
    one_of("pool_kind", pool_kind, tuple(POOL_KINDS))
    number("slope", slope, least=0, most=1)
    one_of("batch_norm", batch_norm, NORMS)
    one_of("padding", padding, (True, False))
    one_of("bias", bias, (True, False))
    layers, side, before = {}, SIDE, 1
    for place, (after, kernel, window) in enumerate(
        zip(filters, kernels, windows, strict=True), 1
    ):
        around = (kernel - 1) // 2 if padding else 0
        side = (side + 2 * around - kernel + 1) // (window or 1)
        if side < 1:
            raise ValueError(
                f"pools is {pools!r} and kernel_sizes {kernel_sizes!r}; nothing is "
                f"left of {SIDE} x {SIDE} pixels"
            )
        norm = batch_norm is True or (batch_norm == "blocks" and place > 1)
        if place == 1:
            layers["conv1"] = nn.Conv2d(1, after, kernel, padding=around, bias=not norm)
        else:
            layers[f"depthwise{place}"] = nn.Conv2d(
                before, before, kernel, padding=around, groups=before, bias=False
            )
            layers[f"pointwise{place}"] = nn.Conv2d(before, after, 1, bias=not norm)
        layers[f"norm{place}"] = nn.BatchNorm2d(after) if norm else None
        pool = POOL_KINDS[pool_kind](window) if window else None
        activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
        last = {f"pool{place}": pool, f"activation{place}": activation}
        layers |= last if pool_kind == "max" else dict(reversed(last.items()))
        before = after
    return sequence(
        **layers,
        gap=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(before, 10, bias=bias),
    )


def _each(name, values, allowed, count):
    """A value for each convolution that mixes channels."""
    if not isinstance(values, (tuple, list)):
        values = [values] * count
    if len(values) != count:
        raise ValueError(
            f"{name} is {values!r}; with {count} filters it must be {count} values, "
            "or one for all"
        )
    return [one_of(f"a value of {name}", value, allowed) for value in values]
