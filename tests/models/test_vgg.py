"""VGG-16 for small images, with batch norm and with fully connected layers."""

import pytest
import torch
from torch import nn

from models import VGG16

META = torch.device("meta")
FORMS = {
    "batch norm": {"batch_norm": True},
    "fully connected": {"batch_norm": False, "hidden": [4096, 4096], "dropout": 0.5},
}


def kinds(model, kind):
    return [layer for layer in model if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("form", "count"), [("batch norm", 14_728_266), ("fully connected", 33_638_218)]
)
def test_parameters(form, count):
    with META:
        model = VGG16(classes=10, **FORMS[form])
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("base", "plan"),  # configuration D: the channels, and M for a pooling
    [
        ({}, "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
        ({"base": 16}, "16 16 M 32 32 M 64 64 64 M 128 128 128 M 128 128 128 M"),
    ],
)
def test_thirteen_convolutions_in_five_stages(form, base, plan):
    with META:
        model = VGG16(classes=7, **FORMS[form], **base)
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    found = [
        "M" if isinstance(layer, nn.MaxPool2d) else str(layer.out_channels)
        for layer in kinds(model, (nn.Conv2d, nn.MaxPool2d))
    ]
    assert " ".join(found) == plan
    assert all(layer.kernel_size == (3, 3) for layer in kinds(model, nn.Conv2d))


def test_relu_follows_every_layer_but_the_last():
    with META:
        normed, full = (VGG16(classes=10, **form) for form in FORMS.values())
    assert [type(layer) for layer in normed][:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    tail = [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in full][-7:] == tail
    assert [layer.p for layer in kinds(full, nn.Dropout)] == [0.5, 0.5]
    assert len(kinds(normed, nn.ReLU)) == 13 and kinds(full, nn.BatchNorm2d) == []


def test_without_batch_norm_the_signal_reaches_the_end():
    torch.manual_seed(0)
    model = VGG16(classes=10, batch_norm=False)
    features = nn.Sequential(*list(model)[:-1])
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        kept = features(images).std(0).mean()
        for layer in kinds(model, nn.Conv2d):
            layer.reset_parameters()
        lost = features(images).std(0).mean()
    assert kept > 1e-3 > 100 * lost
