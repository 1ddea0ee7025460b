"""The fully connected network of the L^p paper, layer by layer."""

import torch
from torch import nn

from models import MLP


def test_fc2_has_the_parameters_of_two_hidden_layers_of_a_thousand():
    # 784·1000 + 1000, 1000·1000 + 1000 and 1000·10 + 10.
    model = MLP([784, 1000, 1000, 10])
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_796_010


def test_relu_stands_between_the_layers_and_not_behind_the_last():
    kinds = [type(layer) for layer in MLP([4, 3, 3, 2])]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in MLP([4, 2])] == [nn.Linear]


def test_the_logits_are_what_the_weights_say():
    model = MLP([2, 2, 1])
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 1.0]))
        model[2].weight.copy_(torch.tensor([[2.0, 3.0]]))
        model[2].bias.fill_(-10.0)
    # (3, 1): hidden (2, -1) → (2, 0), so 4 - 10; (1, 3): hidden (-2, 3) → (0, 3), so 9 - 10.
    found = model(torch.tensor([[3.0, 1.0], [1.0, 3.0]]))
    assert found.tolist() == [[-6.0], [-1.0]]


def test_every_layer_learns():
    model = MLP([4, 8, 8, 3])
    model(torch.randn(5, 4)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
