"""Networks that a process has taken from a study, to train them."""

from __future__ import annotations

import contextlib
import threading

from tradeoffs.searches.storage import storage_errors


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


@contextlib.contextmanager
def alive(study, claims: list[Claim]):
    """Record heartbeats of claims while they are trained.

    What is not completed in the end is failed, to be tried again.
    """
    stop = threading.Event()

    def beat():
        while not stop.wait(study.heartbeat_seconds):
            # A lost connection is the trainer's to report.
            with contextlib.suppress(Exception):
                for claim in claims:
                    study._storage.record_heartbeat(claim.trial_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for claim in claims:
            if not claim.closed:
                with storage_errors(study.url):
                    claim.fail()
