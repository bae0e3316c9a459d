"""What a PyTorch module weighs, counts and computes."""

import contextlib
import copy
import functools
import gc
import io
import logging
import time
import weakref

import safetensors.torch
import torch
import torch._dynamo  # optimizers and fake tensors want it, at 70 MiB and a second
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from tradeoffs.frameworks import in_mode
from tradeoffs.probes.asking import Again
from tradeoffs.probes.source import MeasureError
from tradeoffs.probes.timing import seconds_of
from tradeoffs.probes.units import (
    TABLES,
    bytes_of,
    check_scripts,
    count_of,
    each_place_once,
    first_is_sequence,
    input_dtypes,
    nodes_of,
    not_copied,
    out_of_sight,
    packed,
    saved_by,
    storages,
)
from tradeoffs.training.layouts import lay_out
from tradeoffs.training.macs import macs_in_use
from tradeoffs.training.pytorch import Trainer, at_least_float32
from tradeoffs.training.untracked import untracked

# It writes what fails here, and is caught.
logging.getLogger("torch._subclasses.fake_tensor").disabled = True

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
LAYOUT_TURNS, LAYOUT_SECONDS = 10, 0.1  # at most
_SMALL = {torch.bool: 2, torch.uint8: 256}  # types, and how many numbers they have


def devices() -> list[str]:
    """Where PyTorch computes here."""
    return ["cpu", *(d for d in ("cuda", "mps") if getattr(torch, d).is_available())]


