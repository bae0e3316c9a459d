"""The quantities that decisions are about: names, units and directions."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pandas as pd

from tradeoffs.cost_tables import cost_table
from tradeoffs.probes.profile import MIB


def larger_is_better(column: str) -> bool:
    """Whether it is: of accuracies, but for their deviation, and of throughput."""
    accuracy = "accuracy" in column and not column.endswith("_std")
    return accuracy or column in ("images_per_second", "first_epoch_min")


ROUNDING = 1e-12  # of a mean of numbers that are written with few digits


@dataclass(frozen=True)
class Limit:
    """A limit that `choose` knows.

    Attributes:
        column: of the table that it is held against.
        text: how a value is written.
        scale: the column's units in one of the limit's.
        least: whether the limit is the least allowed, not the most.
    """

    column: str
    text: str
    scale: float = 1
    least: bool = False

    def write(self, value: float) -> str:
        """A value in the limit's unit, to read."""
        return "not measured" if math.isnan(value) else self.text.format(value)

    def write_kept(self, value: float) -> str:
        """The same, rounded to the side on which the value keeps it as a limit."""
        shares = 100 if "%" in self.text else 1
        digits = re.search(r"[\d.,]+(e[+-]\d+)?", self.write(value))[0]
        shown = Decimal(digits.replace(",", ""))
        wanted = Decimal(f"{value:.12g}") * shares
        kept = wanted.quantize(shown, ROUND_FLOOR if self.least else ROUND_CEILING)
        return self.write(float(kept / shares))

    def excess(self, value: float, allowed: float) -> float:
        """By what share a value breaks the limit; 0 or less where it keeps it.

        For an accuracy it is the share of errors that counts: 99 % is twice as
        far from perfect as 99.5 %.
        """
        if self.least:
            value, allowed = 1 - value, 1 - allowed
        if value <= allowed + ROUNDING:
            return 0.0
        return value / allowed - 1 if allowed else math.inf


LIMITS = {
    "min_accuracy": Limit("accuracy_mean", "{:.2%}", least=True),
    "max_parameters": Limit("num_parameters", "{:,.0f}"),
    "max_file_mib": Limit("file_bytes", "{:,.3g} MiB", MIB),
    "max_latency_ms": Limit("latency_ms_p90", "{:,.3g} ms"),
    "max_inference_seconds": Limit("inference_seconds", "{:,.3g} s"),
    "max_inference_memory_mib": Limit("peak_inference_memory_mib", "{:,.0f} MiB"),
    "max_train_memory_mib": Limit("peak_train_memory_mib", "{:,.0f} MiB"),
    "max_gpu_memory_mib": Limit("predicted_gpu_memory_mib", "{:,.0f} MiB"),
    "max_epoch_seconds": Limit("epoch_seconds", "{:,.3g} s"),
    "max_cost_per_month": Limit("cost_per_month", "{:,.2f}"),
}


def as_table(profiles):
    """Profiles, or a table of them, as a table with a row a model.

    Raises:
        TypeError: neither.
        ValueError: empty, or a model is there twice.
    """
    table = profiles if isinstance(profiles, pd.DataFrame) else cost_table(profiles)
    if table.empty:
        raise ValueError("there are no profiles to decide on")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise ValueError(f"{twice!r} is there twice; give each model one row")
    return table


def numbers_in(table, column: str):
    """A column as floats, NaN for what was not measured.

    Raises:
        ValueError: there is no such column, or it holds no numbers.
    """
    try:
        return table[[column]].astype(float)[column]  # of a list there is no number
    except (KeyError, TypeError, ValueError):
        hint = "; join the table of tradeoffs.cost to it"
        raise ValueError(
            f"there is no column {column!r} of numbers"
            f"{hint if column == 'cost_per_month' else ''}; the columns of numbers "
            f"are {', '.join(map(str, table.select_dtypes('number')))}"
        ) from None
