"""What several files of tests make; it imports PyTorch."""

from torch import nn

from tradeoffs import Profile


class Calling(nn.Module):
    """A module of some layers, and a function of them and the inputs."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def profile(name, num_parameters, framework="pytorch", **measured):
    """A profile that was not measured."""
    return Profile(
        name=name,
        framework=framework,
        input_shape=(1, 28, 28),
        batch_size=16,
        inference_batch_size=1000,
        threads=1,
        num_parameters=num_parameters,
        file_bytes=4 * num_parameters,
        **measured,
    )
