"""Multiply-accumulates of a forward pass in PyTorch, counted by operators.

Layers that are called twice count twice, and those that are not called do not count.
"""

import contextlib
import functools
import math
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from unittest import mock

import torch
from torch.nested._internal.nested_tensor import NestedTensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from tradeoffs.frameworks import einsum_macs, in_mode

# Operators with these words in their names multiply matrices or kernels; those
# that interpolate, or come after a product, do not.
_MULTIPLIES = re.compile(
    r"(^|_)(add|b|badd|addb)?m[mv](_|$)|^v?dot$|^addr|conv|rnn|lstm|gru|linear|"
    r"_fft_|linalg|attention|^_trilinear|cholesky|encoder_layer|matmul|solve|"
    r"[cp]dist|euclidean|geqrf|ormqr|spmm|spaddmm"
)
_HARMLESS = re.compile(r"upsample|fused|backward|convert|norm|cross")
_PYTORCHS_OWN = "aten", "prims", "prim", "profiler", "_operator", "quantized_decomposed"


def macs_of(function, *arguments) -> tuple[int, set[str]]:
    """Multiply-accumulates of a call, and the operators that could not be counted."""
    counter, onednn = Counter(), torch.backends.mkldnn
    # Without the shortcuts that do several products in one operator. That of whole
    # attention layers is not taken within a mode of functions.
    with (
        contextlib.ExitStack() as plain,
        sdpa_kernel(SDPBackend.MATH),
        _threads_noted(counter),
        counter,
        _Functions(counter),
    ):
        plain.callback(setattr, onednn, "enabled", onednn.enabled)
        onednn.enabled = False
        try:
            function(*arguments)
        except NotImplementedError as error:
            # Nothing can look on while such an operator runs, or after it.
            closed = re.search(r"HigherOrderOperator (\w+)", str(error))
            if not closed:
                raise
            counter.unknown.add(closed[1])
    return counter.macs, counter.unknown


@contextlib.contextmanager
def _threads_noted(counter):
    """Modes of PyTorch's are of one thread: what others compute is not seen."""

    def noted(self, begin, /, *arguments, **options):
        counter.unknown.add("what other threads compute")
        return begin(self, *arguments, **options)

    with contextlib.ExitStack() as patched:
        for kind, name in ((Thread, "start"), (ThreadPoolExecutor, "submit")):
            begin = functools.partialmethod(noted, getattr(kind, name))
            patched.enter_context(mock.patch.object(kind, name, begin))
        yield


@torch.no_grad()
def macs_in_use(model, inputs, mode) -> tuple[int, set[str]]:
    """As `macs_of`, of a model that is used on and on, within a mode of PyTorch's."""
    in_mode(model, training=False)
    # A compiled model's own kernels show no operators.
    with mode, torch.compiler.set_stance("force_eager"), parametrize.cached():
        # The first call computes norms of weights and the like, which are kept; the
        # second sees what a model keeps of the first.
        first = macs_of(model, *inputs)
        # The older kind of norms leaves its weights behind, and is a hook.
        with mock.patch.object(SpectralNorm, "__call__", lambda *_: None):
            second = macs_of(model, *inputs)
    return min(second, first, key=lambda found: found[0])


class Counter(TorchDispatchMode):
    """Counts the multiply-accumulates of every operator that runs within it.

    Attributes:
        macs: counted so far.
        unknown: names of operators that multiply, and for which PyTorch has no
            formula.
    """

    def __init__(self):
        super().__init__()
        self.macs, self.unknown = 0, set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if NestedTensor in types:  # it calls the operators of what is in it
            return NotImplemented
        kwargs, packet = kwargs or {}, operator._overloadpacket
        if operator.namespace == "aten" and packet not in flop_registry:
            before = self.macs
            with contextlib.suppress(RuntimeError), self:  # as of nested tensors
                result = operator.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            self.macs = before
        result = operator(*args, **kwargs)
        known = packet in flop_registry or packet in _SIMPLE
        odd = known and _odd_numbers((args, kwargs))
        if odd:
            self.unknown.add(f"{packet} of {odd} numbers")
        elif known:
            try:
                self.macs += _counted(packet, args, kwargs, result)
            except Exception:  # such as of nested tensors
                self.unknown.add(str(packet))
        elif _may_multiply(operator, args):
            self.unknown.add(str(packet))
        return result


class _Functions(TorchFunctionMode):
    """Tells a counter of what it cannot see: what is no operator."""

    def __init__(self, counter):
        super().__init__()
        self.counter = counter

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in _TO_NUMPY:
            self.counter.unknown.add("what NumPy computes")
        elif function is torch.linalg.vecdot:
            vectors = [*args, *kwargs.values()][:2]
            self.counter.macs += torch.broadcast_tensors(*vectors)[0].numel()
        elif function is torch.functional.einsum and isinstance(args[0], str):
            # Where a sum is over one, its operators are not those of products. Within
            # `vmap` shapes are not whole.
            equation, *operands = args
            operands = tree_leaves(operands)
            wrapped = map(torch._C._functorch.is_functorch_wrapped_tensor, operands)
            if len(operands) == 2 and not any(wrapped):
                before, found = self.counter.macs, function(*args, **kwargs)
                shapes = [one.shape for one in operands]
                self.counter.macs = before + einsum_macs(equation, shapes)
                return found
        return function(*args, **kwargs)


_TO_NUMPY = torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.__dlpack__
_aten = torch.ops.aten
# Products that PyTorch has no formula for, most of them of vectors.
_SIMPLE = {
    _aten.dot: lambda one, other: one.numel(),
    _aten.vdot: lambda one, other: one.numel(),
    _aten.mv: lambda matrix, vector: matrix.numel(),
    _aten.addmv: lambda bias, matrix, vector: matrix.numel(),
    _aten.addr: lambda matrix, one, other: matrix.numel(),
    _aten._int_mm: lambda one, other: one.numel() * other.shape[-1],
    # Of experts or the like; where the groups are the first's own, each with some of
    # the other's columns.
    _aten._grouped_mm: lambda one, other, *_: (
        (one.shape[-2:].numel() if one.dim() > other.dim() else one.numel())
        * other.shape[-1]
    ),
    _aten.addbmm: lambda bias, batch, other: batch.numel() * other.shape[-1],
    _aten.affine_grid_generator: lambda theta, size, *_: (
        theta.numel() * math.prod(size[2:])
    ),
    _aten._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_: (
        query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    ),
}


def _counted(packet, args, kwargs, result):
    if packet in flop_registry:
        # A multiplication and an addition count as two there.
        return flop_registry[packet](*args, **kwargs, out_val=result) // 2
    return _SIMPLE[packet](*args)


def _odd_numbers(arguments):
    """What makes the formulas wrong: few of the products, or several in one."""
    tensors = [t for t in tree_leaves(arguments) if isinstance(t, torch.Tensor)]
    if any("sparse" in str(tensor.layout) for tensor in tensors):
        return "sparse"
    return "complex" if any(tensor.is_complex() for tensor in tensors) else None


def _may_multiply(operator, args):
    name = operator._opname
    if _HARMLESS.search(name):
        return False
    if operator.namespace in (*_PYTORCHS_OWN, "torchvision", "quantized"):
        return bool(_MULTIPLIES.search(name))
    # Of somebody else's operators nothing is known.
    return any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(args))
