"""What a PyTorch module weighs, counts and computes."""

from __future__ import annotations

import contextlib
import io
import itertools

import safetensors.torch
import torch
import torch._dynamo  # optimizers and fake tensors want it, at 70 MiB and a second
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from tradeoffs.probes.timing import seconds_of
from tradeoffs.training.macs import macs_of
from tradeoffs.training.pytorch import Trainer, lay_out

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
LAYOUT_TURNS = 2


def devices() -> list[str]:
    """Where PyTorch computes here."""
    return ["cpu", *(d for d in ("cuda", "mps") if getattr(torch, d).is_available())]


class Probe:
    """Answers the questions of a profile about one module.

    Args:
        model: the module.
        shapes: of its inputs, each without the batch.
        dtype: of the inputs' numbers; by default the model's own, or whole numbers
            for one whose first layer is an embedding.
        device: where to compute.
        batch_size: of a training step.
    """

    framework, trainer = "pytorch", Trainer

    def __init__(self, model, shapes, dtype, device, batch_size):
        self.model, self.shapes = model.to(device), shapes
        self.device, self.batch_size = device, batch_size
        self.dtype = getattr(torch, dtype) if dtype else input_dtype(model)
        self.vocabulary = min((e.num_embeddings for e in _tables(model)), default=2)

    def inputs(self, count):
        """Inputs of [count, *shape] each, of the kind that the model takes."""
        return [
            torch.rand(count, *shape, device=self.device).to(self.dtype)
            if self.dtype.is_floating_point
            else torch.randint(
                self.vocabulary, (count, *shape), dtype=self.dtype, device=self.device
            )
            for shape in self.shapes
        ]

    @staticmethod
    def repeated(tensor, count):
        """A tensor again and again, up to [count, ...]."""
        times = -(-count // len(tensor)), *[1] * (tensor.dim() - 1)
        return tensor.repeat(times)[:count]

    @torch.no_grad()
    def call(self, inputs):
        """The output of a forward pass."""
        return self.model.eval()(*inputs)

    def predict_one(self, inputs):
        """A forward pass, waited for."""
        output = self.call(inputs)
        return output if self.device == "cpu" else tree_leaves(output)[0].cpu()

    def take_faster_layout(self, inputs) -> str | None:
        """Bring the weights into the layout in which a forward pass is faster here.

        Returns:
            Its name; None where there is no choice.
        """
        if not any(parameter.dim() == 4 for parameter in self.model.parameters()):
            return None
        times = {name: [] for name in LAYOUTS}
        for turn, name in itertools.product(range(1 + LAYOUT_TURNS), LAYOUTS):
            lay_out(self.model, 4, LAYOUTS[name])
            seconds = seconds_of(self.predict_one, inputs)
            if turn:  # the first is a warm-up
                times[name].append(seconds)
        faster = min(times, key=lambda name: min(times[name]))
        lay_out(self.model, 4, LAYOUTS[faster])
        return faster

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        parameters = list(self.model.parameters())
        state = self.model.state_dict()
        # A quantised layer keeps its weights packed, and none as a parameter.
        packed = [
            tensor
            for entry in state.values()
            if not isinstance(entry, torch.Tensor)
            for tensor in tree_leaves(entry)
            if isinstance(tensor, torch.Tensor)
        ]
        count = sum(tensor.numel() for tensor in (*parameters, *packed))
        fixed = sum(p.numel() for p in parameters if not p.requires_grad)
        tensors = (*parameters, *self.model.buffers(), *packed)
        return {
            "num_parameters": count,
            "num_trainable_parameters": count - fixed - sum(p.numel() for p in packed),
            "weight_bytes": _bytes(tensors),
            "file_bytes": _file_bytes(state),
        }

    def macs(self):
        """Multiply-accumulates of one input, and the operators not counted.

        What does not grow with the inputs, such as the norm of a weight, is left
        out: two inputs are counted, less one.
        """
        (one, unknown), (two, _) = (self.counted(count) for count in (1, 2))
        return (None if unknown else two - one or one), unknown

    def step_macs(self):
        """Of a step's forward pass, as far as counted: see `computing_on`."""
        return self.counted(1)[0] * self.batch_size

    def counted(self, count):
        """Multiply-accumulates of so many inputs, and the operators not counted."""
        with contextlib.suppress(Exception):
            # On tensors without contents a forward pass takes no time; a model that
            # looks at its values needs real ones.
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            inputs = [fake.from_tensor(one) for one in self.inputs(count)]
            with fake:
                return macs_of(self.call, inputs)
        return macs_of(self.call, self.inputs(count))

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


def _tables(model):
    kinds = nn.Embedding, nn.EmbeddingBag
    return [layer for layer in model.modules() if isinstance(layer, kinds)]


def input_dtype(model) -> torch.dtype:
    """Of the numbers that a model takes, as far as its layers tell."""
    layers = [m for m in model.modules() if not list(m.children())]
    first = next((m for m in layers if list(m.parameters(recurse=False))), None)
    if first is not None and first in _tables(model):
        return torch.int64
    floats = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(floats, torch.float32)


def _bytes(tensors):
    """Of different storages: what is shared counts once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


def _file_bytes(state):
    """Of a file with a state, in which what is shared is written once."""
    unique = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            return _pickled_bytes(state)
        key = tensor.data_ptr(), tensor.shape, tensor.stride()
        unique.setdefault(key, (name, tensor.detach().cpu().contiguous().clone()))
    return len(safetensors.torch.save(dict(unique.values())))


def _pickled_bytes(state):
    # safetensors holds nothing but plain tensors.
    file = io.BytesIO()
    torch.save(state, file)
    return file.tell()
