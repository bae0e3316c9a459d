"""Training many networks of one shape at once.

Each network has its own seed, its own order of images and, if wanted, its own
learning rate, and comes out as `tradeoffs.fit` alone would train it, within
floating-point tolerance. `tradeoffs.training.stack` says how it is computed.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tradeoffs.checks import whole_number
from tradeoffs.data import Dataset
from tradeoffs.experiments import Experiment, Run
from tradeoffs.frameworks import evaluating, in_mode
from tradeoffs.schedules import Schedule
from tradeoffs.training import (
    TrainingError,
    check_options,
    check_schedules,
    one_sentence,
    train_epochs,
)
from tradeoffs.training.batches import batch_sizes
from tradeoffs.training.optimizers import make_optimizer
from tradeoffs.training.pytorch import Trainer, at_least_float32
from tradeoffs.training.stack import Stack
from tradeoffs.training.stacked_layers import FirstLayers

EVALUATION_BATCH = 64  # the images of all networks, so that they stay in cache


def fit_stacked(
    models: list[nn.Sequential],
    dataset: Dataset,
    schedule: Schedule,
    seeds: list[int],
    *,
    learning_rates: list[float] | None = None,
    experiments: list[Experiment] | None = None,
    threads: int | None = None,
    progress: bool = True,
    position: int | None = None,
    first_epochs: int | None = None,
) -> list[Run | TrainingError]:
    """Train K networks of one shape side by side, in place.

    Args:
        models: K `nn.Sequential`s of equal `stack_key`, as from
            `tradeoffs.build("small_net", ...)`; their slopes and the widths
            between their first and last layers may differ.
        dataset, schedule, threads, progress, position, first_epochs: as for `fit`.
        seeds: K seeds, of the order of each network's images and of augmentation.
        learning_rates: K learning rates; by default the schedule's.
        experiments: what to file the runs under; by default as for `fit`.

    Returns:
        A `Run` for each network; the `TrainingError` that `fit` would raise
        for one whose loss is no longer a finite number, which leaves the
        others alone. The environment of a run has "trained_side_by_side": K,
        and its `train_seconds` are those of the whole stack divided by K.

    Raises:
        TypeError: a layer that cannot be stacked, or an argument of another
            type.
        ValueError: networks that differ in shape, or lists in length.

    >>> import tradeoffs
    >>> networks = [tradeoffs.build("small_net", seed=seed) for seed in range(3)]
    >>> few, epoch = tradeoffs.mnist().head(2000, 500), tradeoffs.altered(1)
    >>> runs = tradeoffs.fit_stacked(networks, few, epoch, seeds=[0, 1, 2])
    >>> [run.experiment.seed for run in runs]
    [0, 1, 2]
    """
    check_options(dataset, schedule, threads, first_epochs)
    models = _list("models", models)
    seeds = _list("seeds", seeds, models)
    seeds = [whole_number("seed", seed, least=0) for seed in seeds]
    if learning_rates is None:
        learning_rates = [schedule.learning_rate] * len(models)
    rates = _list("learning_rates", learning_rates, models)
    schedules = [schedule.replace(learning_rate=rate) for rate in rates]
    if experiments is None:
        experiments = [
            Experiment(type(model).__name__, "pytorch", own, seed, dataset=dataset.name)
            for model, own, seed in zip(models, schedules, seeds, strict=True)
        ]
    experiments = _list("experiments", experiments, models)
    check_schedules(experiments, schedules, seeds)
    trainer = StackedTrainer(models, dataset, schedule, seeds)
    runs = train_epochs(
        trainer, dataset, experiments, threads, progress, position, first_epochs
    )
    trainer.stack.copy_back()
    for model in models:
        in_mode(model, training=False)
    return runs


def _list(name, values, models=None):
    """An argument of any kind of sequence as a list, of one value a network."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} is {values!r}; it must be a list")
    values = list(values)
    if models is not None and len(values) != len(models):
        raise ValueError(f"{len(values)} {name} for {len(models)} networks")
    return values


@torch.no_grad()
def _check_answers(stack, models, images):
    """Raise a TypeError unless each network answers side by side as it does alone."""
    alone = []
    for model in models:
        with evaluating(model):  # it may work in place
            alone.append(model(images.clone()))
    near, said = 1e3 * torch.finfo(images.dtype).eps, "other answers"
    try:
        found = stack.logits(images.repeat(1, stack.size, 1, 1))
        if torch.allclose(found, torch.stack(alone), near, near, equal_nan=True):
            return
    except RuntimeError as error:
        said = one_sentence(error)
    raise TypeError(f"these networks cannot be stacked: side by side, {said}")


