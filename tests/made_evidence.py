"""A results folder for tests of the verdicts: recorded where there is a record.

What is not recorded yet is made up, so that the machinery can be tested on a
whole folder. No verdict that anybody reads comes from here.
"""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd

import tradeoffs
from tradeoffs import records
from tradeoffs.measurements import RECTIFIERS
from tradeoffs.reproduction import recorded_experiments
from tradeoffs.searches.space import SMALL_NET_SPACE, Plan, arguments_of
from tradeoffs.searches.table import FILE, write_table


def fill(folder):
    """Copy the recorded results, and make up what is missing."""
    shutil.copytree(records.results_folder(), folder)
    for experiment in recorded_experiments():
        if not (folder / experiment.path).exists():
            records.save(_run(experiment), folder)
    if not (folder / "dead_units.json").exists():
        rows = [
            {"model_arguments": given, "dead": [0, 1, 0, 2, 0], "units": 13}
            for given in RECTIFIERS
        ]
        content = json.dumps({"format": 1, "rows": rows})
        (folder / "dead_units.json").write_text(content)
    if not (folder / FILE).exists():
        write_table(_table(), folder / FILE)


def _run(experiment):
    like = tradeoffs.runs(experiment.model)[0]
    shift = experiment.seed * 0.001 - 0.02 * (
        "batch_norm" in experiment.model_arguments
    )
    history = {name: list(values) for name, values in like.history_columns.items()}
    history["test_accuracy"] = [a + shift for a in history["test_accuracy"]]
    history["test_loss"] = [loss - shift for loss in history["test_loss"]]
    return dataclasses.replace(like, experiment=experiment, history_columns=history)


def _table():
    plan = Plan(SMALL_NET_SPACE)
    random = np.random.default_rng(0)
    rows = []
    for point in plan.points:
        given = arguments_of(point)
        first, second = given["filters"]
        num_parameters = (
            first * (given["kernel_size"] ** 2 + 1 + 2 * given["batch_norm"])
            + second * (first * given.get("second_kernel_size", 3) ** 2 + 1)
            + 10 * (second + 1)
        )
        result = {
            "seed": 0,
            "num_parameters": num_parameters,
            "validation_accuracy": 0.97 - 10 / num_parameters + random.normal(0, 0.003),
            "validation_loss": 0.2,
            "epochs": 20,
            "seconds": 40.0,
            "side_by_side": 8,
            "diverged": False,
        }
        rows.append(given | result)
    frame = pd.DataFrame(rows)
    frame.attrs.update(plan=plan.to_dict(), study=plan.study_name, environments=[])
    return frame
