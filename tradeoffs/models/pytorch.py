"""The networks in PyTorch: the published CNN, its slimmed heirs, the ports.

All take images [n, 1, 28, 28] and return logits [n, 10]. Source of
`pytorch_cnn`: the `mnist` example of PyTorch as it stood when the article was
written; of `gap_cnn` and `small_net`: the article.
"""

import contextlib
import copy

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tradeoffs.checks import one_of, whole_number
from tradeoffs.frameworks import RANDOM_NUMBERS
from tradeoffs.models import pytorch_cnn_features
from tradeoffs.models.tiny import checked_filters, sequence, small_net, tiny  # noqa: F401


def layers_of(network):
    """The kind of a network, and each layer's with its settings."""
    if any(map(is_lazy, network.parameters())):  # an image tells it its sizes
        network = copy.deepcopy(network).eval()
        kept = torch.random.fork_rng(devices=[])
        with RANDOM_NUMBERS, kept, contextlib.suppress(Exception):  # it takes no such
            network(torch.zeros(1, 1, 28, 28))
    kind = nn.Sequential if isinstance(network, nn.Sequential) else type(network)
    # Not `children`, which has a layer that comes twice once.
    return kind, [str(layer) for layer in network._modules.values()]


def seeded(builder, seed=None, **arguments):
    """Call a function that builds a network, its first weights drawn from a seed."""
    if seed is None:
        return builder(**arguments)
    kept = torch.random.fork_rng(devices=[])  # the reader's GPU is left alone
    with RANDOM_NUMBERS, kept:
        torch.default_generator.manual_seed(seed)
        return builder(**arguments)


def with_weights(network, arrays):
    """A network with the weights of a state, a NumPy array each, for inference."""
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    network.load_state_dict(state)
    return network.eval()


def pytorch_cnn(*, side: int = 28, padding: int = 0):
    """The CNN of PyTorch's MNIST example: 21,840 parameters.

    As published, the rectifier follows the pool.

    Args:
        side: of the images, in pixels.
        padding: zeros around what each convolution is given; with 2 it keeps the
            size, so that images of 7 pixels fit too.
    """
    return sequence(
        conv1=nn.Conv2d(1, 10, 5, padding=padding),
        pool1=nn.MaxPool2d(2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(10, 20, 5, padding=padding),
        dropout2d=nn.Dropout2d(),
        pool2=nn.MaxPool2d(2),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        linear1=nn.Linear(pytorch_cnn_features(side, padding), 50),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(),
        linear2=nn.Linear(50, 10),
    )


def gap_cnn(*, dropout: bool = False, filters: tuple[int, int] = (10, 20)):
    """The PyTorch CNN with its linear layers gone: 7,090 parameters.

    One convolution and global average pooling replace both linear layers.

    Args:
        dropout: keep the 2-d dropout of the PyTorch CNN; the article's numbering
            of the layers fits only the network without it.
        filters: of the first two convolutions.

    Raises:
        TypeError, ValueError: a value is not allowed.
    """
    first, second = checked_filters(filters, "two whole numbers, such as (10, 20)", 2)
    one_of("dropout", dropout, (True, False))
    return sequence(
        conv1=nn.Conv2d(1, first, 5),
        pool1=nn.MaxPool2d(2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(first, second, 5),
        dropout2d=nn.Dropout2d() if dropout else None,
        pool2=nn.MaxPool2d(2),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(second, 10, 3),
        gap=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
    )


def keras_mlp(*, num_inputs: int = 784):
    """The Keras MLP in PyTorch, with Keras' initial weights.

    Args:
        num_inputs: values of one input.
    """
    return _with_keras_initial_weights(
        sequence(
            flatten=nn.Flatten(),
            dense1=nn.Linear(whole_number("num_inputs", num_inputs), 512),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(0.2),
            dense2=nn.Linear(512, 512),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(0.2),
            dense3=nn.Linear(512, 10),
        )
    )


def keras_cnn():
    """The Keras CNN in PyTorch, with Keras' initial weights.

    Keras rectifies before the pool. A maximum and a rectifier commute, in
    value and in gradient, and after the pool there is a quarter to rectify.
    """
    return _with_keras_initial_weights(
        sequence(
            conv1=nn.Conv2d(1, 32, 3),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(32, 64, 3),
            pool=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            dropout1=nn.Dropout(0.25),
            flatten=nn.Flatten(),
            dense1=nn.Linear(64 * 12 * 12, 128),
            relu3=nn.ReLU(),
            dropout2=nn.Dropout(0.5),
            dense2=nn.Linear(128, 10),
        )
    )


def _with_keras_initial_weights(network):
    for layer in network:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def for_input(network, input_shape):
    """A network of this page, rebuilt for inputs of another size.

    Linear layers are made as wide as what reaches them. For volumes, layers
    for pictures become their like with as many dimensions and the same sizes.

    Args:
        network: an `nn.Sequential`.
        input_shape: of one input, [channels, *sizes], without the batch.

    Returns:
        A new `nn.Sequential`, with the layers that fit as they are.
    """
    if len(input_shape) not in (3, 4):
        raise ValueError(f"{input_shape} is no [channels, *sizes] of 2 or 3 dimensions")
    rebuilt, passing = {}, torch.empty(2, *input_shape)
    for name, layer in network.named_children():
        layer = _with_dimensions(layer, len(input_shape) - 1)
        if isinstance(layer, nn.Linear) and layer.in_features != passing.shape[1]:
            layer = nn.Linear(passing.shape[1], layer.out_features)
        rebuilt[name] = layer
        passing = layer(passing)
    return sequence(**rebuilt)


def _with_dimensions(layer, dimensions):
    kind = type(layer).__name__
    if not kind.endswith("2d") or dimensions == 2:
        return layer
    make = getattr(nn, kind.replace("2d", f"{dimensions}d"))
    # In the order of arguments; none of our layers has two of the last three.
    names = "in_channels", "out_channels", "num_features", "kernel_size", "output_size"
    sizes = [getattr(layer, name) for name in names if hasattr(layer, name)]
    return make(*(size[0] if isinstance(size, tuple) else size for size in sizes))
