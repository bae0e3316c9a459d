"""The small JSON files that keep runs.

One run is one file, `results/<schedule>/<model>-<framework>-seed<n>.json`,
which a person can read and `git diff` can show. The test predictions are packed, a
digit an image: by how much the prediction differs from the label. A digest over the
content catches every later change, and what is read is checked whoever computed it.
"""

import base64
import dataclasses
import hashlib
import json
import math
import os
import tempfile
import uuid
import zlib
from pathlib import Path

import numpy as np

from tradeoffs.checks import whole_number
from tradeoffs.data import test_labels
from tradeoffs.experiments import HISTORY_COLUMNS, Experiment, Run
from tradeoffs.models import KNOWN_MODELS, count_parameters
from tradeoffs.schedules import Schedule

FORMAT = 2
ENVIRONMENT = {"versions", "processor", "system", "threads", "date"}
ENVIRONMENT |= {"trainings_at_once", "trained_side_by_side"}  # of a series, a stack
ROOM = 2**16  # bytes; a record has some 10,000
MEND = (
    "Restore the file (git checkout), or delete it and run "
    "'python -m tradeoffs reproduce', or tradeoffs.run where it is of no series"
)
WHERE = (
    "the records are in the results/ folder of a checkout, to which the environment "
    "variable TRADEOFFS_RESULTS may point"
)


class RecordError(RuntimeError):
    """A record that is missing or cannot be trusted; the message names the file.

    >>> import tradeoffs
    >>> tradeoffs.runs("gap_cnn", filters=[3, 3])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.records.RecordError: no series of runs is recorded of ...
    """


def _packed(predictions, dataset):
    """Labels as text, less those of the images where the data set is known.

    A digit a label; with labels above 9, numbers, each after a space.
    """
    predictions = _shifted(predictions, dataset, -1)
    space = " " if predictions.max() > 9 else ""
    text = "".join(f"{space}{label}" for label in predictions.tolist())
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(text, dataset):
    text = zlib.decompress(base64.b64decode(text, validate=True)).decode()
    if " " in text:
        found = np.array(list(map(int, text.split())))
        found = found.astype(np.min_scalar_type(found.max()))
    else:
        found = np.frombuffer(text.encode(), np.uint8) - ord("0")
        if found.max() > 9:
            raise ValueError("a prediction is no digit")
    return _shifted(found, dataset, 1)


def _shifted(predictions, dataset, sign):
    """With the true labels, or less; of a reader's own data or classes, as given."""
    try:
        labels = test_labels(dataset)
    except ValueError:
        return predictions
    if len(labels) != len(predictions) or predictions.max() > 9:
        return predictions
    return ((predictions + sign * labels.astype(int)) % 10).astype(np.uint8)


def results_folder() -> Path:
    """Where records are: `TRADEOFFS_RESULTS`, or `results/` of the checkout.

    Outside a checkout, the user's data folder.
    """
    if chosen := os.environ.get("TRADEOFFS_RESULTS"):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111  knows no unknown user
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "results"
    import platformdirs

    return platformdirs.user_data_path("tradeoffs") / "results"


def save(run: Run, folder: Path | None = None) -> Path:
    """Write a run's record, whole or not at all, and return its path."""
    history = {
        column: [
            value if value is None else round(value, HISTORY_COLUMNS[column])
            for value in values
        ]
        for column, values in run.history_columns.items()
    }
    schedule = {"schedule": run.experiment.schedule.content()}
    content = {
        "format": FORMAT,
        "experiment": dataclasses.asdict(run.experiment) | schedule,
        "num_parameters": int(run.num_parameters),
        "history": history,
        "test_predictions": _packed(run.test_predictions, run.experiment.dataset),
        "environment": run.environment,
    }
    content["sha256"] = _digest(content)
    path = (folder or results_folder()) / run.experiment.path
    write(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


def check_writable(path: Path) -> None:
    """Find out now, before hours of work, whether a file of `ROOM` can be written.

    Raises:
        OSError: it cannot; the message names it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(ROOM))
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path} cannot be written: {reason}") from error


def write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}")  # of any name's length
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_NO_RECORD = OSError, RecursionError, zlib.error


def load(experiment: Experiment, folder: Path | None = None) -> Run | None:
    """The recorded run of an experiment, or None where there is none.

    Raises:
        RecordError: the file is cut short, was changed after it was written,
            contradicts itself, or holds another experiment than its name says.
    """
    path = (folder or results_folder()) / experiment.path
    try:
        return _checked(json.loads(path.read_text()), experiment)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RecordError as error:
        fault = str(error)
    except (*_NO_RECORD, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = f"is not a whole record ({error!r})"
    raise RecordError(f"{path} {fault}. {MEND}")


def _checked(content, experiment):
    """The run that a file of this experiment holds, if it can be one."""
    if content["format"] != FORMAT:
        raise RecordError(f"has format {content['format']!r}, not {FORMAT}")
    if content.pop("sha256") != _digest(content):
        raise RecordError("was changed after it was written: its digest does not fit")
    _, recorded, history = map(content.pop, ("format", "experiment", "history"))
    run = Run(
        Experiment(**recorded | {"schedule": Schedule(**recorded["schedule"])}),
        whole_number("num_parameters", content.pop("num_parameters")),
        {column: history.pop(column) for column in HISTORY_COLUMNS},
        _unpacked(content.pop("test_predictions"), recorded["dataset"]),
        content.pop("environment"),
    )
    unknown = [*content, *history]
    if run.experiment.model in KNOWN_MODELS:
        unknown += run.environment.keys() - ENVIRONMENT
    if fault := f"it has {unknown[0]!r}" if unknown else _contradiction(run):
        raise RecordError(f"is no record of a run: {fault}")
    if run.experiment != experiment:
        raise RecordError(f"holds another experiment than its name says: {run!r}")
    return run


def _contradiction(run):
    """What in a run cannot be so, or None."""
    experiment, history = run.experiment, run.history_columns
    ours = experiment.model in KNOWN_MODELS  # of another's, losses may be below 0
    epochs = list(range(1, experiment.schedule.epochs + 1))
    if history["epoch"] != epochs:
        return f"its epochs are not 1 to {len(epochs)}"
    for column, values in history.items():
        if column.startswith("test_") and experiment.tested_once:
            *untested, last = values
            values = [0.0 if value is None else math.nan for value in untested] + [last]
        numbers = all(type(value) in (int, float) for value in values)
        if len(values) != len(epochs) or not numbers or not np.isfinite(values).all():
            return f"{column} has not one finite number an epoch"
        if (ours and min(values) < 0) or (
            column == "test_accuracy" and max(values) > 1
        ):
            return f"{column} goes from {min(values)} to {max(values)}"
    if ours:
        counted = count_parameters(experiment.model, **experiment.model_arguments)
        if run.num_parameters != counted:
            return f"{experiment.variant} has {counted:,} parameters"
    try:
        labels = test_labels(experiment.dataset)
    except ValueError:  # it is the reader's own
        return None
    if len(run.test_predictions) != len(labels) or run.test_predictions.max() > 9:
        return f"it has not one label from 0 to 9 for each of {len(labels):,} images"
    accuracy = np.mean(run.test_predictions == labels)
    if abs(accuracy - run.test_accuracy) > 1e-6:
        return f"its predictions give an accuracy of {accuracy:.4f}"
    return None


def _digest(content):
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
