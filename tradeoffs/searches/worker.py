"""Trains the networks of a study, a stack at a time.

`python -m tradeoffs.searches.worker` is one of several processes that
`tradeoffs.search` starts; it reads its order, JSON, from standard input.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable

from tradeoffs.experiments import Experiment
from tradeoffs.searches.claims import alive, claim, interrupts_held
from tradeoffs.searches.space import OBJECTIVES, Plan, arguments_of
from tradeoffs.searches.storage import SearchError
from tradeoffs.searches.study import POLL_SECONDS, SearchStudy

MAX_NETWORKS = 32  # a stack; more gain little and wait longer


class Worker:
    """One process at work on a study.

    Args:
        study: the study.
        dataset: to train on, and to select on: its test part.
        build: a function of a seed and a network's arguments.
        objective: a function of a `Run`, larger is better; by default the
            figures that the plan names.
        max_networks: the most in one stack.
    """

    def __init__(
        self,
        study: SearchStudy,
        dataset,
        build: Callable,
        objective: Callable | None = None,
        max_networks: int = MAX_NETWORKS,
    ):
        self.study, self.plan, self.dataset = study, study.plan, dataset
        self.build, self.objective = build, objective
        self.max_networks = max_networks
        self._groups = {}

    def work(self, tick: Callable = lambda: None) -> None:
        """Train until the study is finished, by this process or by others.

        Args:
            tick: called once in a while.

        Raises:
            SearchError: the storage failed, or a network's training too often.
        """
        while True:
            tick()
            self.study.recover()
            if self._train_some(tick):
                continue
            if self.study.finished():
                return tick()
            self.study.check_errors()
            time.sleep(POLL_SECONDS)  # others are training the rest

    def _network(self, arguments):
        return make_network(self.plan, self.build, arguments)

    def _group_of(self, point):
        from tradeoffs.training.stack import stack_group

        key = json.dumps(point, sort_keys=True)
        if key not in self._groups:
            self._groups[key] = stack_group(self._network(arguments_of(point))[0])
        return self._groups[key]

    def _train_some(self, tick):
        """Claim networks and train them. Whether there were any."""
        from tradeoffs.training.stack import stack_group

        with alive(self.study) as claims:
            with interrupts_held():
                claims += claim(self.study, self.max_networks, self._group_of)
            stacks = defaultdict(list)
            for one in claims:
                try:
                    network = self._network(one.arguments)
                    stacks[stack_group(network[0])].append((one, *network))
                except (ValueError, TypeError) as error:
                    one.fail(str(error))
            for stack in stacks.values():
                self._train_stack(*zip(*stack, strict=True), tick)
        return bool(claims)

    def _train_stack(self, claims, models, rates, seeds, tick):
        from tradeoffs.training.stacked import fit_stacked

        def note(epoch, accuracies):
            for claim, accuracy in zip(claims, accuracies, strict=True):
                claim.report(epoch, float(accuracy))
            tick()

        try:
            runs = fit_stacked(
                list(models),
                self.dataset,
                self.plan.schedule,
                list(seeds),
                learning_rates=list(rates),
                progress=False,
                on_epoch=note,
            )
        except SearchError:
            raise
        except Exception as error:
            for claim in claims:
                claim.fail(f"{type(error).__name__}: {error}")
            return
        for claim, model, seed, run in zip(claims, models, seeds, runs, strict=True):
            self._complete(claim, _result(claim, model, seed, run, len(claims)), run)

    def _complete(self, claim, result, run):
        try:
            values = self._values(result, run)
        except Exception as error:
            claim.fail(f"{type(error).__name__}: {error}")
        else:
            claim.complete(values, result)

    def _values(self, result, run):
        if self.objective is None:
            values = [result[OBJECTIVES[name][1]] for name in self.plan.objective]
            return [math.inf if value is None else float(value) for value in values]
        if result["diverged"]:
            return [-math.inf]
        return [float(self.objective(run))]


def make_network(plan: Plan, build: Callable, arguments: dict):
    """A network of a space, its learning rate and its seed."""
    arguments = dict(arguments)
    rate = arguments.pop("learning_rate", plan.schedule.learning_rate)
    seed = arguments.pop("seed", plan.seed)
    return build(seed=seed, **arguments), rate, seed


def check_networks(plan: Plan, build: Callable) -> None:
    """Build every network of a grid once, so that a wrong value shows now.

    Raises:
        ValueError, TypeError: as the model says, with the network's arguments.
    """
    from tradeoffs.training.stack import stack_group

    if plan.sampler != "grid":
        return
    for point in plan.points:
        arguments = arguments_of(point)
        try:
            network, rate, seed = make_network(plan, build, arguments)
            stack_group(network)
            plan.schedule.replace(learning_rate=rate)
            Experiment(plan.model, "pytorch", plan.schedule, seed)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{error}; in the network {arguments}") from error


def _result(claim, model, seed, run, side_by_side):
    """What is kept of a network. One that diverged has learnt nothing."""
    result = {
        "arguments": claim.arguments,
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "seed": seed,
        "side_by_side": side_by_side,
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
        "learning_rate": run.experiment.schedule.learning_rate,
        "environment": run.environment,
    }


def named_builder(model: str) -> Callable:
    """The function that builds a named model in PyTorch."""
    from tradeoffs.models import build

    return lambda seed, **arguments: build(model, "pytorch", seed=seed, **arguments)


def _main(order: str) -> int:
    """Carry out one order: an error is one line, not a page."""
    options = json.loads(order)
    # A shell that starts a command with & lets it, and all of its children,
    # ignore the signal by which this one is stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop_with_parent():
        if os.getppid() != options["parent"]:
            raise KeyboardInterrupt

    try:
        from tradeoffs.frameworks import set_threads

        set_threads("pytorch", 1)
        plan = Plan.from_dict(options["plan"])
        study = SearchStudy(
            plan, options["url"], options["heartbeat_seconds"], options["worker"]
        )
        Worker(
            study,
            plan.load_dataset(),
            named_builder(plan.model),
            max_networks=options["max_networks"],
        ).work(stop_with_parent)
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        print(f"tradeoffs: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.stdin.read()))
