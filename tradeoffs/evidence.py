"""What the verdicts stand on beside the runs: recorded measurements.

`results/profiles/<model>.json` are `Profile`s of the five models, as they were
published. `results/gpu_memory.json` (predicted) and `results/dead_units.json` (of
the Small Nets) hold what takes a framework to find out. All are made by
`python -m tradeoffs measure --record`, on a quiet machine.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from tradeoffs import records, series
from tradeoffs.experiments import Experiment, Run
from tradeoffs.models import MODELS, framework_for, model_info
from tradeoffs.probes.profile import Profile
from tradeoffs.records import RecordError
from tradeoffs.schedules import ARTICLE, Schedule
from tradeoffs.search_table import read_table

FORMAT = 1  # of gpu_memory.json and dead_units.json
PROFILES = "profiles"
RECORD = "python -m tradeoffs measure --record"

# Inputs for which the memory of training on a GPU is predicted.
PICTURE = (1, 28, 28)
LARGE_PICTURE = (1, 512, 512)
VOLUME = (1, 256, 256, 256)


class EvidenceError(RecordError):
    """Evidence is missing; the message names it and how to make it."""


def profile_path(model: str, folder: Path | None = None) -> Path:
    """Where the recorded profile of a model is."""
    return (folder or records.results_folder()) / PROFILES / f"{model}.json"


def recorded_profile(model: str) -> Profile:
    """The recorded profile of one of `MODELS`.

    Raises:
        ValueError: no such model.
        EvidenceError: it is missing, or no whole profile of this model.
    """
    model_info(model)
    path = profile_path(model)
    try:
        profile = Profile.load(path)
    except FileNotFoundError:
        raise EvidenceError(f"{path} is missing; '{RECORD}' makes it") from None
    except ValueError as error:
        raise EvidenceError(f"{error}; '{RECORD}' makes it anew") from None
    if profile.name != model:
        raise EvidenceError(f"{path} is the profile of {profile.name}")
    return profile


def recorded_profiles() -> list[Profile]:
    """The recorded profiles of the five models, in the order of `MODELS`.

    Raises:
        EvidenceError: one is missing or damaged; the message names it.
    """
    return [recorded_profile(model) for model in MODELS]


class Evidence:
    """All that was recorded, read once, with an error for what is missing."""

    def runs(
        self,
        model: str,
        framework: str | None = None,
        *,
        schedule: Schedule = ARTICLE,
        **model_arguments,
    ) -> list[Run]:
        """Every run of a recorded series, which must be whole.

        Raises:
            EvidenceError: a record of it is missing, or there is no such series.
        """
        wanted = Experiment(
            model, framework_for(model, framework), schedule, 0, model_arguments
        )
        found = series.same_series(wanted)
        if not found:
            raise EvidenceError(
                f"no recorded series has {wanted.variant} in {wanted.framework} under "
                f"{schedule.name}; add it to SERIES in tradeoffs/series.py"
            )
        return [self._run(experiment) for experiment in found]

    @functools.cache  # noqa: B019  it lives as long as one table of claims
    def _run(self, experiment):
        run = records.load(experiment)
        if run is None:
            raise EvidenceError(
                f"{records.results_folder() / experiment.path} is missing; "
                "'python -m tradeoffs reproduce' makes it"
            )
        return run

    @functools.cache  # noqa: B019
    def profile(self, model: str) -> Profile:
        """The recorded profile of a model."""
        return recorded_profile(model)

    @functools.cached_property
    def search(self):
        """The table of the recorded search."""
        try:
            return read_table()
        except FileNotFoundError as error:
            raise EvidenceError(
                f"{error.filename} is missing; 'python -m tradeoffs search' makes it"
            ) from None

    def memory_mib(self, model: str, shape: tuple[int, ...], batch_size: int) -> float:
        """Predicted MiB on a GPU for a training step, as PyTorch reserves it."""
        return self._measured(
            "gpu_memory",
            {"model": model, "input_shape": list(shape), "batch_size": batch_size},
        )["reserved_mib"]

    def dead_units(self, **model_arguments) -> list[int]:
        """Dead units of each seed of a Small Net; `dead_units` says what is one."""
        return self._measured("dead_units", {"model_arguments": model_arguments})[
            "dead"
        ]

    def units(self) -> int:
        """Units of the Small Net that can die."""
        return self._measured("dead_units", {"model_arguments": {}})["units"]

    def _measured(self, subject, wanted):
        for row in self._rows(subject):
            if all(row.get(name) == value for name, value in wanted.items()):
                return row
        raise EvidenceError(
            f"{measurements_path(subject)} has nothing for {wanted}; '{RECORD}' makes "
            "it anew"
        )

    @functools.cache  # noqa: B019
    def _rows(self, subject):
        path = measurements_path(subject)
        try:
            content = json.loads(path.read_text())
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            return list(content["rows"])
        except FileNotFoundError:
            raise EvidenceError(f"{path} is missing; '{RECORD}' makes it") from None
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(
                f"{path} is not whole ({error!r}); '{RECORD}' makes it anew"
            ) from error


def measurements_path(subject: str) -> Path:
    """Where the measurements of a subject are."""
    return records.results_folder() / f"{subject}.json"
