"""What a PyTorch module weighs, counts and computes."""

from __future__ import annotations

import safetensors.torch
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tradeoffs.training.pytorch import Trainer


class Probe:
    """Answers the questions of a profile about one module."""

    framework, trainer = "pytorch", Trainer
    devices = ("cpu", *(d for d in ("cuda", "mps") if getattr(torch, d).is_available()))

    def __init__(self, model, input_shape, device, batch_size):
        self.model, self.input_shape = model.to(device), tuple(input_shape)
        self.device, self.batch_size = device, batch_size

    def inputs(self, count):
        """Inputs [count, *input_shape] of the kind that the model takes."""
        return torch.rand(count, *self.input_shape, device=self.device)

    @torch.inference_mode()
    def call(self, inputs):
        """The output of a forward pass."""
        return self.model.eval()(inputs)

    def predict_one(self, inputs):
        """A forward pass, waited for."""
        output = self.call(inputs)
        return output if self.device == "cpu" else output.cpu()

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        parameters = list(self.model.parameters())
        trainable = [p for p in parameters if p.requires_grad]
        state = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in self.model.state_dict().items()
        }
        return {
            "num_parameters": sum(p.numel() for p in parameters),
            "num_trainable_parameters": sum(p.numel() for p in trainable),
            "weight_bytes": _bytes([*parameters, *self.model.buffers()]),
            "file_bytes": len(safetensors.torch.save(state)),
        }

    def macs(self):
        """Multiply-accumulates of one input, and the layers not counted."""
        counter = self._counted()
        counts = {name: sum(c.values()) for name, c in counter.flop_counts.items()}
        root = type(self.model).__name__
        unknown = [
            type(layer).__name__
            for name, layer in self.model.named_modules()
            if _multiplies(layer) and not counts.get(f"{root}.{name}".rstrip("."))
        ]
        # The counter counts a multiplication and an addition as two.
        return (None if unknown else counter.get_total_flops() // 2), unknown

    def step_macs(self):
        """Of a step's forward pass, as far as counted: see `computing_on`."""
        return self._counted().get_total_flops() // 2 * self.batch_size

    def _counted(self):
        with FlopCounterMode(display=False) as counter:
            self.call(self.inputs(1))
        return counter

    def tensor_bytes(self, trainer):
        """Bytes of gradients, optimizer state and kept activations of a step."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        kept, weights = {}, {t.untyped_storage().data_ptr() for t in tensors}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        images, labels = trainer.train_images.clone(), trainer.train_labels
        self.model.train()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = nn.functional.cross_entropy(self.model(images), labels)
        loss.backward()
        states = [s for of in trainer.optimizer.state.values() for s in of.values()]
        return {
            "gradient_bytes": _bytes(
                p.grad for p in self.model.parameters() if p.grad is not None
            ),
            "optimizer_bytes": _bytes(s for s in states if isinstance(s, torch.Tensor)),
            "activation_bytes": sum(kept.values()),
        }


def _bytes(tensors):
    return sum(tensor.nbytes for tensor in tensors)


def _multiplies(layer):
    """Whether a layer has a matrix or kernel of its own to multiply with."""
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return False  # looks rows up
    return any(p.dim() > 1 for p in layer.parameters(recurse=False))
