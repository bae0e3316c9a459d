"""Optimizers of PyTorch, as schedules ask for them."""

import torch


def make_optimizer(schedule, parameters):
    """The optimizer that a schedule asks for."""
    # Fused updates touch each parameter once; the default on the CPU is a
    # loop over parameters and operations.
    fused = {"fused": all(map(_without_gaps, parameters)) or None}
    momentum = {"momentum": schedule.momentum, "nesterov": schedule.nesterov}
    decay = {"weight_decay": schedule.weight_decay}
    # With Keras' constants, so that a recipe means the same in both.
    kind, options = {
        "sgd": (torch.optim.SGD, momentum | fused),
        "adam": (torch.optim.Adam, {"eps": 1e-7} | fused),
        "adamw": (torch.optim.AdamW, {"eps": 1e-7} | decay | fused),
        "rmsprop": (torch.optim.RMSprop, {"eps": 1e-7, "alpha": 0.9}),
        "adadelta": (torch.optim.Adadelta, {"eps": 1e-7, "rho": 0.95}),
    }[schedule.optimizer]
    optimizer = kind(parameters, schedule.learning_rate, **options)
    if options.get("fused"):
        optimizer.register_step_pre_hook(_before_a_fused_update)
    return optimizer


def _without_gaps(parameter):
    """Whether its numbers, real ones, lie side by side, as fused updates take them."""
    plain = parameter.is_floating_point() and parameter.layout == torch.strided
    return plain and torch.empty_like(parameter).stride() == parameter.stride()


def _before_a_fused_update(optimizer, *_):
    """It takes no sparse gradients, such as of a table, and wants momenta of all."""
    (group,) = optimizer.param_groups
    for parameter in group["params"]:
        if parameter.grad is None:
            continue
        if parameter.grad.layout != torch.strided:
            group["fused"] = None
        late = optimizer.state and parameter not in optimizer.state
        if late and group.get("momentum"):
            momentum = torch.zeros_like(parameter)
            optimizer.state[parameter]["momentum_buffer"] = momentum
