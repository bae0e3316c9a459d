"""Steps and evaluation in PyTorch."""

import contextlib
import copy
import warnings

import numpy as np
import torch
from torch.nn import functional
from torch.nn.parameter import is_lazy

from tradeoffs.data import MNIST_PIXELS
from tradeoffs.frameworks import RANDOM_NUMBERS, in_mode, keep_freed_memory
from tradeoffs.training import (
    TrainingError,
    TrainingWarning,
    first_outputs,
    num_classes,
)
from tradeoffs.training.augmenting import Augmenter
from tradeoffs.training.batches import batch_sizes
from tradeoffs.training.layouts import lay_out_by_rule, trial_of
from tradeoffs.training.macs import macs_of
from tradeoffs.training.optimizers import make_optimizer
from tradeoffs.training.untracked import untracked

EVALUATION_BATCH = 1000


def images_to_tensor(images, input_scaling, pixels=MNIST_PIXELS):
    """Images as float32 [n, channels, h, w].

    Args:
        images: uint8, which become shares of 255, or float32; [n, h, w], or
            [n, h, w, channels].
        input_scaling: of `Schedule`.
        pixels: their mean and deviation, as of `Dataset`.
    """
    tensor = torch.tensor(images)
    grey = tensor.dim() == 3
    tensor = tensor.unsqueeze(1) if grey else tensor.movedim(-1, 1).contiguous()
    if tensor.dtype == torch.uint8:
        tensor = tensor.float().div_(255)
    if input_scaling == "standardized":
        mean, deviation = pixels
        tensor.sub_(mean).div_(deviation)
    return tensor


def data_tensors(dataset, input_scaling, like):
    """Images and labels of both parts, on a tensor's device.

    Images of a `Dataset` come in that tensor's precision; tensors as they are.
    """
    found = []
    for part in ("train", "test"):
        images = getattr(dataset, f"{part}_images")
        if not isinstance(images, torch.Tensor):
            images = images_to_tensor(images, input_scaling, dataset.pixels)
            images = images.to(like if like.is_floating_point() else like.device)
        labels = torch.tensor(getattr(dataset, f"{part}_labels")).long()
        found += [images.to(like.device), labels.to(like.device)]
    return found


def at_least_float32(outputs):
    """Outputs in which losses can be summed: half ones as float32."""
    return outputs.float() if outputs.element_size() < 4 else outputs


def check_outputs(model, images, dataset) -> tuple[int, bool]:
    """Try a model on two images, so that what does not fit is said before a training.

    Returns:
        How many classes it tells apart, and whether it gives shares of 1 in use, and
        logits while it trains.

    Raises:
        TrainingError, ValueError: as `first_outputs`.
    """
    name = type(model).__name__
    with trial_of(model):
        outputs = first_outputs(name, model, images[:2].clone(), dataset)
    if not outputs.is_floating_point():
        raise TrainingError(
            f"{name} returns {outputs.dtype}; to be trained it must return real numbers"
        )
    shares = are_shares(outputs)
    if shares and logits_in_training(model, images):
        return outputs.shape[1], True
    between = outputs.min() >= 0 and outputs.max() <= 1
    if shares or (between and ends_in_sigmoid(model, images)):
        last = "softmax" if shares else "sigmoid"
        warnings.warn(
            f"{name} returns probabilities, and its training takes them for logits: "
            f"a softmax of a {last}. Leave the last {last} out",
            TrainingWarning,
            stacklevel=6,
        )
    return outputs.shape[1], False


def ends_in_sigmoid(model, images) -> bool:
    """Whether that is what computes a network's outputs last, as autograd notes it."""
    with contextlib.suppress(Exception), trial_of(model), torch.enable_grad():
        node = model(images[:2].clone()).grad_fn
        while node.name().startswith(("View", "Clone", "ToCopy", "Squeeze")):
            node = node.next_functions[0][0]
        return "igmoidBackward" in node.name()
    return False


def are_shares(outputs) -> bool:
    """Whether rows sum to 1, within what their precision can tell."""
    precise = max(1e-4, 8 * torch.finfo(outputs.dtype).eps)
    off = (outputs.float().sum(1) - 1).abs().max()
    return bool(outputs.shape[1] > 1 and outputs.min() >= 0 and off < precise)


def logits_in_training(model, images) -> bool:
    """Whether a network whose outputs are shares leaves the softmax out in training."""
    with contextlib.suppress(Exception), trial_of(model):
        copied = in_mode(copy.deepcopy(model), training=True)
        return not are_shares(copied(images[:2].clone()))
    return False


