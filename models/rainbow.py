"""Rainbow's network: convolutions, noisy layers, and a distribution of returns for each action."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dqn import SIDE, brightness, trunk


class NoisyLinear(nn.Module):
    """A linear layer whose weights and biases are μ + σ·ε, with learnt μ and σ and factorised ε.

    Fortunato et al. (2018), section 3: ε of a weight is f(ε_out)·f(ε_in), that of a bias f(ε_out),
    with f(x) = sgn(x)·√|x|. First, μ is from U(-1/√inputs, 1/√inputs) and σ is `sigma`/√inputs. In
    evaluation mode the noise is left out.

    The noise is drawn by `draw_noise` alone, is 0 before, and is part of the module's state.

    Args:
        inputs: size of each input.
        outputs: size of each output.
        sigma: σ₀; 0.5 in the paper.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, inputs: int, outputs: int, sigma: float):
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))
        self.register_buffer("noise_in", torch.zeros(inputs))
        self.register_buffer("noise_out", torch.zeros(outputs))

    def draw_noise(self, generator: torch.Generator) -> None:
        """Draw new noise from a generator of the CPU, so that every device gets the same."""
        for noise in (self.noise_in, self.noise_out):
            normal = torch.randn(len(noise), generator=generator)
            scaled = normal.sign() * normal.abs().sqrt()
            # From pinned memory, so that no step waits for the copy.
            noise.copy_(scaled.pin_memory() if noise.is_cuda else scaled, non_blocking=True)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, inputs) → (batch, outputs)."""
        output = F.linear(input, self.weight, self.bias)
        if not self.training:
            return output
        # Noise of rank one, put on inputs and outputs: no noisy copy of the weights is made.
        noisy = F.linear(input * self.noise_in, self.weight_sigma, self.bias_sigma)
        return output + noisy * self.noise_out


class Rainbow(nn.Module):
    """Log-probabilities of returns from the last four frames: Hessel et al. (2018).

    The convolutions are those of Mnih et al. (2015); each stream has one hidden noisy layer. With 4
    actions there are 6,764,190 parameters, and 3,499,576 without the second stream.

    Args:
        actions: number of actions.
        padding: "valid" (none, as Mnih et al.) or "same".
        atoms: number of returns that each action's distribution gives probabilities to.
        duelling: whether there is a stream for the state's value and one for the actions'
            advantages over their mean (Wang et al. 2016); else, one for the actions.
        sigma: σ₀ of the noisy layers.
        side: of a frame, in pixels.
        channels: of the three convolutions.
        hidden: units of a stream's hidden layer.

    Raises:
        ValueError: an unknown padding, not three channels, none of something, frames that are too
            small for the convolutions, fewer than two atoms, or a negative sigma.
    """

    def __init__(
        self,
        actions: int,
        padding: str,
        *,
        atoms: int,
        duelling: bool,
        sigma: float,
        side: int = SIDE,
        channels: Sequence[int] = (32, 64, 64),
        hidden: int = 512,
    ):
        super().__init__()
        for name, value, least in (("atoms", atoms, 2), ("hidden", hidden, 1), ("sigma", sigma, 0)):
            if value < least:
                raise ValueError(f"{name}={value}: must be {least} or more")
        self.atoms = atoms
        convolutions, features = trunk(padding, side, channels)
        self.features = nn.Sequential(*convolutions)
        self.advantage = stream(features, hidden, actions * atoms, sigma)
        self.value = stream(features, hidden, atoms, sigma) if duelling else None

    def draw_noise(self, generator: torch.Generator) -> None:
        for layer in self.modules():
            if isinstance(layer, NoisyLinear):
                layer.draw_noise(generator)

    def forward(self, frames: Tensor) -> Tensor:
        """Bytes (batch, 4, side, side) → log-probabilities (batch, actions, atoms)."""
        features = self.features(brightness(frames))
        logits = self.advantage(features).unflatten(1, (-1, self.atoms))
        if self.value is not None:
            logits = logits - logits.mean(1, keepdim=True) + self.value(features)[:, None]
        return logits.log_softmax(2)


def stream(features: int, hidden: int, outputs: int, sigma: float) -> nn.Sequential:
    return nn.Sequential(
        NoisyLinear(features, hidden, sigma), nn.ReLU(), NoisyLinear(hidden, outputs, sigma)
    )
