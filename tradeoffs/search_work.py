"""What an executor's process does for a search: it trains one stack."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from tradeoffs.data import Dataset, mnist
from tradeoffs.experiments import Experiment
from tradeoffs.spaces import OBJECTIVES, Plan

HELD_BACK = 10_000  # of MNIST's training images, to select on


@dataclass(frozen=True)
class Order:
    """What an executor's process needs, to train any stack of a plan."""

    plan: Plan
    model: str | Callable
    objective: Callable | None
    dataset: Dataset | None

    def network(self, arguments):
        """A network of the space, its learning rate and its seed."""
        from tradeoffs.models.pytorch import build, seeded

        arguments = dict(arguments)
        rate = arguments.pop("learning_rate", self.plan.schedule.learning_rate)
        seed = arguments.pop("seed", self.plan.seed)
        builder = self.model if callable(self.model) else None
        builder = builder or functools.partial(build, self.model)
        return seeded(builder, seed, **arguments), rate, seed

    def group(self, arguments):
        """What networks of one stack have in common; a wrong value is named.

        Raises:
            ValueError, TypeError: as the model says, with the arguments.
        """
        from tradeoffs.training.stack import stack_group

        try:
            network, rate, seed = self.network(arguments)
            schedule = self.plan.schedule.replace(learning_rate=rate)
            Experiment(self.plan.model, "pytorch", schedule, seed)
            return stack_group(network)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{error}; in the network {arguments}") from error

    def images(self):
        """The data set, or as much of it as was asked for."""
        dataset = self.dataset or mnist().validation_split(HELD_BACK)
        count = self.plan.num_images
        return dataset if count is None else dataset.head(count, min(count, HELD_BACK))


def train_stack(order: Order, networks: list[dict]) -> list[tuple | str]:
    """Train networks, given by their arguments, side by side.

    Returns:
        For each what is kept of it and its values of the objectives; or what
        was wrong with it.
    """
    from tradeoffs.training.stacked import fit_stacked

    models, rates, seeds = zip(*map(order.network, networks), strict=True)
    runs = fit_stacked(
        list(models),
        order.images(),
        order.plan.schedule,
        list(seeds),
        learning_rates=list(rates),
        progress=False,
    )
    outcomes = []
    for arguments, model, seed, run in zip(networks, models, seeds, runs, strict=True):
        result = _result(arguments, model, seed, run) | {"side_by_side": len(runs)}
        try:
            outcomes.append((result, _values(order, result, run)))
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
    return outcomes


def _result(arguments, model, seed, run):
    """What is kept of a network. One that diverged has learnt nothing."""
    result = {
        "arguments": arguments,
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "seed": seed,
        "diverged": isinstance(run, Exception),
    }
    if result["diverged"]:
        return result | {
            "validation_accuracy": 0.0,
            "validation_loss": None,
            "epochs": 0,
            "seconds": 0.0,
        }
    return result | {
        "validation_accuracy": run.test_accuracy,
        "validation_loss": round(run.test_loss, 6),
        "epochs": len(run.history_columns["epoch"]),
        "seconds": round(sum(run.history_columns["train_seconds"]), 3),
        "environment": run.environment,
    }


def _values(order, result, run):
    """The values of the objectives; the worst there is where one has none."""
    if order.objective is None:
        values = [result[OBJECTIVES[name][1]] for name in order.plan.objective]
        return [math.inf if value is None else float(value) for value in values]
    value = -math.inf if result["diverged"] else float(order.objective(run))
    if math.isnan(value):
        raise ValueError(f"the objective of {result['arguments']} is not a number")
    return [value]
