"""The fully connected network of the L^p paper, layer by layer."""

import pytest
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


def test_every_layer_learns(device):
    model = MLP([4, 8, 8, 3]).to(device)
    model(torch.randn(5, 4, device=device)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_depth_repeats_the_hidden_widths():
    with torch.device("meta"):
        model = MLP([784, 256, 10], depth=300)
    assert [layer.out_features for layer in list(model)[::2]] == [256] * 300 + [10]
    several = list(MLP([4, 3, 2, 1], depth=2))[::2]
    assert [layer.out_features for layer in several] == [3, 3, 2, 2, 1]
    with pytest.raises(ValueError, match="depth=0: must be 1 or more"):
        MLP([4, 3, 2], depth=0)


def test_kaiming_weights_carry_a_signal_through_hundreds_of_layers():
    torch.manual_seed(0)
    images = torch.randn(64, 784)
    with torch.no_grad():
        kept = MLP([784, 256, 10], depth=200, kaiming=True)(images)
        lost = MLP([784, 256, 10], depth=200)(images)
    assert 0.02 < kept.square().mean().sqrt() < 50
    # PyTorch's own leave the biases of the last layers and nothing of the image.
    assert lost.std(0).max() < 1e-5


def test_kaiming_weights_have_variance_two_over_fan_in_and_biases_are_zero():
    torch.manual_seed(0)
    first, _, second = MLP([784, 256, 10], kaiming=True)
    assert first.weight.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.02)
    assert second.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)
    assert first.bias.eq(0).all()
