"""`altered`: a part of the article's schedule with a reader's values."""

from tradeoffs.checks import whole_number
from tradeoffs.schedules import ARTICLE, Schedule


def altered(
    epochs: int = 1,
    *,
    compressed: bool = False,
    learning_rate: float = ARTICLE.learning_rate,
    batch_size: int = ARTICLE.batch_size,
    optimizer: str = ARTICLE.optimizer,
    momentum: float = ARTICLE.momentum,
) -> Schedule:
    """The first epochs of the article's schedule, with some values changed.

    Args:
        epochs: how many, up to 20.
        compressed: the whole schedule in so many epochs, at least 5, instead.
        learning_rate, batch_size, optimizer: of `Schedule`.
        momentum: Nesterov's, for "sgd" alone; other optimizers take none.

    >>> altered(3, optimizer="adam").momentum
    0.0
    """
    if compressed:
        schedule = ARTICLE.compressed(max(whole_number("epochs", epochs), 5))
    else:
        schedule = ARTICLE.first(epochs)
    momentum = momentum if optimizer == "sgd" else 0.0
    return schedule.replace(
        learning_rate=learning_rate,
        batch_size=batch_size,
        optimizer=optimizer,
        momentum=momentum,
        nesterov=momentum > 0,
    )
