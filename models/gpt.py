"""A decoder-only transformer: GPT-2 (Radford et al. 2019), in the form that nanoGPT trains."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STANDARD_DEVIATION = 0.02  # of the first weights


class GPT(nn.Module):
    """Predict each next token: learned positions, layers that normalise first, tied embeddings.

    With 50,304 tokens, a context of 1,024, 12 layers and heads of width 768 and no biases it has
    124,373,760 parameters. First weights are N(0, 0.02²), those of the matrices whose output is
    added to the residual stream N(0, 0.02² / (2·layers)) as in GPT-2 (section 2.3), biases zero.

    Attributes:
        positions: tokens of the longest text that it can read.

    Args:
        words: size of the vocabulary.
        context: the longest text, in tokens.
        layers: each of attention and of a feed-forward network four times as wide.
        heads: of attention, which divide `width`.
        width: of every layer's output.
        dropout: probability, behind the embeddings, on attention and on what each part of a layer
            adds. nanoGPT pre-trains without any.
        bias: whether linear layers and norms have biases, as in GPT-2; nanoGPT trains without.

    Raises:
        ValueError: a size is too small, or `heads` does not divide `width`.
    """

    def __init__(
        self,
        *,
        words: int,
        context: int,
        layers: int,
        heads: int,
        width: int,
        dropout: float = 0.0,
        bias: bool = False,
    ):
        super().__init__()
        for name, value in (("layers", layers), ("heads", heads), ("width", width)):
            if value < 1:
                raise ValueError(f"{name}={value}: must be 1 or more")
        if width % heads:
            raise ValueError(f"heads={heads}: must divide width={width}")
        self.positions = context
        self.embedding = nn.Embedding(words, width)
        self.position_embedding = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(width, heads, dropout, bias) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=bias)
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        """Draw the first weights."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(std=STANDARD_DEVIATION)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()
        for layer in self.layers:
            for name in ("attention.output", "feedforward.2"):
                weight = layer.get_submodule(name).get_parameter("weight")
                weight.normal_(std=STANDARD_DEVIATION / math.sqrt(2 * len(self.layers)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, steps) → logits of the token after each (batch, steps, words)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.embedding(tokens) + self.position_embedding(positions))
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.embedding.weight)


class Layer(nn.Module):
    """Attention to what stands before, then a feed-forward network; each adds to its input."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, bias=bias)
        self.attention = CausalAttention(width, heads, dropout, bias)
        self.feedforward_norm = nn.LayerNorm(width, bias=bias)
        self.feedforward = nn.Sequential(
            nn.Linear(width, 4 * width, bias=bias),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=bias),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class CausalAttention(nn.Module):
    """Attention of each token to itself and those before it, by PyTorch's fused kernels."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.projection = nn.Linear(width, 3 * width, bias=bias)  # queries, keys, values
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        # (batch, steps, 3·width) → three of (batch, heads, steps, width / heads)
        projected = self.projection(x).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(
            queries, keys, values, is_causal=True, dropout_p=dropout
        )
        return self.output(attended.transpose(1, 2).flatten(2))
