"""Recurrent networks: a language model, and a classifier of texts."""

from typing import Any

import torch
from torch import Tensor, nn

# What a language model hands on from one batch to the next: tensors of which dimension 1 is the
# batch, so that a part of a batch is a part of each.
State = tuple[Tensor, ...]


class LSTMLanguageModel(nn.Module):
    """Predict each next word: embedding, layers of LSTM, a linear decoder; no dropout.

    The model of Daley & Amato (section 4.2) after the small one of Zaremba et al. (2014, section
    4.1). With one layer, 200 units and 10,000 words it has 4,331,600 parameters: PyTorch's LSTM has
    two bias vectors for each gate, and 800 parameters fewer would do. The initial weights are
    torch's defaults: Daley & Amato name none.

    Args:
        words: size of the vocabulary.
        layers: of LSTM, one or more.
        units: of each layer, and numbers in a word's embedding.

    Raises:
        ValueError: fewer than one layer.
    """

    def __init__(self, words: int, layers: int, units: int):
        super().__init__()
        check_layers(layers)
        self.embedding = nn.Embedding(words, units)
        self.lstm = nn.LSTM(units, units, layers, batch_first=True)
        self.decoder = nn.Linear(units, words)

    def start(self, batch_size: int) -> State:
        """The state before the first word: zeros (layers, batch, units), hidden and cell."""
        shape = (self.lstm.num_layers, batch_size, self.lstm.hidden_size)
        zeros = self.decoder.weight.new_zeros(shape)
        return zeros, zeros.clone()

    def forward(self, tokens: Tensor, state: State, activations: bool = False) -> Any:
        """(batch, steps) and a state → logits (batch, steps, words) and the state after them.

        With `activations`, also the last layer's outputs (batch, steps, units), twice: no dropout
        makes others of them.
        """
        hidden, cell = state
        output, state = self.lstm(self.embedding(tokens), (hidden, cell))
        outputs = (output, output) if activations else ()
        return self.decoder(output), state, *outputs


class LSTMClassifier(nn.Module):
    """Tell two classes of texts apart by the LSTM's output at the last word; one layer.

    Args:
        words: size of the vocabulary.
        dimensions: numbers in a word's embedding, which is trained.
        units: of the LSTM.
    """

    def __init__(self, words: int, dimensions: int, units: int):
        super().__init__()
        self.embedding = nn.Embedding(words, dimensions)
        self.lstm = nn.LSTM(dimensions, units, batch_first=True)
        self.decoder = nn.Linear(units, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Texts (batch, steps) of these lengths (batch,), from 1 on → logits (batch,).

        Words behind a text's length are padding, and change nothing.
        """
        output, _ = self.lstm(self.embedding(tokens))
        last = output[torch.arange(len(output), device=output.device), lengths - 1]
        return self.decoder(last).squeeze(1)


def check_layers(layers: int) -> None:
    if layers < 1:
        raise ValueError(f"layers={layers}: must be 1 or more")
