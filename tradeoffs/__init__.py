"""What a model costs beside what it scores, on real MNIST.

Reproduces 'The Real World is not a Kaggle Competition' claim by claim. The
names below load on first use, so importing the package imports no framework.
"""

import importlib
import threading

_HOMES = {
    "data": ("mnist", "fashion_mnist", "Dataset"),
    "fetching": ("DataError",),
    "schedule_values": ("Augmentation",),
    "models": ("MODELS", "build", "as_recorded", "parameters_by_layer"),
    "models.tiny": ("fold_norms",),
    "schedules": (
        "Schedule",
        "SCHEDULES",
        "ARTICLE",
        "BATCH_SIZES",
        "at_batch_size",
        "altered",
        "KERAS_MLP_RECIPE",
        "KERAS_CNN_RECIPE",
        "KERAS_CNN_RECIPE_TODAY",
    ),
    "frameworks": ("import_keras",),
    "training": ("fit", "TrainingError"),
    "training.stacked": ("fit_stacked",),
    "experiments": ("Experiment", "Run"),
    "records": ("RecordError",),
    "weights": ("trained",),
    "series": ("run", "runs"),
    "searches": ("search",),
    "spaces": ("SMALL_NET_SPACE",),
    "studies": ("SearchError",),
    "search_table": ("read_table", "best_networks", "replay"),
    "probes": ("measure", "measure_in_turns", "predict_memory", "MeasureError"),
    "probes.units": ("dead_units",),
    "probes.profile": ("Profile",),
    "exporting": ("export", "ExportError"),
    "labels": ("label",),
    "tables": (
        "summarize",
        "run_table",
        "mean_accuracy",
        "score_table",
        "accuracy_table",
        "wilson_interval",
        "paired_test",
        "paired_tests",
    ),
    "cost_tables": ("cost_table", "readable_costs", "inversions"),
    "limits": ("LIMITS",),
    "decisions": ("choose", "environments", "pareto"),
    "returns": ("cost", "epoch_returns", "expected_best", "rule_of_thumb"),
    "ensembles": ("ensemble", "recorded_ensembles"),
    "measurements": (
        "recorded_profiles",
        "recorded_device_profiles",
        "recorded_replays",
        "EvidenceError",
    ),
    "verdicts": ("claims", "tally"),
    "panels": ("decision_panel",),
}
_LOADING = threading.RLock()  # of pages that import each other, by several threads
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _LOADING:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
