"""Residual networks against torchvision's, and against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models import CifarResNet, ResNet
from models.torchvision_import import torchvision

SHAPES = {"resnet18": ("basic", (2, 2, 2, 2)), "resnet50": ("bottleneck", (3, 4, 6, 3))}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_173_962), ("resnet50", 23_520_842)]
)
def test_parameters(name, parameters):
    with torch.device("meta"):
        model = ResNet(*SHAPES[name], classes=10)
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert count(model) == parameters


def test_a_quarter_of_the_channels():
    with torch.device("meta"):
        model = ResNet(*SHAPES["resnet18"], classes=10, base=16)
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    channels = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert sorted(set(channels)) == [16, 32, 64, 128]


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_torchvisions_but_for_the_stem(name):
    torch.manual_seed(0)
    ours = ResNet(*SHAPES[name], classes=10).eval()
    theirs = getattr(torchvision().models, name)(num_classes=10).eval()
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    # Both list their tensors in the order in which an image meets them.
    pairs = zip(theirs.state_dict(), ours.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(pairs))
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_another_kind_of_block_is_refused():
    with pytest.raises(ValueError, match="block=wide: must be basic or bottleneck"):
        ResNet("wide", (1,), classes=2)


# -- for CIFAR -------------------------------------------------------------------------------------


def test_resnet20_has_a_quarter_of_a_million_parameters():
    model = CifarResNet(20, classes=10)
    # Convolutions, batch norms (two numbers a channel) and the last layer.
    convolutions = 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert count(model) == convolutions + norms + 650 == 269_722
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == 20


def test_resnet20_with_projections_is_that_of_laprops_footnote_8():
    """Two 1×1 convolutions more, from 16 to 32 and from 32 to 64 channels, with batch norms."""
    model = CifarResNet(20, classes=10, shortcut="projection")
    assert count(model) == 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64) == 272_474
    added = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert [(m.in_channels, m.out_channels, m.stride) for m in added] == [
        (16, 32, (2, 2)),
        (32, 64, (2, 2)),
    ]
    # As that implementation has it, they begin like all others: N(0, 2 / fan-out).
    assert added[1].weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def reference(model, x, projects):
    """He et al. (2016), section 4.2 and options A and B, in formulas, on the model's numbers."""
    numbers = iter([t for n, t in model.state_dict().items() if "num_batches" not in n])

    def conv_norm(x, stride=1, kernel=3):
        x = F.conv2d(x, next(numbers), stride=stride, padding=kernel // 2)
        scale, shift, mean, var = (next(numbers)[:, None, None] for _ in range(4))
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    x = F.relu(conv_norm(x))
    for stage in range(3):
        for block in range(3):
            stride = 2 if stage > 0 and block == 0 else 1
            y = conv_norm(F.relu(conv_norm(x, stride)))
            if stride == 2 and projects:
                x = conv_norm(x, stride, kernel=1)
            elif stride == 2:
                x = x[:, :, ::2, ::2]
                x = torch.cat([x, torch.zeros_like(x)], dim=1)
            x = F.relu(x + y)
    return x.mean((2, 3)) @ next(numbers).T + next(numbers)


@pytest.mark.parametrize("shortcut", ["padding", "projection"])
def test_resnet20_is_what_its_formulas_say(shortcut):
    torch.manual_seed(0)
    model = CifarResNet(20, classes=10, shortcut=shortcut)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        model(images)  # running statistics other than 0 and 1
        model.eval()
        wanted = reference(model, images, projects=shortcut == "projection")
        torch.testing.assert_close(model(images), wanted)


def test_its_convolutions_begin_with_the_variance_of_he_et_al():
    model = CifarResNet(20, classes=10)
    last = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth}: must be 6n"):
        CifarResNet(depth, classes=10)


def test_another_shortcut_is_refused():
    with pytest.raises(ValueError, match="shortcut=zeros: must be padding or projection"):
        CifarResNet(20, classes=10, shortcut="zeros")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResNet("bottleneck", (1, 1), 3),
        lambda: CifarResNet(8, 3),
        lambda: CifarResNet(8, 3, shortcut="projection"),
    ],
)
def test_every_parameter_learns_and_images_keep_their_order_in_memory(make):
    torch.manual_seed(0)
    model = make()
    images = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    orders = []
    for layer in list(model)[:-2]:
        layer.register_forward_hook(
            lambda _, __, out: orders.append(out.is_contiguous(memory_format=torch.channels_last))
        )
    model(images).square().sum().backward()
    assert all(orders) and len(orders) > 3
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
