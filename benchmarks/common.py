"""What every benchmark needs: its options, ways that take turns, and a table.

`python benchmarks/NAME.py --help` lists what a benchmark can be told.
"""

import argparse

import pandas as pd

import tradeoffs
from tradeoffs.experiments import processor
from tradeoffs.progress import bar

BATCH = tradeoffs.ARTICLE.batch_size


def options(page, **defaults):
    """Of the command line: each of its default's type, and a list for a tuple."""
    parser = argparse.ArgumentParser(description=page.splitlines()[0])
    for name, default in defaults.items():
        several = isinstance(default, tuple)
        kind = type(default[0] if several else default)
        given = {"type": kind, "nargs": "+" if several else None, "default": default}
        parser.add_argument(f"--{name}", **given, help="default: %(default)s")
    return parser.parse_args()


def in_turns(turns, function, ways) -> pd.DataFrame:
    """A row a turn: what a function returns for each way's arguments.

    A slow moment of the machine then meets all of them.
    """
    return pd.DataFrame(
        {way: function(*given) for way, given in ways.items()}
        for _ in bar(iterable=range(turns), leave=False)
    )


def spread(values, digits=2) -> str:
    """The median, and the lowest and the highest."""
    middle, low, high = values.median(), values.min(), values.max()
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def show(title, rows) -> None:
    """Print rows, a mapping each, as a table in Markdown."""
    table = pd.DataFrame(rows)
    print(f"{processor()}; {title}\n")
    lines = [table.columns, ["---"] * table.shape[1], *table.itertuples(index=False)]
    for line in lines:
        print("|", " | ".join(map(str, line)), "|")
    print(flush=True)


def first_images(count) -> tradeoffs.Dataset:
    """MNIST with so many training images; it tests on few, which is not timed."""
    return tradeoffs.mnist().head(count, 100)