class Probe:
    """Answers the questions of a profile about one module.

    Args:
        model: the module.
        shapes: of its inputs, each without the batch.
        dtype: of the inputs' numbers, or of each one's; by default the model's own, or
            whole numbers for one whose first layer is an embedding.
        device: where to compute.
        batch_size: of a training step.
    """

    framework, trainer = "pytorch", Trainer
    sees_values = False  # as one that can be counted on real numbers alone
    keeps_tensors = False  # as known before, outside of itself: see `Again`

    def __init__(self, model, shapes, dtype, device, batch_size):
        if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
            raise MeasureError("the model is on the meta device, and has no values")
        model.to(device)
        self.model, self.shapes = model, shapes
        self.device, self.batch_size = device, batch_size
        self.dtypes = input_dtypes(model, dtype, len(shapes))
        tables = (m for m in model.modules() if isinstance(m, TABLES))
        sizes = (table.num_embeddings for table in tables)
        self.whole_numbers = 0, min(sizes, default=2)  # from, and below

    def inputs(self, count, seed=0):
        """Inputs of [count, *shape] each, of the kind that the model takes."""
        generator = torch.Generator(self.device).manual_seed(seed)
        options = {"device": self.device, "generator": generator}
        low, high = self.whole_numbers
        return [
            torch.rand(count, *shape, **options).to(dtype)
            if dtype.is_floating_point
            else torch.randint(
                low,
                min(high, _SMALL.get(dtype, high)),
                (count, *shape),
                dtype=dtype,
                **options,
            )
            for shape, dtype in zip(self.shapes, self.dtypes, strict=True)
        ]

    @staticmethod
    def repeated(tensor, count):
        """A tensor again and again, up to [count, ...]."""
        return tensor[torch.arange(count) % len(tensor)]

    @staticmethod
    def eager():
        """Within it nothing is compiled, which takes long."""
        return torch.compiler.set_stance("force_eager")

    @torch.no_grad()
    def call(self, inputs):
        """The output of a forward pass."""
        return in_mode(self.model, training=False)(*inputs)

    def predict_one(self, inputs):
        """A forward pass, waited for."""
        output = self.call(inputs)
        return output if self.device == "cpu" else tree_leaves(output)[0].cpu()

    def take_faster_layout(self, inputs, max_seconds: float) -> str | None:
        """Bring the weights into the layout in which a forward pass is faster here.

        Each is tried several times, but once where that takes long.

        Returns:
            Its name; None where there is no choice.
        """
        if not any(parameter.dim() == 4 for parameter in self.model.parameters()):
            return None
        fewest, began = {}, time.perf_counter()
        for turn in range(LAYOUT_TURNS):
            if turn and time.perf_counter() - began > min(max_seconds, LAYOUT_SECONDS):
                break
            for name, layout in LAYOUTS.items():
                lay_out(self.model, 4, layout)
                # Such as a `view` of what is not contiguous.
                with contextlib.suppress(RuntimeError):
                    seconds = seconds_of(self.predict_one, inputs)
                    fewest[name] = min(seconds, fewest.get(name, seconds))
        faster = min(fewest, key=fewest.get, default="contiguous")
        lay_out(self.model, 4, LAYOUTS[faster])
        return faster

    def size(self):
        """Counts and bytes of the weights; see `Profile`."""
        check_scripts(self.model)
        parameters = [p for p in self.model.parameters() if not is_lazy(p)]
        buffers = {n: b for n, b in self.model.named_buffers() if not is_lazy(b)}
        hidden = [tensor for layer in self.model.modules() for tensor in packed(layer)]
        onednns = [
            b for n, b in buffers.items() if b.is_mkldnn and ".running_" not in f".{n}"
        ]
        count = count_of((*parameters, *hidden, *onednns))
        trained = count_of(p for p in parameters if p.requires_grad)
        lazy = any(map(is_lazy, self.model.parameters()))
        return {
            "num_parameters": count,
            "num_trainable_parameters": trained,
            "weight_bytes": bytes_of((*parameters, *buffers.values(), *hidden)),
            "notes": ["lazy layers that were not called have no weights"] * lazy
            + untracked(self.model, *self.inputs(2))
            + first_is_sequence(self.model),
        }

    def file_bytes(self):
        """Of a file with the model's state, in which what is shared is written once."""
        check_scripts(self.model)
        state = self.model.state_dict()
        for tensor in state.values():
            plain = type(tensor) is torch.Tensor and not tensor.is_quantized
            # safetensors holds nothing but plain tensors.
            if not plain or tensor.layout != torch.strided or tensor.is_complex():
                torch.save(state, file := io.BytesIO())
                return file.tell()
        return len(safetensors.torch.save(each_place_once(state)))

    @functools.cached_property
    def counted(self):
        """Multiply-accumulates of one input, as far as known, and what is not.

        Raises:
            Again: the model has kept tensors without contents.
        """
        for count in (1, 2, self.batch_size):  # some models take no input alone
            try:
                macs, unknown = self._counted_of(count)
                return macs // count, unknown
            except Exception as error:
                failure = error
        raise failure

    def _counted_of(self, count):
        if any(map(is_lazy, self.model.parameters())):
            self.call(self.inputs(count))  # it then has its weights
        if not self.keeps_tensors:
            # On tensors without contents a forward pass takes no time; a model that
            # looks at its values needs real ones.
            found, mode = self._counted_without_contents(count)
            gc.collect()
            if mode() is not None:  # which each of its tensors holds
                raise Again({"keeps_tensors": True})
            self.sees_values = found is None
            if found:
                return found
        real, inputs = contextlib.nullcontext(), (self.inputs(count, s) for s in (0, 1))
        found, other = (macs_in_use(self.model, some, real) for some in inputs)
        differ = {"what depends on the inputs' values"} if found != other else set()
        return found[0], found[1] | differ

    def macs(self):
        """Multiply-accumulates of one input, and the operators not counted."""
        macs, unknown = self.counted
        unknown = unknown | out_of_sight(self.model)
        return (None if unknown else macs), unknown

    def _counted_without_contents(self, count):
        """As far as that works, else None; and a weak reference to the mode.

        The model is copied, and so free to keep what it is given.
        """
        fake, found = FakeTensorMode(allow_non_fake_inputs=True), None
        with contextlib.suppress(Exception):
            tensors = (*self.model.parameters(), *self.model.buffers())
            known = {id(t): fake.from_tensor(t) for t in tensors if not is_lazy(t)}
            # What old norms and pruning leave on a layer cannot be copied as it is.
            held = [one for m in self.model.modules() for one in vars(m).values()]
            made = [t for t in held if isinstance(t, torch.Tensor) and not t.is_leaf]
            known |= {id(t): fake.from_tensor(t.detach()) for t in made}
            inputs = [fake.from_tensor(one) for one in self.inputs(count)]
            known |= not_copied(self.model)
            found = macs_in_use(copy.deepcopy(self.model, known), inputs, fake)
        return found, weakref.ref(fake)

    def step_macs(self):
        """Of a step's forward pass, as far as known: see `computing_on`."""
        with contextlib.suppress(Exception):
            return self.counted[0] * self.batch_size
        return 0

    @torch.enable_grad()
    def second_step(self, trainer, indices):
        """Take a step but for its update, which needs no memory of its own.

        Returns:
            Bytes of gradients, optimizer state and kept activations.
        """
        tensors = [*self.model.parameters(), *self.model.buffers()]
        kept, weights = {}, {s.data_ptr() for t in tensors for s in storages(t)}

        def keep(tensor):
            for storage in storages(tensor):
                if storage.data_ptr() not in weights:
                    kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        (batch,) = torch.from_numpy(indices).to(trainer.train_labels.device)
        images, labels = trainer.train_images[batch], trainer.train_labels[batch]
        trainer.optimizer.zero_grad()
        in_mode(self.model, training=True)

        def forward():
            outputs = at_least_float32(self.model(images))
            return nn.functional.cross_entropy(outputs, labels)

        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = forward()
        except RuntimeError as error:  # within torch.func.grad there can be none
            if "saved tensor hooks" not in str(error):
                raise
            kept.clear()
            loss = forward()
        nodes = nodes_of(loss.grad_fn)
        saved = [one for node in nodes for one in saved_by(node)]
        if all(map(torch.is_tensor, saved)):  # and nothing is packed, as checkpoints
            kept.clear()  # of branches that the loss does not depend on
        # And what a function of the reader's own keeps as an attribute.
        saved += [getattr(node, "__dict__", {}) for node in nodes]
        for tensor in filter(torch.is_tensor, tree_leaves(saved)):
            keep(tensor)
        loss.backward()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        states = filter(torch.is_tensor, tree_leaves(dict(trainer.optimizer.state)))
        return {
            "gradient_bytes": bytes_of(gradients),
            "optimizer_bytes": bytes_of(states),
            "activation_bytes": sum(kept.values()),
        }
