"""Weights of a network that PyTorch does not know of: in lists, in plain objects."""

import contextlib

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from tradeoffs.training.layouts import trial_of

_PYTORCHS = "_parameters", "_buffers", "_modules", "_actual_script_module"


def untracked(network, *inputs) -> list[str]:
    """A note on weights that are kept where PyTorch does not look, if any are.

    By the names of the attributes that they are in; or by the shapes of those that a
    forward pass uses.
    """
    parts = list(network.modules())
    known = {id(one) for part in parts for one in (part, *part._parameters.values())}
    found = [
        name
        for part in parts
        for name, value in vars(part).items()
        if name not in _PYTORCHS
        for one in tree_leaves(value)
        if id(one) not in known and _is_weight(one)
    ]
    found = found or [
        f"of shape {tuple(weight.shape)}"
        for weight in _used(network, inputs)
        if id(weight) not in known
    ]
    names = ", ".join(dict.fromkeys(found))
    text = "layers or weights that PyTorch does not know of are not counted, trained or"
    return [f"{text} saved: {names}"] if found else []


def _is_weight(one):
    if isinstance(one, nn.Module):  # some are not told that they are in use
        kinds = [type(part) for part in one.modules()]
        own = any(not kind.__module__.startswith("torch.nn.") for kind in kinds)
        random = any(issubclass(kind, (_DropoutNd, nn.RReLU)) for kind in kinds)
        return any(one.state_dict()) or own or random
    learns = isinstance(one, torch.Tensor) and one.is_leaf and one.requires_grad
    return learns or isinstance(one, nn.Parameter)


def _used(network, inputs):
    """The weights that functions of PyTorch are given in a forward pass."""
    seen = _Seen()
    with (
        contextlib.suppress(Exception),
        trial_of(network),
        torch.compiler.set_stance("force_eager"),
        seen,
    ):
        network(*inputs)
    return seen.weights.values()


class _Seen(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.weights = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tree_leaves((args, kwargs))
        self.weights |= {id(one): one for one in given if isinstance(one, nn.Parameter)}
        return function(*args, **kwargs)
