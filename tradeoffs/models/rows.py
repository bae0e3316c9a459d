"""The rows of the search for smaller networks: what was chosen for each limit.

A row is a limit of parameters. `docs/protocol.md` says how its network and its
schedule were chosen, and when the test images were read.
"""

from __future__ import annotations

from dataclasses import dataclass

from tradeoffs.checks import one_of
from tradeoffs.schedules import Schedule


@dataclass(frozen=True)
class Row:
    """What was chosen: the arguments of `tiny`, and how the network is trained."""

    arguments: dict
    schedule: Schedule


ROWS = {}


def arguments_of(parameters: int) -> dict:
    """What `tiny` is given for the network of a row.

    Raises:
        ValueError: there is no such row; the message lists them.
    """
    return ROWS[one_of("parameters", parameters, tuple(ROWS))].arguments