class Trainer:
    """Trains one module on the device it is on; `StackedTrainer` trains several."""

    framework, stacked = "pytorch", False

    @torch.inference_mode(False)
    def __init__(self, model, dataset, schedule, seed):
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"{type(model).__name__} has nothing to train")
        known = (p for p in model.parameters() if not is_lazy(p))
        tables = (p for p in known if p.is_floating_point() and p.dim() > 1)
        first = next(tables, parameters[0])
        if first.is_meta:
            raise ValueError(f"{type(model).__name__} is on the meta device, empty")
        self._begin([model], dataset, schedule, [seed], first)
        for text in untracked(model, self.train_images[:2].clone()):
            warnings.warn(text, TrainingWarning, stacklevel=4)
        _check_places(model)
        lay_out_by_rule(model, self.train_images)
        self.model, self.rate = model, schedule.learning_rate
        self.optimizer = make_optimizer(schedule, parameters)
        self.randomness = _Randomness(seed, parameters[0].device)

    def _begin(self, models, dataset, schedule, seeds, like):
        """What one network begins with as several do.

        Args:
            models: the first is tried on two images.
            dataset, schedule: to train on, and by.
            seeds: of each network's augmentation.
            like: a tensor, on whose device and in whose type the images will be.
        """
        keep_freed_memory()
        self.models, self.batch_size = models, schedule.batch_size
        self.train_images, self.train_labels, self.test_images, self.test_labels = (
            data_tensors(dataset, schedule.input_scaling, like)
        )
        images, self.shape = self.train_images, self.train_images.shape[1:]
        self.num_classes, self.shares_in_use = check_outputs(models[0], images, dataset)
        sizes = batch_sizes(len(images), schedule.batch_size)
        self.shares = schedule.shares(len(sizes))
        self.label_smoothing = schedule.label_smoothing
        by = schedule.augmentation
        self.augment = Augmenter(by, seeds, images) if by else None

    def num_parameters(self):
        """Of each network."""
        return [sum(p.numel() for p in model.parameters()) for model in self.models]

    def step_macs(self):
        """Multiply-accumulates of a step's forward pass, as far as known."""
        # Some models take no image alone.
        few = self.train_images[:2].clone().view(-1, *self.shape)
        with contextlib.suppress(Exception), trial_of(self.models[0]):
            macs, _ = macs_of(self.models[0], few)
            return macs * self.batch_size * len(self.models) // len(few)
        return 0

    def set_learning_rates(self, learning_rates):
        """Set the rate of each network: of one."""
        (self.rate,) = learning_rates

    @torch.inference_mode(False)
    @torch.enable_grad()
    def train_steps(self, indices: np.ndarray) -> float:
        """A step for each row of indices; the sum of the batches' losses."""
        batch = indices.shape[1]
        flat = torch.from_numpy(indices).flatten().to(self.train_labels.device)
        images = self.train_images.index_select(0, flat)
        labels = self.train_labels.index_select(0, flat)
        if self.augment:
            drawn = self.augment.draw(*indices.shape).flatten(0, 2)
            images = self.augment(images, drawn)
        in_mode(self.model, training=True)
        total = torch.zeros((), device=flat.device)
        with self.randomness:
            for step in zip(images.split(batch), labels.split(batch), strict=True):
                total += self._train_step(*step)
        return total.item()

    def _train_step(self, images, labels):
        rate = self.rate * next(self.shares)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        outputs = at_least_float32(self._checked(self.model(images), len(images)))
        loss = functional.cross_entropy(
            outputs, labels, label_smoothing=self.label_smoothing
        )
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _checked(self, outputs, count):
        """What the network returns while it trains, which may be something else."""
        name, classes = type(self.model).__name__, num_classes(outputs, count)
        if isinstance(classes, str):
            raise TrainingError(f"while it trains, {name} {classes}")
        if classes != self.num_classes:
            raise TrainingError(
                f"{name} has {classes} outputs while it trains, and {self.num_classes} "
                "in use"
            )
        if not outputs.requires_grad:
            raise TrainingError(
                f"{name} has nothing to train: its output does not depend on its "
                "weights, or is detached from them"
            )
        return outputs

    @torch.no_grad()
    def evaluate(self):
        """Mean test loss, and the predicted labels, [n]."""
        in_mode(self.model, training=False)
        loss, predictions = 0.0, []
        sizes = batch_sizes(len(self.test_labels), EVALUATION_BATCH)
        parts = self.test_images.split(sizes), self.test_labels.split(sizes)
        with self.randomness:  # some networks drop values out in use, too
            for images, labels in zip(*parts, strict=True):
                # It may work in place.
                logits = at_least_float32(self.model(images.clone()))
                if self.shares_in_use:
                    logits = logits.clamp_min(torch.finfo(logits.dtype).tiny).log()
                loss += functional.cross_entropy(logits, labels, reduction="sum").item()
                predictions.append(logits.argmax(1).cpu())
        return loss / len(self.test_labels), torch.cat(predictions).numpy()


def _check_places(model):
    """Updates in place of numbers that lie in one place write beyond them."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.layout != torch.strided:
            continue
        steps = zip(parameter.stride(), parameter.shape, strict=True)
        places = 1 + sum(step * (size - 1) for step, size in steps)
        if places < parameter.numel():
            raise TrainingError(
                f"{type(model).__name__} has a weight, {name}, that is expanded from "
                "fewer numbers, and cannot be updated in place"
            )


class _Randomness(contextlib.AbstractContextManager):
    """Dropout's own random numbers: those outside are as if there were none."""

    def __init__(self, seed, device):
        self.generators = [torch.default_generator]
        if device.type == "cuda":
            self.generators.append(torch.cuda.default_generators[device.index])
        elif device.type == "mps":
            self.generators.append(torch.mps._get_default_mps_generator())
        self.states = [
            torch.Generator(g.device).manual_seed(seed).get_state()
            for g in self.generators
        ]

    def __enter__(self):
        RANDOM_NUMBERS.acquire()
        self._swap()

    def __exit__(self, *error):
        self._swap()
        RANDOM_NUMBERS.release()

    def _swap(self):
        kept = [g.get_state() for g in self.generators]
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
        self.states = kept
