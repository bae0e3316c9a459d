"""The results of a search as one table, in memory and as a small CSV file.

The file's first line is a comment with the plan, the environment and a digest
of the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

from tradeoffs import records
from tradeoffs.records import RecordError

FILE = "small_net_search.csv"
_LAST_COLUMNS = (
    "seed",
    "num_parameters",
    "validation_accuracy",
    "validation_loss",
    "epochs",
    "seconds",
    "side_by_side",
    "diverged",
)


def results_of(study):
    """The networks of a `SearchStudy` that have been trained, as a DataFrame.

    One row a network, in the grid's order: a column for each argument, then
    the seed, num_parameters, validation_accuracy (0 to 1, last epoch),
    validation_loss (nats), epochs, seconds (of training; a stack's divided by
    its networks), side_by_side (networks in its stack) and diverged (its loss
    was no longer a number: accuracy 0, no loss).
    """
    import pandas as pd

    results = [t.user_attrs["result"] for t in _in_order(study)]
    names = dict.fromkeys(name for result in results for name in result["arguments"])
    frame = pd.DataFrame(
        [
            {name: _cell(result["arguments"].get(name)) for name in names}
            | {column: result[column] for column in _LAST_COLUMNS}
            for result in results
        ],
        columns=[*dict.fromkeys([*names, *_LAST_COLUMNS])],
    )
    frame.attrs["plan"] = study.plan.to_dict()
    frame.attrs["study"] = study.plan.study_name
    frame.attrs["environments"] = _environments(results)
    return frame


def _in_order(study):
    return sorted(
        study.completed(), key=lambda t: (t.user_attrs.get("point", 0), t.number)
    )


def _cell(value):
    return tuple(value) if isinstance(value, list) else value


def _environments(results):
    """The different environments of the results, without what varies in each."""
    texts = {
        json.dumps(
            {k: v for k, v in r["environment"].items() if k != "trained_side_by_side"},
            sort_keys=True,
        )
        for r in results
        if "environment" in r
    }
    return [json.loads(text) for text in sorted(texts)]


def write_table(frame, path: Path) -> Path:
    """Write a search's table, whole or not at all, and return its path."""
    text = frame.map(
        lambda cell: json.dumps(cell) if isinstance(cell, tuple) else cell
    ).to_csv(index=False, lineterminator="\n")
    head = {**frame.attrs, "sha256": _digest(text)}
    path = Path(path)
    records.write(path, f"# {json.dumps(head, sort_keys=True)}\n{text}")
    return path


def read_table(path: Path | None = None):
    """The recorded search as a DataFrame; see `results_of`.

    Args:
        path: of the file; by default the recorded search of the Small Net.

    Raises:
        FileNotFoundError: there is no such file.
        RecordError: the file is cut short or was changed after it was written.
    """
    import pandas as pd

    path = Path(path or records.results_folder() / FILE)
    head, _, text = path.read_text().partition("\n")
    try:
        attributes = json.loads(head.removeprefix("# "))
        digest = attributes.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is not the table of a search ({error!r})") from error
    if digest != _digest(text):
        raise RecordError(
            f"{path} was cut short, or changed after it was written: its digest "
            "does not fit. Restore the file (git checkout), or search again"
        )
    frame = pd.read_csv(io.StringIO(text))
    for column in frame.columns:
        if frame[column].astype(str).str.startswith("[").all():
            frame[column] = frame[column].map(lambda cell: tuple(json.loads(cell)))
        elif column not in _LAST_COLUMNS and frame[column].isna().any():
            # None among whole numbers, which pandas makes floats.
            frame[column] = frame[column].convert_dtypes()
    frame.attrs.update(attributes)
    return frame


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
