"""Memory of a training step on a GPU, predicted without a GPU.

The step runs on fake tensors, which have shapes and no contents, so it takes a
moment and no memory at any size. Every storage that comes and goes is replayed
on a model of PyTorch's caching allocator, which hands out blocks of rounded
sizes from larger segments and gives no segment back. What it has reserved
at its peak is what a driver shows for the process, less the driver's context
and the libraries' workspaces. A mask of dropout counts four bytes a number, as on
the CPU; CUDA's takes one. Source of the allocator's constants: the documentation and
source of PyTorch's CUDA caching allocator.
"""

import contextlib
import copy
import weakref
from typing import NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tradeoffs.frameworks import framework_of, in_mode
from tradeoffs.models.pytorch import for_input
from tradeoffs.probes.profile import MIB
from tradeoffs.probes.pytorch import Probe
from tradeoffs.probes.source import PYTORCH_ALONE, MeasureError
from tradeoffs.probes.units import input_dtypes, not_copied, storages
from tradeoffs.training import num_classes
from tradeoffs.training.pytorch import at_least_float32

BLOCK = 512  # sizes are rounded up to it
SMALL = MIB  # up to here, from segments of two MiB
SMALL_SEGMENT = 2 * MIB
LARGE = 10 * MIB  # below, from segments of 20 MiB; above, a segment each
LARGE_SEGMENT = 20 * MIB
ROUND_LARGE = 2 * MIB
STEPS = 3  # the first makes gradients and momentum, the next reuse blocks


class Block(NamedTuple):
    """A piece of a segment; segments lie apart, so that no two of them touch."""

    start: int
    size: int
    small: bool


class CachingAllocator:
    """Reserved and allocated bytes under PyTorch's caching allocator.

    Attributes:
        allocated, peak_allocated: bytes asked for, rounded to blocks.
        peak_reserved: bytes of segments taken from the device.
    """

    def __init__(self):
        self.allocated = self.peak_allocated = self.peak_reserved = 0
        self._next_segment, self._free = 0, {True: [], False: []}

    def allocate(self, size: int) -> Block:
        """A block of at least so many bytes."""
        size = max(BLOCK, _round_up(size, BLOCK))
        small = size <= SMALL
        fitting = [block for block in self._free[small] if block.size >= size]
        if fitting:
            found = min(fitting, key=lambda block: block.size)
            self._free[small].remove(found)
        else:  # a new segment
            large = LARGE_SEGMENT if size < LARGE else _round_up(size, ROUND_LARGE)
            found = Block(self._next_segment, SMALL_SEGMENT if small else large, small)
            self._next_segment += found.size + 1
            self.peak_reserved += found.size
        rest = found.size - size
        if rest >= BLOCK if small else rest > SMALL:
            self._free[small].append(Block(found.start + size, rest, small))
            found = Block(found.start, size, small)
        self.allocated += found.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return found

    def free(self, block: Block) -> None:
        """Give a block back; it merges with free neighbours."""
        self.allocated -= block.size
        start, end = block.start, block.start + block.size
        free = self._free[block.small]
        for other in [b for b in free if b.start == end or b.start + b.size == start]:
            free.remove(other)
            start, end = min(start, other.start), max(end, other.start + other.size)
        free.append(Block(start, end - start, block.small))


def _round_up(size, unit):
    return -(-size // unit) * unit


class _Replay(TorchDispatchMode):
    """Reports every storage that operations make, and its end."""

    def __init__(self, allocator):
        super().__init__()
        self.allocator, self.known = allocator, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor)
        return result

    def note(self, tensor):
        for storage in storages(tensor):
            key = storage._cdata
            if key not in self.known:
                self.known.add(key)
                block = self.allocator.allocate(storage.nbytes())
                weakref.finalize(storage, self.end, key, block)

    def end(self, key, block):
        self.known.discard(key)
        self.allocator.free(block)


_attend = functional.scaled_dot_product_attention
_begin_autocast = torch.autocast.__init__


def _attend_there(query, key, value, attn_mask=None, dropout_p=0.0, *others, **options):
    """Attention by CUDA's fused kernels: no masks of dropout are kept, nor products.

    They take no float64, for which both are.
    """
    given = query, key, value, attn_mask
    if query.dtype == torch.float64:
        with sdpa_kernel(SDPBackend.MATH):
            return _attend(*given, dropout_p, *others, **options)
    return _attend(*given, 0.0, *others, **options)


def _begin_autocast_there(self, device_type, dtype=None, *others, **options):
    if device_type == "cuda":  # and would be switched off without one
        device_type, dtype = "cpu", dtype or torch.float16
    _begin_autocast(self, device_type, dtype, *others, **options)


