"""Wide residual networks against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models import WideResNet


def test_wrn_16_4_has_nearly_three_million_parameters():
    with torch.device("meta"):
        model = WideResNet(16, 4, classes=10)
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_748_890


def test_depth_counts_the_convolutions():
    model = WideResNet(16, 1, classes=10)
    kernels = [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)]
    # The stem and 12 in blocks; one stage of the narrow network needs no projection. With these
    # counted once, and the last layer, it is 16 for the paper.
    assert kernels.count((3, 3)) == 13
    assert kernels.count((1, 1)) == 2


def test_a_block_normalises_before_it_convolves():
    torch.manual_seed(0)
    model = WideResNet(10, 2, classes=10)
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        model(images)
        model.eval()
        found = model(images)
        stem, *blocks, norm, _, _, _, last = model
        x = stem(images)
        for block, stride in zip(blocks, (1, 2, 2), strict=True):
            active = F.relu(block.first_norm(x))
            change = F.conv2d(active, block.first.weight, stride=stride, padding=1)
            change = F.relu(block.second_norm(change))
            change = F.conv2d(change, block.second.weight, padding=1)
            # All three blocks change the number of channels.
            x = change + F.conv2d(active, block.shortcut.weight, stride=stride)
        wanted = last(F.relu(norm(x)).mean((2, 3)))
    torch.testing.assert_close(found, wanted)


def test_where_the_shape_stays_the_shortcut_is_the_input_itself():
    block = WideResNet(16, 4, classes=10)[2]
    assert block.shortcut is None
    nn.init.zeros_(block.second.weight)
    x = torch.randn(2, 64, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("depth", [4, 12, 20])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth}: must be 6n"):
        WideResNet(depth, 4, classes=10)
