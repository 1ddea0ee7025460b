"""RoBERTa as it is pre-trained: to predict the words that were masked."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import attention_mask, positions
from models.transformers_import import transformers


class MaskedLM(nn.Module):
    """RoBERTa with its head, at the positions asked for only; input and output are tied.

    Attributes:
        positions: tokens that a text may have.

    Args:
        words: tokens in the vocabulary.
        sizes: the other values of transformers' config.
    """

    def __init__(self, words: int, sizes: Mapping[str, Any]):
        super().__init__()
        library = transformers()
        config = library.RobertaConfig(vocab_size=words, **sizes)
        self.network = library.RobertaForMaskedLM(config)
        self.padding = config.pad_token_id
        self.positions = positions(config)

    def forward(self, tokens: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Logits (targets, words).

        Args:
            tokens: (batch, steps); those behind a text's end do not matter.
            lengths: tokens of each text, (batch,).
            targets: the positions to predict, in the flattened tokens, (targets,). Not a mask: its
                number of logits would be known to the GPU alone, and the CPU would wait for it.
        """
        inside = torch.arange(tokens.size(1), device=tokens.device) < lengths[:, None]
        tokens = tokens.where(inside, self.padding)
        states = self.network.roberta(tokens, attention_mask=attention_mask(inside))
        return self.network.lm_head(states.last_hidden_state.flatten(0, 1).index_select(0, targets))
