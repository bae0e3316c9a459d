"""A look inside a PyTorch network: its layers, inputs, and where its numbers are."""

import re
import threading

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves

from tradeoffs.checks import instance
from tradeoffs.frameworks import evaluating
from tradeoffs.probes.source import MeasureError, dtype_of_each

TABLES = nn.Embedding, nn.EmbeddingBag  # layers that take places in a table
_ONEDNN = re.compile(r"prim::(mkldnn_\w+)")  # operators in a script


def dead_units(network, images) -> np.ndarray:
    """Which units no image makes positive, before their rectifier.

    A unit is a filter of a convolution, or an output of a linear layer. One that
    is dead passes ReLU as a zero whatever it is shown, and no gradient comes back;
    through LeakyReLU both are small.

    Args:
        network: an `nn.Module` with `nn.ReLU` or `nn.LeakyReLU` layers.
        images: float32 [n, 1, h, w], scaled as in training.

    Returns:
        A bool for each unit, in the order of the rectifiers.

    Raises:
        ValueError: the network has no rectifier, or one of sequences, or what reaches
            one is not finite.

    >>> import tradeoffs
    >>> from tradeoffs.training.pytorch import images_to_tensor
    >>> network = tradeoffs.trained(tradeoffs.run("small_net", slope=0.0))
    >>> images = images_to_tensor(tradeoffs.mnist().test_images[:1000], "standardized")
    >>> dead = tradeoffs.dead_units(network, images)
    >>> len(dead), int(dead.sum())
    (13, 0)
    """
    instance("network", network, nn.Module, "tradeoffs.build('small_net')")
    highest = []

    def note(layer, inputs, output):
        if inputs[0].dim() == 3:
            raise ValueError(f"{layer} takes sequences; units are counted of pictures")
        highest.append(inputs[0].detach().movedim(1, 0).flatten(1).amax(1))

    kinds = nn.ReLU, nn.LeakyReLU
    rectifiers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_hook(note) for layer in rectifiers]
    try:
        with torch.inference_mode(), evaluating(network):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not highest:
        name = type(network).__name__
        raise ValueError(f"{name} has no ReLU or LeakyReLU that it calls")
    highest = torch.cat(highest).cpu()
    if not highest.isfinite().all():
        raise ValueError("what reaches a rectifier is not finite: NaN or infinite")
    return highest.le(0).numpy()


def input_dtype(model):
    """The `torch.dtype` of the numbers that a network takes, as far as layers tell."""
    layers = [m for m in model.modules() if not list(m.children())]
    first = next((m for m in layers if list(m.parameters(recurse=False))), None)
    if isinstance(first, TABLES):
        return torch.int64
    weights = [p for m in (first, model) if m is not None for p in m.parameters()]
    floats = (p.dtype for p in weights if p.is_floating_point())
    return next(floats, torch.float32)


def input_dtypes(model, given, count: int) -> list:
    """The `torch.dtype` of each of so many inputs; `given` as `measure` takes it."""
    own, names = input_dtype(model), dtype_of_each(given, count)
    return [getattr(torch, name) if name else own for name in names]


def packed(layer):
    """The weights and biases that a quantised layer keeps packed, and no parameter."""
    module = type(layer).__module__
    if ".quantized." not in module or ".reference." in module:  # those have parameters
        return []
    names = "weight", "bias", "get_weight", "get_bias"
    getters = filter(callable, (getattr(layer, name, None) for name in names))
    found = [t for t in tree_leaves([get() for get in getters]) if torch.is_tensor(t)]
    if getattr(getattr(layer, "_packed_params", layer), "dtype", None) == torch.float16:
        return [t.half() if t.dim() > 1 else t for t in found]  # as they are kept
    return found


def check_scripts(model):
    """Raise a MeasureError where a script keeps weights out of sight."""
    for part in model.modules():
        if isinstance(part, torch.jit.RecursiveScriptModule) and (
            not part._c.hasattr("training")  # it is frozen
            or "__torch__.torch.classes" in _graph_of(part)
        ):
            raise MeasureError("they are constants or packed in a script")


