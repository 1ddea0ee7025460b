import pytest
import torch

from models import DQN, FlatDQN


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_sizes():
    assert count(DQN(4)) == 1_686_180
    assert count(DQN(4, padding="same")) == 4_045_476  # the paper: nearly 4 million
    assert count(DQN(18)) - count(DQN(4)) == 14 * 513


@pytest.mark.parametrize("side", [36, 42, 84])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_bytes_are_seen_as_fractions(padding, side):
    model = DQN(3, padding, side, channels=(2, 3, 4), hidden=5)
    frames = torch.randint(0, 256, (2, 4, side, side), dtype=torch.uint8)
    before = frames.clone()
    values = model(frames)
    assert values.shape == (2, 3)
    assert torch.equal(frames, before)
    torch.testing.assert_close(values, torch.nn.Sequential.forward(model, frames / 255))


def test_frames_and_convolutions_are_in_channels_last_order():
    model, seen = DQN(4), []
    for layer in list(model)[:6]:
        layer.register_forward_hook(lambda _, given, out: seen.extend([*given, out]))
    model(torch.zeros(2, 4, 84, 84, dtype=torch.uint8))
    weights = [p for p in model.parameters() if p.ndim == 4]
    assert len(seen) == 12 and len(weights) == 3
    for tensor in seen + weights:
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_an_unknown_padding():
    with pytest.raises(ValueError, match="padding=full: must be one of valid, same"):
        DQN(4, padding="full")


def test_frames_that_are_too_small():
    with pytest.raises(ValueError, match="side=35: frames are too small for the three convolu"):
        DQN(4, side=35)


def test_another_number_of_channels():
    with pytest.raises(ValueError, match=r"channels=\[2, 2\]: must be 3 numbers above 0"):
        DQN(4, channels=[2, 2])
    with pytest.raises(ValueError, match=r"channels=\[2, 0, 2\]: must be 3 numbers above 0"):
        DQN(4, channels=[2, 0, 2])


def test_a_hidden_layer_of_nothing():
    with pytest.raises(ValueError, match="hidden=0: must be 1 or more"):
        DQN(4, hidden=0)


def test_a_flat_network_is_two_hidden_layers_of_120_and_84():
    # 4·120 + 120, 120·84 + 84 and 84·2 + 2.
    model = FlatDQN(4, 2)
    assert count(model) == 10_934
    assert [type(layer) for layer in model][1::2] == [torch.nn.ReLU] * 2
    states = torch.randn(5, 1, 4)
    values = model(states)
    assert values.shape == (5, 2)
    torch.testing.assert_close(values, torch.nn.Sequential.forward(model, states[:, 0]))


def test_a_flat_network_without_hidden_layers_is_linear():
    assert count(FlatDQN(4, 2, hidden=[])) == 10
    with pytest.raises(ValueError, match=r"hidden=\[8, 0\]: must be numbers above 0"):
        FlatDQN(4, 2, hidden=[8, 0])
