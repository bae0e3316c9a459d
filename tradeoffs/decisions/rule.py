"""How large should a model be? The rule of thumb of the article."""

from __future__ import annotations

import math
from typing import NamedTuple


class Bounds(NamedTuple):
    """Numbers of parameters between which to look for a model."""

    lower: int
    upper: int

    def verdict(self, num_parameters: int) -> str:
        """Whether a number of parameters is below, within or above."""
        if num_parameters < self.lower:
            return "below"
        return "above" if num_parameters > self.upper else "within"


def rule_of_thumb(num_observations: int, num_features: int) -> Bounds:
    """The article's rule: between the features' and the observations' magnitude.

    Each is the nearest power of ten: as many parameters as there are features,
    in magnitude, at least; as there are observations, at most.

    Args:
        num_observations: training examples.
        num_features: values of one example.

    Raises:
        TypeError: not whole numbers.
        ValueError: below 1, or the features outnumber the observations, for
            which the rule leaves no room.

    >>> rule_of_thumb(60_000, 784)
    Bounds(lower=1000, upper=100000)
    """
    given = {"num_observations": num_observations, "num_features": num_features}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}; it must be a whole number")
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    lower, upper = (
        10 ** round(math.log10(n)) for n in (num_features, num_observations)
    )
    if lower > upper:
        raise ValueError(
            f"{num_features} features outnumber {num_observations} observations; the "
            "rule leaves no room between them"
        )
    return Bounds(lower, upper)
