"""Searching for the best network, on one machine or on many.

`space` says what is searched, `study` keeps it in a data base that several
processes may work on, `worker` trains stacks of networks, and `table` is what
comes out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from tradeoffs.frameworks import import_torch
from tradeoffs.models import model_info
from tradeoffs.schedules import ARTICLE, Schedule
from tradeoffs.searches.progress import Progress
from tradeoffs.searches.space import OBJECTIVES, SMALL_NET_SPACE, Plan
from tradeoffs.searches.storage import SearchError, storage_url
from tradeoffs.searches.table import read_table, results_of, write_table

__all__ = [
    "SMALL_NET_SPACE",
    "Plan",
    "SearchError",
    "read_table",
    "search",
    "write_table",
]

WORKER = "tradeoffs.searches.worker"
WATCH_SECONDS = 2.0
STOP_SECONDS = 8.0


def search(
    space: Mapping,
    objective: str | tuple[str, ...] | Callable = "accuracy",
    schedule: Schedule = ARTICLE,
    *,
    storage: str | None = None,
    model: str | Callable = "small_net",
    sampler: str = "grid",
    num_trials: int | None = None,
    dataset=None,
    num_images: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    max_networks: int = 32,
    heartbeat_seconds: int = 15,
    progress: bool = True,
):
    """Train the networks of a space, and keep how each one does.

    Networks that fit into one stack are trained side by side. The study goes
    on where it stopped when the same call is made again, also after a kill,
    and several processes that make the same call, on one machine or on many
    with one storage, share its work.

    Args:
        space: names to lists of values to try. A name is an argument of the
            model, "learning_rate" or "seed"; a value that is a mapping stands
            for several arguments that go together. See `SMALL_NET_SPACE`.
        objective: "accuracy", "loss" or "parameters", or several of them; or
            a function of a `Run` whose result is to be large.
        schedule: as `ARTICLE`.
        storage: a sqlite file or any URL that Optuna takes, such as
            "postgresql+psycopg://user@server/database"; by default
            `TRADEOFFS_STORAGE` or a file in the user's data folder.
        model: a model of `MODELS` in PyTorch; or a function of the arguments
            that returns an `nn.Sequential`.
        sampler: "grid", every point once; or Optuna's "tpe", "nsga2" or
            "random".
        num_trials: networks to train, where the sampler has no end.
        dataset: to train on and, its test part, to select on; by default
            MNIST's training images, with 10,000 held back.
        num_images: only the first of those, for a quick look.
        seed: of weights, order and sampler, where the space has none.
        jobs: processes to start, a thread each; by default none: the search
            runs in this process.
        max_networks: the most in one stack.
        heartbeat_seconds: between a process's signs of life; after four
            without one its networks are given to others.
        progress: show one bar, with the best so far and the time left.

    Returns:
        A DataFrame, one row a network: see `tradeoffs.searches.table`.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
        SearchError: the storage cannot be used, or a training keeps failing.
    """
    names, function = _objective(objective)
    if not isinstance(max_networks, int) or max_networks < 1:
        raise ValueError(f"max_networks is {max_networks!r}; it must be at least 1")
    if not isinstance(heartbeat_seconds, int) or heartbeat_seconds < 1:
        raise ValueError(
            f"heartbeat_seconds is {heartbeat_seconds!r}; it must be a whole number "
            "above 0"
        )
    plan = Plan(
        space=space,
        objective=names,
        schedule=schedule,
        model=_model_name(model),
        sampler=sampler,
        num_trials=num_trials,
        seed=seed,
        num_images=num_images,
        dataset=dataset.name if dataset is not None else None,
    )
    url = storage_url(storage)
    if jobs is not None:
        if type(jobs) is not int or jobs < 1:
            raise ValueError(f"jobs is {jobs!r}; it must be a whole number above 0")
        if callable(model) or function or dataset is not None:
            raise ValueError(
                "jobs start processes of their own, which know models, objectives "
                "and data sets by name only; leave jobs out to use your own"
            )
    from tradeoffs.searches.study import SearchStudy
    from tradeoffs.searches.worker import Worker, check_networks, named_builder

    build = _seeded(model) if callable(model) else named_builder(model)
    check_networks(plan, build)
    study = SearchStudy(plan, url, heartbeat_seconds)
    with Progress(study, progress) as shown:
        if study.finished():
            pass
        elif jobs is None:
            dataset = dataset or plan.load_dataset()
            Worker(study, dataset, build, function, max_networks).work(shown.update)
        else:
            _work_in_children(study, jobs, max_networks, shown)
    return results_of(study)


def _objective(objective):
    """The names of an objective, and the function if it is one."""
    if callable(objective):
        return (objective.__name__,), objective
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(
                f"objective is {name!r}; it must be one of {', '.join(OBJECTIVES)}, "
                "or a function of a Run"
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"objective is {objective!r}; name each one once")
    return names, None


def _model_name(model):
    if callable(model):
        return model.__name__
    model_info(model)
    return model


def _seeded(function):
    """The caller's own function of arguments, with a seed for its weights."""

    def build(seed, **arguments):
        torch = import_torch()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return function(**arguments)

    return build


def _work_in_children(study, jobs, max_networks, shown):
    """Let processes of their own do the work, and watch."""
    children = []
    try:
        for number in range(1, jobs + 1):
            order = json.dumps(
                {
                    "plan": study.plan.to_dict(),
                    "url": study.url,
                    "heartbeat_seconds": study.heartbeat_seconds,
                    "max_networks": max_networks,
                    "worker": number,
                    "parent": os.getpid(),
                }
            )
            children.append(_start(order))
        while any(child.poll() is None for child in children):
            time.sleep(WATCH_SECONDS)
            shown.update()
    except BaseException:
        _stop(children)
        raise
    statuses = [child.wait() for child in children]
    # One killed does no harm as long as another has finished the work.
    if not study.finished():
        killed = [-status for status in statuses if status < 0]
        raise SearchError(
            f"a process of the search was killed by signal {killed[0]} (out of "
            "memory?); what has finished is kept, and the same call goes on"
            if killed
            else "a process of the search failed: see above"
        )


def _stop(children):
    """Interrupt them, so that they give their networks back."""
    # More than once: an interrupt within a callback of a library is lost.
    for signal_number in 3 * [signal.SIGINT] + [signal.SIGKILL]:
        for child in children:
            child.send_signal(signal_number)
        end = time.monotonic() + STOP_SECONDS
        while any(child.poll() is None for child in children):
            time.sleep(0.1)
            if time.monotonic() > end:
                break
        else:
            return


def _start(order):
    # In a session of its own, so that a Ctrl-C reaches it once: from here.
    child = subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    # Not as an argument, which every user of the machine can read: the URL
    # may hold a password.
    with child.stdin as pipe:
        pipe.write(order)
    return child
