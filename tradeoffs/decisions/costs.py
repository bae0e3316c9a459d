"""From seconds to money: arithmetic that can be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping

from tradeoffs.decisions.columns import as_table, number, numbers_in, whole_number
from tradeoffs.schedules import ARTICLE

DAYS_PER_MONTH = 30
SECONDS_PER_HOUR = 3600


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
        profiles: the table of `tradeoffs.cost_table`, or a list of `Profile`s.
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

    >>> from tradeoffs import Profile
    >>> net = Profile(name="net", framework="pytorch", input_shape=(784,),
    ...     batch_size=16, inference_batch_size=1000, threads=1,
    ...     epoch_seconds=36.0, latency_ms_p50=3.6)
    >>> table = cost([net], price_per_hour=2.0, retrainings_per_month=10,
    ...     requests_per_day=1_000_000, search_seconds=7200)
    >>> table.loc["net", ["training_cost", "training_cost_per_month"]].tolist()
    [0.4, 4.0]
    >>> table.loc["net", ["cost_per_month", "first_month_cost"]].tolist()
    [64.0, 68.0]
    """
    import pandas as pd

    table = as_table(profiles)
    a_second = number("price_per_hour", price_per_hour) / SECONDS_PER_HOUR
    retrainings = number("retrainings_per_month", retrainings_per_month)
    requests = number("requests_per_day", requests_per_day) * DAYS_PER_MONTH
    epochs = whole_number("epochs", epochs, least=1)
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
    import pandas as pd

    if not isinstance(seconds, Mapping):
        return pd.Series(number("search_seconds", seconds), index=models)
    for model in seconds:
        if model not in models:
            raise ValueError(
                f"search_seconds has {model!r}; the models are {', '.join(models)}"
            )
    given = {m: number(f"search_seconds of {m}", s) for m, s in seconds.items()}
    return pd.Series(given, dtype=float).reindex(models, fill_value=0.0)
