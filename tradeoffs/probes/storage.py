"""Where a PyTorch module keeps its numbers, and how many bytes they take."""

import torch
from torch.utils._pytree import tree_leaves

from tradeoffs.probes.source import MeasureError


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
            or "__torch__.torch.classes" in str(getattr(part, "graph", ""))
        ):
            raise MeasureError("they are constants or packed in a script")


_PARTS = {  # of sparse tensors
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def storages(tensor):
    """The storage of a tensor; of a sparse one those of its parts."""
    tensor = tensor.to_dense() if tensor.is_mkldnn else tensor
    parts = [getattr(tensor, name)() for name in _PARTS.get(tensor.layout, ())]
    return [part.untyped_storage() for part in parts or [tensor]]


def count_of(tensors):
    """How many numbers are in tensors; those in the same place count once."""
    places = {}
    for tensor in tensors:
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
        plain = plain and tensor.layout == torch.strided and not tensor.is_quantized
        place = tensor.data_ptr() if plain else 0
        places[(place, tensor.numel()) if place else id(tensor)] = tensor.numel()
    return sum(places.values())


def bytes_of(tensors):
    """Of different storages: what is shared counts once."""
    found = [storage for tensor in tensors for storage in storages(tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in found}.values())
