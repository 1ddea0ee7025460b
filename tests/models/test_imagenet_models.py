"""Torchvision's networks, by name."""

import pytest
import torch

from models import imagenet_model


@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_689_512), ("vgg16_bn", 138_365_992)])
def test_torchvisions_networks(name, count):
    with torch.device("meta"):
        model = imagenet_model(name, classes=1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_first_weights_are_drawn_and_not_trained():
    torch.manual_seed(0)
    one = imagenet_model("resnet18", classes=3)
    torch.manual_seed(0)
    same, other = (imagenet_model("resnet18", classes=3) for _ in range(2))
    assert torch.equal(one.conv1.weight, same.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)
    assert one.fc.out_features == 3


def test_a_network_that_is_none_is_refused():
    with pytest.raises(ValueError, match="resnet19"):
        imagenet_model("resnet19", classes=10)
