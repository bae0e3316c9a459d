"""Memory of a training step on a GPU, predicted without a GPU.

The step runs on fake tensors, which have shapes and no contents, so it takes a
moment and no memory at any size. Every storage that comes and goes is replayed
on a model of PyTorch's caching allocator, which hands out blocks of rounded
sizes from larger segments and gives no segment back. What it has reserved
at its peak is what a driver shows for the process, less the driver's context
and the libraries' workspaces. Source of the allocator's constants: the
documentation and source of PyTorch's CUDA caching allocator.
"""

from __future__ import annotations

import weakref

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tradeoffs.probes.profile import MIB

BLOCK = 512  # sizes are rounded up to it
SMALL = MIB  # up to here, from segments of two MiB
SMALL_SEGMENT = 2 * MIB
LARGE = 10 * MIB  # below, from segments of 20 MiB; above, a segment each
LARGE_SEGMENT = 20 * MIB
ROUND_LARGE = 2 * MIB
STEPS = 3  # the first makes gradients and momentum, the next reuse blocks


def _round_up(size, unit):
    return -(-size // unit) * unit


class _Block:
    """A piece of a segment, with its neighbours in it."""

    def __init__(self, size, small, before=None, after=None):
        self.size, self.small, self.used = size, small, False
        self.before, self.after = before, after


class CachingAllocator:
    """Reserved and allocated bytes under PyTorch's caching allocator.

    Attributes:
        allocated, peak_allocated: bytes asked for, rounded to blocks.
        peak_reserved: bytes of segments taken from the device.
    """

    def __init__(self):
        self.allocated = self.peak_allocated = self.peak_reserved = 0
        self.free_blocks = {True: [], False: []}

    def allocate(self, size: int) -> _Block:
        """A block of at least so many bytes."""
        size = max(BLOCK, _round_up(size, BLOCK))
        small = size <= SMALL
        free = self.free_blocks[small]
        fitting = [block for block in free if block.size >= size]
        if fitting:
            block = min(fitting, key=lambda candidate: candidate.size)
            free.remove(block)
        else:
            block = _Block(self._segment(size), small)
            self.peak_reserved += block.size
        rest = block.size - size
        if rest >= BLOCK if small else rest > SMALL:
            tail = _Block(rest, small, block, block.after)
            if block.after:
                block.after.before = tail
            block.after, block.size = tail, size
            free.append(tail)
        block.used = True
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return block

    @staticmethod
    def _segment(size):
        if size <= SMALL:
            return SMALL_SEGMENT
        return LARGE_SEGMENT if size < LARGE else _round_up(size, ROUND_LARGE)

    def free(self, block: _Block) -> None:
        """Give a block back; it merges with free neighbours."""
        self.allocated -= block.size
        block.used = False
        free = self.free_blocks[block.small]
        if block.after and not block.after.used:
            free.remove(block.after)
            self._merge(block, block.after)
        if block.before and not block.before.used:
            free.remove(block.before)
            block = block.before
            self._merge(block, block.after)
        free.append(block)

    @staticmethod
    def _merge(block, after):
        block.size += after.size
        block.after = after.after
        if block.after:
            block.after.before = block


class _Replay(TorchDispatchMode):
    """Reports every storage that operations make, and its end."""

    def __init__(self, allocator):
        super().__init__()
        self.allocator, self.known = allocator, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return result

    def note(self, storage):
        key = storage._cdata
        if key not in self.known:
            self.known.add(key)
            block = self.allocator.allocate(storage.nbytes())
            weakref.finalize(storage, self.end, key, block)

    def end(self, key, block):
        self.known.discard(key)
        self.allocator.free(block)


def training_memory(build, input_shape, batch_size: int) -> dict[str, float]:
    """MiB that a training step takes on a GPU, by the replay.

    Args:
        build: returns a new `nn.Module`; its tensors will be fake.
        input_shape: of one input, without the batch.
        batch_size: inputs a step.

    Returns:
        "allocated" (tensors alone) and "reserved" (segments), MiB at peak.
    """
    allocator = CachingAllocator()
    replay, mode = _Replay(allocator), FakeTensorMode()
    module = _fake(build, mode)
    for tensor in (*module.parameters(), *module.buffers()):
        replay.note(tensor.untyped_storage())
    with mode, replay:
        take_step = _training_step(module, input_shape, batch_size)
        for _ in range(STEPS):
            take_step()
    return {
        "allocated": allocator.peak_allocated / MIB,
        "reserved": allocator.peak_reserved / MIB,
    }


def tracked_memory(build, input_shape, batch_size: int) -> float:
    """MiB of tensors at the peak of a step, by PyTorch's own memory tracker."""
    from torch.distributed._tools.mem_tracker import MemTracker

    mode = FakeTensorMode()
    module = _fake(build, mode)
    with mode:
        take_step = _training_step(module, input_shape, batch_size)
        take_step()
        tracker = MemTracker()
        tracker.track_external(module, take_step.optimizer)
        with tracker:
            take_step()
        (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return snapshot["Total"] / MIB


def _fake(build, mode):
    """A module with fake tensors only: what it was built with is replaced."""
    with mode:
        module = build()
    for part in module.modules():
        for name, tensor in part._parameters.items():
            if tensor is not None and not isinstance(tensor.data, FakeTensor):
                fake = mode.from_tensor(tensor.detach())
                part._parameters[name] = torch.nn.Parameter(fake, tensor.requires_grad)
        for name, tensor in part._buffers.items():
            if tensor is not None and not isinstance(tensor, FakeTensor):
                part._buffers[name] = mode.from_tensor(tensor)
    return module.train()


def _training_step(module, input_shape, batch_size):
    optimizer = torch.optim.SGD(module.parameters(), 5e-3, momentum=0.9, nesterov=True)

    def take_step():
        # A loader brings a new batch to the device for each step.
        inputs = torch.empty(batch_size, *input_shape)
        labels = torch.zeros(batch_size, dtype=torch.long)
        loss = functional.cross_entropy(module(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    take_step.optimizer = optimizer
    return take_step
