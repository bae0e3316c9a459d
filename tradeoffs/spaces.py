"""What a search tries: a space of networks, and the plan of a search.

A space maps names to the values to try, and a grid is every combination. A
name is an argument of the model's function, or "learning_rate" or "seed". A
value may itself be a mapping of arguments that only make sense together, such
as a pool's window and kind.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tradeoffs.checks import one_of, whole_number
from tradeoffs.schedules import ARTICLE, Schedule


def _layout(kernels, pool, kind="max", after=1):
    """Kernel sizes and pooling: not every pool is worth its time with each kernel."""
    first, second = kernels
    sizes = {"kernel_size": first, "second_kernel_size": second}
    return sizes | {"pool": pool, "pool_kind": kind, "pool_after": after}


# 304 networks: 4 x 19 x 2 x 2. The Small Net of the article is in it in both
# readings, of 518 and of 598 parameters. Filters and slopes vary within one
# stack, so that it trains 8 networks at once. Without a pool, or with a late
# one, a network takes five times as long, so few layouts are so.
SMALL_NET_SPACE = {
    "filters": ((3, 5), (3, 7), (4, 8), (5, 8)),
    "layout": (
        *(_layout(kernels, None) for kernels in ((3, 3), (5, 3))),
        *(_layout(kernels, 2) for kernels in ((3, 3), (5, 3), (5, 4))),
        *(_layout(kernels, 3) for kernels in ((3, 3), (5, 3), (3, 4), (5, 4))),
        *(
            _layout(kernels, 4)
            for kernels in ((3, 3), (5, 3), (7, 3), (3, 4), (4, 4), (5, 4))
        ),
        *(_layout(kernels, 4, "average") for kernels in ((3, 3), (5, 3), (5, 4))),
        _layout((5, 3), 4, after=2),
    ),
    "slope": (0.0, 0.1),
    "batch_norm": (True, False),
}

# What can be searched for: Optuna's direction, and the column of the table.
OBJECTIVES = {
    "accuracy": ("maximize", "validation_accuracy"),
    "loss": ("minimize", "validation_loss"),
    "parameters": ("minimize", "num_parameters"),
}
SAMPLERS = ("grid", "tpe", "nsga2", "random")


def as_choice(value) -> str | int | float | bool | None:
    """A value as a study keeps it: itself, or its JSON.

    >>> as_choice(3), as_choice((5, 8))
    (3, '[5, 8]')
    """
    plain = value is None or isinstance(value, (str, int, float))
    return value if plain else json.dumps(value)


def arguments_of(point: dict) -> dict:
    """A point's arguments, with mappings spread out and lists as tuples."""
    arguments = {}
    for name, value in point.items():
        arguments.update(value if isinstance(value, Mapping) else {name: value})
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in arguments.items()
    }


@dataclass(frozen=True)
class Plan:
    """A search, wherever it runs: two plans that differ are two studies.

    Attributes:
        space: as the page above says.
        objective: names of `OBJECTIVES`; or one of the reader's own.
        schedule: as `ARTICLE`.
        model: a model's name.
        sampler: one of `SAMPLERS`.
        num_trials: networks to train; None for the whole grid.
        seed: of weights and order, where the space has none, and of the sampler.
        num_images: only the first training images; None for all.
        dataset: the data set, where the reader has one of their own.

    Raises:
        TypeError, ValueError: a value is wrong; the message names it.
    """

    space: Mapping
    objective: tuple[str, ...] = ("accuracy",)
    schedule: Schedule = ARTICLE
    model: str = "small_net"
    sampler: str = "grid"
    num_trials: int | None = None
    seed: int = 0
    num_images: int | None = None
    dataset: str | None = None

    def __post_init__(self):
        _check_space(self.space)
        if not isinstance(self.schedule, Schedule):
            raise TypeError(
                f"schedule is a {type(self.schedule).__name__}; give a Schedule, "
                "such as tradeoffs.ARTICLE"
            )
        one_of("sampler", self.sampler, SAMPLERS)
        whole_number("seed", self.seed, least=0)
        for name in ("num_trials", "num_images"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name))
        if self.sampler == "grid" and self.num_trials:
            raise ValueError("num_trials is for other samplers; a grid has an end")
        if self.sampler != "grid" and not self.num_trials:
            raise ValueError(
                f"the sampler {self.sampler!r} has no end; say how many networks "
                "to train with num_trials"
            )

    @functools.cached_property
    def points(self) -> list[dict]:
        """Every combination of the space's values."""
        names, values = self.space.keys(), self.space.values()
        return [
            dict(zip(names, point, strict=True)) for point in itertools.product(*values)
        ]

    @property
    def num_networks(self) -> int:
        """How many networks the search is to train."""
        return len(self.points) if self.num_trials is None else self.num_trials

    @property
    def directions(self) -> list[str]:
        """Optuna's direction of each objective."""
        return [OBJECTIVES.get(name, ("maximize",))[0] for name in self.objective]

    @property
    def study_name(self) -> str:
        """What a person reads, and a digest of everything in the plan."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return (
            f"{self.model}-{self.schedule.name}-{self.sampler}-"
            f"{self.num_networks}-{digest}"
        )

    def to_dict(self) -> dict:
        """The plan as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def _check_space(space):
    if not isinstance(space, Mapping):
        raise TypeError(
            f"a space is a {type(space).__name__}; give a mapping of names to "
            'the values to try, such as {"kernel_size": [3, 5]}'
        )
    if not space:
        raise ValueError("the space is empty; give at least one name with its values")
    for name, values in space.items():
        if not isinstance(values, (list, tuple)):
            raise TypeError(
                f"the values of {name!r} are {values!r}; give a list, even of one"
            )
        if not values:
            raise ValueError(f"the grid is empty: {name!r} has no values to try")
        seen = set()
        for value in values:
            text = _json(name, value)
            if text in seen:
                raise ValueError(f"{value!r} is twice among the values of {name!r}")
            seen.add(text)
            inside = value if isinstance(value, Mapping) else {}
            if clash := (inside.keys() - {name}) & space.keys():
                raise ValueError(f"{min(clash)!r} is set twice: by {name!r} also")


def _json(name, value):
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError):
        raise TypeError(
            f"{value!r}, a value of {name!r}, is not a finite number, a text, a list "
            "or a mapping of these"
        ) from None
