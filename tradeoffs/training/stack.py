"""Networks of one shape as one network, side by side.

A small network is bound by the overhead of its operations, not by arithmetic.
K of them become one: their channels lie side by side, convolutions have K groups,
or K times as many as a depthwise one has, dense layers are batched products. No
operation mixes two networks, so each one computes what it computes alone.

Widths may differ: a narrower network is padded with filters whose weights are
zero. They put out zeros into weights that are zero, so no gradient reaches
either, and they stay what they are; a depthwise filter sees one of those channels.
"""

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from tradeoffs.training import one_sentence
from tradeoffs.training.stacked_layers import STACKED, slope_of, stack_padded

# The widths of layers, input first, and what else a width shows in.
_WIDTHS = (("in_channels", "in_features"), ("out_channels", "out_features"))
_FREE = {*_WIDTHS[0], *_WIDTHS[1], "num_features", "inplace"}
# Settings that a layer must have for it to be stacked.
_PLAIN = {
    "groups": 1,
    "padding_mode": "zeros",
    "return_indices": False,
    "affine": True,
    "track_running_stats": True,
    "start_dim": 1,
    "end_dim": -1,
}
# What changes a layer's answers or gradients; and the tensors that it may have.
_HOOKS = (
    *("forward", "_forward_hooks", "_forward_pre_hooks"),
    *("_backward_hooks", "_backward_pre_hooks"),
)
_RUNNING = {"running_mean", "running_var", "num_batches_tracked"}
_TENSORS = {False: {"weight", "bias"}, True: {"weight", "bias"} | _RUNNING}


def stack_key(model: nn.Sequential) -> tuple:
    """What two networks must have in common to be stacked.

    Everything but weights, the slopes of rectifiers (a `ReLU` is a `LeakyReLU`
    of slope 0) and the widths of all layers between the first and the last.

    Raises:
        TypeError: the model is no `nn.Sequential`, or has a layer that cannot
            be stacked; the message names it.
    """
    if type(model) is not nn.Sequential or any(map(vars(model).get, _HOOKS)):
        raise TypeError(
            f"only an nn.Sequential without hooks can be stacked, not this "
            f"{type(model).__name__}"
        )
    layers = tuple(_layer_key(name, layer) for name, layer in model._modules.items())
    weights = [weight for layer in model for weight in layer.parameters()]
    if len(weights) > len(list(model.parameters())):  # which has each once
        raise TypeError("layers that share weights cannot be stacked")
    ins, outs = (_widths(model, names) for names in _WIDTHS)
    return (*layers, ("widths", *ins[:1], *outs[-1:]))


def stack_group(model: nn.Sequential) -> tuple:
    """What two networks should have in common for stacking to pay.

    Their `stack_key`, and a widest layer between the same two powers of two:
    padding costs time.
    """
    key = stack_key(model)  # or why it cannot be stacked
    widest = max(_widths(model, _WIDTHS[1])[:-1], default=1)
    return (*key, (widest - 1).bit_length())


def _widths(model, names):
    return [getattr(m, name) for m in model for name in names if hasattr(m, name)]


