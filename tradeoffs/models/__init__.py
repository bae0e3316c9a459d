"""The networks of the series, by name.

Each model is built by one function in `tradeoffs.models.keras` or
`tradeoffs.models.pytorch`; this page only names them. `MODELS` are the five of the
article; `build` knows `FURTHER_MODELS` too.
"""

import importlib
import itertools
from dataclasses import dataclass

from tradeoffs.article import NUM_PARAMETERS
from tradeoffs.checks import one_of, plain, whole_number
from tradeoffs.frameworks import framework_of
from tradeoffs.models.rows import arguments_of


@dataclass(frozen=True)
class ModelInfo:
    """A named model: what it is, and the frameworks it is written in."""

    name: str
    label: str
    description: str
    frameworks: tuple[str, ...] = ("pytorch",)  # the authors' own first


MODELS = {
    info.name: info
    for info in (
        ModelInfo(
            "keras_mlp",
            "Keras MLP",
            "784-512-512-10, dropout 0.2; 669,706 parameters",
            ("keras", "pytorch"),
        ),
        ModelInfo(
            "keras_cnn",
            "Keras CNN",
            "two 3x3 convolutions, one pool, dense 128; 1,199,882 parameters",
            ("keras", "pytorch"),
        ),
        ModelInfo(
            "pytorch_cnn",
            "PyTorch CNN",
            "two 5x5 convolutions with pools, linear 50; 21,840 parameters",
        ),
        ModelInfo(
            "gap_cnn",
            "GAP CNN",
            "three convolutions and global average pooling; 7,090 parameters",
        ),
        ModelInfo(
            "small_net",
            "Small Net",
            "conv 5, batch norm, conv 8, global average pooling, linear; "
            "518 parameters with a 3x3 first kernel, 598 with a 5x5 one",
        ),
    )
}
FURTHER_MODELS = {
    "tiny": ModelInfo(
        "tiny",
        "Tiny",
        "a convolution, separable ones, global average pooling, linear; "
        "488 parameters, or as many as its arguments say",
    )
}
KNOWN_MODELS = MODELS | FURTHER_MODELS


def model_info(name: str) -> ModelInfo:
    """The entry of a named model, one of the five or a further one.

    Raises:
        ValueError: there is no such model; the message lists the names.
    """
    return KNOWN_MODELS[one_of("model", name, KNOWN_MODELS)]


def count_parameters(name: str, **arguments) -> int:
    """The parameters of a named model by arithmetic, without its framework.

    Args:
        name: one of `MODELS` or `FURTHER_MODELS`.
        arguments: of the model's function; those without a say are overlooked.

    >>> count_parameters("small_net"), count_parameters("small_net", kernel_size=5)
    (518, 598)
    """
    if name == "gap_cnn":
        first, second = arguments.get("filters", (10, 20))
        last = 9 * second * 10 + 10
        return 25 * first + first + 25 * first * second + second + last
    if name == "small_net":
        first, second = arguments.get("filters", (5, 8))
        kernels = (arguments.get(k, 3) for k in ("kernel_size", "second_kernel_size"))
        taps, second_taps = (size**2 for size in kernels)
        norm = 2 * first if arguments.get("batch_norm", True) else 0
        convolutions = taps * first + first + second_taps * first * second + second
        return convolutions + norm + second * 10 + 10
    if name == "tiny":
        return _parameters_of_tiny(**arguments)
    if name == "pytorch_cnn":
        side, padding = arguments.get("side", 28), arguments.get("padding", 0)
        return 5_840 + 50 * pytorch_cnn_features(side, padding)
    if name == "keras_mlp":
        return 512 * arguments.get("num_inputs", 784) + 268_298
    return NUM_PARAMETERS[model_info(name).name]


def _parameters_of_tiny(parameters=None, filters=(4, 6, 8, 10), norm="shift", **_):
    if parameters is not None:
        return _parameters_of_tiny(**arguments_of(parameters))
    each = 2 if norm == "batch" else 1  # a norm's, or a bias
    count = 9 * filters[0] + each * filters[0]
    for before, after in itertools.pairwise(filters):
        count += 9 * before + before * after + each * after
    return count + 10 * filters[-1] + 10


