"""Checks of the values that readers give, with errors that say what is allowed."""

import math
import numbers
from collections.abc import Iterable, Mapping, Set

import numpy as np


def whole_number(name: str, value, *, least: int = 1, most: float = math.inf) -> int:
    """A whole number from `least` to `most`, NumPy's included, as an int.

    Raises:
        TypeError: not a whole number.
        ValueError: out of range.

    >>> whole_number("epochs", 0)
    Traceback (most recent call last):
    ValueError: epochs is 0; it must be at least 1
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is {value!r}; it must be a whole number")
    if not least <= value <= most:
        allowed = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} is {value}; it must be {allowed}")
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
    allowed = f"{least:g} or more" if math.isfinite(value) else "finite"
    if most < math.inf:
        allowed = f"from {least:g} to {most:g}"
    raise ValueError(f"{name} is {value}; it must be {allowed}")


def one_of(name: str, value, allowed: Iterable):
    """The value, if it is one of those allowed.

    Types count too: True is not the kernel size 1. NumPy's text is text, and its
    numbers are Python's.

    Raises:
        ValueError: it is none of them.
    """
    allowed = list(allowed)
    value = plain(value)
    kind = type(value)
    if not any(kind is type(a) and value == a for a in allowed):
        raise ValueError(
            f"{name} is {value!r}; it must be one of "
            f"{', '.join(a if isinstance(a, str) else repr(a) for a in allowed)}"
        )
    return value


def plain(value):
    """A value with NumPy's numbers as Python's, in lists and mappings too."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        found = [plain(one) for one in value]
        return found if isinstance(value, list) else tuple(found)
    return value


def instance(name: str, value, kind: type, example: str) -> None:
    """Raise a TypeError that gives an example, unless the value is of a type."""
    if not isinstance(value, kind):
        found, wanted = (
            f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"
            for name in (type(value).__name__, kind.__name__)
        )
        raise TypeError(f"{name} is {found}; give {wanted}, such as {example}")


def list_of_runs(runs, *, one_data_set: bool = True) -> list:
    """Runs as a list.

    Raises:
        TypeError: one is no `Run`, or there is but one, and no list.
        ValueError: they are of several data sets, and have other test images.
    """
    instance("runs", runs, Iterable, "tradeoffs.runs('gap_cnn')")
    runs = list(runs)
    for run in runs:
        if not hasattr(run, "experiment"):
            raise TypeError(f"{run!r} is no Run; give runs, as of tradeoffs.runs")
    names = {run.experiment.dataset for run in runs}
    if one_data_set and len(names) > 1:
        found = " and ".join(sorted(names))
        raise ValueError(f"the runs are of {found}; give those of one")
    return runs


def input_shapes(given, *, several: bool = True) -> tuple:
    """A model's `input_shape`: a shape, or a tuple of one shape an input.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1.

    >>> input_shapes([1, 28, 28]), input_shapes([[3, 8], [5]])
    ((1, 28, 28), ((3, 8), (5,)))
    """
    try:
        # One could go through text and sets too.
        sizes = None if isinstance(given, (str, bytes, Set, Mapping)) else tuple(given)
        if several and sizes and all(hasattr(size, "__iter__") for size in sizes):
            return tuple(input_shapes(size, several=False) for size in sizes)
        return tuple(whole_number("a size in input_shape", size) for size in sizes)
    except TypeError:
        raise TypeError(
            f"input_shape is {given!r}; it must be whole numbers, without the batch, "
            "such as (1, 28, 28), or one such shape an input"
        ) from None


def array_view(name: str, given, shapes: Mapping[int, str], *kinds: type) -> np.ndarray:
    """A read-only view of an array that a reader gave, which stays writeable.

    It is copied where PyTorch takes no such array: one that is turned round, is part
    of another's numbers, or has its bytes in another order than this machine's.

    Args:
        name: of the array.
        given: an array, or what NumPy makes one of.
        shapes: a number of axes to what such a shape is called.
        kinds: of its numbers.

    Raises:
        TypeError: its numbers are of another kind.
        ValueError: it is no array, has masked values, or another number of axes.
    """
    if np.ma.is_masked(given):
        raise ValueError(f"{name} has masked values; fill them, or leave them out")
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be made one array: {error}") from error
    if array.ndim not in shapes:
        wanted = " or ".join(shapes.values())
        raise ValueError(f"{name} is of shape {array.shape}; it must be {wanted}")
    if not any(np.issubdtype(array.dtype, kind) for kind in kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {allowed}, not {array.dtype}")
    apart = any(step % array.itemsize or step < 0 for step in array.strides)
    if apart or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    view = array.view()
    view.flags.writeable = False
    return view


def kind_of(outputs) -> str:
    """What a model returned: a dict, or a Tensor of shape (2, 10)."""
    name = type(outputs).__name__.removeprefix("Fake")
    shape = outputs.shape if hasattr(type(outputs), "shape") else None
    return name if shape is None else f"{name} of shape {tuple(shape)}"
