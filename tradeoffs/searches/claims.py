"""Networks that a process has taken from a study, to train them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import defaultdict
from collections.abc import Callable

from tradeoffs.searches.space import arguments_of, label
from tradeoffs.searches.storage import SearchError, storage_errors


class Claim:
    """A network that this process is to train.

    Args:
        study: the `SearchStudy` that it is of.
        trial: Optuna's `Trial`.
        arguments: of the network.

    Attributes:
        trial_id: Optuna's.
        arguments: of the network.
    """

    def __init__(self, study, trial, arguments: dict):
        self._study, self._trial = study, trial
        self.trial_id, self.arguments = trial._trial_id, arguments
        self.closed = False

    def report(self, epoch: int, accuracy: float) -> None:
        """Note the validation accuracy after an epoch."""
        from optuna.exceptions import UpdateFinishedTrialError

        with (
            storage_errors(self._study.url),
            contextlib.suppress(UpdateFinishedTrialError),
        ):
            self._study.storage.set_trial_intermediate_value(
                self.trial_id, epoch, accuracy
            )

    def complete(self, values: list[float], result: dict) -> None:
        """Keep a result, unless another process has completed the network."""
        from optuna.exceptions import UpdateFinishedTrialError

        study = self._study
        self.closed = True
        trial = study.storage.get_trial(self.trial_id)
        with storage_errors(study.url):
            others = study.live()[trial.user_attrs.get("point")]
            if study.plan.sampler == "grid" and any(
                t.state == study.states.COMPLETE for t in others
            ):
                return study.close(self.trial_id)
            # Failed in the meantime: this process was taken for dead.
            with contextlib.suppress(UpdateFinishedTrialError):
                study.storage.set_trial_user_attr(self.trial_id, "result", result)
                study.storage.set_trial_state_values(
                    self.trial_id, study.states.COMPLETE, values
                )
        return None

    def fail(self, error: str | None = None) -> None:
        """Give the network back; with an error, an attempt counts as used."""
        self.closed = True
        self._study.close(self.trial_id, error)


def claim(study, limit: int, group_of: Callable) -> list[Claim]:
    """Take networks that are best trained as one stack.

    Args:
        study: a `SearchStudy`.
        limit: the most networks.
        group_of: a function of a point that gives the same for points that
            belong in one stack.

    Returns:
        What was claimed; nothing if no network waits.
    """
    taken, kept = [], []
    try:
        with storage_errors(study.url):
            if study.plan.sampler == "grid":
                _take_a_group(study, limit, group_of, taken)
            else:
                _take_new_ones(study, limit, taken)
            live = study.live()
            kept = [t for t in taken if not _superseded(t, live, study.states)]
            return [_claimed(study, trial_id) for trial_id, _, _ in kept]
    except BaseException:
        kept = []
        raise
    finally:
        with storage_errors(study.url):
            for trial in set(taken) - set(kept):
                study.close(trial[0])


def _take_a_group(study, limit, group_of, taken):
    while groups := _waiting(study, group_of):
        # The largest first. At random among equals, so that two processes that
        # start at once do not tear one group in two.
        random.shuffle(groups)
        group = max(groups, key=len)
        stacks = -(-len(group) // limit)
        for trial in group[: -(-len(group) // stacks)]:
            if not study.take(trial._trial_id):
                break  # another process is at this group
            taken.append((trial._trial_id, trial.number, trial.user_attrs["point"]))
        if taken:
            return


def _waiting(study, group_of):
    failed = study.errors()
    groups = defaultdict(list)
    for trial in study.trials():
        if trial.state == study.states.WAITING:
            index = trial.user_attrs["point"]
            # One that failed is tried alone: it takes no other with it.
            alone = index if index in failed else None
            groups[group_of(study.plan.points[index]), alone].append(trial)
    return list(groups.values())


def _take_new_ones(study, limit, taken):
    from optuna.trial import create_trial

    states = [trial.state for trial in study.trials()]
    busy = states.count(study.states.COMPLETE) + states.count(study.states.RUNNING)
    for _ in range(min(limit, study.plan.num_networks - busy)):
        # First waiting, then claimed, as the points of a grid are.
        template = create_trial(state=study.states.WAITING)
        trial_id = study.storage.create_new_trial(study.study._study_id, template)
        if study.take(trial_id):
            taken.append((trial_id, 0, None))


def _superseded(taken, live, states):
    """Whether another trial of the same point counts instead."""
    _, number, point = taken
    return point is not None and any(
        other.number < number
        or (other.number > number and other.state == states.COMPLETE)
        for other in live[point]
    )


def _claimed(study, trial_id):
    from optuna.trial import Trial

    trial = Trial(study.study, trial_id)
    trial.set_user_attr("process", os.getpid())
    point = {}
    for name, values in study.plan.space.items():
        choices = {label(value): value for value in values}
        point[name] = choices[trial.suggest_categorical(name, list(choices))]
    return Claim(study, trial, arguments_of(point))


@contextlib.contextmanager
def alive(study):
    """Record heartbeats of claims while they are trained.

    Yields:
        An empty list, for the claims. What is not completed in the end is
        failed, to be tried again.
    """
    claims = []
    stop = threading.Event()

    def beat():
        while not stop.wait(study.heartbeat_seconds):
            # A lost connection is the trainer's to report.
            with contextlib.suppress(SearchError), storage_errors(study.url):
                for claim in claims:
                    study.storage.record_heartbeat(claim.trial_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield claims
    finally:
        with interrupts_held():
            stop.set()
            thread.join()
            for claim in claims:
                if not claim.closed:
                    with storage_errors(study.url):
                        claim.fail()


@contextlib.contextmanager
def interrupts_held():
    """Let a Ctrl-C wait until the block has ended; a second one does not wait.

    Between a claim in the storage and the note of it here, an interrupt would
    leave a network that nobody trains. Only in the main thread: no other is
    interrupted. A process that ignores the signal goes on ignoring it.
    """
    usual = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(usual):
        yield
        return
    held = []

    def hold(*arguments):
        if held:
            raise KeyboardInterrupt
        held.append(arguments)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held:
        usual(*held[0])