def _layer_key(name, layer):
    kind = type(layer)
    if kind not in STACKED:
        why = (
            ": its random numbers would not be those of training alone"
            if "Dropout" in kind.__name__
            else f"; known layers: {', '.join(known.__name__ for known in STACKED)}"
        )
        raise TypeError(f"layer {name!r}, a {kind.__name__}, cannot be stacked{why}")
    if any(not parameter.requires_grad for parameter in layer.parameters()):
        raise TypeError(f"layer {name!r} is frozen, and cannot be stacked")
    changed = [name for name in _HOOKS if vars(layer).get(name)]
    hooks = "_backward_hooks", "_post_accumulate_grad_hooks"
    hooked = [p for p in layer.parameters() if any(getattr(p, h, None) for h in hooks)]
    changed += ["a hook on a weight"] * len(hooked)
    tensors = {*dict(layer.named_parameters()), *dict(layer.named_buffers())}
    changed += sorted(tensors - _TENSORS[isinstance(layer, nn.BatchNorm2d)])
    if changed:
        raise TypeError(
            f"layer {name!r} has {', '.join(changed)} of its own, and cannot be stacked"
        )
    if kind in (nn.ReLU, nn.LeakyReLU):
        if not 0 <= slope_of(layer) <= 1:
            raise TypeError(
                f"layer {name!r} has a slope of {slope_of(layer)}; from 0 to 1 can be "
                "stacked"
            )
        return ("rectifier",)
    named = getattr(kind, "__constants__", ())
    settings = {s: getattr(layer, s) for s in named if s not in _FREE}
    filters_a_channel = None
    if settings.get("groups", 1) > 1 and layer.groups == layer.in_channels:
        settings["groups"] = 1
        filters_a_channel = layer.out_channels // layer.in_channels
    for setting, value in settings.items():
        if value != _PLAIN.get(setting, value):
            raise TypeError(
                f"layer {name!r} has {setting}={value!r}; only "
                f"{_PLAIN[setting]!r} can be stacked"
                + (", or as many as channels" if setting == "groups" else "")
            )
    if kind is nn.BatchNorm2d and layer.momentum is None:
        raise TypeError(f"layer {name!r} has momentum=None, and cannot be stacked")
    parameters = tuple(name for name, _ in layer.named_parameters())
    return (kind.__name__, tuple(settings.items()), filters_a_channel, parameters)


class Stack:
    """K networks of one shape, computed as one.

    Args:
        models: `nn.Sequential`s of equal `stack_key`, on one device.

    Attributes:
        size: K.
        flat: every parameter of every network, [n].
        parameters: views of `flat`, [K, ...] each, to differentiate by.
        statistics: the running statistics of batch norms, [K, ...] each.
        layers: functions of values and of whether this is training.

    Raises:
        TypeError: a network cannot be stacked.
        ValueError: there is none, one is given twice, two differ in shape, or
            there is nothing to train.
    """

    def __init__(self, models: list[nn.Sequential]):
        _check_shapes(models)
        self.size, self.steps = len(models), 0
        parameters = list(zip(*(model.parameters() for model in models), strict=True))
        buffers = list(zip(*(model.buffers() for model in models), strict=True))
        if not parameters:
            raise ValueError("the networks have nothing to train")
        stacked = [stack_padded(tensors) for tensors in parameters]
        self.flat = parameters_to_vector(stacked)
        vector_to_parameters(self.flat, stacked)
        self.parameters = [tensor.requires_grad_() for tensor in stacked]
        self.statistics = [stack_padded(tensors) for tensors in buffers]
        self._sources = [*parameters, *buffers]
        weights, running = iter(self.parameters), iter(self.statistics)
        self.layers = [
            STACKED[type(layers[0])](
                layers,
                *(next(weights) for _ in layers[0].parameters()),
                *(next(running) for _ in layers[0].buffers()),
            )
            for layers in zip(*models, strict=True)
        ]

    def logits(self, images, training: bool = False):
        """The logits [K, b, classes] of images [b, K, h, w] in `channels_last`."""
        self.steps += training
        for layer in self.layers:
            images = layer(images, training)
        return images

    @torch.no_grad()
    def copy_back(self) -> None:
        """Give the networks their weights and running statistics."""
        stacked = *self.parameters, *self.statistics
        for values, tensors in zip(stacked, self._sources, strict=True):
            for value, tensor in zip(values, tensors, strict=True):
                tensor.copy_(value[tuple(map(slice, tensor.shape))])
                if not tensor.dim():  # the batches that a norm has seen
                    tensor += self.steps


def _check_shapes(models):
    if not models:
        raise ValueError("there are no networks to stack")
    keys = [stack_key(model) for model in models]
    tensors = [t for m in models for t in (*m.parameters(), *m.buffers())]
    places = [t.data_ptr() if t.numel() else id(t) for t in tensors]
    if len(set(places)) < len(places):
        raise ValueError("networks share weights; each must have its own")
    kinds = sorted({str(p.dtype) for model in models for p in model.parameters()})
    if len(kinds) > 1:
        raise ValueError(f"weights of {' and '.join(kinds)} cannot be in one stack")
    for number, key in enumerate(keys):
        if key != keys[0]:
            raise ValueError(
                f"only networks of one shape can be stacked, and network {number} "
                f"differs from network 0: {one_sentence(models[number])} is not "
                f"{one_sentence(models[0])}"
            )
