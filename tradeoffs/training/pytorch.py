"""Steps and evaluation in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from tradeoffs.training.allocation import keep_freed_memory

# Mean and deviation of MNIST's training pixels, scaled to 0..1, as in the
# examples of PyTorch.
PIXEL_MEAN, PIXEL_DEVIATION = 0.1307, 0.3081
EVALUATION_BATCH = 1000


def images_to_tensor(images, input_scaling):
    """uint8 [n, h, w] to float32 [n, 1, h, w]; floats pass as they are."""
    if images.dtype != np.uint8:
        return torch.from_numpy(images)
    tensor = torch.tensor(images).unsqueeze(1).float().div_(255)
    if input_scaling == "standardized":
        tensor.sub_(PIXEL_MEAN).div_(PIXEL_DEVIATION)
    return tensor


class Trainer:
    """Trains one module on the device it is on."""

    def __init__(self, model, dataset, schedule, seed):
        keep_freed_memory()
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"{type(model).__name__} has nothing to train")
        # Images take the parameters' device and precision.
        like = parameters[0]
        scaling = schedule.input_scaling
        self.train_images = images_to_tensor(dataset.train_images, scaling).to(like)
        self.test_images = images_to_tensor(dataset.test_images, scaling).to(like)
        # The layout that CPU convolutions are fastest in.
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}
        self.model = model.to(memory_format=layout.get(self.train_images.dim()))
        self.train_labels = torch.tensor(dataset.train_labels).long().to(like.device)
        self.test_labels = torch.tensor(dataset.test_labels).long().to(like.device)
        self.optimizer = make_optimizer(schedule, parameters)
        generator_state = torch.get_rng_state()
        torch.manual_seed(seed)
        self.random_state = torch.get_rng_state()
        torch.set_rng_state(generator_state)

    def num_parameters(self):
        return sum(p.numel() for p in self.model.parameters())

    def set_learning_rate(self, learning_rate):
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def train_steps(self, indices: np.ndarray) -> float:
        """A step for each row of indices; the sum of the batches' losses."""
        outside = torch.get_rng_state()
        torch.set_rng_state(self.random_state)
        try:
            return self._train_steps(torch.from_numpy(indices))
        finally:
            self.random_state = torch.get_rng_state()
            torch.set_rng_state(outside)

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
        """Mean test loss, and the predicted labels, uint8 [n]."""
        self.model.eval()
        loss, predictions = 0.0, []
        for images, labels in zip(
            self.test_images.split(EVALUATION_BATCH),
            self.test_labels.split(EVALUATION_BATCH),
            strict=True,
        ):
            logits = self.model(images)
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            predictions.append(logits.argmax(1).byte().cpu())
        return loss / len(self.test_labels), torch.cat(predictions).numpy()


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