class _ImportedAttention(TorchFunctionMode):
    """The same for who has imported the function by its name."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        function = _attend_there if function is _attend else function
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def _as_on_a_gpu():
    """What networks do otherwise there than on fake tensors here."""
    functional.scaled_dot_product_attention = _attend_there
    torch.autocast.__init__ = _begin_autocast_there
    onednn = torch.backends.mkldnn
    before = onednn.enabled
    onednn.enabled = False  # its LSTM keeps what it needs where no tensor shows it
    try:
        with _ImportedAttention(), torch.enable_grad():
            yield
    finally:
        onednn.enabled = before
        functional.scaled_dot_product_attention = _attend
        torch.autocast.__init__ = _begin_autocast


def training_memory(
    make, shapes, batch_size: int, dtype=None, named: bool = False
) -> dict[str, float]:
    """MiB that a training step takes on a GPU, by the replay.

    Args:
        make: returns a new `nn.Module`; its tensors will be fake.
        shapes: of its inputs, each without the batch.
        batch_size: inputs a step.
        dtype: of the inputs, by name; by default the model's own.
        named: a model of the series, which is rebuilt for the shape.

    Returns:
        "allocated_mib" (tensors alone) and "reserved_mib" (segments), at peak.

    Raises:
        MeasureError: the model has nothing to train, or returns no [n, classes].
    """
    allocator = CachingAllocator()
    # Tensors that a model holds, but not as parameters or buffers, are let in.
    replay, mode = _Replay(allocator), FakeTensorMode(allow_non_fake_inputs=True)
    if named:  # of any size, so without contents from the start
        with mode:
            module = for_input(make(), shapes[0])
    else:
        module = make()
        if framework_of(module) == "keras":
            raise MeasureError(PYTORCH_ALONE)
        if any(isinstance(p, UninitializedParameter) for p in module.parameters()):
            probe = Probe(module, shapes, dtype, "cpu", 1)
            probe.call(probe.inputs(2))  # lazy layers then know their sizes
    module = _copied_without_contents(in_mode(module, training=True), mode)
    for tensor in (*module.parameters(), *module.buffers()):
        replay.note(tensor)
    given = [list(zip(shapes, input_dtypes(module, dtype, len(shapes)), strict=True))]
    if dtype is None:  # or whole numbers, to look up in a table; or real ones
        others = torch.int64, torch.float32
        given += [[(shape, other) for shape in shapes] for other in others]
    eager = torch.compiler.set_stance("force_eager")
    with mode, eager, _as_on_a_gpu():
        given = _taken(module, batch_size, given)
    with mode, replay, eager, _as_on_a_gpu():
        momenta = []
        for _ in range(STEPS):
            _take_step(module, batch_size, given)
            # The fused optimizers of `fit` keep this, and make nothing else.
            momenta = momenta or [
                torch.zeros_like(p) for p in module.parameters() if p.grad is not None
            ]
            module.zero_grad()
    return {
        "allocated_mib": allocator.peak_allocated / MIB,
        "reserved_mib": allocator.peak_reserved / MIB,
    }


def _copied_without_contents(module, mode):
    """A copy on fake tensors, wherever it has tensors; what is shared stays so."""
    fakes = {}
    for tensor in (*module.parameters(), *module.buffers()):
        with mode:  # of one without contents on the CPU too
            fake = mode.from_tensor(tensor.detach()).to("cpu")
        if isinstance(tensor, torch.nn.Parameter):
            fake = torch.nn.Parameter(fake, tensor.requires_grad)
        fakes[id(tensor)] = fake
    with FakeCopyMode(mode):
        return copy.deepcopy(module, fakes | not_copied(module))


def _taken(module, batch_size, candidates):
    """The first shapes and types of inputs with which a step can be taken.

    Raises:
        MeasureError: it cannot with what the model takes; the message says why.
        Exception: what the model raised for the first.
    """
    failures = []
    for given in candidates:
        try:
            output = module(*_inputs(batch_size, given))
        except Exception as error:
            failures.append(error)
            continue
        said = num_classes(output, batch_size)
        if not isinstance(said, str):
            if output.requires_grad:
                return given
            said = "has nothing to train"
        failures.append(MeasureError(f"the model {said}"))
    raise failures[0]


def _inputs(batch_size, given):
    return [torch.zeros(batch_size, *shape, dtype=dtype) for shape, dtype in given]


def _take_step(module, batch_size, given):
    # A loader brings a new batch to the device for each step.
    inputs = _inputs(batch_size, given)
    labels = torch.zeros(batch_size, dtype=torch.long)
    functional.cross_entropy(at_least_float32(module(*inputs)), labels).backward()
