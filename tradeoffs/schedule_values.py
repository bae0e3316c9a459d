"""What the values of a `Schedule` can be, with errors that say so.

`Augmentation` is the one with values of its own; `tradeoffs.training.augmenting` does
what it says.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tradeoffs.checks import number, one_of, whole_number

OPTIMIZERS = ("sgd", "rmsprop", "adadelta", "adam", "adamw")
INPUT_SCALINGS = ("standardized", "unit")
_SHARES = "momentum", "label_smoothing"  # from 0, below 1
# The most that each value of an `Augmentation` may be.
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


def checked_values(schedule) -> dict:
    """The values of a schedule that are to be numbers, and others, in their own type.

    Raises:
        TypeError: a value is of the wrong type.
        ValueError: a value is none of those allowed.
    """
    marks = schedule.milestones
    if isinstance(marks, str) or not isinstance(marks, Iterable):
        raise TypeError(
            f"milestones is {marks!r}; give a tuple of epochs, such as (10, 15)"
        )
    for name in ("nesterov", "cycle"):
        if not isinstance(value := getattr(schedule, name), bool):
            raise TypeError(f"{name} is {value!r}; give True or False")
    one_of("optimizer", schedule.optimizer, OPTIMIZERS)
    one_of("input_scaling", schedule.input_scaling, INPUT_SCALINGS)
    checked = {"milestones": tuple(whole_number("a milestone", m) for m in marks)}
    if isinstance(schedule.augmentation, Mapping):
        for name in schedule.augmentation:
            one_of("a value of augmentation", name, MOST)
        checked["augmentation"] = Augmentation(**schedule.augmentation)
    elif not isinstance(schedule.augmentation, (Augmentation, type(None))):
        raise TypeError(
            f"augmentation is {schedule.augmentation!r}; give its values by name, such "
            'as {"shift": 2, "rotation": 10}'
        )
    for name in ("epochs", "batch_size"):
        checked[name] = whole_number(name, getattr(schedule, name))
    for name in ("learning_rate", "gamma", "weight_decay", *_SHARES):
        checked[name] = number(name, getattr(schedule, name))
    return checked


def faults(schedule) -> dict:
    """What may be wrong with the values together, and whether it is."""
    rate, gamma, momentum = schedule.learning_rate, schedule.gamma, schedule.momentum
    decay, optimizer = schedule.weight_decay, schedule.optimizer
    marks, last = schedule.milestones, max(schedule.milestones, default=0)
    return {
        f"learning_rate is {rate}; it must be above 0": rate <= 0,
        f"gamma is {gamma}; it must be above 0 and at most 1": not 0 < gamma <= 1,
        **{
            f"{name} is {share}; it must be at least 0, and below 1": not 0 <= share < 1
            for name in _SHARES
            for share in [getattr(schedule, name)]
        },
        f"weight_decay is {decay}; it must be 0 or more": decay < 0,
        f"weight_decay is {decay}, but optimizer {optimizer!r} takes none; set "
        "weight_decay=0": decay and optimizer != "adamw",
        f"momentum is {momentum}, but optimizer {optimizer!r} takes none; "
        "set momentum=0, nesterov=False": momentum and optimizer != "sgd",
        "nesterov=True needs a momentum above 0": schedule.nesterov and not momentum,
        f"milestones are {marks}, but a cycle has none; set milestones=()": (
            schedule.cycle and marks
        ),
        f"milestones are {marks}; they must increase": (
            list(marks) != sorted(set(marks))
        ),
        f"milestone {last} never takes effect in {schedule.epochs} epochs; it must be "
        "below epochs. To cut a schedule short, use "
        f".first({schedule.epochs})": last >= schedule.epochs,
    }