def out_of_sight(model) -> set[str]:
    """Operators of oneDNN in optimised scripts: nothing can count what they do."""
    scripts = (m for m in model.modules() if isinstance(m, torch.jit.ScriptModule))
    return {name for m in scripts for name in _ONEDNN.findall(_graph_of(m))}


def first_is_sequence(model) -> list[str]:
    """A note on layers that take the first dimension of what they are given so."""
    layers = model.modules()
    if all(getattr(layer, "batch_first", True) is not False for layer in layers):
        return []
    return [
        "layers with batch_first=False take the second dimension as the batch; unless "
        "the model turns its inputs, they see each input as a step of one sequence"
    ]


def _graph_of(script):
    has_one = script._c._has_method("forward")
    return str(script.graph) if has_one else ""


_PARTS = {  # of sparse tensors
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def storages(tensor):
    """The storage of a tensor; of one that is made of parts those of the parts."""
    if is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()
        return [one for name in names for one in storages(getattr(tensor, name))]
    tensor = tensor.to_dense() if tensor.is_mkldnn else tensor
    parts = [getattr(tensor, name)() for name in _PARTS.get(tensor.layout, ())]
    return [part.untyped_storage() for part in parts or [tensor]]


def not_copied(network) -> dict:
    """What a copy of a network shares with it, as it cannot be copied, by its id."""
    alone = torch.Generator, type(threading.Lock()), type(threading.RLock())
    held = [one for layer in network.modules() for one in vars(layer).values()]
    return {id(one): one for one in held if isinstance(one, alone)}


def count_of(tensors):
    """How many numbers are in tensors; those in the same place count once."""
    others, dense, gapped = {}, set(), {}
    for tensor in tensors:
        plain = type(tensor) in (torch.Tensor, nn.Parameter)
        if not plain or tensor.layout != torch.strided or tensor.is_quantized:
            others[id(tensor)] = tensor.numel()
            continue
        first, last, filled = place_of(tensor)
        if filled:
            dense.add((first, last, tensor.element_size()))
        else:  # another's numbers may be in its gaps
            gapped[first or id(tensor), tensor.numel()] = first, last
    count, end = sum(others.values()), 0
    for first, last, size in sorted(dense):
        count += max(last - max(first, end), 0) // size
        end = max(last, end)
    for (_, numel), (first, last) in gapped.items():
        if not any(a <= first and last <= b for a, b, _ in dense):
            count += numel
    return count


def place_of(tensor) -> tuple[int, int, bool]:
    """A tensor's first byte in memory, that behind its last, and if all are its own."""
    if not tensor.numel() or not tensor.data_ptr():  # as without contents
        return 0, 0, False
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    span = 1 + sum((size - 1) * step for size, step in steps)
    last = tensor.data_ptr() + span * tensor.element_size()
    return tensor.data_ptr(), last, span == tensor.numel()


def each_place_once(state) -> dict:
    """Those tensors of a state that lie in no other's place, on the CPU."""
    kept, end = {}, 0
    places = {name: place_of(tensor) for name, tensor in state.items()}
    seen = set()
    for name in sorted(state, key=lambda name: (places[name][0], -places[name][1])):
        (first, last, filled), tensor = places[name], state[name]
        again = (first, tensor.shape, tensor.stride()) in seen
        if not first or (last > end and not again):
            kept[name] = tensor.detach().cpu().contiguous().clone()
        seen.add((first, tensor.shape, tensor.stride()))
        end = max(last, end) if filled else end
    return kept


def bytes_of(tensors):
    """Of different storages: what is shared counts once."""
    found = [storage for tensor in tensors for storage in storages(tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in found}.values())


def nodes_of(last):
    """Those of a graph of gradients."""
    nodes = {last}
    waiting = [last]
    while waiting:
        following = {node for node, _ in waiting.pop().next_functions if node} - nodes
        nodes |= following
        waiting += following
    return nodes


def saved_by(node):
    """What a node keeps for its gradient: tensors, but for what others packed."""
    for name in dir(node):
        if name.startswith("_raw_saved_"):
            found = getattr(node, name)
            for one in found if isinstance(found, (tuple, list)) else [found]:
                if one.data is not None:
                    yield one.data
