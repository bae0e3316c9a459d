"""What a search tries: a space of networks, and the plan of a search.

`tradeoffs.search` says what a space is; a grid is every combination of its values.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tradeoffs.checks import instance, one_of, plain, whole_number
from tradeoffs.data import Dataset
from tradeoffs.models import model_info
from tradeoffs.schedules import ARTICLE, Schedule
from tradeoffs.sources import digest_of, name_of


def _layout(kernels, pool, kind="max", after=1):
    """Kernel sizes and pooling: not every pool is worth its time with each kernel."""
    first, second = kernels
    sizes = {"kernel_size": first, "second_kernel_size": second}
    return sizes | {"pool": pool, "pool_kind": kind, "pool_after": after}


# 304 networks: 4 x 19 x 2 x 2. The Small Net of the article is in it with both
# kernels, of 518 and of 598 parameters. Filters and slopes vary within one
# stack, so that it trains 8 networks at once. Without a pool, or with a late
# one, a network takes two to three times as long, so few layouts are so.
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

HELD_BACK = 10_000  # of MNIST's training images, to select on
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


def distributions(space: Mapping) -> dict:
    """The values of a space as Optuna's."""
    from optuna.distributions import CategoricalDistribution

    return {
        name: CategoricalDistribution([as_choice(value) for value in values])
        for name, values in space.items()
    }


@dataclass(frozen=True)
class Plan:
    """A search, wherever it runs: two plans that differ are two studies.

    Attributes:
        content: the plan as plain JSON values. What is the reader's own is known by
            a digest of its source text or its images, besides its name.
        space, ...: see `tradeoffs.search`.

    Raises:
        TypeError, ValueError: a value is wrong; the message names it.
    """

    space: Mapping
    objective: str | tuple[str, ...] | Callable = "accuracy"
    schedule: Schedule = ARTICLE
    model: str | Callable = "small_net"
    sampler: str = "grid"
    num_trials: int | None = None
    dataset: Dataset | None = None
    num_images: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("space", "num_trials", "num_images", "seed"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        _check_space(self.space)
        instance("schedule", self.schedule, Schedule, "tradeoffs.ARTICLE")
        images = 60_000 - HELD_BACK  # MNIST's
        if self.dataset is not None:
            instance("dataset", self.dataset, Dataset, "tradeoffs.mnist()")
            images = len(self.dataset.train_images)
        one_of("sampler", self.sampler, SAMPLERS)
        whole_number("seed", self.seed, least=0, most=2**32 - 1)
        if self.num_trials is not None:
            whole_number("num_trials", self.num_trials)
        if self.num_images is not None:
            whole_number("num_images", self.num_images, most=images)
        if self.sampler == "grid" and self.num_trials:
            raise ValueError("num_trials is for other samplers; a grid has an end")
        if self.sampler != "grid" and not self.num_trials:
            raise ValueError(
                f"the sampler {self.sampler!r} has no end; say how many networks "
                "to train with num_trials, or --trials"
            )
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        content["objective"] = _objective_names(self.objective)
        content["schedule"] = self.schedule.content()
        own = callable(self.model)
        content["model"] = name_of(self.model) if own else model_info(self.model).name
        if self.dataset is not None:
            content["dataset"] = _name_of_images(self.dataset)
        object.__setattr__(self, "content", json.loads(json.dumps(content)))

    @functools.cached_property
    def points(self) -> list[dict]:
        """Every combination of the space's values."""
        return [
            dict(zip(self.space, point, strict=True))
            for point in itertools.product(*self.space.values())
        ]

    @property
    def num_networks(self) -> int:
        """How many networks the search is to train."""
        return len(self.points) if self.num_trials is None else self.num_trials

    @property
    def study_name(self) -> str:
        """What a person reads, and a digest of everything in the plan."""
        digest = digest_of(json.dumps(self.content, sort_keys=True).encode())
        model, schedule = self.content["model"], self.schedule.name
        return f"{model}-{schedule}-{self.sampler}-{self.num_networks}-{digest}"


def _check_space(space):
    if not isinstance(space, Mapping):
        raise TypeError(
            f"a space is a {type(space).__name__}; give a mapping of names to "
            'the values to try, such as {"kernel_size": [3, 5]}'
        )
    if not space:
        raise ValueError("the space is empty; give at least one name with its values")
    set_by = {name: name for name in space}
    for name, values in space.items():
        if not isinstance(values, (list, tuple)):
            raise TypeError(
                f"the values of {name!r} are {values!r}; give a list, even of one"
            )
        if not values:
            raise ValueError(f"the grid is empty: {name!r} has no values to try")
        seen = set()
        for value in values:
            try:
                text = json.dumps(value, sort_keys=True, allow_nan=False)
            except (TypeError, ValueError):
                raise TypeError(
                    f"{value!r}, a value of {name!r}, is not a finite number, a text, "
                    "a list or a mapping of these"
                ) from None
            if text in seen:
                raise ValueError(f"{value!r} is twice among the values of {name!r}")
            seen.add(text)
            for inside in value if isinstance(value, Mapping) else ():
                if set_by.setdefault(inside, name) != name:
                    raise ValueError(f"{inside!r} is set twice: by {name!r} also")


def _objective_names(objective):
    if callable(objective):
        return (name_of(objective),)
    several = isinstance(objective, (list, tuple))
    names = tuple(objective) if several else (objective,)
    for name in names:
        one_of("objective", name, OBJECTIVES)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"objective is {objective!r}; name each one once")
    return names


def _name_of_images(data):
    parts = data.train_images, data.train_labels, data.test_images, data.test_labels
    content = [part.tobytes() for part in parts]
    content.append(repr((*(part.shape for part in parts), data.pixels)).encode())
    return f"{data.name}-{digest_of(b''.join(content))}"
