"""Who counts multiply-accumulates right? `measure` beside four other tools.

Networks whose count is known: by hand, or as torchvision publishes it. Right is
within two per cent, as tools differ on whether biases and rectifiers count.

    python benchmarks/macs.py
"""

from __future__ import annotations

import pandas as pd
import torch
import torchvision
from torch import nn
from torch.nn import functional

import tradeoffs
from tradeoffs.processes import in_fresh_process

TOLERANCE = 0.02


class Of(nn.Module):
    """A network from its layers and the function that calls them."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.called = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.called(self, x)


def attends(m, x):
    q, k, v = m.qkv(x).chunk(3, -1)
    return m.out(functional.scaled_dot_product_attention(q, k, v)).mean(1)


def functionally(m, x):
    return functional.conv2d(x, m.conv.weight, m.conv.bias).mean((2, 3))


def published(name, size=224):
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network = torchvision.models.get_model(name)
    return network, (3, size, size), weights.meta["_ops"] * 1e9


def by_hand(name):
    line, conv, square = nn.Linear(64, 64), nn.Conv2d(3, 8, 3), 62 * 62 * 8 * 27
    picture, row = (3, 64, 64), (64,)
    return {
        "a linear layer": lambda: (nn.Sequential(line), row, 64 * 64),
        "a layer called twice": lambda: (
            Of(lambda m, x: m.a(m.a(x)), a=line), row, 2 * 64 * 64
        ),
        "a layer that is not called": lambda: (
            Of(lambda m, x: m.a(x), a=line, b=nn.Linear(64, 640)), row, 64 * 64
        ),
        "a convolution called as a function": lambda: (
            Of(functionally, conv=conv), picture, square
        ),
        "attention": lambda: (
            Of(attends, qkv=nn.Linear(64, 192), out=line),
            (32, 64),
            32 * 64 * 256 + 2 * 32 * 32 * 64,
        ),
        "multi-head attention": lambda: (
            Of(
                lambda m, x: m.a(x, x, x, need_weights=False)[0],
                a=nn.MultiheadAttention(64, 4, batch_first=True),
            ),
            (32, 64),
            32 * 64 * 256 + 2 * 32 * 32 * 64,
        ),
        "a product of matrices": lambda: (
            Of(lambda m, x: x @ m.weight, weight=nn.Parameter(torch.ones(64, 9))),
            row,
            64 * 9,
        ),
        "einsum": lambda: (
            Of(
                lambda m, x: torch.einsum("bi,io->bo", x, m.weight),
                weight=nn.Parameter(torch.ones(64, 9)),
            ),
            row,
            64 * 9,
        ),
        "a normalised weight": lambda: (
            nn.Sequential(nn.utils.parametrizations.weight_norm(conv)), picture, square
        ),
        "an LSTM": lambda: (
            Of(lambda m, x: m.a(x)[0], a=nn.LSTM(64, 32, batch_first=True)),
            (10, 64),
            10 * 4 * 32 * (64 + 32),
        ),
        "a transposed convolution": lambda: (
            nn.Sequential(nn.ConvTranspose2d(3, 8, 2, stride=2)),
            picture,
            64 * 64 * 3 * 8 * 4,
        ),
    }[name]()  # fmt: skip


HANDS = (
    "a linear layer", "a layer called twice", "a layer that is not called",
    "a convolution called as a function", "attention", "multi-head attention",
    "a product of matrices", "einsum", "a normalised weight", "an LSTM",
    "a transposed convolution",
)  # fmt: skip
PUBLISHED = ("resnet18", "mobilenet_v2", "densenet121", "vit_b_16", "swin_t")


def known(case):
    return published(case) if case in PUBLISHED else by_hand(case)


def counted_by(tool, case):
    model, shape, _ = known(case)
    model.eval()
    match tool:
        case "tradeoffs":
            # A function that makes it: a parametrized network cannot be pickled.
            options = {"parts": "size", "progress": False}
            return tradeoffs.measure(lambda: known(case)[0], shape, **options).macs
        case "torchinfo":
            import torchinfo

            return torchinfo.summary(model, (1, *shape), verbose=0).total_mult_adds
        case "fvcore":
            from fvcore.nn import FlopCountAnalysis

            analysis = FlopCountAnalysis(model, torch.zeros(1, *shape))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            return analysis.total()
        case "ptflops":
            from ptflops import get_model_complexity_info

            options = {"as_strings": False, "print_per_layer_stat": False}
            return get_model_complexity_info(model, shape, **options)[0]
        case "calflops":
            from calflops import calculate_flops

            options = {"print_results": False, "output_as_string": False}
            return calculate_flops(model, (1, *shape), **options)[1]


def judged(tool, case):
    """Whether a tool counts a network right, or what it says instead."""
    right = known(case)[2]
    try:
        found = counted_by(tool, case)
    except Exception:
        return "refused"
    if found is None:
        return "refused"
    return "right" if abs(found / right - 1) < TOLERANCE else f"{found / right:.2f} x"


def main():
    tools = "tradeoffs", "torchinfo", "fvcore", "ptflops", "calflops"
    found = {
        tool: {
            # Tools alter PyTorch; `measure` has processes of its own.
            case: judged(tool, case)
            if tool == "tradeoffs"
            else in_fresh_process(judged, tool, case)
            for case in (*HANDS, *PUBLISHED)
        }
        for tool in tools
    }
    table = pd.DataFrame(found)
    print(table.to_string())
    kinds = {"right": table == "right", "refused": table == "refused"}
    kinds["wrong"] = ~(kinds["right"] | kinds["refused"])
    print(pd.DataFrame({kind: of.sum() for kind, of in kinds.items()}).T.to_string())


if __name__ == "__main__":
    main()
