"""Runs, and the small JSON files that keep them.

One run is one file, `results/<schedule>/<model>-<framework>-seed<n>.json`,
which a person can read and `git diff` can show. The test predictions are one
digit an image. A digest over the content catches every later change.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tradeoffs.frameworks import FRAMEWORKS, num_threads
from tradeoffs.schedules import Schedule

FORMAT = 1
HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "train_seconds",
)
_DECIMALS = {
    "train_loss": 6,
    "test_loss": 6,
    "test_accuracy": 6,
    "train_seconds": 3,
}


class RecordError(RuntimeError):
    """A record that cannot be trusted; the message names the file."""


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
    """

    model: str
    framework: str
    schedule: Schedule
    seed: int = 0
    model_arguments: dict = field(default_factory=dict, hash=False)
    dataset: str = "mnist"

    def __post_init__(self):
        if self.framework not in FRAMEWORKS:
            raise ValueError(
                f"framework is {self.framework!r}; it must be one of "
                f"{', '.join(FRAMEWORKS)}"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)):
            raise TypeError(f"seed is {self.seed!r}; it must be a whole number")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 2**32 - 1")
        object.__setattr__(self, "seed", int(self.seed))
        # As JSON has them, so that an experiment equals its recorded self.
        arguments = json.loads(json.dumps(self.model_arguments))
        object.__setattr__(self, "model_arguments", arguments)

    @property
    def variant(self) -> str:
        """The model with its arguments, such as `gap_cnn,dropout=true`."""
        arguments = (
            f",{name}={_short(value)}"
            for name, value in sorted(self.model_arguments.items())
        )
        return self.model + "".join(arguments)

    @property
    def path(self) -> Path:
        """Where the record lies under the results folder."""
        dataset = "" if self.dataset == "mnist" else f"-{self.dataset}"
        name = f"{self.variant}-{self.framework}{dataset}"
        return Path(self.schedule.name) / f"{name}-seed{self.seed}.json"

    def to_dict(self) -> dict:
        """The experiment as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> Experiment:
        """The experiment that `to_dict` wrote."""
        return cls(**values | {"schedule": Schedule(**values["schedule"])})


def _short(value):
    """An argument's value in a file's name: `true`, `3`, `5x10`."""
    if isinstance(value, list):
        return "x".join(map(_short, value))
    return json.dumps(value)


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A training and how it went.

    Attributes:
        experiment: what was trained, and how.
        num_parameters: of the network, trainable or not.
        history_columns: a list a column of `HISTORY_COLUMNS`, a value an epoch.
        test_predictions: labels predicted after the last epoch, uint8 [n].
        environment: versions, processor, threads and date.
    """

    experiment: Experiment
    num_parameters: int
    history_columns: dict[str, list]
    test_predictions: np.ndarray
    environment: dict

    @functools.cached_property
    def history(self):
        """A DataFrame, one row an epoch: see `HISTORY_COLUMNS`."""
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
        experiment = self.experiment
        return (
            f"Run({experiment.model}, {experiment.framework}, "
            f"{experiment.schedule.name}, seed={experiment.seed}, "
            f"epochs={len(self.history_columns['epoch'])}, "
            f"test_accuracy={self.test_accuracy:.4f}, "
            f"test_loss={self.test_loss:.4f})"
        )

    def to_dict(self) -> dict:
        """The run as plain JSON values, rounded, with its digest."""
        history = {
            column: [
                round(value, _DECIMALS[column]) if column in _DECIMALS else value
                for value in values
            ]
            for column, values in self.history_columns.items()
        }
        content = {
            "format": FORMAT,
            "experiment": self.experiment.to_dict(),
            "num_parameters": int(self.num_parameters),
            "history": history,
            "test_predictions": "".join(map(str, self.test_predictions.tolist())),
            "environment": self.environment,
        }
        return content | {"sha256": _digest(content)}


def results_folder() -> Path:
    """Where records are: `TRADEOFFS_RESULTS`, or `results/` of the checkout.

    Outside a checkout, the user's data folder.
    """
    chosen = os.environ.get("TRADEOFFS_RESULTS")
    if chosen:
        return Path(chosen).expanduser()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "results"
    import platformdirs

    return platformdirs.user_data_path("tradeoffs") / "results"


def save(run: Run, folder: Path | None = None) -> Path:
    """Write a run's record, whole or not at all, and return its path."""
    path = (folder or results_folder()) / run.experiment.path
    write(path, json.dumps(run.to_dict(), indent=1, sort_keys=True) + "\n")
    return path


def write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115  closed below, before the rename
        "wb", dir=path.parent, prefix=f".{path.name}-", delete=False
    )
    try:
        with file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def load(experiment: Experiment, folder: Path | None = None) -> Run | None:
    """The recorded run of an experiment, or None where there is none.

    Raises:
        RecordError: the file is cut short, was changed after it was written,
            or holds another experiment than its name says.
    """
    path = (folder or results_folder()) / experiment.path
    try:
        run = read(path)
    except FileNotFoundError:
        return None
    if run.experiment.to_dict() != experiment.to_dict():
        raise RecordError(
            f"{path} holds another experiment than its name says: {run!r}. {MEND}"
        )
    return run


MEND = (
    "Restore the file (git checkout), or delete it and run "
    "'python -m tradeoffs reproduce'"
)


def read(path: Path) -> Run:
    """The run in one file.

    Raises:
        FileNotFoundError: there is no such file.
        RecordError: the file is cut short or was changed after it was written.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise RecordError(f"{path} has format {content['format']}, not {FORMAT}")
        digest = content.pop("sha256")
        if digest != _digest(content):
            raise RecordError(
                f"{path} was changed after it was written: its digest does not "
                f"fit. {MEND}"
            )
        return Run(
            Experiment.from_dict(content["experiment"]),
            content["num_parameters"],
            {column: content["history"][column] for column in HISTORY_COLUMNS},
            np.frombuffer(content["test_predictions"].encode(), np.uint8) - ord("0"),
            content["environment"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is not a whole record ({error!r}). {MEND}"
        ) from error


def _digest(content):
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def environment(framework: str) -> dict:
    """What a run ran in: versions, processor, threads, date; no names."""
    packages = {
        "pytorch": ("torch", "numpy"),
        "keras": ("keras", "tensorflow", "numpy"),
    }[framework]
    return {
        "versions": {
            "python": platform.python_version(),
            "tradeoffs": importlib.metadata.version("tradeoffs"),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "processor": processor(),
        "system": platform.system(),
        "threads": num_threads(framework),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


@functools.cache
def processor() -> str:
    """The processor's name."""
    import cpuinfo

    return cpuinfo.get_cpu_info().get("brand_raw", platform.machine())
