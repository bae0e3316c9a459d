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
import time
import warnings
from collections import defaultdict

from tradeoffs.searches.space import Plan, label
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
        storage = open_storage(url, heartbeat_seconds)
        with storage_errors(url):
            options = {
                "study_name": plan.study_name,
                "storage": storage,
                "directions": plan.directions,
            }
            try:
                self.study = optuna.create_study(**options)
                created = True
            except optuna.exceptions.DuplicatedStudyError:
                options.pop("directions")
                self.study = optuna.load_study(**options)
                created = False
            # The study's own, which caches: two would not know of each other.
            self.storage = self.study._storage
            self._num_found = len(self.trials())
            self.study.sampler = self._sampler(worker)
            if plan.sampler == "grid":
                self._prepare(created)

    def _sampler(self, worker):
        samplers = self._optuna.samplers
        # The same draws again would be the same networks again: after a stop,
        # and in two processes.
        seed = self.plan.seed + self._num_found + 7919 * worker
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
        with storage_errors(self.url):
            return self.study.get_trials(deepcopy=False)

    def live(self) -> dict:
        """The trials that may yet complete, or have, by point."""
        live = defaultdict(list)
        for trial in self.trials():
            if trial.state != self.states.FAIL:
                live[trial.user_attrs.get("point")].append(trial)
        return live

    def _enqueue_missing(self):
        live, errors = self.live(), self.errors()
        for index, point in enumerate(self.plan.points):
            if index not in live and len(errors[index]) < ATTEMPTS:
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
        """Let the networks of failed and abandoned trials wait again."""
        with storage_errors(self.url):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._optuna.storages.fail_stale_trials(self.study)
            if self.plan.sampler == "grid":
                self._enqueue_missing()

    def errors(self) -> dict:
        """What went wrong since this process began, by point."""
        errors = defaultdict(list)
        for trial in self.trials()[self._num_found :]:
            if "error" in trial.user_attrs:
                errors[trial.user_attrs.get("point")].append(trial.user_attrs["error"])
        return errors

    def check_errors(self) -> None:
        """Say so where nothing is left but networks that failed too often.

        Raises:
            SearchError: that is so.
        """
        hopeless = [e for e in self.errors().values() if len(e) >= ATTEMPTS]
        states = {trial.state for trial in self.trials()}
        if hopeless and not {self.states.RUNNING, self.states.WAITING} & states:
            raise SearchError(
                f"the training of a network failed {ATTEMPTS} times: "
                f"{hopeless[0][-1]}. What has finished is kept"
            )

    def take(self, trial_id: int) -> bool:
        """Claim a waiting trial. False if another process has it."""
        # Before the claim: a process killed between the two would otherwise leave
        # a running trial without a heartbeat, which is never stale.
        self.storage.record_heartbeat(trial_id)
        try:
            return self.storage.set_trial_state_values(trial_id, self.states.RUNNING)
        except self._optuna.exceptions.UpdateFinishedTrialError:
            return False

    def close(self, trial_id: int, error: str | None = None) -> None:
        """Fail a trial, if it is not finished."""
        with contextlib.suppress(self._optuna.exceptions.UpdateFinishedTrialError):
            if error is not None:
                self.storage.set_trial_user_attr(trial_id, "error", error)
            self.storage.set_trial_state_values(trial_id, self.states.FAIL)
