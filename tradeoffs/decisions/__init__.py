"""Help with deciding: what fits, what it costs, and what more would bring.

`columns` knows the quantities and their directions, `choosing` holds models
against limits, `fronts` finds those that no other beats, `costs` turns seconds
into money, `returns` weighs more epochs and more networks against their price,
`ensembles` lets runs vote, and `rule` is the article's rule of thumb.
"""

from tradeoffs.decisions.choosing import Choice, Relaxation, choose, environments
from tradeoffs.decisions.columns import LIMITS
from tradeoffs.decisions.costs import cost
from tradeoffs.decisions.ensembles import Ensemble, ensemble
from tradeoffs.decisions.fronts import pareto
from tradeoffs.decisions.returns import epoch_returns, expected_best
from tradeoffs.decisions.rule import Bounds, rule_of_thumb

__all__ = [
    "LIMITS",
    "Bounds",
    "Choice",
    "Ensemble",
    "Relaxation",
    "choose",
    "cost",
    "ensemble",
    "environments",
    "epoch_returns",
    "expected_best",
    "pareto",
    "rule_of_thumb",
]
