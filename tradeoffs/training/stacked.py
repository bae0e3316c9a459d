"""Training many networks of one shape at once.

Each network has its own seed, its own order of images and, if wanted, its own
learning rate, and comes out as `tradeoffs.fit` alone would train it, within
floating-point tolerance. `tradeoffs.training.stack` says how it is computed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tradeoffs.data import Dataset
from tradeoffs.progress import bar
from tradeoffs.records import HISTORY_COLUMNS, Experiment, Run, environment
from tradeoffs.schedules import Schedule
from tradeoffs.training import TrainingError, check_data_and_schedule, chunks
from tradeoffs.training.allocation import keep_freed_memory
from tradeoffs.training.pytorch import images_to_tensor, make_optimizer
from tradeoffs.training.stack import Stack

EVALUATION_BATCH = 64  # the images of all networks, so that they stay in cache


def fit_stacked(
    models: list[nn.Sequential],
    dataset: Dataset,
    schedule: Schedule,
    seeds: list[int],
    *,
    learning_rates: list[float] | None = None,
    experiments: list[Experiment] | None = None,
    progress: bool = True,
    position: int | None = None,
    first_epochs: int | None = None,
    on_epoch: Callable[[int, np.ndarray], None] | None = None,
) -> list[Run | TrainingError]:
    """Train K networks of one shape side by side, in place.

    Args:
        models: K `nn.Sequential`s of equal `stack_key`, as from
            `tradeoffs.build("small_net", ...)`; their slopes and the widths
            between their first and last layers may differ.
        dataset, schedule, progress, position, first_epochs: as for `fit`.
        seeds: K seeds, of the order of each network's images.
        learning_rates: K learning rates; by default the schedule's.
        experiments: what to file the runs under; by default as for `fit`.
        on_epoch: called with each epoch and the test accuracies [K] after it.

    Returns:
        A `Run` for each network; the `TrainingError` that `fit` would raise
        for one whose loss is no longer a finite number, which leaves the
        others alone. The environment of a run has "trained_side_by_side": K,
        and its `train_seconds` are those of the whole stack divided by K.

    Raises:
        TypeError: a layer that cannot be stacked, or an argument of another
            type.
        ValueError: networks that differ in shape, or lists in length.
    """
    check_data_and_schedule(dataset, schedule)
    if not models:
        raise ValueError("there are no networks to train")
    schedules = _schedules(schedule, learning_rates, len(models))
    for name, values in (("seeds", seeds), ("experiments", experiments)):
        if values is not None and len(values) != len(models):
            raise ValueError(f"{len(values)} {name} for {len(models)} networks")
    experiments = experiments or [
        Experiment(type(model).__name__, "pytorch", own, seed, dataset=dataset.name)
        for model, own, seed in zip(models, schedules, seeds, strict=True)
    ]
    trainer = StackedTrainer(models, dataset, schedule)
    orders = [np.random.default_rng(seed) for seed in seeds]
    epochs = min(first_epochs or schedule.epochs, schedule.epochs)
    histories = [{column: [] for column in HISTORY_COLUMNS} for _ in models]
    num_images = len(dataset.train_labels)
    errors = [None] * len(models)

    with bar(
        progress,
        total=epochs * num_images,
        desc=f"{len(models)} networks",
        unit=" images",
        unit_scale=True,
        position=position,
        leave=position is None,
    ) as shown:
        for epoch in range(1, epochs + 1):
            trainer.set_learning_rates([s.learning_rate_of(epoch) for s in schedules])
            order = np.stack([order.permutation(num_images) for order in orders])
            train_losses, seconds = _train_epoch(trainer, order, schedule, shown)
            test_losses, predictions = trainer.evaluate()
            accuracies = (predictions == dataset.test_labels).mean(1)
            for k, history in enumerate(histories):
                if errors[k] is None and not math.isfinite(train_losses[k]):
                    errors[k] = TrainingError.of_loss(
                        train_losses[k], epoch, schedules[k]
                    )
                row = (
                    epoch,
                    float(train_losses[k]),
                    float(test_losses[k]),
                    float(accuracies[k]),
                    seconds / len(models),
                )
                for column, value in zip(HISTORY_COLUMNS, row, strict=True):
                    history[column].append(value)
            shown.set_postfix_str(f"best accuracy {accuracies.max():.2%}")
            if on_epoch:
                on_epoch(epoch, accuracies)
            if all(errors):
                break
    trainer.stack.copy_back()
    noted = environment("pytorch") | {"trained_side_by_side": len(models)}
    counts = [sum(p.numel() for p in model.parameters()) for model in models]
    return [
        error or Run(experiment, num_parameters, history, predicted, noted)
        for error, experiment, num_parameters, history, predicted in zip(
            errors, experiments, counts, histories, predictions, strict=True
        )
    ]


def _schedules(schedule, learning_rates, count):
    if learning_rates is None:
        return [schedule] * count
    if len(learning_rates) != count:
        raise ValueError(f"{len(learning_rates)} learning_rates for {count} networks")
    return [schedule.replace(learning_rate=rate) for rate in learning_rates]


def _train_epoch(trainer, order, schedule, shown):
    """One pass in the given orders [K, n]: mean losses [K], and seconds."""
    total, seconds = np.zeros(len(order)), 0.0
    for indices in chunks(order, schedule.batch_size):
        start = time.perf_counter()
        losses = trainer.train_steps(indices)
        seconds += time.perf_counter() - start
        total += losses * indices.shape[2]
        shown.update(indices[0].size)
    return total / order.shape[1], seconds


class StackedTrainer:
    """Takes steps of K networks at once, on the device they are on."""

    def __init__(self, models, dataset, schedule):
        keep_freed_memory()
        self.stack = Stack(models)
        like = self.stack.flat
        scaling = schedule.input_scaling
        train_images = images_to_tensor(dataset.train_images, scaling).to(like)
        self.shape = train_images.shape[2:]
        self.moments = self.stack.patch_moments(train_images)
        self.train_images = train_images.flatten(1)
        self.test_images = images_to_tensor(dataset.test_images, scaling).to(like)
        self.train_labels = torch.tensor(dataset.train_labels).long().to(like.device)
        self.test_labels = torch.tensor(dataset.test_labels).long().to(like.device)
        # The optimizer moves this from zero at a learning rate of 1, and each
        # network takes its own share of the move: the updates of all four
        # optimizers are proportional to the learning rate.
        self.move = torch.zeros_like(self.stack.flat)
        self.optimizer = make_optimizer(
            schedule.replace(learning_rate=1.0), [self.move.requires_grad_()]
        )

    def set_learning_rates(self, learning_rates: list[float]) -> None:
        rates = torch.tensor(learning_rates, dtype=torch.float64).to(self.stack.flat)
        self.rates = rates[self.stack.network_of]

    def train_steps(self, indices: np.ndarray) -> np.ndarray:
        """Steps along axis 1 of indices [K, steps, b]; sums of losses, [K]."""
        networks, _, batch = indices.shape
        by_step = torch.from_numpy(np.ascontiguousarray(indices.swapaxes(0, 1)))
        by_step = by_step.to(self.train_labels.device)
        moments = self.stack.batch_moments(self.moments, by_step)
        labels = self.train_labels.index_select(0, by_step.flatten())
        labels = labels.view(-1, networks * batch)
        total = torch.zeros(networks).to(self.stack.flat)
        for step, known, wanted in zip(by_step, moments, labels, strict=True):
            logits = self.stack.logits(self._images(step), known, training=True)
            losses = functional.cross_entropy(
                logits.flatten(0, 1), wanted, reduction="none"
            )
            losses = losses.view(networks, batch).mean(1)
            self._update(losses.sum())
            total += losses.detach()
        return total.double().cpu().numpy()

    def _images(self, indices):
        """The images of indices [K, b], as [b, K, h, w] in `channels_last`."""
        networks, batch = indices.shape
        rows = self.train_images.index_select(0, indices.T.flatten())
        rows = rows.view(batch, networks, -1).transpose(1, 2).contiguous()
        return rows.view(batch, *self.shape, networks).permute(0, 3, 1, 2)

    def _update(self, loss):
        gradients = torch.autograd.grad(
            loss, self.stack.parameters, materialize_grads=True
        )
        self.move.grad = torch.cat([gradient.flatten() for gradient in gradients])
        self.optimizer.step()
        with torch.no_grad():
            self.stack.flat.addcmul_(self.move, self.rates)
            self.move.zero_()

    @torch.inference_mode()
    def evaluate(self):
        """Mean test losses [K], and the predicted labels, uint8 [K, n]."""
        networks = self.stack.size
        total, predictions = torch.zeros(networks).to(self.stack.flat), []
        for images, labels in zip(
            self.test_images.split(EVALUATION_BATCH),
            self.test_labels.split(EVALUATION_BATCH),
            strict=True,
        ):
            logits = self.stack.logits(images.expand(-1, networks, -1, -1))
            total += functional.cross_entropy(
                logits.movedim(0, -1),
                labels[:, None].expand(-1, networks),
                reduction="none",
            ).sum(0)
            predictions.append(logits.argmax(2).byte())
        losses = total.double().cpu().numpy() / len(self.test_labels)
        return losses, torch.cat(predictions, 1).cpu().numpy()
