"""Steps and evaluation in PyTorch."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tradeoffs.training.allocation import keep_freed_memory

# Mean and deviation of MNIST's training pixels, scaled to 0..1, as in the
# examples of PyTorch.
PIXEL_MEAN, PIXEL_DEVIATION = 0.1307, 0.3081
EVALUATION_BATCH = 1000

# Where `channels_last` does not pay: batch norms of fewer channels, and networks
# most of whose convolution weights are in spatial kernels of so many inputs.
FEW_CHANNELS, WIDE_CHANNELS = 8, 256


def images_to_tensor(images, input_scaling):
    """uint8 [n, h, w] to float32 [n, 1, h, w]; floats pass as they are."""
    if images.dtype != np.uint8:
        return torch.from_numpy(np.array(images))
    tensor = torch.tensor(images).unsqueeze(1).float().div_(255)
    if input_scaling == "standardized":
        tensor.sub_(PIXEL_MEAN).div_(PIXEL_DEVIATION)
    return tensor


def data_tensors(dataset, input_scaling, like):
    """Images and labels of both parts, on a tensor's device, in its precision."""
    return [
        tensor
        for part in ("train", "test")
        for tensor in (
            images_to_tensor(getattr(dataset, f"{part}_images"), input_scaling).to(
                like
            ),
            torch.tensor(getattr(dataset, f"{part}_labels")).long().to(like.device),
        )
    ]


def channels_last_pays(model) -> bool:
    """Whether a network trains faster in `channels_last` than contiguously.

    A rule, so that it is the same on every machine. It gave the faster of the two
    for the five models and for fifteen others, or one within a seventh of it; see
    docs/benchmarks.md.
    """
    norms = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if norms and min(norms) < FEW_CHANNELS:
        return False
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    wide = sum(
        c.weight.numel()
        for c in convolutions
        if c.groups == 1 and max(c.kernel_size) > 1 and c.in_channels >= WIDE_CHANNELS
    )
    return 2 * wide <= sum(c.weight.numel() for c in convolutions)


def forward_macs(model, inputs) -> int:
    """Multiply-accumulates of a forward pass, as far as PyTorch counts them."""
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(inputs)
    model.train(training)
    return counter.get_total_flops() // 2


class Trainer:
    """Trains one module on the device it is on."""

    framework, stacked = "pytorch", False

    def __init__(self, model, dataset, schedule, seed):
        keep_freed_memory()
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"{type(model).__name__} has nothing to train")
        self.train_images, self.train_labels, self.test_images, self.test_labels = (
            data_tensors(dataset, schedule.input_scaling, parameters[0])
        )
        if self.train_images.dim() == 4:
            layout = torch.channels_last
            if not channels_last_pays(model):
                layout = torch.contiguous_format
            model.to(memory_format=layout)
        elif self.train_images.dim() == 5:
            model.to(memory_format=torch.channels_last_3d)
        self.model, self.batch_size = model, schedule.batch_size
        self.optimizer = make_optimizer(schedule, parameters)
        self.randomness = _Randomness(seed, parameters[0].device)

    def num_parameters(self):
        """Of each network: one."""
        return [sum(p.numel() for p in self.model.parameters())]

    def step_macs(self):
        """Multiply-accumulates of a step's forward pass."""
        return forward_macs(self.model, self.train_images[:1]) * self.batch_size

    def set_learning_rates(self, learning_rates):
        """Set the rate of each network: of one."""
        for group in self.optimizer.param_groups:
            (group["lr"],) = learning_rates

    def train_steps(self, indices: np.ndarray) -> float:
        """A step for each row of indices; the sum of the batches' losses."""
        with self.randomness:
            return self._train_steps(torch.from_numpy(indices))

    def _train_steps(self, indices):
        batch = indices.shape[1]
        flat = indices.flatten().to(self.train_labels.device)
        image_batches = self.train_images.index_select(0, flat).split(batch)
        label_batches = self.train_labels.index_select(0, flat).split(batch)
        self.model.train()
        total = torch.zeros((), device=flat.device)
        for images, labels in zip(image_batches, label_batches, strict=True):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return total.item()

    @torch.inference_mode()
    def evaluate(self):
        """Mean test loss, and the predicted labels, [n]."""
        self.model.eval()
        loss, predictions = 0.0, []
        for images, labels in zip(
            self.test_images.split(EVALUATION_BATCH),
            self.test_labels.split(EVALUATION_BATCH),
            strict=True,
        ):
            logits = self.model(images)
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            predictions.append(logits.argmax(1).cpu())
        return loss / len(self.test_labels), torch.cat(predictions).numpy()


class _Randomness(contextlib.AbstractContextManager):
    """Dropout's own random numbers: those outside are as if there were none."""

    def __init__(self, seed, device):
        self.generators = [torch.default_generator]
        if device.type == "cuda":
            index = device.index or torch.cuda.current_device()
            self.generators.append(torch.cuda.default_generators[index])
        elif device.type == "mps":
            self.generators.append(torch.mps._get_default_mps_generator())
        self.states = [
            torch.Generator(g.device).manual_seed(seed).get_state()
            for g in self.generators
        ]

    def _swap(self):
        kept = [g.get_state() for g in self.generators]
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
        self.states = kept

    def __enter__(self):
        self._swap()

    def __exit__(self, *error):
        self._swap()


def make_optimizer(schedule, parameters):
    """The optimizer that a schedule asks for."""
    rate = schedule.learning_rate
    # Fused updates touch each parameter once; the default on the CPU is a
    # loop over parameters and operations.
    fused = all(p.is_floating_point() for p in parameters) or None
    match schedule.optimizer:
        case "sgd":
            return torch.optim.SGD(
                parameters,
                rate,
                momentum=schedule.momentum,
                nesterov=schedule.nesterov,
                fused=fused,
            )
        case "adam":
            return torch.optim.Adam(parameters, rate, eps=1e-7, fused=fused)
        # With Keras' constants, so that a recipe means the same in both.
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7)
        case "adadelta":
            return torch.optim.Adadelta(parameters, rate, rho=0.95, eps=1e-7)
