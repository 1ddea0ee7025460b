"""Sentences and their translations: read, cut into subwords, numbered, and kept on disk."""

import hashlib
import importlib.metadata
import json
import logging
import os
import pickle
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.corpora import READERS, Lines, Text, check_paired
from tasks.ragged import Ragged
from tasks.sources import DataError, writing

log = logging.getLogger("adamily")

# Numbers of the first words of every vocabulary. A translation begins with END, as in fairseq.
PAD, END, UNKNOWN = 0, 1, 2
SPECIAL = ["<pad>", "</s>", "<unk>"]

# The end of a subword that is not its word's last one, as subword-nmt writes it.
CONTINUES = "@@"

# Of the file: to be raised when the same source would be prepared in another way.
VERSION = 1


@dataclass(frozen=True)
class Sentences(Ragged):
    """Sentences on the device, each with END behind it.

    Attributes:
        words: numbers of all words or subwords, (words,).
    """

    words: Tensor

    def padded(self, chosen: Tensor) -> Tensor:
        """These sentences (chosen, longest), PAD behind each."""
        words, _ = self.gather(chosen, (self.words, PAD))
        return words.long()


@dataclass(frozen=True)
class Pairs:
    """One part of a corpus.

    Attributes:
        source, target: the sentences and their translations.
        references: the translations as lines of whole words; for the training part, none.
        plain: the translations as people write them; for the training part, none.
    """

    source: Sentences
    target: Sentences
    references: Lines
    plain: Lines


@dataclass(frozen=True)
class ParallelText:
    """A corpus: its parts, and the words of the target by their numbers."""

    parts: dict[str, Pairs]
    target_words: list[str]


# -- kept on disk ----------------------------------------------------------------------------------


