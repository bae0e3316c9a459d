"""Training schedules: the article's common one, and the authors' own recipes.

A schedule says everything about a training except the network, the data and
the seed. Sources: the article for `ARTICLE`; the `mnist_mlp` and `mnist_cnn`
examples as Keras shipped them in 2017 for the two recipes.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterator

from tradeoffs.checks import number, one_of, whole_number
from tradeoffs.schedule_values import Augmentation, checked_values, faults

WARM_UP = 0.2  # the share of a cycle's steps in which the learning rate rises
# Values that no schedule had when the first runs were recorded.
LATER = "weight_decay", "cycle", "label_smoothing", "augmentation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained. Checks itself when it is made.

    Attributes:
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1; the last batch may be smaller.
        learning_rate: step size of the first epoch, or the highest of a cycle, above 0.
        milestones: after so many epochs the learning rate is multiplied by
            `gamma`; increasing, each from 1 to `epochs` - 1.
        gamma: the factor at each milestone, above 0 and at most 1.
        optimizer: one of "sgd", "rmsprop", "adadelta", "adam", "adamw".
        momentum: of SGD, from 0 up to but not including 1.
        nesterov: Nesterov's form of momentum; needs a momentum above 0.
        input_scaling: "standardized" (pixels minus their mean, over their
            standard deviation) or "unit" (uint8 pixels divided by 255).
        weight_decay: of AdamW, 0 or more: each step takes so large a share, times the
            learning rate, off every weight, bias and norm.
        cycle: let the learning rate rise in a line over the first fifth of the steps
            and fall in a cosine to nearly 0 over the others, in place of milestones.
            Source: https://arxiv.org/abs/1708.07120, with another shape.
        label_smoothing: share of each training label that goes to all classes alike,
            from 0 up to but not including 1; in the training loss alone.
        augmentation: an `Augmentation`, or its values by name, of the training images;
            None for none.

    All from `cycle` on are PyTorch's alone.

    Raises:
        TypeError: a value is of the wrong type.
        ValueError: a value is out of range; the message names it.

    >>> ARTICLE.learning_rate_of(1), ARTICLE.learning_rate_of(11)
    (0.005, 0.0005)
    >>> ARTICLE.replace(batch_size=0)
    Traceback (most recent call last):
    ValueError: batch_size is 0; it must be at least 1
    """

    epochs: int
    batch_size: int
    learning_rate: float
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    input_scaling: str = "standardized"
    weight_decay: float = 0.0
    cycle: bool = False
    label_smoothing: float = 0.0
    augmentation: Augmentation | None = None

    def __post_init__(self):
        for name, value in checked_values(self).items():
            object.__setattr__(self, name, value)
        for said, wrong in faults(self).items():
            if wrong:
                raise ValueError(said)

    def replace(self, **changes) -> "Schedule":
        """The same schedule with some values changed, and checked again."""
        for name in changes:
            one_of("a schedule's value", name, vars(self))
        return dataclasses.replace(self, **changes)

    def first(self, epochs: int) -> "Schedule":
        """The first `epochs` epochs; milestones after them drop out.

        >>> ARTICLE.first(12).milestones
        (10,)
        """
        epochs = whole_number("epochs", epochs)
        if epochs > self.epochs:
            raise ValueError(
                f"first({epochs}) of a schedule of {self.epochs} epochs; "
                "use .replace(epochs=...) to lengthen it"
            )
        if self.cycle and epochs < self.epochs:
            raise ValueError(
                f"first({epochs}) of a cycle of {self.epochs} epochs is no cycle; "
                f"use .compressed({epochs}), or first_epochs={epochs} of fit"
            )
        kept = tuple(m for m in self.milestones if m < epochs)
        return self.replace(epochs=epochs, milestones=kept)

    def compressed(self, epochs: int) -> "Schedule":
        """The whole schedule in fewer epochs, or more: the rate drops as often.

        >>> ARTICLE.compressed(5).milestones
        (2, 4)
        """
        epochs, count = whole_number("epochs", epochs), len(self.milestones)
        if epochs <= count:
            raise ValueError(
                f"compressed({epochs}): {count} milestones need at least {count + 1} "
                "epochs"
            )
        milestones = []
        for place, milestone in enumerate(self.milestones, 1):
            # Room for the milestones before, and for those to come.
            least = milestones[-1] + 1 if milestones else 1
            most = epochs - 1 - (count - place)
            there = round(milestone * epochs / self.epochs)
            milestones.append(min(max(there, least), most))
        return self.replace(epochs=epochs, milestones=tuple(milestones))

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate during an epoch, of a cycle the highest; from 1."""
        passed = sum(epoch > milestone for milestone in self.milestones)
        return float(f"{self.learning_rate * self.gamma**passed:.12g}")

    def shares(self, steps: int) -> Iterator[float]:
        """What each step takes of `learning_rate_of`, in a training from its start.

        Args:
            steps: of an epoch.

        Returns:
            All of it, without end; of a cycle a share for each step of all epochs.
        """
        if not self.cycle:
            return itertools.repeat(1.0)
        total = steps * self.epochs
        rise = math.ceil(WARM_UP * total)
        fall = total - rise + 1  # so that the last step takes a little
        return (
            n / rise if n <= rise else (1 + math.cos(math.pi * (n - rise) / fall)) / 2
            for n in range(1, total + 1)
        )

    def content(self) -> dict:
        """The values by name, of later ones those that are not the default.

        So what is known by them, such as a record, stays known when values are added.
        """
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in LATER or value != getattr(Schedule, name)
        }

    @property
    def name(self) -> str:
        """The name in `SCHEDULES`, or "custom-" and a digest of the values."""
        for name, schedule in SCHEDULES.items():
            if schedule == self:
                return name
        text = json.dumps(self.content(), sort_keys=True)
        return f"custom-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


ARTICLE = Schedule(
    epochs=20,
    batch_size=16,
    learning_rate=5e-3,
    milestones=(10, 15),
    gamma=0.1,
    optimizer="sgd",
    momentum=0.9,
    nesterov=True,
)

KERAS_MLP_RECIPE = Schedule(
    epochs=20,
    batch_size=128,
    learning_rate=1e-3,
    optimizer="rmsprop",
    input_scaling="unit",
)

# A learning rate of 1.0 was Adadelta's default in Keras when the example was
# published. Today's default is 0.001, a thousand times too slow for 12 epochs.
KERAS_CNN_RECIPE = Schedule(
    epochs=12,
    batch_size=128,
    learning_rate=1.0,
    optimizer="adadelta",
    input_scaling="unit",
)

# The same with the default of today.
KERAS_CNN_RECIPE_TODAY = KERAS_CNN_RECIPE.replace(learning_rate=1e-3)

# AdamW and a learning rate that rises and falls once, for the smaller networks.
CYCLE = Schedule(
    epochs=8,
    batch_size=64,
    learning_rate=0.04,
    optimizer="adamw",
    weight_decay=0.01,
    cycle=True,
)
# What was chosen for each limit of parameters; `tradeoffs.models.rows` has the rest.
_AUGMENTATION = Augmentation(shift=1.5, rotation=8, scaling=0.1)
SMALLER = {
    300: CYCLE.replace(epochs=30, learning_rate=0.1),
    518: CYCLE.replace(epochs=60, learning_rate=0.1),
    697: CYCLE.replace(epochs=60, learning_rate=0.1),
    1_000: CYCLE.replace(epochs=60, learning_rate=0.1),
    2_000: CYCLE.replace(epochs=30, learning_rate=0.05),
    7_090: CYCLE.replace(epochs=30, learning_rate=0.03, augmentation=_AUGMENTATION),
}

BATCH_SIZES = (1, 4, 16, 64, 256, 1024, 8192)


def at_batch_size(batch_size: int, *, scaled: bool = False) -> Schedule:
    """The article's schedule with another batch size.

    Args:
        batch_size: images a step.
        scaled: let the learning rate grow in proportion to the batch. Below 16 it
            shrinks in proportion always: with the article's the PyTorch CNN
            diverges there, at 4 in the sixth epoch and at 1 in the first.

    >>> at_batch_size(64).learning_rate, at_batch_size(4).learning_rate
    (0.005, 0.00125)
    >>> at_batch_size(64, scaled=True).learning_rate
    0.02
    """
    batch_size = whole_number("batch_size", batch_size)
    share = batch_size / ARTICLE.batch_size
    return ARTICLE.replace(
        batch_size=batch_size,
        learning_rate=ARTICLE.learning_rate * (share if scaled else min(share, 1)),
    )


def altered(
    epochs: int = 1,
    *,
    compressed: bool = False,
    learning_rate: float = ARTICLE.learning_rate,
    batch_size: int = ARTICLE.batch_size,
    optimizer: str = ARTICLE.optimizer,
    momentum: float = ARTICLE.momentum,
) -> Schedule:
    """The first epochs of the article's schedule, with some values changed.

    Args:
        epochs: how many, up to 20 unless compressed.
        compressed: the whole schedule in so many epochs, at least 5, instead.
        learning_rate, batch_size, optimizer: of `Schedule`.
        momentum: Nesterov's, for "sgd" alone; other optimizers take none.

    >>> altered(3, optimizer="adam").momentum
    0.0
    """
    one_of("compressed", compressed, (True, False))
    most = math.inf if compressed else ARTICLE.epochs
    epochs = whole_number("epochs", epochs, most=most)
    taken = ARTICLE.compressed(max(epochs, 5)) if compressed else ARTICLE.first(epochs)
    momentum = number("momentum", momentum) if optimizer == "sgd" else 0.0
    return taken.replace(
        learning_rate=learning_rate,
        batch_size=batch_size,
        optimizer=optimizer,
        momentum=momentum,
        nesterov=momentum > 0,
    )


SCHEDULES = {
    "article": ARTICLE,
    "keras_mlp_recipe": KERAS_MLP_RECIPE,
    "keras_cnn_recipe": KERAS_CNN_RECIPE,
    "keras_cnn_recipe_today": KERAS_CNN_RECIPE_TODAY,
}
for _size in BATCH_SIZES:
    if _size != ARTICLE.batch_size:
        SCHEDULES[f"article_batch{_size}"] = at_batch_size(_size)
    if _size > ARTICLE.batch_size:
        SCHEDULES[f"article_batch{_size}_scaled"] = at_batch_size(_size, scaled=True)
for _schedule in SMALLER.values():
    _moved = "_augmented" if _schedule.augmentation else ""
    _rate = f"{_schedule.learning_rate:g}"
    SCHEDULES[f"cycle{_schedule.epochs}_rate{_rate}{_moved}"] = _schedule
