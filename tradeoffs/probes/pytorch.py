"""What a PyTorch module weighs, counts and computes."""

from __future__ import annotations

import safetensors.torch
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tradeoffs.training.pytorch import Trainer

DEFAULT_DTYPE = torch.float32


class Probe:
    """Answers the questions of a profile about one module."""

    trainer = Trainer

    def __init__(self, model, input_shape, device="cpu"):
        self.model = model.to(device)
        self.input_shape = tuple(input_shape)
        self.device = device

    def inputs(self, count):
        """Inputs [count, *input_shape] of the kind that the model takes."""
        return torch.rand(count, *self.input_shape, device=self.device)

    @torch.inference_mode()
    def call(self, inputs):
        """The output of a forward pass."""
        self.model.eval()
        return self.model(inputs)

    def predict_one(self, inputs):
        """A forward pass, waited for."""
        output = self.call(inputs)
        return output if self.device == "cpu" else output.cpu()

    @staticmethod
    def is_tensor(output):
        """Whether an output is a tensor."""
        return isinstance(output, torch.Tensor)

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        parameters = list(self.model.parameters())
        state = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in self.model.state_dict().items()
        }
        return {
            "num_parameters": sum(p.numel() for p in parameters),
            "num_trainable_parameters": sum(
                p.numel() for p in parameters if p.requires_grad
            ),
            "weight_bytes": _bytes([*parameters, *self.model.buffers()]),
            "file_bytes": len(safetensors.torch.save(state)),
        }

    def macs(self):
        """Multiply-accumulates of one input, and the layers not counted."""
        counter = FlopCounterMode(display=False)
        with counter:
            self.call(self.inputs(1))
        counts = {name: sum(c.values()) for name, c in counter.flop_counts.items()}
        root = type(self.model).__name__
        unknown = [
            type(layer).__name__
            for name, layer in self.model.named_modules()
            if _multiplies(layer) and not counts.get(f"{root}.{name}".rstrip("."))
        ]
        # The counter counts a multiplication and an addition as two.
        return (None if unknown else counter.get_total_flops() // 2), unknown

    def tensor_bytes(self, trainer, batch_size):
        """Bytes of gradients, optimizer state and kept activations of a step."""
        kept, weights = {}, {p.untyped_storage().data_ptr() for p in _all(self.model)}

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        images = trainer.train_images[:batch_size].clone()
        labels = trainer.train_labels[:batch_size]
        self.model.train()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = nn.functional.cross_entropy(self.model(images), labels)
        loss.backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        states = [
            value
            for state in trainer.optimizer.state.values()
            for value in state.values()
            if isinstance(value, torch.Tensor)
        ]
        return {
            "gradient_bytes": _bytes(gradients),
            "optimizer_bytes": _bytes(states),
            "activation_bytes": sum(kept.values()),
        }

    def accelerator_memory(self):
        """MiB on the accelerator at peak; empty on the CPU."""
        from tradeoffs.probes.accelerator import pytorch_memory

        return pytorch_memory(self.device)


def _all(model):
    return [*model.parameters(), *model.buffers()]


def _bytes(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _multiplies(layer):
    """Whether a layer has a matrix or kernel of its own to multiply with."""
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return False  # looks rows up
    return any(p.dim() > 1 for p in layer.parameters(recurse=False))