def pytorch_cnn_features(side: int, padding: int) -> int:
    """How many values reach the linear layers of the PyTorch CNN.

    Raises:
        ValueError: images of this side are too small.

    >>> pytorch_cnn_features(28, 0), pytorch_cnn_features(7, 2)
    (320, 20)
    """
    side = whole_number("side", side)
    padding = whole_number("padding", padding, least=0)
    for _ in range(2):  # a convolution of 5 x 5, and a pool of 2
        side = (side + 2 * padding - 4) // 2
    if side < 1:
        raise ValueError("images are too small for two 5 x 5 convolutions and pools")
    return 20 * side**2


def framework_for(name: str, framework: str | None = None) -> str:
    """The framework asked for, or the one the model was published in.

    Raises:
        ValueError: the model is not written in that framework.
    """
    known = model_info(name).frameworks
    return one_of(f"framework of {name}", framework or known[0], known)


def build(name: str, framework: str | None = None, *, seed=None, **arguments):
    """A new, untrained network.

    Args:
        name: one of `MODELS` or `FURTHER_MODELS`.
        framework: "keras" or "pytorch"; by default the one that the model
            was published in.
        seed: of the initial weights, a whole number; None leaves it to chance.
        arguments: of the model's own function, such as `dropout=True`.

    Returns:
        A `keras.Model` (images [n, 28, 28, 1] to probabilities [n, 10]) or a
        `torch.nn.Module` (images [n, 1, 28, 28] to logits [n, 10]).

    Raises:
        ValueError: no such model, or not in that framework; a value out of range.
        TypeError: an argument that the model does not take, or of another type.

    >>> import tradeoffs
    >>> network = tradeoffs.build("small_net", kernel_size=5, seed=0)
    >>> sum(weights.numel() for weights in network.parameters())
    598
    """
    framework = framework_for(name, framework)
    if seed is not None:
        whole_number("seed", seed, least=0, most=2**32 - 1)
    page = importlib.import_module(f"tradeoffs.models.{framework}")
    return page.seeded(getattr(page, name), seed, **plain(arguments))


def as_recorded(model, name: str, **arguments) -> bool:
    """Whether a network has the layers of a named one; weights and names may differ.

    Args:
        model: an `nn.Sequential`, or a `keras.Model` that has seen an input.
        name: one of `MODELS` or `FURTHER_MODELS`.
        arguments: of the named model's function.

    >>> import tradeoffs
    >>> network = tradeoffs.build("gap_cnn", dropout=True)
    >>> tradeoffs.as_recorded(network, "gap_cnn")
    False
    >>> tradeoffs.as_recorded(network, "gap_cnn", dropout=True)
    True
    """
    framework = framework_of(model)
    page = importlib.import_module(f"tradeoffs.models.{framework}")
    named = build(name, framework, **arguments)
    return page.layers_of(model) == page.layers_of(named)


def parameters_by_layer(model) -> dict[str, int]:
    """The parameters of each layer, by its name and kind; see `as_recorded`.

    >>> import tradeoffs
    >>> layers = tradeoffs.parameters_by_layer(tradeoffs.build("small_net"))
    >>> layers["conv1 Conv2d"], sum(layers.values())
    (50, 518)
    """
    if framework_of(model) == "keras":
        from tradeoffs.models.keras import count_parameters as count

        found, seen, total = {}, frozenset(), count(model)
        for layer in model.layers:
            found[layer.name] = count(layer, seen)
            seen |= {*map(id, layer.weights)}
    else:
        found, seen = {}, set()  # what is shared is of the first that has it
        for name, layer in model.named_children():
            own = [p for p in layer.parameters() if id(p) not in seen]
            found[f"{name} {type(layer).__name__}"] = sum(p.numel() for p in own)
            seen.update(map(id, own))
        total = sum(p.numel() for p in model.parameters())
    rest = total - sum(found.values())
    return found | ({"(the model's own)": rest} if rest else {})
