"""The one bar of a search: of all its networks, whoever trains them."""

from __future__ import annotations

from tradeoffs.progress import bar
from tradeoffs.searches.storage import storage_errors

_FORMAT = (
    "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} networks "
    "[{elapsed}<{remaining}{postfix}]"
)


class Progress:
    """A bar that reads from the study how far every process is.

    Args:
        study: a `SearchStudy`.
        progress: False shows none.
    """

    def __init__(self, study, progress: bool = True):
        self.study = study
        self._bar = bar(
            progress,
            total=study.plan.num_networks,
            initial=self._trained(),
            desc=study.plan.model,
            bar_format=_FORMAT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def update(self) -> None:
        """Show how far the study is, and its best network so far."""
        if self._bar.disable:
            return
        self._bar.n = self._trained()
        # A killed process's stack begins anew: the time left must not count it.
        self._bar.initial = min(self._bar.initial, self._bar.n)
        self._bar.set_postfix_str(self._best(), refresh=False)
        self._bar.refresh()

    def _trained(self):
        """Networks trained, with the epochs of those in training as shares."""
        study = self.study
        with storage_errors(study.url):
            trials = study.trials()
            done = len(study.completed())
        epochs = study.plan.schedule.epochs
        running = sum(
            len(t.intermediate_values)
            for t in trials
            if t.state == study.states.RUNNING
        )
        return min(done + running / epochs, study.plan.num_networks)

    def _best(self):
        results = [t.user_attrs["result"] for t in self.study.completed()]
        if not results:
            return ""
        best = max(results, key=lambda result: result["validation_accuracy"])
        return (
            f"best {best['validation_accuracy']:.2%} with "
            f"{best['num_parameters']:,} parameters"
        )
