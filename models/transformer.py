"""The encoder-decoder of Vaswani et al. (2017), as fairseq trains it for translation.

Our own, because none of a library's matches: torch.nn.Transformer has other first weights, dropout
within attention and no cached decoding, and FSMT of transformers learns no two vocabularies of
different sizes from scratch with fairseq's first weights.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD = 0  # the number of the word that fills up short sentences, in every vocabulary

# Keys and values of attention: (batch, heads, steps, width / heads) each.
KeysValues = tuple[Tensor, Tensor]


@dataclass
class Decoding:
    """What the decoder has read so far of a batch of sentences, so that it reads each word once.

    Attributes:
        mask: which words of the sources are no padding, (batch, 1, 1, source steps).
        sources: keys and values of the sources, for each layer.
        targets: keys and values of the target words read so far, for each layer.
    """

    mask: Tensor
    sources: list[KeysValues]
    targets: list[KeysValues]

    @property
    def steps(self) -> int:
        """Target words read so far."""
        return self.targets[0][0].shape[2]

    def choose(self, indices: Tensor) -> "Decoding":
        """The state of these sentences, in this order; one may be there several times."""

        def chosen(layers: list[KeysValues]) -> list[KeysValues]:
            return [(keys[indices], values[indices]) for keys, values in layers]

        return Decoding(self.mask[indices], chosen(self.sources), chosen(self.targets))


class Transformer(nn.Module):
    """Post-norm layers, fixed sinusoidal positions, output embedding tied to the decoder's input.

    Dropout falls on the sum of word and position and on what each sublayer adds, as fairseq's does
    with attention and activation dropout at 0. First weights are those of fairseq's earlier
    versions: 0.12 leaves the feed-forward layers at torch's own.

    Args:
        source_words: size of the source vocabulary.
        target_words: of the target's.
        width: of every layer's output.
        layers: of the encoder and of the decoder, so many each.
        heads: of attention, which divide half of `width`.
        feedforward: hidden units of the feed-forward sublayers.
        dropout: probability.
        shared: whether the encoder's embedding is tied, too; there is one vocabulary then.

    Raises:
        ValueError: a size is too small, `heads` does not divide half of `width`, or a shared
            vocabulary has two sizes.
    """

    encoder: Any  # a list of EncoderLayer, and the decoder's of DecoderLayer
    decoder: Any

    def __init__(
        self,
        *,
        source_words: int,
        target_words: int,
        width: int,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float,
        shared: bool,
    ):
        super().__init__()
        for name, value in (("layers", layers), ("heads", heads), ("feedforward", feedforward)):
            if value < 1:
                raise ValueError(f"{name}={value}: must be 1 or more")
        if width < 4 or width % (2 * heads):
            raise ValueError(
                f"width={width}, heads={heads}: width must be a multiple of 2 × heads, 4 or more"
            )
        if shared and source_words != target_words:
            raise ValueError(
                f"source_words={source_words}, target_words={target_words}: a shared vocabulary "
                "must have one size"
            )
        sizes = width, heads, feedforward, dropout
        self.target_embedding = make_embedding(target_words, width)
        self.source_embedding = (
            self.target_embedding if shared else make_embedding(source_words, width)
        )
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, sources: Tensor, decoder_inputs: Tensor) -> Tensor:
        """Logits of each target word (batch, target steps, target words).

        Args:
            sources: words (batch, source steps), PAD behind the end.
            decoder_inputs: the word before each target word, (batch, target steps), PAD behind
                the end.
        """
        state = self.start(sources)
        return self.read(decoder_inputs, state)[0]

    def start(self, sources: Tensor) -> Decoding:
        """Encode the sources; no target word is read yet."""
        mask = (sources != PAD)[:, None, None, :]
        x = self.embed(self.source_embedding, sources, 0)
        for layer in self.encoder:
            x = layer(x, mask)
        encoded = [layer.across.project(x) for layer in self.decoder]
        nothing = [(keys[:, :, :0], values[:, :, :0]) for keys, values in encoded]
        return Decoding(mask, encoded, nothing)

    def read(self, words: Tensor, state: Decoding) -> tuple[Tensor, Decoding]:
        """Read the next target words (batch, steps): the logits of those after them, the new state.

        Several at a time are read from the beginning only.
        """
        x = self.embed(self.target_embedding, words, state.steps)
        targets = []
        for layer, source, target in zip(self.decoder, state.sources, state.targets, strict=True):
            x, target = layer(x, target, source, state.mask)
            targets.append(target)
        logits = F.linear(x, self.target_embedding.weight)
        return logits, Decoding(state.mask, state.sources, targets)

    def embed(self, embedding: nn.Embedding, words: Tensor, first: int) -> Tensor:
        width = embedding.embedding_dim
        positions = torch.arange(first, first + words.shape[1], device=words.device)
        return self.dropout(math.sqrt(width) * embedding(words) + sinusoids(positions, width))


class EncoderLayer(nn.Module):
    """Attention of every word to all of its sentence, then a feed-forward network on each.

    `own` is self-attention; checkpoints know it by this name.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.own, self.own_norm = Attention(width, heads), nn.LayerNorm(width)
        self.feedforward = FeedForward(width, feedforward)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.own_norm(x + self.dropout(self.own(x, self.own.project(x), mask)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class DecoderLayer(nn.Module):
    """Attention to the target words so far, then to the source, then a feed-forward network.

    `own` is self-attention, `across` is cross-attention; checkpoints know them by these names.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.own, self.own_norm = Attention(width, heads), nn.LayerNorm(width)
        self.across, self.across_norm = Attention(width, heads), nn.LayerNorm(width)
        self.feedforward = FeedForward(width, feedforward)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, target: KeysValues, source: KeysValues, mask: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """The words' new vectors, and keys and values of all target words up to them."""
        pairs = zip(target, self.own.project(x), strict=True)
        keys, values = (torch.cat(pair, 2) for pair in pairs)
        # Padding stands behind the target's end, so that no word before it attends to it.
        attended = self.own(x, (keys, values), causal=x.shape[1] > 1)
        x = self.own_norm(x + self.dropout(attended))
        x = self.across_norm(x + self.dropout(self.across(x, source, mask)))
        x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return x, (keys, values)


class Attention(nn.Module):
    """Scaled dot-product attention of several heads."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value):
            # As if the three were one matrix; their biases keep torch's first values.
            nn.init.xavier_uniform_(layer.weight, gain=1 / math.sqrt(2))
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def project(self, x: Tensor) -> KeysValues:
        """Keys and values of words (batch, steps, width)."""
        return self.split_heads(self.key(x)), self.split_heads(self.value(x))

    def forward(
        self, x: Tensor, keys_values: KeysValues, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """What words (batch, steps, width) take from those that they attend to.

        Args:
            x: the words that attend.
            keys_values: of the words that they attend to.
            mask: which of these count, or None: all.
            causal: whether each word attends only to those up to its own position.
        """
        attended = F.scaled_dot_product_attention(
            self.split_heads(self.query(x)), *keys_values, attn_mask=mask, is_causal=causal
        )
        return self.output(attended.transpose(1, 2).flatten(2))

    def split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers with ReLU between."""

    def __init__(self, width: int, hidden: int):
        first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        super().__init__(first, nn.ReLU(), second)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def make_embedding(words: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(words, width, padding_idx=PAD)
    with torch.no_grad():
        embedding.weight.normal_(std=width**-0.5)
        embedding.weight[PAD] = 0
    return embedding


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Vectors (steps, width) of positions from 0 on: sines in the first half, then cosines.

    Vaswani et al. interleave them; fairseq does not, and begins with position 2.
    """
    half = width // 2
    exponents = torch.arange(half, device=positions.device) * (-math.log(10000) / (half - 1))
    angles = (positions[:, None] + 2) * torch.exp(exponents)
    return torch.cat([angles.sin(), angles.cos()], 1)
