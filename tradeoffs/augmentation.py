"""`Augmentation`: what is done to training images, each time anew.

`tradeoffs.training.augmenting` does it.
"""

import math
from dataclasses import dataclass

from tradeoffs.checks import number

# The most that each value may be.
MOST = {"shift": math.inf, "rotation": 180, "scaling": 0.9, "elastic": math.inf}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images are moved and bent. Checks itself when it is made.

    For every image of every step a number is drawn evenly between minus and plus each
    value. Pixels are interpolated bilinearly; the border goes on outside.

    Attributes:
        shift: pixels, across and down.
        rotation: degrees, up to 180.
        scaling: share of the size, up to 0.9: 0.1 gives 0.9 to 1.1 times the size.
        elastic: pixels by which each point of a grid of 5 x 5 over the image is moved,
            across and down; in between, displacements are interpolated bicubically.

    Raises:
        TypeError: a value is not a number.
        ValueError: a value is out of range; the message names it.

    >>> import tradeoffs
    >>> tradeoffs.ARTICLE.replace(augmentation={"shift": 2}).augmentation
    Augmentation(shift=2.0, rotation=0.0, scaling=0.0, elastic=0.0)
    """

    shift: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    elastic: float = 0.0

    def __post_init__(self):
        for name, most in MOST.items():
            value = number(name, getattr(self, name), least=0, most=most)
            object.__setattr__(self, name, value)
