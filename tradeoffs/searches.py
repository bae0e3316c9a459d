"""Searching for the best network, on one machine or on many.

One process drives a search: it asks `studies` for networks, gives them to an
executor a stack at a time, and keeps each result. `spaces` says what is searched,
and `search_table` is what comes out.
"""

import contextlib
import functools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, wait

from tradeoffs.checks import instance, whole_number
from tradeoffs.data import Dataset, mnist
from tradeoffs.experiments import Experiment
from tradeoffs.models import build
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.schedules import ARTICLE, Schedule
from tradeoffs.search_table import kept_of, results_of
from tradeoffs.spaces import HELD_BACK, OBJECTIVES, Plan, arguments_of
from tradeoffs.studies import IN_MEMORY, SearchError, Study

LOOK_SECONDS = 1.0


def search(
    space: Mapping,
    objective: str | tuple[str, ...] | Callable = "accuracy",
    schedule: Schedule = ARTICLE,
    *,
    executor: Executor | None = None,
    jobs: int = 1,
    storage: str | None = None,
    model: str | Callable = "small_net",
    sampler: str = "grid",
    num_trials: int | None = None,
    dataset: Dataset | None = None,
    num_images: int | None = None,
    seed: int = 0,
    max_networks: int = 32,
    progress: bool = True,
):
    """Train the networks of a space, and keep how each one does.

    Networks that fit into one stack are trained side by side. The study goes
    on where it stopped when the same call is made again, also after a kill.

    Args:
        space: names to lists of values to try. A name is an argument of the
            model, "learning_rate" or "seed"; a value that is a mapping stands
            for several arguments that go together. See `SMALL_NET_SPACE`.
        objective: "accuracy", "loss" or "parameters", or several of them; or
            a function of a `Run` whose result is to be large.
        schedule: as `ARTICLE`.
        executor: any `concurrent.futures.Executor`, such as Dask's
            `Client(address).get_executor()`; by default fresh processes here.
        jobs: how many of these at once, a thread each, without an executor.
        storage: a sqlite file or any URL that Optuna takes, such as
            "postgresql+psycopg://user@server/database"; by default
            `TRADEOFFS_STORAGE` or a file in the user's data folder. With a
            model, objective or data set of your own, the default is not to keep
            anything; a storage that you name then knows them by their source
            text and their images, but not by what they call on other pages.
        model: a model of `MODELS` in PyTorch; or a function of the arguments
            that returns an `nn.Sequential`.
        sampler: "grid", every point once; or Optuna's "tpe", "nsga2" or
            "random".
        num_trials: networks to train, where the sampler has no end.
        dataset: to train on and, its test part, to select on; by default
            MNIST's training images, with 10,000 held back.
        num_images: only the first of those, and as many held back at most, for a
            quick look.
        seed: of weights, order and sampler, where the space has none.
        max_networks: the most in one stack, and in one request of a sampler.
        progress: show one bar, with the best so far and the time left.

    Returns:
        A DataFrame, one row a network: see `tradeoffs.search_table`.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
        SearchError: the storage cannot be used, or the training of a network
            failed three times.

    >>> import tradeoffs
    >>> space, few = {"filters": [[2, 4], [5, 8]]}, tradeoffs.mnist().head(1000, 500)
    >>> table = tradeoffs.search(space, schedule=tradeoffs.altered(), dataset=few)
    >>> table.num_parameters.tolist()
    [150, 518]
    """
    whole_number("max_networks", max_networks)
    plan = Plan(
        space,
        objective,
        schedule,
        model,
        sampler,
        num_trials,
        dataset,
        num_images,
        seed,
    )
    own = callable(model) or callable(objective) or dataset is not None
    if storage is None and own:
        storage = IN_MEMORY
    groups = {}  # of networks that are alike, each network built once

    def group_of(arguments):
        key = repr(arguments)
        if key not in groups:
            groups[key] = _group(plan, arguments)
        return groups[key]

    if sampler == "grid":  # every network once, so that a wrong value shows now
        for point in plan.points:
            group_of(arguments_of(point))
    mine = contextlib.nullcontext()
    if executor is None:
        jobs = whole_number("jobs", jobs)
        mine = executor = FreshProcesses(jobs, threads=1, framework="pytorch")
    else:
        instance("executor", executor, Executor, "Client(...).get_executor()")
    with (
        mine,
        contextlib.closing(Study(plan, storage)) as study,
        bar(
            progress,
            total=plan.num_networks,
            initial=len(study.completed()),
            desc=plan.content["model"],
            unit=" networks",
        ) as shown,
    ):
        while asked := study.ask(max_networks):
            networks = [(arguments_of(point), what) for point, what in asked]
            for most in (max_networks, max_networks, 1):  # what failed, at last alone
                stacks = _stacks(networks, group_of, most)
                failed = _train(stacks, plan, executor, study, shown)
                networks = [network for network, _ in failed]
            if failed:
                (arguments, _), why = failed[0]
                raise SearchError(
                    f"the training of the network {arguments} failed 3 times: {why}. "
                    "What has finished is kept"
                )
        return results_of(plan, study.results())


