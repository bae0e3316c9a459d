"""Checks of the values that readers give, with errors that say what is allowed."""

import math
import numbers
from collections.abc import Iterable


def whole_number(name: str, value, *, least: int = 1) -> int:
    """A whole number of at least `least`, NumPy's included, as an int.

    Raises:
        TypeError: not a whole number.
        ValueError: below `least`.

    >>> whole_number("epochs", 0)
    Traceback (most recent call last):
    ValueError: epochs is 0; it must be at least 1
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is {value!r}; it must be a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
    return int(value)


def number(
    name: str, value, *, least: float = -math.inf, most: float = math.inf
) -> float:
    """A finite number from `least` to `most`, as a float.

    Raises:
        TypeError: not a number.
        ValueError: NaN, infinite or out of range.

    >>> number("price", -1, least=0)
    Traceback (most recent call last):
    ValueError: price is -1; it must be 0 or more
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}; it must be a number")
    if math.isfinite(value) and least <= value <= most:
        return float(value)
    if most < math.inf:
        allowed = f"from {least:g} to {most:g}"
    else:
        allowed = f"{least:g} or more" if math.isfinite(least) else "finite"
    raise ValueError(f"{name} is {value}; it must be {allowed}")


def one_of(name: str, value, allowed: Iterable):
    """The value, if it is one of those allowed.

    Types count too: True is not the kernel size 1.

    Raises:
        ValueError: it is none of them.
    """
    allowed = list(allowed)
    if not any(type(value) is type(a) and value == a for a in allowed):
        raise ValueError(
            f"{name} is {value!r}; it must be one of "
            f"{', '.join(a if isinstance(a, str) else repr(a) for a in allowed)}"
        )
    return value


def instance(name: str, value, kind: type, example: str) -> None:
    """Raise a TypeError that gives an example, unless the value is of a type."""
    if not isinstance(value, kind):
        raise TypeError(
            f"{name} is a {type(value).__name__}; give a {kind.__name__}, such as "
            f"{example}"
        )


def input_shapes(given) -> tuple:
    """A model's `input_shape`: a shape, or a tuple of one shape an input.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1.

    >>> input_shapes([1, 28, 28]), input_shapes([[3, 8], [5]])
    ((1, 28, 28), ((3, 8), (5,)))
    """
    try:
        sizes = tuple(given)
        if sizes and all(hasattr(size, "__iter__") for size in sizes):
            return tuple(map(input_shapes, sizes))
        return tuple(whole_number("a size in input_shape", size) for size in sizes)
    except TypeError:
        raise TypeError(
            f"input_shape is {given!r}; it must be whole numbers, without the batch, "
            "such as (1, 28, 28), or one such shape an input"
        ) from None
