import numpy as np
import pytest
import torch
from torch import nn

import tradeoffs


def test_dead_units_are_those_that_no_image_makes_positive():
    first, second = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)
    network = nn.Sequential(
        first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), second, nn.LeakyReLU()
    ).train()
    with torch.no_grad():
        first.bias.copy_(torch.tensor([100.0, -100.0, 100.0]))
        second.weight.fill_(1.0)
        second.bias.copy_(torch.tensor([0.0, -1e4]))
    dead = tradeoffs.dead_units(network, torch.rand(4, 1, 28, 28))
    assert dead.tolist() == [False, True, False, False, True]
    assert network.training
    assert not network[1]._forward_hooks


def test_unit_that_one_image_of_many_revives_is_not_dead():
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.ReLU())
    with torch.no_grad():
        network[1].weight.fill_(1.0)
        network[1].bias.fill_(-500.0)
    images = torch.zeros(3, 1, 28, 28)
    assert tradeoffs.dead_units(network, images).tolist() == [True]
    images[2] = 1.0
    assert tradeoffs.dead_units(network, images).tolist() == [False]


def test_network_without_a_rectifier_has_none_to_count():
    with pytest.raises(ValueError, match="no ReLU or LeakyReLU"):
        tradeoffs.dead_units(nn.Linear(2, 2), torch.rand(1, 2))


def test_trained_small_net_has_units_that_live(mnist):
    images = torch.tensor(mnist.test_images[:500]).unsqueeze(1).float() / 255
    dead = tradeoffs.dead_units(tradeoffs.build("small_net", seed=0), images)
    assert dead.shape == (13,)
    assert dead.dtype == np.bool_
