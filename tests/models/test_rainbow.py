"""Rainbow's network: its size, the statistics of its noise, and that noise is drawn when asked."""

import math

import pytest
import torch

from models import Rainbow
from models.rainbow import NoisyLinear


def rainbow(actions=3, duelling=True, hidden=8):
    torch.manual_seed(0)
    return Rainbow(actions, "valid", atoms=5, hidden=hidden, duelling=duelling, sigma=0.5)


def draw(seed):
    return torch.Generator().manual_seed(seed)


def frames(count):
    return torch.randint(256, (count, 4, 84, 84), dtype=torch.uint8, generator=draw(0))


# Convolutions 8,224 + 32,832 + 36,928; noisy layers 2·(3136·512 + 512), 2·(512·51·k + 51·k) with k
# the actions in one stream and 1 in the other.
@pytest.mark.parametrize(("duelling", "parameters"), [(True, 6_764_190), (False, 3_499_576)])
def test_the_sizes(duelling, parameters):
    with torch.device("meta"):
        model = Rainbow(4, "valid", atoms=51, duelling=duelling, sigma=0.5)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("duelling", [True, False])
def test_each_action_has_a_distribution(duelling):
    model = rainbow(duelling=duelling)
    model.draw_noise(draw(1))
    output = model(frames(2))
    assert output.shape == (2, 3, 5)
    torch.testing.assert_close(output.exp().sum(2), torch.ones(2, 3))
    output[:, 0].square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_streams_are_a_value_and_advantages_over_their_mean():
    model = rainbow().eval()
    features = model.features(frames(2) / 255)
    advantage = model.advantage(features).view(2, 3, 5)
    value = model.value(features).view(2, 1, 5)
    wanted = (value + advantage - advantage.mean(1, keepdim=True)).log_softmax(2)
    torch.testing.assert_close(model(frames(2)), wanted)


# -- noise -----------------------------------------------------------------------------------------


def test_the_first_weights():
    torch.manual_seed(0)
    layer = NoisyLinear(100, 400, sigma=0.4)
    assert 0.099 < layer.weight.max() <= 0.1 and -0.1 <= layer.weight.min() < -0.099
    # A uniform distribution's standard deviation is its half width by √3.
    assert layer.weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert layer.bias.abs().max() <= 0.1
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        assert (sigma == torch.tensor(0.04)).all()


def test_the_layer_is_one_with_noisy_weights():
    torch.manual_seed(0)
    layer = NoisyLinear(7, 3, sigma=0.5)
    input = torch.randn(2, 7)
    plain = torch.nn.functional.linear(input, layer.weight, layer.bias)
    torch.testing.assert_close(layer(input), plain)  # nothing drawn yet
    layer.draw_noise(draw(1))
    weight = layer.weight + layer.weight_sigma * layer.noise_out[:, None] * layer.noise_in
    bias = layer.bias + layer.bias_sigma * layer.noise_out
    torch.testing.assert_close(layer(input), torch.nn.functional.linear(input, weight, bias))
    assert (layer(input) - plain).abs().max() > 0.01
    torch.testing.assert_close(layer.eval()(input), plain)


def test_the_noise_has_the_statistics_of_the_paper():
    layer, generator = NoisyLinear(50, 40, sigma=0.5), draw(2)
    weights, biases = [], []
    for _ in range(2000):
        layer.draw_noise(generator)
        weights.append(layer.noise_out[:3, None] * layer.noise_in[:3])
        biases.append(layer.noise_out[:3].clone())
    weights, biases = torch.stack(weights), torch.stack(biases)
    # E f(ε)² = E|ε| = √(2/π), and of a product of two the product.
    mean_square = math.sqrt(2 / math.pi)
    assert biases.mean().abs() < 0.03 and weights.mean().abs() < 0.03
    assert biases.square().mean().item() == pytest.approx(mean_square, rel=0.05)
    assert weights.square().mean().item() == pytest.approx(mean_square**2, rel=0.05)
    # E f(ε)⁴ = E ε² = 1.
    assert biases.pow(4).mean().item() == pytest.approx(1, rel=0.08)


def test_noise_is_fixed_by_its_generator_and_kept_in_the_state():
    model, other = rainbow(), rainbow()
    model.draw_noise(draw(3))
    assert not torch.equal(model(frames(1)), other(frames(1)))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(frames(1)), other(frames(1)))
    before = model(frames(1))
    model.draw_noise(draw(4))
    assert not torch.equal(model(frames(1)), before)
    model.draw_noise(draw(3))
    assert torch.equal(model(frames(1)), before)


def test_layers_have_noise_of_their_own():
    model = rainbow(hidden=20)
    model.draw_noise(draw(5))
    layers = [layer for layer in model.modules() if isinstance(layer, NoisyLinear)]
    heads = {tuple(layer.noise_in[:20].tolist()) for layer in layers}
    assert len(layers) == len(heads) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"atoms": 1}, "atoms=1: must be 2 or more"),
        ({"hidden": 0}, "hidden=0: must be 1 or more"),
        ({"sigma": -0.5}, "sigma=-0.5: must be 0 or more"),
    ],
)
def test_sizes_that_cannot_be(given, said):
    with pytest.raises(ValueError, match=said):
        Rainbow(4, "valid", **{"atoms": 51, "duelling": True, "sigma": 0.5, **given})
