"""RoBERTa as it is pre-trained: the words that were masked are to be found."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import positions
from models.transformers_import import transformers


class MaskedLM(nn.Module):
    """RoBERTa with its head, which looks at the chosen tokens only; input and output are tied.

    Attributes:
        positions: tokens that a text may have.

    Args:
        words: tokens in the vocabulary.
        sizes: what transformers' config is to say beside.
    """

    def __init__(self, words: int, sizes: Mapping[str, Any]):
        super().__init__()
        library = transformers()
        config = library.RobertaConfig(vocab_size=words, **sizes)
        self.network = library.RobertaForMaskedLM(config)
        self.padding = config.pad_token_id
        self.positions = positions(config)

    def forward(self, tokens: Tensor, lengths: Tensor, chosen: Tensor) -> Tensor:
        """Logits (chosen tokens, words).

        Args:
            tokens: (batch, steps); what is behind a text's end does not matter.
            lengths: tokens of each text, (batch,).
            chosen: which tokens are to be found, (batch, steps).
        """
        inside = torch.arange(tokens.size(1), device=tokens.device) < lengths[:, None]
        tokens = tokens.where(inside, self.padding)
        states = self.network.roberta(tokens, attention_mask=inside.long()).last_hidden_state
        return self.network.lm_head(states[chosen])
