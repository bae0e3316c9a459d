"""`Experiment`, what is trained and how, and `Run`, how it went."""

import contextlib
import datetime
import functools
import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tradeoffs.checks import instance, one_of, plain, whole_number
from tradeoffs.frameworks import FRAMEWORKS, num_threads
from tradeoffs.schedules import Schedule

HISTORY_COLUMNS = {  # and the decimals that a record has of each
    "epoch": 0,
    "train_loss": 6,
    "test_loss": 6,
    "test_accuracy": 6,
    "train_seconds": 3,
}


@dataclass(frozen=True)
class Experiment:
    """What a run is a run of: the key of a record.

    Attributes:
        model: a name in `MODELS`, or of the reader's own.
        framework: "keras" or "pytorch".
        schedule: a `Schedule`.
        seed: of initial weights, order and dropout; 0 or more.
        model_arguments: of the model's function, those that were given.
        dataset: the data set's name.

    >>> import tradeoffs
    >>> what = tradeoffs.Experiment("gap_cnn", "pytorch", tradeoffs.ARTICLE, seed=1)
    >>> what.path.as_posix()
    'article/gap_cnn-pytorch-seed1.json'
    """

    model: str
    framework: str
    schedule: Schedule
    seed: int = 0
    model_arguments: dict = field(default_factory=dict, hash=False)
    dataset: str = "mnist"

    def __post_init__(self):
        instance("model", self.model, str, "'gap_cnn'")
        one_of("framework", self.framework, FRAMEWORKS)
        instance("schedule", self.schedule, Schedule, "tradeoffs.ARTICLE")
        seed = whole_number("seed", self.seed, least=0, most=2**32 - 1)
        object.__setattr__(self, "seed", seed)
        instance("model_arguments", self.model_arguments, Mapping, "{'dropout': True}")
        # As JSON has them, so that an experiment equals its recorded self.
        arguments = json.loads(json.dumps(plain(self.model_arguments)))
        object.__setattr__(self, "model_arguments", arguments)

    @property
    def variant(self) -> str:
        """The model with its arguments, such as `gap_cnn,dropout=true`."""
        return variant(self.model, self.model_arguments)

    @property
    def tested_once(self) -> bool:
        """Whether test images are read after the last epoch alone.

        That is so for the rows of the search for smaller networks.
        """
        return self.model == "tiny" and "parameters" in self.model_arguments

    @property
    def path(self) -> Path:
        """Where the record lies under the results folder."""
        dataset = "" if self.dataset == "mnist" else f"-{self.dataset}"
        name = f"{self.variant}-{self.framework}{dataset}-seed{self.seed}.json"
        # Only what every file system takes.
        return Path(self.schedule.name) / re.sub(r"[^\w.,=+-]", "_", name)


def variant(model: str, arguments: dict) -> str:
    """A model with its arguments.

    >>> variant("gap_cnn", {"filters": (5, 10), "dropout": True})
    'gap_cnn,dropout=true,filters=5x10'
    """
    arguments = plain(arguments)
    given = (f",{name}={_short(arguments[name])}" for name in sorted(arguments))
    return model + "".join(given)


def _short(value):
    if isinstance(value, (list, tuple)):
        return "x".join(map(_short, value))
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A training and how it went.

    Attributes:
        experiment: what was trained, and how.
        num_parameters: of the network, trainable or not.
        history_columns: a list a column of `HISTORY_COLUMNS`, a value an epoch; None
            for an epoch that was not tested.
        test_predictions: labels predicted after the last epoch, [n], in the
            smallest unsigned type that holds them.
        environment: versions, processor, threads and date.

    >>> import tradeoffs
    >>> run = tradeoffs.run("pytorch_cnn")
    >>> run.num_parameters, len(run.history), len(run.test_predictions)
    (21840, 20, 10000)
    >>> round(run.test_accuracy, 3)
    0.99
    """

    experiment: Experiment
    num_parameters: int
    history_columns: dict[str, list]
    test_predictions: np.ndarray
    environment: dict

    @functools.cached_property
    def history(self):
        """A DataFrame with a row for each epoch; its columns are `HISTORY_COLUMNS`."""
        import pandas as pd

        return pd.DataFrame(self.history_columns)

    @property
    def test_accuracy(self) -> float:
        """After the last epoch, from 0 to 1."""
        return self.history_columns["test_accuracy"][-1]

    @property
    def test_loss(self) -> float:
        """Mean cross-entropy after the last epoch, in nats."""
        return self.history_columns["test_loss"][-1]

    def __repr__(self):
        what = self.experiment
        epochs = len(self.history_columns["epoch"])
        return (
            f"Run({what.model}, {what.framework}, {what.schedule.name}, "
            f"seed={what.seed}, epochs={epochs}, "
            f"test_accuracy={self.test_accuracy:.4f}, test_loss={self.test_loss:.4f})"
        )


def environment(framework: str) -> dict:
    """What a run ran in: versions, processor, threads, date; no names."""
    return {
        "versions": versions(framework),
        "processor": processor(),
        "system": platform.system(),
        "threads": num_threads(framework),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def versions(framework: str) -> dict[str, str]:
    """Of Python, this package, a framework and NumPy."""
    own = {"pytorch": ("torch",), "keras": ("keras", "tensorflow")}[framework]
    packages = ("tradeoffs", *own, "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version()} | found


@functools.cache
def processor() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):  # Linux tells at once, others after a second
        names = re.findall("model name\\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if names:
            return names[0]
    import cpuinfo

    return cpuinfo.get_cpu_info().get("brand_raw", platform.machine())
