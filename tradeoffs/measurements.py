"""Recorded measurements, beside the runs.

`results/profiles/<model>.json` are `Profile`s of the five models as they were
published, `<model>-pytorch.json` beside them those of ports, and `results/device/`
those of exported ones. `results/gpu_memory.json` (predicted),
`results/dead_units.json` (of the Small Nets) and `results/search_replays.json` hold
what takes long to find out. `recording` and `device` make them.
"""

import contextlib
import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np

from tradeoffs import article, records, series
from tradeoffs.models import MODELS, model_info
from tradeoffs.probes.profile import Profile
from tradeoffs.records import RecordError
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import FILE, read_table

RECORD = "python -m tradeoffs measure --record"

# Inputs for which the memory of training on a GPU is predicted.
PICTURE = (1, 28, 28)
LARGE_PICTURE = (1, 512, 512)
VOLUME = (1, 256, 256, 256)
PICTURES = (
    *((PICTURE, batch) for batch in (1, article.SMALL_BATCH, article.LARGE_BATCH)),
    (LARGE_PICTURE, 1),
)


class EvidenceError(RecordError):
    """Evidence is missing; the message names it and how to make it.

    >>> from tradeoffs.measurements import recorded_rows
    >>> recorded_rows("weather")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.measurements.EvidenceError: ...weather.json is missing; ... makes it
    """


@contextlib.contextmanager
def _evidence(path, made_by=RECORD):
    """Within it a file that is missing, or not whole, is an `EvidenceError`."""
    try:
        yield
    except FileNotFoundError:
        said = f"{path} is missing; {records.WHERE}; '{made_by}' makes it"
        raise EvidenceError(said) from None
    except (ValueError, KeyError, TypeError) as error:
        named = str(path) in str(error)
        said = error if named else f"{path} is not whole ({error!r})"
        raise EvidenceError(f"{said}; '{made_by}' makes it anew") from error


def profile_path(variant: str, framework: str | None = None) -> Path:
    """Where the recorded profile of a model is; see `recorded_profile`."""
    published = framework in (None, model_info(variant.split(",")[0]).frameworks[0])
    name = variant if published else f"{variant}-{framework}"
    return records.results_folder() / "profiles" / f"{name}.json"


def measurements_path(subject: str) -> Path:
    """Where the measurements of a subject are."""
    return records.results_folder() / f"{subject}.json"


def recorded_profile(variant: str, framework: str | None = None) -> Profile:
    """The recorded profile of one of `MODELS`, or of the chosen Small Net.

    Args:
        variant: its name, or `tradeoffs.labels.CHOSEN`.
        framework: of a port; by default that of the publication.

    Raises:
        ValueError: no such model.
        EvidenceError: it is missing, or no whole profile of this model.
    """
    path = profile_path(variant, framework)
    with _evidence(path):
        profile = Profile.load(path)
    if path != profile_path(profile.variant, profile.framework):
        raise EvidenceError(f"{path} is the profile of {profile.variant}")
    return profile


def recorded_profiles() -> list[Profile]:
    """The recorded profiles of the five models, in the order of `MODELS`.

    Raises:
        EvidenceError: one is missing or damaged; the message names it.

    >>> import tradeoffs
    >>> [profile.name for profile in tradeoffs.recorded_profiles()]
    ['keras_mlp', 'keras_cnn', 'pytorch_cnn', 'gap_cnn', 'small_net']
    """
    return [recorded_profile(model) for model in MODELS]


def device_folder() -> Path:
    """Where the profiles of exported models are."""
    return records.results_folder() / "device"


def recorded_device_profiles() -> list[Profile]:
    """The recorded profiles of exported models, and of their networks beside them.

    Returns:
        In the order of `MODELS`.

    Raises:
        EvidenceError: there are none, or one is damaged.

    >>> import tradeoffs
    >>> profiles = tradeoffs.recorded_device_profiles()
    >>> sorted({profile.framework for profile in profiles})
    ['ai-edge-litert', 'keras', 'onnxruntime', 'pytorch']
    """
    with _evidence(device_folder()):
        found = [Profile.load(path) for path in sorted(device_folder().glob("*.json"))]
    if not found:
        raise EvidenceError(
            f"{device_folder()} is empty; {records.WHERE}; '{RECORD}' fills it"
        )
    return sorted(found, key=lambda profile: [*MODELS].index(profile.name))


