"""What the verdicts stand on beside the runs: recorded measurements.

`results/profiles/<model>.json` are `Profile`s of the five models, as they were
published. `results/gpu_memory.json` (predicted) and `results/dead_units.json` (of
the Small Nets) hold what takes a framework to find out. All are made by
`python -m tradeoffs measure --record`; times are fair only on a machine that does
nothing else meanwhile.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tradeoffs import article, records, series
from tradeoffs.models import MODELS, model_info
from tradeoffs.probes.profile import Profile
from tradeoffs.processes import in_fresh_process
from tradeoffs.records import RecordError
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import read_table

FORMAT = 1  # of gpu_memory.json and dead_units.json
RECORD = "python -m tradeoffs measure --record"

# Inputs for which the memory of training on a GPU is predicted.
PICTURE = (1, 28, 28)
LARGE_PICTURE = (1, 512, 512)
VOLUME = (1, 256, 256, 256)
# Whose memory is predicted, at which shape and batch.
MEMORY_POINTS = tuple(
    (model, shape, batch)
    for model in ("keras_mlp", "keras_cnn", "pytorch_cnn")
    for shape, batch in (
        (PICTURE, 1),
        (PICTURE, article.SMALL_BATCH),
        (PICTURE, article.LARGE_BATCH),
        (LARGE_PICTURE, 1),
        (VOLUME, 1),
    )
    if shape != VOLUME or model != "keras_mlp"
)
# Small Nets whose dead units are counted: arguments of the recorded series.
RECTIFIERS = ({}, {"slope": 0.0})


class EvidenceError(RecordError):
    """Evidence is missing; the message names it and how to make it."""


def profile_path(model: str) -> Path:
    """Where the recorded profile of a model is."""
    return records.results_folder() / "profiles" / f"{model}.json"


def measurements_path(subject: str) -> Path:
    """Where the measurements of a subject are."""
    return records.results_folder() / f"{subject}.json"


def recorded_profile(model: str) -> Profile:
    """The recorded profile of one of `MODELS`.

    Raises:
        ValueError: no such model.
        EvidenceError: it is missing, or no whole profile of this model.
    """
    path = profile_path(model_info(model).name)
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
    """All that was recorded, read once, with an error for what is missing.

    The arguments of `runs`, `accuracies`, `losses` and `first_epochs` are those
    of `tradeoffs.runs`.
    """

    def __init__(self):
        self._runs = {}

    def runs(self, model: str, framework: str | None = None, **given) -> list:
        """Every run of a recorded series.

        Raises:
            RecordError: a record of it is missing, or there is no such series.
        """
        key = repr((model, framework, sorted(given.items())))
        if key not in self._runs:
            self._runs[key] = series.runs(model, framework=framework, **given)
        return self._runs[key]

    def accuracies(self, model: str, framework: str | None = None, **given):
        """Test accuracies in per cent, [n]."""
        runs = self.runs(model, framework, **given)
        return np.array([run.test_accuracy for run in runs]) * 100

    def losses(self, model: str, framework: str | None = None, **given):
        """Test losses in nats, [n]."""
        runs = self.runs(model, framework, **given)
        return np.array([run.test_loss for run in runs])

    def first_epochs(self, model: str, framework: str | None = None, **given):
        """Test accuracies after the first epoch, in per cent, [n]."""
        runs = self.runs(model, framework, **given)
        return np.array([r.history_columns["test_accuracy"][0] for r in runs]) * 100

    @functools.cache  # noqa: B019  it lives as long as one table of claims
    def profile(self, model: str) -> Profile:
        """The recorded profile of a model."""
        return recorded_profile(model)

    def parameters(self, model: str) -> int:
        """The parameters of a model, as its profile has them."""
        return self.profile(model).num_parameters

    def pairs(self) -> list[tuple[Profile, Profile]]:
        """Every pair of models, the one with fewer parameters first."""
        profiles = [self.profile(model) for model in MODELS]
        ordered = sorted(profiles, key=lambda profile: profile.num_parameters)
        return list(itertools.combinations(ordered, 2))

    def pixels(self) -> int:
        """Of the images of MNIST."""
        return math.prod(self.profile("small_net").input_shape)

    def best_searched(self, most: int) -> float:
        """The best validation accuracy of at most so many parameters, in per cent."""
        small_enough = self.search[self.search.num_parameters <= most]
        return 100 * small_enough.validation_accuracy.max()

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
        wanted = {"model_arguments": model_arguments}
        return self._measured("dead_units", wanted)["dead"]

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


def record_profiles(models: Iterable[str] = MODELS, *, turns: int = 5, **options):
    """Measure models in turns, and write of each the profile with the median epoch.

    Other work on the machine, or on its host, then meets all of them alike.

    Args:
        models: names of `MODELS`.
        turns: how often each is measured.
        options: of `tradeoffs.measure`; by default all on one thread, as the recorded
            runs, so that their times compare and vary least.

    Yields:
        Each `Profile` that was written.

    Raises:
        EvidenceError: the machine was busy with something else meanwhile.
    """
    from tradeoffs.probes import measure
    from tradeoffs.probes.timing import BUSY

    if options.get("threads") is None:
        options["threads"] = series.THREADS

    measured = {model: [] for model in models}
    for _, (model, profiles) in itertools.product(range(turns), measured.items()):
        profiles.append(measure(model, **options))
        busy = [note for note in profiles[-1].notes if note.startswith(BUSY)]
        if busy:
            raise EvidenceError(f"{model}: {busy[0]}; nothing was recorded")
    for model, profiles in measured.items():
        path = profile_path(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = sorted(profiles, key=lambda one: one.epoch_seconds or 0)[turns // 2]
        profile.save(path)
        yield profile


def record_gpu_memory() -> None:
    """Predict the memory of `MEMORY_POINTS`, and write it."""
    from tradeoffs.probes import predict_memory

    rows = []
    for model in dict.fromkeys(model for model, *_ in MEMORY_POINTS):
        points = [(shape, size) for name, shape, size in MEMORY_POINTS if name == model]
        rows += [
            {
                "model": model,
                "input_shape": list(row.input_shape),
                "batch_size": row.batch_size,
                "allocated_mib": round(row.allocated_mib, 3),
                "reserved_mib": round(row.reserved_mib, 3),
            }
            for row in predict_memory(model, points).itertuples()
        ]
    _write("gpu_memory", rows)


def record_dead_units() -> None:
    """Count the dead units of the recorded Small Nets, and write the counts.

    In a process of its own, as it takes PyTorch, and the caller may hold Keras.
    """
    _write("dead_units", in_fresh_process(count_dead_units))


def count_dead_units() -> list[dict]:
    """The dead units of the Small Nets of `RECTIFIERS`, on all test images."""
    from tradeoffs.data import mnist
    from tradeoffs.probes import dead_units
    from tradeoffs.training.pytorch import images_to_tensor

    images = images_to_tensor(mnist().test_images, ARTICLE.input_scaling)
    rows = []
    for arguments in RECTIFIERS:
        runs = Evidence().runs("small_net", **arguments)
        dead = [dead_units(records.trained(run), images) for run in runs]
        rows.append(
            {
                "model_arguments": arguments,
                "dead": [int(units.sum()) for units in dead],
                "units": len(dead[0]),
            }
        )
    return rows


def _write(subject, rows):
    content = {"format": FORMAT, "rows": rows}
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    records.write(measurements_path(subject), text)