def load(
    corpus: str, data: str, source: Mapping[str, Any], folder: Path, device: torch.device
) -> ParallelText:
    """The corpus on the device.

    Raises:
        DataError: what `prepare` raises, or its file cannot be read or is of another source.
    """
    path = prepare(corpus, data, source, folder)
    try:
        saved = torch.load(path, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: cannot be read: remove the file") from error
    if saved["made_from"] != settings(corpus, data, source):
        raise DataError(
            f"{path}: holds a vocabulary or sentences of another source: remove the file"
        )
    parts = {
        part: Pairs(laid_out(source, device), laid_out(target, device), references, plain)
        for part, ((source, target), (references, plain)) in saved["parts"].items()
    }
    return ParallelText(parts, saved["target_words"])


def laid_out(numbers: tuple[Tensor, Tensor], device: torch.device) -> Sentences:
    words, lengths = numbers
    return Sentences.laid_out(lengths, device, words)


def prepare(corpus: str, data: str, source: Mapping[str, Any], folder: Path) -> Path:
    """Make the file that keeps a corpus as numbers, unless it is there; return its path.

    Raises:
        DataError: an archive is missing or damaged, or does not hold what the source says.
    """
    made_from = settings(corpus, data, source)
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    path = folder / f"{corpus}-{data}-{digest[:12]}.pt"
    if path.exists():
        return path
    with writing(folder, f".{path.name}.lock"):
        if not path.exists():
            texts = READERS[corpus if data == "full" else data](source, folder)
            content = number(texts, source, data) | {"made_from": made_from}
            unfinished = path.with_suffix(".part")
            with open(unfinished, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
    return path


def settings(corpus: str, data: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what the numbers are."""
    content = {key: value for key, value in source.items() if key not in ("mirrors", "page")}
    tools = {name: importlib.metadata.version(name) for name in ("sacremoses", "tokenizers")}
    return {"corpus": corpus, "data": data, "form": VERSION, "source": content, "tools": tools}


def number(texts: Mapping[str, Text], source: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Cut words into subwords, choose the vocabularies on the training part, number everything.

    Raises:
        DataError: another number of sentences than the source says, none, or an empty one.
    """
    for part, text in texts.items():
        check(f"data={data}: {part}", text, source[part], source.get("tolerance", 0.0))
    cut = cut_words(chain(texts["train"].source, texts["train"].target), source["merges"])
    subwords = {part: (cut(text.source), cut(text.target)) for part, text in texts.items()}
    sizes = source["source_words"], source["target_words"]
    sides = subwords["train"]
    if source["shared"]:
        sides = (list(chain(*sides)),) * 2
    vocabularies = [vocabulary(side, size) for side, size in zip(sides, sizes, strict=True)]
    ranks = [{word: rank for rank, word in enumerate(words)} for words in vocabularies]
    parts = {}
    for part, text in texts.items():
        numbers = [encode(lines, rank) for lines, rank in zip(subwords[part], ranks, strict=True)]
        scored = part != "train"
        references = [whole(line) for line in text.target] if scored else []
        parts[part] = (numbers, (references, text.plain if scored else []))
    return {"parts": parts, "target_words": vocabularies[1]}


def check(where: str, text: Text, expected: int, tolerance: float) -> None:
    """Raise DataError unless there are about as many pairs as expected, and words on both sides."""
    check_paired(where, text.source, text.target)
    counts = f"{where}: {len(text.source)} sentences, expected {expected}"
    if abs(len(text.source) - expected) > tolerance * expected:
        raise DataError(counts)
    if len(text.source) != expected:
        log.warning("%s: near enough, since tokenisers differ", counts)
    if not text.source:
        raise DataError(f"{where}: 0 sentences: must be at least one")
    for number, pair in enumerate(zip(text.source, text.target, strict=True), 1):
        if not all(line.strip() for line in pair):
            raise DataError(f"{where}: line {number} is empty: every sentence must have a word")


# -- subwords --------------------------------------------------------------------------------------


def cut_words(lines: Iterable[str], merges: int | None) -> Callable[[Lines], Lines]:
    """Learn byte pair encoding (Sennrich et al. 2016) on lines; return what applies it to lines.

    Args:
        lines: of both languages.
        merges: to learn; None: the lines are cut already.
    """
    if merges is None:
        return lambda others: others
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    # A letter that was never seen is an unknown subword.
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN], end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    lines = list(lines)
    for size in (0, merges):
        # The first pass learns the letters alone, since a size counts these as well.
        letters = tokenizer.get_vocab_size()
        trainer = trainers.BpeTrainer(
            vocab_size=letters + size,
            special_tokens=[SPECIAL[UNKNOWN]],
            end_of_word_suffix="</w>",
            show_progress=False,
        )
        tokenizer.train_from_iterator(lines, trainer)
    return lambda others: [
        " ".join(map(marked, encoding.tokens)) for encoding in tokenizer.encode_batch(others)
    ]


def marked(subword: str) -> str:
    """A subword of the library tokenizers, which marks a word's end, as subword-nmt writes it."""
    return subword.removesuffix("</w>") if subword.endswith("</w>") else subword + CONTINUES


def whole(line: str) -> str:
    """A line of subwords as one of words."""
    return f"{line} ".replace(f"{CONTINUES} ", "").rstrip()


def vocabulary(lines: Iterable[str], size: int) -> list[str]:
    """The special words, then the most frequent ones; equally frequent ones in alphabetical order.

    Where there are fewer, the last numbers stand for no word, as fairseq rounds its sizes up.
    """
    counts = Counter(chain.from_iterable(map(str.split, lines)))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return SPECIAL + ranked[: size - len(SPECIAL)]


def encode(lines: Iterable[str], rank: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Numbers of all words, one sentence after the other, and the sentences' lengths."""
    numbers, lengths = array("i"), array("q")
    for line in lines:
        sentence = [rank.get(word, UNKNOWN) for word in line.split()]
        numbers.extend([*sentence, END])
        lengths.append(len(sentence) + 1)
    return (
        torch.frombuffer(numbers, dtype=torch.int32),
        torch.frombuffer(lengths, dtype=torch.int64),
    )
