"""The rows of the search for smaller networks: what was chosen for each limit.

A row is a limit of parameters. `docs/protocol.md` says how its network and its
schedule are chosen, and `results/smaller/` when the test images were read.
"""

from dataclasses import dataclass

from tradeoffs.checks import one_of
from tradeoffs.schedules import SMALLER, Schedule


@dataclass(frozen=True)
class Row:
    """What was chosen: the arguments of `tiny`, and how the network is trained."""

    arguments: dict
    schedule: Schedule


_NETWORKS = {
    300: {"filters": [3, 3, 5, 7]},
    518: {"filters": [4, 6, 8, 11]},
    697: {"filters": [4, 6, 8, 9, 11], "pools": [2, 2, None, None, None]},
    1_000: {"filters": [5, 8, 10, 12, 14], "pools": [2, 2, None, None, None]},
    2_000: {"filters": [8, 12, 16, 20, 22], "pools": [2, 2, None, None, None]},
    7_090: {"filters": [16, 32, 48, 64]},
}
ROWS = {
    limit: Row({"scale": 40, **arguments}, SMALLER[limit])
    for limit, arguments in _NETWORKS.items()
}


def arguments_of(parameters: int) -> dict:
    """What `tiny` is given for the network of a row.

    Raises:
        ValueError: there is no such row; the message lists them.
    """
    return ROWS[one_of("parameters", parameters, tuple(ROWS))].arguments