def _stacks(networks, group_of, most):
    """Networks in lists that can be trained side by side."""
    groups = defaultdict(list)
    for network in networks:
        groups[group_of(network[0])].append(network)
    return [
        group[start : start + most]
        for group in groups.values()
        for start in range(0, len(group), most)
    ]


def _train(stacks, plan, executor, study, shown):
    """Keep each result as soon as it is there; what failed, each with why."""
    running, failed = {}, []
    try:
        for stack in stacks:
            arguments = [arguments for arguments, _ in stack]
            running[executor.submit(train_stack, plan, arguments)] = stack
        while running:
            done, _ = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
            for future in done:
                stack = running.pop(future)
                try:
                    outcomes = future.result()
                except Exception as error:
                    outcomes = [_said(error)] * len(stack)
                for network, outcome in zip(stack, outcomes, strict=True):
                    if isinstance(outcome, str):
                        failed.append((network, outcome))
                    else:
                        study.keep(network[1], *outcome)
            _show(shown, study)
    finally:
        for future in running:
            future.cancel()
    return failed


def _said(error):
    return f"{type(error).__name__}: {error}"


def _show(shown, study):
    """How far the study is, and the best so far."""
    results = [] if shown.disable else study.results()
    if results:
        best = max(results, key=lambda result: result["validation_accuracy"])
        text = f"best {best['validation_accuracy']:.2%} with "
        text += f"{best['num_parameters']:,} parameters"
        shown.set_postfix_str(text, refresh=False)
    shown.n = len(results)
    shown.refresh()


def _network(plan, arguments):
    """A network of the space, and what it is trained as."""
    from tradeoffs.models.pytorch import seeded

    arguments = dict(arguments)
    rate = arguments.pop("learning_rate", plan.schedule.learning_rate)
    schedule = plan.schedule.replace(learning_rate=rate)
    seed = arguments.pop("seed", plan.seed)
    what = Experiment(plan.content["model"], "pytorch", schedule, seed)
    own = callable(plan.model)
    builder = plan.model if own else functools.partial(build, plan.model, "pytorch")
    return seeded(builder, what.seed, **arguments), what


def _group(plan, arguments):
    """What networks of one stack have in common; a wrong value is named."""
    from tradeoffs.training.stack import stack_group

    try:
        return stack_group(_network(plan, arguments)[0])
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{error}; in the network {arguments}") from error


def train_stack(plan: Plan, networks: list[dict]) -> list[tuple | str]:
    """What an executor's process does: train networks, given by their arguments.

    Returns:
        For each what is kept of it and its values of the objectives; or what
        was wrong with it.
    """
    from tradeoffs.training.stacked import fit_stacked

    models, trained_as = zip(*(_network(plan, n) for n in networks), strict=True)
    seeds = [what.seed for what in trained_as]
    images, count = plan.dataset or mnist().validation_split(HELD_BACK), plan.num_images
    if count is not None:
        images = images.head(count, min(count, HELD_BACK))
    runs = fit_stacked(
        list(models),
        images,
        plan.schedule,
        seeds,
        learning_rates=[what.schedule.learning_rate for what in trained_as],
        progress=False,
    )
    outcomes = []
    for arguments, model, seed, run in zip(networks, models, seeds, runs, strict=True):
        result = {
            "arguments": arguments,
            "num_parameters": sum(p.numel() for p in model.parameters()),
            "seed": seed,
            "side_by_side": len(runs),
        } | kept_of(run)
        try:
            outcomes.append((result, _values(plan, result, run)))
        except Exception as error:
            outcomes.append(_said(error))
    return outcomes


def _values(plan, result, run):
    """The values of the objectives; the worst there is where one has none."""
    if not callable(plan.objective):
        values = [result[OBJECTIVES[name][1]] for name in plan.content["objective"]]
        return [math.inf if value is None else float(value) for value in values]
    value = -math.inf if result["diverged"] else float(plan.objective(run))
    if math.isnan(value):
        raise ValueError(f"the objective of {result['arguments']} is not a number")
    return [value]
