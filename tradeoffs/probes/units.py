"""A look inside a PyTorch network."""

import contextlib

import numpy as np

from tradeoffs.frameworks import evaluating
from tradeoffs.probes.source import dtype_of_each


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
        ValueError: the network has no rectifier, or one of sequences.

    >>> import tradeoffs
    >>> from tradeoffs.training.pytorch import images_to_tensor
    >>> network = tradeoffs.trained(tradeoffs.run("small_net", slope=0.0))
    >>> images = images_to_tensor(tradeoffs.mnist().test_images[:1000], "standardized")
    >>> dead = tradeoffs.dead_units(network, images)
    >>> len(dead), int(dead.sum())
    (13, 0)
    """
    import torch
    from torch.nn import LeakyReLU, ReLU

    highest = []

    def note(layer, inputs, output):
        if inputs[0].dim() == 3:
            raise ValueError(f"{layer} takes sequences; units are counted of pictures")
        highest.append(inputs[0].detach().movedim(1, 0).flatten(1).amax(1))

    rectifiers = [m for m in network.modules() if isinstance(m, (ReLU, LeakyReLU))]
    if not rectifiers:
        raise ValueError(f"{type(network).__name__} has no ReLU or LeakyReLU")
    handles = [layer.register_forward_hook(note) for layer in rectifiers]
    try:
        with torch.inference_mode(), evaluating(network):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat(highest).le(0).numpy()


def in_mode(model, *, training: bool):
    """A PyTorch network, brought to train or not; whatever its own methods return."""
    with contextlib.suppress(NotImplementedError):  # an exported one keeps its mode
        model.train() if training else model.eval()
    return model


def layers_in_lists(model) -> list[str]:
    """A note on layers that are kept where PyTorch does not look for them, if any."""
    from torch.nn import Module
    from torch.utils._pytree import tree_leaves

    known, found = set(map(id, model.modules())), []
    for part in model.modules():
        for name, value in vars(part).items():
            several = isinstance(value, (list, tuple, dict))
            leaves = tree_leaves(value) if several else ()
            layers = [id(leaf) for leaf in leaves if isinstance(leaf, Module)]
            if not known.issuperset(layers):
                found.append(name)
    lists = ", ".join(dict.fromkeys(found))
    text = f"layers in plain lists are not counted, trained or saved: {lists}"
    return [text] if found else []


def embeddings(model) -> list:
    """The layers of a PyTorch network that take places in a table."""
    from torch.nn import Embedding, EmbeddingBag

    kinds = Embedding, EmbeddingBag
    return [layer for layer in model.modules() if isinstance(layer, kinds)]


def input_dtype(model):
    """The `torch.dtype` of the numbers that a network takes, as far as layers tell."""
    import torch

    layers = [m for m in model.modules() if not list(m.children())]
    first = next((m for m in layers if list(m.parameters(recurse=False))), None)
    if first is not None and first in embeddings(model):
        return torch.int64
    weights = [p for m in (first, model) if m is not None for p in m.parameters()]
    floats = (p.dtype for p in weights if p.is_floating_point())
    return next(floats, torch.float32)


def input_dtypes(model, given, count: int) -> list:
    """The `torch.dtype` of each of so many inputs; `given` as `measure` takes it."""
    import torch

    own, names = input_dtype(model), dtype_of_each(given, count)
    return [getattr(torch, name) if name else own for name in names]
