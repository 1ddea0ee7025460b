"""The AWD-LSTM language model: LSTM layers under five kinds of dropout."""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from models.lstm import State, check_layers


class AWDLSTM(nn.Module):
    """Predict each next word with the regularised LSTM of Merity, Keskar & Socher (2018).

    Sections 2 and 4 of that paper: the weights between a layer's own states are dropped (one mask
    for a batch); dropout of inputs and outputs keeps one mask for all steps of a sequence; dropout
    of embeddings takes whole words out of a batch; the decoder's weights are the embedding's.

    With 10,000 words, embeddings of 400 numbers and 1,150 units it has 24,221,600 parameters in
    three layers and 13,632,400 in two; each gate has two bias vectors, as in PyTorch.

    Sequences of random lengths, and the penalties on activations and on their changes (sections 4.1
    and 4.6), are those of `tasks.Ptb`.

    Args:
        words: size of the vocabulary.
        layers: of LSTM, one or more; the last one has as many units as an embedding has numbers.
        embedding: numbers in a word's embedding.
        units: of each layer but the last.
        embedding_bound: initial embeddings are uniform between it and its negative; other weights
            begin as torch's defaults, which are the paper's (section 5).
        word_dropout: share of words that a batch goes without.
        input_dropout: share of each embedding's numbers that are zero for a sequence.
        between_dropout: the same for the outputs of all layers but the last.
        output_dropout: the same for the outputs of the last layer.
        weight_dropout: share of the weights between a layer's own states that are zero for a batch.

    Raises:
        ValueError: fewer than one layer.
    """

    def __init__(
        self,
        words: int,
        layers: int,
        *,
        embedding: int,
        units: int,
        embedding_bound: float,
        word_dropout: float,
        input_dropout: float,
        between_dropout: float,
        output_dropout: float,
        weight_dropout: float,
    ):
        super().__init__()
        check_layers(layers)
        sizes = [embedding, *[units] * (layers - 1), embedding]
        self.embedding = nn.Embedding(words, embedding)
        self.layers = nn.ModuleList(nn.LSTM(a, b, batch_first=True) for a, b in pairwise(sizes))
        self.sizes = sizes[1:]
        self.bias = nn.Parameter(torch.zeros(words))
        nn.init.uniform_(self.embedding.weight, -embedding_bound, embedding_bound)
        self.word_dropout = word_dropout
        self.input_dropout = input_dropout
        self.weight_dropout = weight_dropout
        self.layer_dropouts = [between_dropout] * (layers - 1) + [output_dropout]

    def start(self, batch_size: int) -> State:
        """The state before the first word: zeros (1, batch, units), two for each layer."""
        shapes = [(1, batch_size, size) for size in self.sizes for _ in ("hidden", "cell")]
        return tuple(self.bias.new_zeros(shape) for shape in shapes)

    def forward(self, tokens: Tensor, state: State, activations: bool = False) -> Any:
        """(batch, steps) and a state → logits (batch, steps, words) and the state after them.

        With `activations`, also the last layer's outputs (batch, steps, units) before and after
        their dropout.
        """
        x = self.locked_dropout(self.embed(tokens), self.input_dropout)
        next_state: list[Tensor] = []
        pairs = zip(state[::2], state[1::2], strict=True)  # hidden and cell of each layer
        for layer, dropout, pair in zip(self.layers, self.layer_dropouts, pairs, strict=True):
            plain, pair = functional_call(layer, self.dropped_weights(layer), (x, pair))
            x = self.locked_dropout(plain, dropout)
            next_state += pair
        logits = F.linear(x, self.embedding.weight, self.bias)
        outputs = (plain, x) if activations else ()
        return logits, tuple(next_state), *outputs

    def embed(self, tokens: Tensor) -> Tensor:
        mask = F.dropout(self.bias.new_ones(len(self.bias), 1), self.word_dropout, self.training)
        return self.embedding(tokens) * mask[tokens]

    def locked_dropout(self, x: Tensor, dropout: float) -> Tensor:
        """Dropout of x (batch, steps, units) with one mask for all steps of a sequence."""
        mask = F.dropout(x.new_ones(len(x), 1, x.shape[2]), dropout, self.training)
        return x * mask

    def dropped_weights(self, layer: nn.Module) -> dict[str, Tensor]:
        """The layer's weights between its own states, some of them dropped in this batch."""
        name = "weight_hh_l0"
        return {name: F.dropout(layer.get_parameter(name), self.weight_dropout, self.training)}
