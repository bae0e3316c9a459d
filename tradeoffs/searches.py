"""Searching for the best network, on one machine or on many.

One process drives a search: it asks `studies` for networks, gives them to an
executor a stack at a time, and keeps each result. `spaces` says what is searched,
and `search_table` is what comes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, wait

from tradeoffs.checks import one_of, whole_number
from tradeoffs.data import Dataset
from tradeoffs.models import model_info
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.schedules import ARTICLE, Schedule
from tradeoffs.search_table import results_of
from tradeoffs.search_work import Order, train_stack
from tradeoffs.spaces import OBJECTIVES, Plan, arguments_of
from tradeoffs.studies import IN_MEMORY, SearchError, Study

ATTEMPTS = 3  # of a network whose training fails or is killed
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
        num_images: only the first of those, for a quick look.
        seed: of weights, order and sampler, where the space has none.
        max_networks: the most in one stack, and in one request of a sampler.
        progress: show one bar, with the best so far and the time left.

    Returns:
        A DataFrame, one row a network: see `tradeoffs.search_table`.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
        SearchError: the storage cannot be used, or the training of a network
            failed three times.
    """
    whole_number("max_networks", max_networks)
    own = [given for given in (model, objective) if callable(given)]
    if dataset is not None and not isinstance(dataset, Dataset):
        raise TypeError(f"dataset is a {type(dataset).__name__}; give a Dataset")
    plan = Plan(
        space=space,
        objective=_objective_names(objective),
        schedule=schedule,
        model=_name(model) if callable(model) else model_info(model).name,
        sampler=sampler,
        num_trials=num_trials,
        seed=seed,
        num_images=num_images,
        dataset=None if dataset is None else f"{dataset.name}-{_digest_of(dataset)}",
    )
    if storage is None and (own or dataset is not None):
        storage = IN_MEMORY
    order = Order(plan, model, objective if callable(objective) else None, dataset)
    groups = {}  # of networks that are alike, each network built once

    def group_of(arguments):
        key = repr(arguments)
        if key not in groups:
            groups[key] = order.group(arguments)
        return groups[key]

    if plan.sampler == "grid":  # every network once, so that a wrong value shows now
        for point in plan.points:
            group_of(arguments_of(point))
    if executor is None:
        jobs = whole_number("jobs", jobs)
        mine = executor = FreshProcesses(jobs, threads=1, framework="pytorch")
    else:
        mine = contextlib.nullcontext()
        if not isinstance(executor, Executor):
            raise TypeError(
                f"executor is a {type(executor).__name__}; give a "
                "concurrent.futures.Executor, such as Client(...).get_executor()"
            )
    with mine, Study(plan, storage) as study, _progress(study, progress) as shown:
        while asked := study.ask(max_networks):
            networks = [_Network(group_of, *one) for one in asked]
            _train(networks, order, executor, study, max_networks, shown)
        return results_of(plan, study.results())


def _objective_names(objective):
    if callable(objective):
        return (_name(objective),)
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    for name in names:
        one_of("objective", name, (*OBJECTIVES, "a function of a Run"))
    if not names or len(set(names)) < len(names):
        raise ValueError(f"objective is {objective!r}; name each one once")
    return names


def _name(function):
    """The name of a reader's function, with a digest of what it does."""
    name = getattr(function, "__name__", type(function).__name__)
    text = "\n".join(_sources(function, set()))
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _sources(function, seen):
    """The source of a function, of those of its page that it calls, and its values."""
    seen.add(function)
    try:
        used = inspect.getclosurevars(function)
        yield inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"{function!r} has no source text to know it by ({error}); give a function "
            "that is written in a file or a cell"
        ) from error
    for name, value in sorted((used.globals | used.nonlocals).items()):
        here = getattr(value, "__module__", None) == function.__module__
        parts = vars(value).values() if inspect.isclass(value) and here else [value]
        for part in parts:
            if not inspect.isfunction(part):
                yield f"{name} = {part!r}"
            elif part not in seen and here:
                yield from _sources(part, seen)


def _digest_of(dataset):
    digest = hashlib.sha256()
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        digest.update(getattr(dataset, part).tobytes())
    return digest.hexdigest()[:8]


class _Network:
    """One that is to be trained: what the study asked for, and what went wrong."""

    def __init__(self, group_of, point, asked):
        self.arguments, self.asked = arguments_of(point), asked
        self.group = group_of(self.arguments)
        self.errors = []


def _train(networks, order, executor, study, max_networks, shown):
    """Train networks, and keep each result as soon as it is there."""
    running, hopeless = {}, []
    waiting = _stacks(networks, max_networks)
    try:
        while waiting or running:
            for stack in waiting:
                arguments = [network.arguments for network in stack]
                running[_submit(executor, order, arguments)] = stack
            done, _ = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
            failed = []
            for future in done:
                stack = running.pop(future)
                outcomes = _outcomes(future, stack)
                for network, outcome in zip(stack, outcomes, strict=True):
                    if isinstance(outcome, str):
                        network.errors.append(outcome)
                        failed.append(network)
                    else:
                        study.keep(network.asked, *outcome)
            waiting = _stacks([n for n in failed if len(n.errors) == 1], max_networks)
            waiting += [[n] for n in failed if 1 < len(n.errors) < ATTEMPTS]
            hopeless += [n for n in failed if len(n.errors) >= ATTEMPTS]
            shown()
    finally:
        for future in running:
            future.cancel()
    if hopeless:
        raise SearchError(
            f"the training of the network {hopeless[0].arguments} failed {ATTEMPTS} "
            f"times: {hopeless[0].errors[-1]}. What has finished is kept"
        )


def _stacks(networks, max_networks):
    """Networks in lists that can be trained side by side."""
    groups = defaultdict(list)
    for network in networks:
        groups[network.group].append(network)
    return [
        group[start : start + max_networks]
        for group in groups.values()
        for start in range(0, len(group), max_networks)
    ]


def _submit(executor, order, arguments):
    try:
        return executor.submit(train_stack, order, arguments)
    except RuntimeError as error:
        raise SearchError(
            f"the executor takes no more work: {error}. What has finished is kept"
        ) from error


def _outcomes(future, stack):
    try:
        return future.result()
    except Exception as error:
        return [f"{type(error).__name__}: {error}"] * len(stack)


@contextlib.contextmanager
def _progress(study, progress):
    """One bar over the networks; called, it shows how far the study is."""
    done = len(study.completed())
    total = study.plan.num_networks
    with bar(
        progress, total=total, initial=done, desc=study.plan.model, unit=" networks"
    ) as shown:

        def update():
            if shown.disable:
                return
            results = study.results()
            shown.n = len(results)
            if results:
                best = max(results, key=lambda result: result["validation_accuracy"])
                shown.set_postfix_str(
                    f"best {best['validation_accuracy']:.2%} with "
                    f"{best['num_parameters']:,} parameters",
                    refresh=False,
                )
            shown.refresh()

        yield update
