"""Training any network on any data set under a schedule.

The loop is the same for both frameworks; `tradeoffs.training.pytorch` and
`tradeoffs.training.keras` each supply a `Trainer` that takes steps and
evaluates. Images wait in memory as one tensor and are gathered there by
index: at this size a data loader would cost more than the network.
"""

from __future__ import annotations

import importlib
import math
import time

import numpy as np

from tradeoffs.data import Dataset
from tradeoffs.frameworks import framework_of
from tradeoffs.progress import bar
from tradeoffs.records import HISTORY_COLUMNS, Experiment, Run, environment
from tradeoffs.schedules import Schedule

STEPS_AT_ONCE = 50  # between two looks at the loss and the progress bar


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says what to try."""

    @classmethod
    def of_loss(cls, loss: float, epoch: int, schedule: Schedule) -> TrainingError:
        """For a loss that is not finite."""
        return cls(
            f"the training loss became {loss} in epoch {epoch}; try a "
            f"learning rate below {schedule.learning_rate_of(epoch):g}, "
            "another seed, or look for a division or logarithm in the model"
        )


def fit(
    model,
    dataset: Dataset,
    schedule: Schedule,
    seed: int = 0,
    *,
    experiment: Experiment | None = None,
    progress: bool = True,
    position: int | None = None,
    first_epochs: int | None = None,
) -> Run:
    """Train a network, in place, from the weights it has.

    Args:
        model: a `torch.nn.Module` that takes images [n, 1, 28, 28] and
            returns logits [n, classes], on whatever device it is; or a
            `keras.Model` that takes [n, 28, 28, 1] and returns probabilities
            or logits.
        dataset: as from `tradeoffs.mnist()`.
        schedule: as `tradeoffs.ARTICLE`.
        seed: of the order of the images and of dropout. The same seed on the
            same machine, threads and versions gives the same run.
        experiment: what to file the run under; by default one that names the
            model's class.
        progress: show one bar with the loss, the accuracy and the time left.
        position: the line of the bar, where several processes show one.
        first_epochs: stop after so many epochs of the schedule.

    Returns:
        A `Run`. Its train seconds leave out evaluation and compilation.

    Raises:
        TypeError: the model, data set or schedule is of another type.
        TrainingError: the loss is no longer a finite number.
    """
    framework = framework_of(model)
    check_data_and_schedule(dataset, schedule)
    experiment = experiment or Experiment(
        type(model).__name__, framework, schedule, seed, dataset=dataset.name
    )
    epochs = min(first_epochs or schedule.epochs, schedule.epochs)
    backend = importlib.import_module(f"tradeoffs.training.{framework}")
    trainer = backend.Trainer(model, dataset, schedule, seed)
    order = np.random.default_rng(seed)
    history = {column: [] for column in HISTORY_COLUMNS}
    num_images = len(dataset.train_labels)

    with bar(
        progress,
        total=epochs * num_images,
        desc=f"{experiment.model} seed {experiment.seed}",
        unit=" images",
        unit_scale=True,
        position=position,
        leave=position is None,
    ) as shown:
        for epoch in range(1, epochs + 1):
            trainer.set_learning_rate(schedule.learning_rate_of(epoch))
            train_loss, seconds = _train_epoch(
                trainer, order.permutation(num_images), schedule, epoch, shown
            )
            test_loss, predictions = trainer.evaluate()
            accuracy = float(np.mean(predictions == dataset.test_labels))
            row = (epoch, train_loss, test_loss, accuracy, seconds)
            for column, value in zip(HISTORY_COLUMNS, row, strict=True):
                history[column].append(value)
            shown.set_postfix_str(f"loss {test_loss:.4f}, accuracy {accuracy:.2%}")
    return Run(
        experiment=experiment,
        num_parameters=trainer.num_parameters(),
        history_columns=history,
        test_predictions=predictions,
        environment=environment(framework),
    )


def check_data_and_schedule(dataset, schedule) -> None:
    """Raise a TypeError unless they are a `Dataset` and a `Schedule`."""
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"dataset is a {type(dataset).__name__}; give a Dataset, such as "
            "tradeoffs.mnist()"
        )
    if not isinstance(schedule, Schedule):
        raise TypeError(
            f"schedule is a {type(schedule).__name__}; give a Schedule, such "
            "as tradeoffs.ARTICLE"
        )


def _train_epoch(trainer, order, schedule, epoch, shown):
    """One pass in the given order: mean loss a sample, and seconds."""
    total_loss = seconds = 0.0
    for indices in chunks(order, schedule.batch_size):
        start = time.perf_counter()
        loss = trainer.train_steps(indices)
        seconds += time.perf_counter() - start
        if not math.isfinite(loss):
            raise TrainingError.of_loss(loss, epoch, schedule)
        total_loss += loss * indices.shape[1]
        shown.update(indices.size)
    return total_loss / len(order), seconds


def chunks(order, batch_size):
    """Index arrays [..., steps, batch] of an order [..., n].

    A smaller last batch comes by itself.
    """
    *networks, num_images = order.shape
    whole = num_images // batch_size * batch_size
    batches = order[..., :whole].reshape(*networks, -1, batch_size)
    for start in range(0, batches.shape[-2], STEPS_AT_ONCE):
        yield batches[..., start : start + STEPS_AT_ONCE, :]
    if whole < num_images:
        yield order[..., None, whole:]
