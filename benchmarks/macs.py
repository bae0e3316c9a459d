"""Who counts multiply-accumulates right? `measure` beside four other tools.

Networks whose count is known: by hand, or as torchvision publishes it. Right is
within two per cent, as tools differ on whether biases and rectifiers count.
"""

import torch
import torchvision
from common import options, show
from torch import nn
from torch.nn import functional

import tradeoffs
from tradeoffs.processes import in_fresh_process

TOLERANCE = 0.02
TOOLS = ("tradeoffs", "torchinfo", "fvcore", "ptflops", "calflops")
PUBLISHED = ("resnet18", "mobilenet_v2", "densenet121", "vit_b_16", "swin_t")


class Of(nn.Module):
    """A network from its layers and the function that calls them."""

    def __init__(self, called, **layers):
        super().__init__()
        self.called = called
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.called(self, x)


def attend(m, x):
    q, k, v = m.qkv(x).chunk(3, -1)
    return m.out(functional.scaled_dot_product_attention(q, k, v)).mean(1)


def convolve(m, x):
    return functional.conv2d(x, m.conv.weight, m.conv.bias).mean((2, 3))


def by_hand():
    """For each case a network, the shape of its input, and the right count."""
    line, spare, qkv = (nn.Linear(64, size) for size in (64, 640, 192))
    weight = nn.Parameter(torch.ones(64, 9))  # torchinfo goes by this name
    heads = nn.MultiheadAttention(64, 4, batch_first=True)
    lstm = nn.LSTM(64, 32, batch_first=True)
    normal = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    larger = nn.Sequential(nn.ConvTranspose2d(3, 8, 2, stride=2))
    # What is called, of which layers.
    once = Of(lambda m, x: m.a(x), a=line, b=spare)
    twice = Of(lambda m, x: m.a(m.a(x)), a=line)
    product = Of(lambda m, x: x @ m.weight, weight=weight)
    summed = Of(lambda m, x: torch.einsum("bi,io->bo", x, m.weight), weight=weight)
    called = Of(convolve, conv=nn.Conv2d(3, 8, 3))
    attention = Of(attend, qkv=qkv, out=line)
    multi = Of(lambda m, x: m.a(x, x, x, need_weights=False)[0], a=heads)
    recurrent = Of(lambda m, x: m.a(x)[0], a=lstm)

    row, words, picture = (64,), (32, 64), (3, 64, 64)
    square, attended = 62 * 62 * 8 * 27, 32 * 64 * 256 + 2 * 32 * 32 * 64
    return {
        "a linear layer": (nn.Sequential(line), row, 64 * 64),
        "a layer called twice": (twice, row, 2 * 64 * 64),
        "a layer that is not called": (once, row, 64 * 64),
        "a convolution called as a function": (called, picture, square),
        "attention": (attention, words, attended),
        "multi-head attention": (multi, words, attended),
        "a product of matrices": (product, row, 64 * 9),
        "einsum": (summed, row, 64 * 9),
        "a normalised weight": (nn.Sequential(normal), picture, square),
        "an LSTM": (recurrent, (10, 64), 10 * 4 * 32 * (64 + 32)),
        "a transposed convolution": (larger, picture, 64 * 64 * 3 * 8 * 4),
    }


def known(case):
    """The same of one case, by hand or published."""
    if case not in PUBLISHED:
        return by_hand()[case]
    weights = torchvision.models.get_model_weights(case).DEFAULT
    network = torchvision.models.get_model(case)
    return network, (3, 224, 224), weights.meta["_ops"] * 1e9


def counted_by(tool, case):
    model, shape, _ = known(case)
    model.eval()
    match tool:
        case "tradeoffs":
            # A function that makes it: a parametrized network cannot be pickled.
            chosen = {"parts": "size", "progress": False}
            return tradeoffs.measure(lambda: known(case)[0], shape, **chosen).macs
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

            silent = {"as_strings": False, "print_per_layer_stat": False}
            return get_model_complexity_info(model, shape, **silent)[0]
        case "calflops":
            from calflops import calculate_flops

            silent = {"output_as_string": False, "print_results": False}
            return calculate_flops(model, (1, *shape), **silent)[1]


def judged(tool, case):
    """Whether a tool counts a network right, or what it says instead."""
    try:
        ratio = counted_by(tool, case) / known(case)[2]
    except Exception:  # or None, where `measure` does not know an operator
        return "refused"
    return "right" if abs(ratio - 1) < TOLERANCE else f"{ratio:.2f} x"


chosen = options(__doc__, cases=(*by_hand(), *PUBLISHED))
rows = []
for case in chosen.cases:
    # The others alter PyTorch; `measure` has processes of its own.
    others = {
        tool: in_fresh_process(judged, tool, case, framework="pytorch")
        for tool in TOOLS[1:]
    }
    rows.append({"network": case, TOOLS[0]: judged(TOOLS[0], case)} | others)
show("right, refused, or a wrong count over the right one", rows)