def recorded_replays() -> dict[str, np.ndarray]:
    """What a sampler would have found of the recorded search.

    Returns:
        For each of `REPLAYED` the lower quartile, median and upper quartile, over
        `REPLAYS` repetitions, of the best validation accuracy after 1, 2, ...
        networks, [3, n]; NaN as long as none was small enough.

    Raises:
        EvidenceError: the file is missing or damaged.

    >>> import tradeoffs
    >>> {name: found.shape for name, found in tradeoffs.recorded_replays().items()}
    {'grid': (3, 120), 'tpe': (3, 120), 'nsga2': (3, 120)}
    """
    rows = {row["sampler"]: row["quartiles"] for row in recorded_rows("search_replays")}
    return {
        name: np.where(np.array(found) > 0, found, np.nan)
        for name, found in rows.items()
    }


def recorded_rows(subject: str) -> list[dict]:
    """The rows in the file of a subject, such as "gpu_memory".

    Raises:
        EvidenceError: the file is missing or damaged.
    """
    path = measurements_path(subject)
    with _evidence(path):
        return list(json.loads(path.read_text())["rows"])


def write_rows(subject: str, rows: list[dict]) -> None:
    """Write the rows of a subject, whole or not at all; see `recorded_rows`."""
    content = {"format": 1, "rows": rows}
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    records.write(measurements_path(subject), text)


class Evidence:
    """All that was recorded, read once, with an error for what is missing.

    Attributes:
        runs: every run of a recorded series; arguments as of `tradeoffs.runs`.
        profile: the recorded profile of a model; arguments as of `recorded_profile`.
    """

    def __init__(self):
        self.runs = functools.cache(series.runs)
        self.profile = functools.cache(recorded_profile)
        self._rows = functools.cache(recorded_rows)
        self._files = functools.cache(recorded_device_profiles)

    def accuracies(self, model: str, epoch: int = -1, **given):
        """Test accuracies in per cent, [n], after the last epoch or another, from 0."""
        runs = self.runs(model, **given)
        return np.array([r.history_columns["test_accuracy"][epoch] for r in runs]) * 100

    def losses(self, model: str, **given):
        """Test losses in nats, [n]."""
        return np.array([run.test_loss for run in self.runs(model, **given)])

    def pairs(self, profiles=None) -> list[tuple[Profile, Profile]]:
        """Every pair of models, the one with fewer parameters first.

        Args:
            profiles: of the five; by default as published.
        """
        profiles = profiles or map(self.profile, MODELS)
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
        path = records.results_folder() / FILE
        with _evidence(path, "python -m tradeoffs search"):
            return read_table(path)

    def memory_mib(self, model: str, shape: tuple[int, ...], batch_size: int) -> float:
        """Predicted MiB on a GPU for a training step, as PyTorch reserves it."""
        wanted = {"input_shape": list(shape), "batch_size": batch_size}
        return self._measured("gpu_memory", model=model, **wanted)["reserved_mib"]

    def dead_units(self, epochs: int = ARTICLE.epochs, **model_arguments) -> list[int]:
        """Dead units of each seed of a Small Net; `dead_units` says what is one.

        Args:
            epochs: after which they were counted, of `DEAD_AFTER`.
            model_arguments: of one of `SMALL_NETS` or `NETS_OF_THE_TEXT`.
        """
        return self._after(epochs, model_arguments)["dead"]

    def accuracies_after(self, epochs: int, **model_arguments):
        """Test accuracies of each seed in per cent, [n]; as for `dead_units`."""
        return np.array(self._after(epochs, model_arguments)["accuracies"]) * 100

    def _after(self, epochs, model_arguments):
        wanted = {"model_arguments": model_arguments, "epochs": epochs}
        return self._measured("dead_units", **wanted)

    def on_device(self, model: str) -> Profile:
        """The recorded profile of a model's file in float32, in ONNX Runtime."""
        wanted = model, "onnxruntime", "float32"
        for profile in self._files():
            if (profile.variant, profile.framework, profile.precision) == wanted:
                return profile
        raise EvidenceError(f"{device_folder()} has no {wanted}; '{RECORD}' makes it")

    def _measured(self, subject, **wanted):
        for row in self._rows(subject):
            if row | wanted == row:
                return row
        raise EvidenceError(
            f"{measurements_path(subject)} has nothing for {wanted}; '{RECORD}' makes "
            "it anew"
        )