class StackedTrainer(Trainer):
    """Takes steps of K networks at once, on the device they are on."""

    stacked = True

    @torch.inference_mode(False)
    @torch.enable_grad()
    def __init__(self, models, dataset, schedule, seeds):
        self.stack = Stack(models)
        self._begin(models, dataset, schedule, seeds, self.stack.flat)
        images = self.train_images
        _check_answers(self.stack, models, images[:2])
        self.first = FirstLayers.of(self.stack, images, changing=bool(self.augment))
        self.train_images = images.flatten(1)
        # The optimizer moves this from zero at a learning rate of 1, and each
        # network takes its own share of the move: the updates of all five
        # optimizers are proportional to the learning rate. So is AdamW's decay, which
        # is of the weights: it is part of the move, and not of that optimizer.
        self.move = torch.zeros_like(self.stack.flat)
        self.weight_decay = schedule.weight_decay
        self.optimizer = make_optimizer(
            schedule.replace(learning_rate=1.0, weight_decay=0.0),
            [self.move.requires_grad_()],
        )

    def set_learning_rates(self, learning_rates: list[float]) -> None:
        """Set the rate of each network."""
        rates = torch.tensor(learning_rates, dtype=torch.float64).to(self.stack.flat)
        each = (rates.repeat_interleave(p[0].numel()) for p in self.stack.parameters)
        self.rates = torch.cat([*each])

    @torch.inference_mode(False)
    @torch.enable_grad()
    def train_steps(self, indices: np.ndarray) -> np.ndarray:
        """Steps along axis 1 of indices [K, steps, b]; sums of losses, [K]."""
        networks, _, batch = indices.shape
        by_step = torch.from_numpy(np.ascontiguousarray(indices.swapaxes(0, 1)))
        by_step = by_step.to(self.train_labels.device)
        labels = self.train_labels.index_select(0, by_step.flatten())
        labels = labels.view(-1, networks * batch)
        total = at_least_float32(torch.zeros(networks).to(self.stack.flat))
        if self.first:
            self.first.prepare(by_step)
        drawn = [None] * len(by_step)
        if self.augment:
            drawn = self.augment.draw(len(by_step), batch).transpose(0, 1)
        for step, wanted, numbers in zip(by_step, labels, drawn, strict=True):
            logits = self.stack.logits(self._images(step, numbers), training=True)
            losses = functional.cross_entropy(
                at_least_float32(logits).flatten(0, 1),
                wanted,
                reduction="none",
                label_smoothing=self.label_smoothing,
            )
            losses = losses.view(networks, batch).mean(1)
            self._update(losses.sum())
            total += losses.detach()
        return total.double().cpu().numpy()

    def _images(self, indices, numbers):
        """The images of indices [K, b], as [b, K * channels, h, w].

        Changed by the numbers drawn for them, [K, b, m], unless these are None.
        """
        networks, batch = indices.shape
        rows = self.train_images.index_select(0, indices.T.flatten())
        if numbers is not None:
            numbers = numbers.transpose(0, 1).flatten(0, 1)
            rows = self.augment(rows.view(-1, *self.shape), numbers)
        channels, *sides = self.shape
        rows = rows.view(batch, networks * channels, -1).transpose(1, 2).contiguous()
        return rows.view(batch, *sides, -1).permute(0, 3, 1, 2)

    def _update(self, loss):
        gradients = torch.autograd.grad(
            loss, self.stack.parameters, materialize_grads=True
        )
        self.move.grad = torch.cat([gradient.flatten() for gradient in gradients])
        self.optimizer.step()
        with torch.no_grad():
            if self.weight_decay:
                self.move.sub_(self.stack.flat, alpha=self.weight_decay)
            share = next(self.shares)
            self.stack.flat.addcmul_(self.move, self.rates, value=share)
            self.move.zero_()

    @torch.inference_mode()
    def evaluate(self):
        """Mean test losses [K], and the predicted labels, [K, n]."""
        networks = self.stack.size
        total = at_least_float32(torch.zeros(networks).to(self.stack.flat))
        predictions = []
        sizes = batch_sizes(len(self.test_labels), EVALUATION_BATCH)
        parts = self.test_images.split(sizes), self.test_labels.split(sizes)
        for images, labels in zip(*parts, strict=True):
            logits = self.stack.logits(images.repeat(1, networks, 1, 1))
            total += functional.cross_entropy(
                at_least_float32(logits).movedim(0, -1),
                labels[:, None].expand(-1, networks),
                reduction="none",
            ).sum(0)
            predictions.append(logits.argmax(2))
        losses = total.double().cpu().numpy() / len(self.test_labels)
        return losses, torch.cat(predictions, 1).cpu().numpy()
