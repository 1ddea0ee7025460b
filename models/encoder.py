"""Transformer encoders of the library transformers, under the heads of fairseq's RoBERTa."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.transformers_import import transformers


def make_encoder(family: str, sizes: Mapping[str, Any]) -> nn.Module:
    """An encoder without a pooler, its weights at random.

    Args:
        family: as transformers names its types of models: "roberta" or "bert".
        sizes: the values of its config.
    """
    library = transformers()
    config = library.AutoConfig.for_model(family, **sizes)
    return library.AutoModel.from_config(config, add_pooling_layer=False)


class SentenceClassifier(nn.Module):
    """An encoder with fairseq's head on the state of its first token: linear, tanh, linear.

    The layers of the head begin as `nn.Linear` does, as in fairseq; transformers' own head begins
    with N(0, 0.02) and zero biases.

    Attributes:
        positions: tokens that a text may have.

    Args:
        family, sizes: of the encoder; see `make_encoder`.
        outputs: numbers for each text.
        head_dropout: before each layer of the head. fairseq's `--pooler-dropout`, 0 by default.
    """

    encoder: Any  # its config and its embeddings are asked for

    def __init__(self, family: str, sizes: Mapping[str, Any], outputs: int, head_dropout: float):
        super().__init__()
        self.encoder = make_encoder(family, sizes)
        width = self.encoder.config.hidden_size
        self.head = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Dropout(head_dropout),
            nn.Linear(width, outputs),
        )
        self.positions = positions(self.encoder.config)

    def forward(self, tokens: Tensor, types: Tensor, lengths: Tensor) -> Tensor:
        """Logits (batch, outputs).

        Args:
            tokens: (batch, steps); those behind a text's end do not matter.
            types: which text of a pair each token belongs to, (batch, steps).
            lengths: tokens of each text, (batch,).
        """
        inside = torch.arange(tokens.size(1), device=tokens.device) < lengths[:, None]
        # RoBERTa counts positions by the tokens that are no padding.
        tokens = tokens.where(inside, self.encoder.config.pad_token_id)
        mask = attention_mask(inside)
        states = self.encoder(tokens, attention_mask=mask, token_type_ids=types).last_hidden_state
        return self.head(states[:, 0])


def attention_mask(inside: Tensor) -> Tensor:
    """What an encoder of transformers takes for "these tokens are no padding", (batch, steps).

    If all are none, the library computes attention without a mask, which a CPU does faster. To know
    it, a step on a GPU would have to wait; there it gets the mask that the library would make.
    """
    if inside.device.type == "cpu":
        return inside.long()
    return inside[:, None, None].expand(-1, -1, inside.size(1), -1)


def positions(config: Any) -> int:
    """Tokens that a text may have: RoBERTa's first position has the number after the padding's."""
    unused = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    return config.max_position_embeddings - unused
