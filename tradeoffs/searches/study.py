"""One study that several processes work on, through Optuna's storage.

Optuna's `GridSampler` counts a failed trial as done, so the grid is kept
here: each of its points is a waiting trial, which a process claims (the
storage lets only one succeed), trains, and completes. A process that lives
records heartbeats; the trials of one that does not are failed, and their
points wait again as new trials. A point may so have several trials; the one
that counts is the completed one, and there is one.
"""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections import defaultdict

from tradeoffs.searches.claims import Claim
from tradeoffs.searches.space import Plan, arguments_of, label
from tradeoffs.searches.storage import SearchError, open_storage, storage_errors

ATTEMPTS = 3  # of a network whose training raises an error
POLL_SECONDS = 1.0


class SearchStudy:
    """The trials of a plan.

    Args:
        plan: what is searched.
        url: of the storage.
        heartbeat_seconds: between two signs of life; after four without one
            a trial is taken from its process.
        worker: which of several processes this is.

    Raises:
        SearchError: the storage cannot be opened.
    """

    def __init__(
        self, plan: Plan, url: str, heartbeat_seconds: int = 15, worker: int = 0
    ):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings(
            "ignore", category=optuna.exceptions.ExperimentalWarning
        )
        self.plan, self.url = plan, url
        self.heartbeat_seconds = heartbeat_seconds
        self.states = optuna.trial.TrialState
        self._optuna = optuna
        self.storage = open_storage(url, heartbeat_seconds)
        self._choices = {
            name: {label(value): value for value in values}
            for name, values in plan.space.items()
        }
        with storage_errors(url):
            options = {
                "study_name": plan.study_name,
                "storage": self.storage,
                "directions": plan.directions,
            }
            try:
                self.study = optuna.create_study(**options)
                created = True
            except optuna.exceptions.DuplicatedStudyError:
                options.pop("directions")
                self.study = optuna.load_study(**options)
                created = False
            self.study.sampler = self._sampler(worker)
            if plan.sampler == "grid":
                self._prepare(created)

    def _sampler(self, worker):
        samplers = self._optuna.samplers
        # The same draws again would be the same networks again: after a stop,
        # and in two processes.
        seed = self.plan.seed + len(self.trials()) + 7919 * worker
        match self.plan.sampler:
            case "tpe":
                return samplers.TPESampler(
                    seed=seed, multivariate=True, constant_liar=True
                )
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed)
            case _:
                return samplers.RandomSampler(seed=seed)

    def _prepare(self, created):
        """Enqueue the grid once, whoever is first."""
        count, since = -1, time.monotonic()
        while not created and "ready" not in self.study.user_attrs:
            now = len(self.trials())
            if now != count:
                count, since = now, time.monotonic()
            elif time.monotonic() - since > 4 * self.heartbeat_seconds:
                break  # its maker is gone, and left it unfinished
            time.sleep(POLL_SECONDS / 4)
        self._enqueue_missing()
        if "ready" not in self.study.user_attrs:
            self.study.set_user_attr("ready", True)

    def trials(self) -> list:
        """Every trial, as Optuna's `FrozenTrial`s, in order."""
        return self.study.get_trials(deepcopy=False)

    def live(self) -> dict:
        """The trials that may yet complete, or have, by point."""
        live = defaultdict(list)
        for trial in self.trials():
            if trial.state != self.states.FAIL:
                live[trial.user_attrs.get("point")].append(trial)
        return live

    def _enqueue_missing(self):
        live = self.live()
        for index, point in enumerate(self.plan.points):
            if index not in live:
                self.study.enqueue_trial(
                    {name: label(value) for name, value in point.items()},
                    user_attrs={"point": index},
                )

    def completed(self) -> list:
        """The trials that count: one for each point of a grid, at most."""
        done = [t for t in self.trials() if t.state == self.states.COMPLETE]
        if self.plan.sampler != "grid":
            return done[: self.plan.num_trials]
        first = {}
        for trial in done:
            first.setdefault(trial.user_attrs["point"], trial)
        return list(first.values())

    def finished(self) -> bool:
        """Whether every network of the plan is trained."""
        return len(self.completed()) >= self.plan.num_networks

    def recover(self) -> None:
        """Let the networks of failed and abandoned trials wait again.

        Raises:
            SearchError: a network's training failed too often.
        """
        with storage_errors(self.url):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._optuna.storages.fail_stale_trials(self.study)
            if self.plan.sampler == "grid":
                self._enqueue_missing()
            for errors in self._errors().values():
                if len(errors) >= ATTEMPTS:
                    raise SearchError(
                        f"the training of a network failed {ATTEMPTS} times: "
                        f"{errors[-1]}. What has finished is kept"
                    )

    def _errors(self):
        errors = defaultdict(list)
        for trial in self.trials():
            if "error" in trial.user_attrs:
                point = trial.user_attrs.get("point", str(sorted(trial.params.items())))
                errors[point].append(trial.user_attrs["error"])
        return errors

    def claim(self, limit: int, group_of) -> list[Claim]:
        """Take up to `limit` networks that can be trained as one stack.

        Args:
            limit: the most networks.
            group_of: a function of a point that gives the same for points
                that belong in one stack.

        Returns:
            What was claimed; nothing if no network waits.
        """
        with storage_errors(self.url):
            if self.plan.sampler != "grid":
                return self._ask(limit)
            while groups := self._waiting(group_of):
                claimed = self._claim_of(groups, limit)
                if claimed:
                    return claimed
            return []

    def _waiting(self, group_of):
        failed = self._errors()
        groups = defaultdict(list)
        for trial in self.trials():
            if trial.state == self.states.WAITING:
                index = trial.user_attrs["point"]
                # One that failed is tried alone: it takes no other with it.
                alone = index if index in failed else None
                groups[group_of(self.plan.points[index]), alone].append(trial)
        return list(groups.values())

    def _claim_of(self, groups, limit):
        # The largest first. At random among equals, so that two processes that
        # start at once do not tear one group in two.
        random.shuffle(groups)
        group = max(groups, key=len)
        stacks = -(-len(group) // limit)
        claimed = []
        for trial in group[: -(-len(group) // stacks)]:
            if not self._take(trial._trial_id):
                if claimed:
                    break
                return None  # another process is at this group
            if self._superseded(trial):
                self.close(trial._trial_id)
            else:
                claimed.append(self._claimed(trial._trial_id))
        return claimed

    def _take(self, trial_id):
        # Before the claim: a process killed between the two would otherwise
        # leave a running trial without a heartbeat, which is never stale.
        self.storage.record_heartbeat(trial_id)
        try:
            return self.storage.set_trial_state_values(trial_id, self.states.RUNNING)
        except self._optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _superseded(self, trial):
        """Whether another trial of the same point counts instead."""
        return any(
            other.number != trial.number
            and (other.number < trial.number or other.state == self.states.COMPLETE)
            for other in self.live()[trial.user_attrs.get("point")]
        )

    def close(self, trial_id: int, error: str | None = None) -> None:
        """Fail a trial, if it is not finished."""
        with contextlib.suppress(self._optuna.exceptions.UpdateFinishedTrialError):
            if error is not None:
                self.storage.set_trial_user_attr(trial_id, "error", error)
            self.storage.set_trial_state_values(trial_id, self.states.FAIL)

    def _claimed(self, trial_id):
        trial = self._optuna.trial.Trial(self.study, trial_id)
        point = {
            name: choices[trial.suggest_categorical(name, list(choices))]
            for name, choices in self._choices.items()
        }
        return Claim(self, trial, arguments_of(point))

    def _ask(self, limit):
        states = [t.state for t in self.trials()]
        busy = states.count(self.states.COMPLETE) + states.count(self.states.RUNNING)
        claimed = []
        for _ in range(min(limit, self.plan.num_networks - busy)):
            # First waiting, then claimed, as the points of a grid are.
            template = self._optuna.trial.create_trial(state=self.states.WAITING)
            trial_id = self.storage.create_new_trial(self.study._study_id, template)
            if self._take(trial_id):
                claimed.append(self._claimed(trial_id))
        return claimed
