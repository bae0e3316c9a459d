"""What the verdicts stand on, read once."""

import functools
import itertools
import math

import numpy as np

from tradeoffs import series
from tradeoffs.measurements import (
    RECORD,
    EvidenceError,
    device_folder,
    measurements_path,
    recorded_device_profiles,
    recorded_profile,
    recorded_rows,
)
from tradeoffs.models import MODELS
from tradeoffs.probes.profile import Profile
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import read_table


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
        try:
            return read_table()
        except FileNotFoundError as error:
            raise EvidenceError(
                f"{error.filename} is missing; 'python -m tradeoffs search' makes it"
            ) from None

    def memory_mib(self, model: str, shape: tuple[int, ...], batch_size: int) -> float:
        """Predicted MiB on a GPU for a training step, as PyTorch reserves it."""
        wanted = {"input_shape": list(shape), "batch_size": batch_size}
        return self._measured("gpu_memory", model=model, **wanted)["reserved_mib"]

    def dead_units(self, epochs: int = ARTICLE.epochs, **model_arguments) -> list[int]:
        """Dead units of each seed of a Small Net; `dead_units` says what is one.

        Args:
            epochs: after which they were counted, of `DEAD_AFTER`.
            model_arguments: of one of `SMALL_NETS`.
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
