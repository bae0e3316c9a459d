"""Runs side by side: what models score, and whether two differ by more than chance."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tradeoffs.checks import array_view, instance, list_of_runs, number, whole_number
from tradeoffs.experiments import Run
from tradeoffs.labels import label
from tradeoffs.probes.profile import NOT_MEASURED


def summarize(runs: list[Run]):
    """One row for each network, framework, schedule and data set, over its seeds.

    Returns:
        A DataFrame with the columns model, variant (the model with its
        arguments), framework, schedule, dataset, num_parameters, seeds,
        accuracy_mean and accuracy_std (0 to 1, last epoch; the sample deviation,
        NaN for a single seed), loss_mean, loss_std, first_epoch_min (the lowest
        accuracy of any seed) and epoch_seconds (median, evaluation left out).

    Raises:
        TypeError, ValueError: there are no runs, or two of one network and seed.

    >>> import tradeoffs
    >>> runs = tradeoffs.runs("gap_cnn") + tradeoffs.runs("pytorch_cnn")
    >>> tradeoffs.summarize(runs)[["model", "seeds", "accuracy_mean"]].round(4)
             model  seeds  accuracy_mean
    0      gap_cnn     10         0.9918
    1  pytorch_cnn     10         0.9889
    """
    runs = list_of_runs(runs, one_data_set=False)
    if not runs:
        raise ValueError("there are no runs to summarize")
    table = pd.DataFrame(
        {
            "model": run.experiment.model,
            "variant": run.experiment.variant,
            "framework": run.experiment.framework,
            "schedule": run.experiment.schedule.name,
            "dataset": run.experiment.dataset,
            "num_parameters": run.num_parameters,
            "seed": run.experiment.seed,
            "accuracy": run.test_accuracy,
            "loss": run.test_loss,
            "first_epoch": run.history.test_accuracy.iloc[0],
            "epoch_seconds": run.history.train_seconds.median(),
        }
        for run in runs
    )
    keys = list(table.columns[:6])
    twice = table[table.duplicated([*keys, "seed"])]
    if len(twice):
        raise ValueError(
            f"{twice.variant.iloc[0]} is there twice with seed {twice.seed.iloc[0]}; "
            "give each run once, and networks of your own a name each, by the "
            "experiment= of tradeoffs.fit"
        )
    return table.groupby(keys, sort=False, as_index=False).agg(
        seeds=("accuracy", "size"),
        accuracy_mean=("accuracy", "mean"),
        accuracy_std=("accuracy", "std"),
        loss_mean=("loss", "mean"),
        loss_std=("loss", "std"),
        first_epoch_min=("first_epoch", "min"),
        epoch_seconds=("epoch_seconds", "median"),
    )


def mean_accuracy(runs: list[Run]) -> float:
    """Over runs, of the last epoch, 0 to 1.

    >>> import tradeoffs
    >>> round(tradeoffs.mean_accuracy(tradeoffs.runs("gap_cnn")), 4)
    0.9918
    """
    if not (accuracies := [run.test_accuracy for run in runs]):
        raise ValueError("there are no runs to take the mean of")
    return float(np.mean(accuracies))


def percent(mean: float, deviation: float | None = None) -> str:
    """An accuracy as people read it.

    >>> percent(0.98924, 0.00087), percent(0.9837)
    ('98.92 ± 0.09 %', '98.37 %')
    """
    if mean != mean:
        return NOT_MEASURED
    if deviation is None or deviation != deviation:
        return f"{mean * 100:.2f} %"
    return f"{mean * 100:.2f} ± {deviation * 100:.2f} %"


def run_table(runs: list[Run]):
    """Runs one by one: what was set, and what came out of it.

    Returns:
        A DataFrame of text, a row a run, numbered from 1.

    >>> import tradeoffs
    >>> runs = [tradeoffs.run("gap_cnn"), tradeoffs.run("small_net")]
    >>> tradeoffs.run_table(runs).accuracy.to_dict()
    {1: '99.15 %', 2: '94.39 %'}
    """
    rows = [
        {
            "parameters": f"{run.num_parameters:,}",
            "epochs": len(run.history),
            "learning rate": f"{run.experiment.schedule.learning_rate:g}",
            "falls after": ", ".join(map(str, run.experiment.schedule.milestones)),
            "batch size": run.experiment.schedule.batch_size,
            "optimizer, momentum": _optimizer(run.experiment.schedule),
            "seed": run.experiment.seed,
            "accuracy": percent(run.test_accuracy),
            "training (s)": f"{run.history.train_seconds.sum():.1f}",
        }
        for run in runs
    ]
    return pd.DataFrame(rows, pd.RangeIndex(1, len(rows) + 1, name="my run"))


def _optimizer(schedule):
    momentum = f", {schedule.momentum:g}" if schedule.momentum else ""
    return schedule.optimizer + momentum


def score_table(runs_by_name: dict[str, list[Run]]):
    """Networks of any names, a row each, as text: see `summarize`.

    Raises:
        ValueError: no networks; or a name has runs of several, or none.

    >>> import tradeoffs
    >>> networks = {"no dropout": tradeoffs.runs("gap_cnn")}
    >>> networks["dropout"] = tradeoffs.runs("gap_cnn", dropout=True)
    >>> tradeoffs.score_table(networks)
               parameters  seeds   test accuracy test loss
    no dropout      7,090     10  99.18 ± 0.08 %    0.0267
    dropout         7,090     46  99.09 ± 0.06 %    0.0282
    """
    instance("runs_by_name", runs_by_name, Mapping, "{'mine': [run]}")
    found = {name: summarize(runs) for name, runs in runs_by_name.items()}
    if not found:
        raise ValueError("runs_by_name is empty; give at least one network's runs")
    for name, rows in found.items():
        if len(rows) > 1:
            raise ValueError(
                f"the runs of {name!r} are of several networks, schedules or data "
                "sets; give each a name of its own"
            )
    rows = pd.concat(found.values())
    cells = _scores(rows, "test accuracy")
    cells["test loss"] = rows.loss_mean.map("{:.4f}".format)
    return pd.DataFrame(cells).set_axis(list(runs_by_name))


def _scores(summary, title):
    return {
        "parameters": summary.num_parameters.map("{:,}".format),
        "seeds": summary.seeds,
        title: list(map(percent, summary.accuracy_mean, summary.accuracy_std)),
    }


def accuracy_table(runs: list[Run], references: dict[str, dict[str, float]]):
    """Accuracies to read, ours beside others'.

    Args:
        runs: as for `summarize`.
        references: a column's title to accuracies (0 to 1) by model name.

    Returns:
        A DataFrame of text, one row a model and framework.

    >>> import tradeoffs
    >>> article = {"the article": {"gap_cnn": 0.9893}}
    >>> table = tradeoffs.accuracy_table(tradeoffs.runs("gap_cnn"), article)
    >>> table.loc["GAP CNN", ["measured", "the article"]].to_dict()
    {'measured': '99.18 ± 0.08 %', 'the article': '98.93 %'}
    """
    instance("references", references, Mapping, "{'others': {'gap_cnn': 0.99}}")
    summary = summarize(runs)
    cells = {"model": summary.variant.map(label), "framework": summary.framework}
    cells |= _scores(summary, "measured")
    for title, known in references.items():
        if title in cells:
            raise ValueError(f"references has {title!r}, which is a column already")
        cells[title] = [percent(known[m]) if m in known else "-" for m in summary.model]
    return pd.DataFrame(cells).set_index("model")


def wilson_interval(accuracy: float, num_images: int = 10_000) -> tuple[float, float]:
    """Where the accuracy on further images of the kind would lie, from 0 to 1.

    Wilson's score interval for a share, at 95 %. It is about the images that were
    drawn for the test, not about the seed of the training.

    Args:
        accuracy: on the test images, from 0 to 1; may be a mean over seeds, and is
            rounded to whole images.
        num_images: of the test.

    Raises:
        TypeError, ValueError: not a number, or one out of range.

    >>> low, high = wilson_interval(0.9893)
    >>> f"{low:.4f} to {high:.4f}"
    '0.9871 to 0.9911'
    """
    from scipy.stats import binomtest

    n = whole_number("num_images", num_images)
    right = round(number("accuracy", accuracy, least=0, most=1) * n)
    return tuple(binomtest(right, n).proportion_ci(method="wilson"))


def paired_test(first: Run, second: Run, labels: np.ndarray) -> dict[str, float]:
    """McNemar's exact test: do two runs err differently often on the same images?

    Only the images that one of the two gets right tell them apart.

    Returns:
        The number of images that only the first and only the second gets
        right, and the p-value under the hypothesis that they err alike.

    Raises:
        TypeError, ValueError: labels that are no whole numbers, [n]; or the numbers
            of predictions and labels, or the data sets, differ.

    >>> import tradeoffs
    >>> first, second = tradeoffs.run("gap_cnn"), tradeoffs.run("pytorch_cnn")
    >>> found = tradeoffs.paired_test(first, second, tradeoffs.mnist().test_labels)
    >>> {name: round(number, 3) for name, number in found.items()}
    {'only_first_right': 51, 'only_second_right': 36, 'p_value': 0.133}
    """
    from scipy.stats import binomtest

    first, second = list_of_runs((first, second))
    a, b = (run.test_predictions for run in (first, second))
    labels = array_view("labels", labels, {1: "[n]"}, np.integer)
    if not len(a) == len(b) == len(labels):
        raise ValueError(
            f"{len(a)} and {len(b)} predictions do not pair with {len(labels)} labels"
        )
    only_first = int(np.sum((a == labels) & (b != labels)))
    only_second = int(np.sum((a != labels) & (b == labels)))
    apart = only_first + only_second
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    }


def paired_tests(first: list[Run], second: list[Run], labels: np.ndarray):
    """`paired_test` of each pair of runs, as a DataFrame to read, a row a seed.

    Raises:
        TypeError, ValueError: as `paired_test`; no runs, or of different seeds.

    >>> import tradeoffs
    >>> first, second = tradeoffs.runs("gap_cnn"), tradeoffs.runs("pytorch_cnn")
    >>> labels = tradeoffs.mnist().test_labels
    >>> table = tradeoffs.paired_tests(first[:5], second[:5], labels)
    >>> table.p_value.to_dict()
    {0: '0.133', 1: '0.002', 2: '0.155', 3: '0.241', 4: '< 0.001'}
    """
    first, second = list(first), list(second)
    seeds, others = ([run.experiment.seed for run in of] for of in (first, second))
    if not seeds or seeds != others:
        raise ValueError(f"runs of seeds {seeds} do not pair with those of {others}")
    rows = [paired_test(a, b, labels) for a, b in zip(first, second, strict=True)]
    table = pd.DataFrame(rows, index=pd.Index(seeds, name="seed"))
    written = [f"{p:.3f}" if p >= 0.001 else "< 0.001" for p in table.p_value]
    return table.assign(p_value=written)
