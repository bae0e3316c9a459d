"""What models cost in money, and what more of something would bring."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from tradeoffs.checks import list_of_runs, number, whole_number
from tradeoffs.experiments import Run
from tradeoffs.limits import as_table, numbers_in
from tradeoffs.schedules import ARTICLE

DAYS_PER_MONTH = 30
SECONDS_PER_HOUR = 3600
ROUNDING = 1e-9  # of points


def cost(
    profiles,
    *,
    price_per_hour: float,
    retrainings_per_month: float = 0,
    requests_per_day: float = 0,
    epochs: int = ARTICLE.epochs,
    search_seconds: float | Mapping[str, float] = 0,
):
    """What each model costs, in the currency of the price.

    training_seconds = epochs x epoch_seconds, and request_seconds is the median
    latency of one image. A month has 30 days, and time not spent on either is
    not charged. A search is charged once, beside the monthly cost.

    Args:
        profiles: the table of `tradeoffs.cost_table`, or a list of profiles.
        price_per_hour: of a machine like the one that was measured.
        retrainings_per_month: trainings in full; may be a fraction.
        requests_per_day: images that come one by one.
        epochs: of a training.
        search_seconds: of all trainings that were needed to find the model: a
            number, or a mapping of models to numbers, without which it is 0.

    Returns:
        A DataFrame, a row a model: training_seconds, training_cost (of one),
        request_seconds, training_cost_per_month, requests_cost_per_month,
        cost_per_month (both), search_cost, and first_month_cost with the search
        in it. NaN follows from what was not measured, unless it is not needed.

    Raises:
        TypeError: not a number, or neither a table nor profiles.
        ValueError: NaN, negative, no models, or a search of an unknown model.

    >>> import tradeoffs
    >>> profiles = tradeoffs.recorded_profiles()
    >>> table = tradeoffs.cost(profiles, price_per_hour=0.1, retrainings_per_month=30)
    >>> table.cost_per_month.idxmax()
    'keras_cnn'
    """
    table = as_table(profiles)
    a_second = number("price_per_hour", price_per_hour, least=0) / SECONDS_PER_HOUR
    retrainings = number("retrainings_per_month", retrainings_per_month, least=0)
    requests = number("requests_per_day", requests_per_day, least=0) * DAYS_PER_MONTH
    epochs = whole_number("epochs", epochs)
    training = numbers_in(table, "epoch_seconds") * epochs
    request = numbers_in(table, "latency_ms_p50") / 1000
    # What nobody asks for costs nothing, measured or not.
    monthly_training = training * retrainings * a_second if retrainings else 0.0
    monthly_requests = request * requests * a_second if requests else 0.0
    searched = _searched(search_seconds, table.index) * a_second
    return pd.DataFrame(
        {
            "training_seconds": training,
            "training_cost": training * a_second,
            "request_seconds": request,
            "training_cost_per_month": monthly_training,
            "requests_cost_per_month": monthly_requests,
            "cost_per_month": monthly_training + monthly_requests,
            "search_cost": searched,
            "first_month_cost": monthly_training + monthly_requests + searched,
        },
        index=table.index,
    )


def _searched(seconds, models):
    if not isinstance(seconds, Mapping):
        return pd.Series(number("search_seconds", seconds, least=0), index=models)
    found = pd.Series(0.0, index=models)
    for model, value in seconds.items():
        if model not in models:
            known = ", ".join(map(str, models))
            raise ValueError(f"search_seconds has {model!r}; the models are {known}")
        found[model] = number(f"search_seconds of {model}", value, least=0)
    return found


def epoch_returns(runs: list[Run], epoch_seconds: float, price_per_hour: float):
    """What each epoch brought, and what it cost.

    Args:
        runs: of one network and schedule, over its seeds.
        epoch_seconds: as measured; a record's own seconds are no fair measure.
        price_per_hour: of the machine.

    Returns:
        A DataFrame, a row an epoch: epoch, accuracy (mean over seeds, 0 to 1),
        gain_points (percentage points on the epoch before; the first epoch's on
        guessing one of ten), cost (of this epoch), total_cost (up to it), and
        cost_per_point (NaN where there was no gain but for rounding).

    Raises:
        TypeError, ValueError: a number is none or negative, or the price 0; no runs,
            or of two networks, schedules, data sets or lengths.

    >>> import tradeoffs
    >>> runs = tradeoffs.runs("gap_cnn")
    >>> table = tradeoffs.epoch_returns(runs, epoch_seconds=20, price_per_hour=0.36)
    >>> table[["epoch", "gain_points", "total_cost"]].round(3).head(3)
       epoch  gain_points  total_cost
    0      1       88.253       0.002
    1      2        0.386       0.004
    2      3        0.109       0.006
    """
    seconds = number("epoch_seconds", epoch_seconds, least=0)
    price = number("price_per_hour", price_per_hour, least=0)
    if not price:
        raise ValueError("price_per_hour is 0; it must be above 0")
    runs = list_of_runs(runs)
    of = {
        (r.experiment.variant, r.experiment.schedule.name, len(r.history)) for r in runs
    }
    if len(of) != 1:
        raise ValueError(
            "give runs of one network and schedule and of equal length, at least one; "
            f"these are of {sorted(of)}"
        )
    accuracy = np.mean([run.history.test_accuracy for run in runs], axis=0)
    gain = np.diff(accuracy, prepend=0.1) * 100
    each = seconds * price / SECONDS_PER_HOUR
    epochs = np.arange(1, len(accuracy) + 1)
    columns = {"epoch": epochs, "accuracy": accuracy, "gain_points": gain}
    table = pd.DataFrame(columns).assign(cost=each, total_cost=epochs * each)
    return table.assign(cost_per_point=each / table.gain_points.where(gain > ROUNDING))


def expected_best(scores) -> np.ndarray:
    """The best score to expect of 1, 2, ... networks tried in random order.

    An exact expectation over all orders, each network at most once: of n
    networks, the k-th lowest is the best of m with the probability
    C(k - 1, m - 1) / C(n, m).

    Args:
        scores: of all the networks, [n], larger is better.

    Returns:
        float64 [n]; the last is the best score of all.

    Raises:
        ValueError: no scores, or one that is no finite number.

    >>> expected_best([0.9, 0.5, 0.7]).round(4).tolist()
    [0.7, 0.8333, 0.9]
    """
    scores = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"scores are {scores}; give at least one, all finite numbers")
    n = scores.size
    ranks = np.arange(1, n + 1)
    share = np.full(n, 1 / n)  # of m = 1
    best = [share @ scores]
    for m in range(1, n):
        # From C(k-1, m-1) / C(n, m) to the same with m + 1.
        share = share * np.maximum(ranks - m, 0) * (m + 1) / (m * (n - m))
        best.append(share @ scores)
    return np.array(best)


class Bounds(NamedTuple):
    """Numbers of parameters between which to look for a model."""

    lower: int
    upper: int


def rule_of_thumb(num_observations: int, num_features: int) -> Bounds:
    """The article's rule: between the features' and the observations' magnitude.

    Each is the nearest power of ten: as many parameters as there are features,
    in magnitude, at least; as there are observations, at most.

    Args:
        num_observations: training examples.
        num_features: values of one example.

    Raises:
        TypeError: not whole numbers.
        ValueError: below 1, or the features outnumber the observations in
            magnitude, for which the rule leaves no room.

    >>> rule_of_thumb(60_000, 784)
    Bounds(lower=1000, upper=100000)
    """
    features = whole_number("num_features", num_features)
    observations = whole_number("num_observations", num_observations)
    lower, upper = (10 ** round(math.log10(n)) for n in (features, observations))
    if lower > upper:
        raise ValueError(
            f"{num_features} features outnumber {num_observations} observations; the "
            "rule leaves no room between them"
        )
    return Bounds(lower, upper)
