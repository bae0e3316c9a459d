"""Which layout in memory a PyTorch network's weights are in: the faster one."""

import contextlib
from collections import Counter

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.parameter import is_lazy

from tradeoffs.frameworks import RANDOM_NUMBERS, evaluating

# Where `channels_last` does not pay: batch norms of fewer channels, and networks
# most of whose convolution weights are in spatial kernels of so many inputs.
FEW_CHANNELS, WIDE_CHANNELS = 8, 256


@contextlib.contextmanager
def trial_of(model):
    """A forward pass that leaves a network's mode and random numbers as they were.

    But for those that a lazy network's first weights are drawn from.
    """
    lazy = any(map(is_lazy, model.parameters()))
    kept = torch.random.fork_rng(devices=[], enabled=not lazy)
    with RANDOM_NUMBERS, evaluating(model), torch.no_grad(), kept:
        yield


def channels_last_pays(model) -> bool:
    """Whether a network trains faster in `channels_last` than contiguously.

    A rule, so that it is the same on every machine. It gave the faster of the two
    for four of the five models and for thirteen others, or one within a seventh of
    it; see docs/benchmarks.md.
    """
    norms = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if norms and min(norms) < FEW_CHANNELS:
        return False
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    wide = sum(
        c.weight.numel()
        for c in convolutions
        if c.groups == 1 and max(c.kernel_size) > 1 and c.in_channels >= WIDE_CHANNELS
    )
    return 2 * wide <= sum(c.weight.numel() for c in convolutions)


def lay_out_by_rule(model, images) -> None:
    """Bring weights of the images' rank into the faster layout that a model takes."""
    flat = torch.channels_last if channels_last_pays(model) else torch.contiguous_format
    layouts = {4: flat, 5: torch.channels_last_3d}
    rank = images.dim()
    if rank in layouts:
        lay_out(model, rank, layouts[rank])
        try:
            with trial_of(model):
                model(images[:2].clone())
        except RuntimeError:  # such as a `view` of what is not contiguous
            lay_out(model, rank, torch.contiguous_format)


def lay_out(model, rank: int, layout: torch.memory_format) -> None:
    """Bring weights of a rank into a layout, in place; others stay as they are.

    So do those that share their memory with others, from which they would part.
    """
    tensors, kinds = (*model.parameters(), *model.buffers()), (torch.Tensor, Parameter)
    plain = [t for t in tensors if type(t) in kinds and t.layout == torch.strided]
    users = Counter(t.untyped_storage().data_ptr() for t in plain)
    for tensor in plain:
        storage = tensor.untyped_storage()
        own = users[storage.data_ptr()] == 1 and storage.nbytes() == tensor.nbytes
        if tensor.dim() == rank and own:
            tensor.data = tensor.data.to(memory_format=layout)
