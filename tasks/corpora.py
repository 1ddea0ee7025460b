"""Sentences and their translations as lines of text, from where each corpus has them."""

import logging
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from tasks import spelled_numbers
from tasks.sources import DataError, fetch

log = logging.getLogger("adamily")

Lines = list[str]

# Of the training sentences of IWSLT'14: fairseq's recipe, as Moses' clean-corpus-n counts.
MIN_WORDS, MAX_WORDS, MAX_RATIO = 1, 175, 1.5
VALID_EVERY = 23
TEST_SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


@dataclass(frozen=True)
class Text:
    """Sentences and their translations as lines of words with spaces between.

    Attributes:
        source, target: equally many lines.
        plain: the target as people write it; for a training part, perhaps none.
    """

    source: Lines
    target: Lines
    plain: Lines


def read_iwslt14(source: Mapping[str, Any], folder: Path) -> dict[str, Text]:
    """German talks and their English translation, as fairseq's recipe prepares them.

    Words are separated, pairs of unequal length are left out, all is in lower case, and every 23rd
    pair is one to validate on.
    """
    [archive] = fetch(source, folder)
    languages = source["source"], source["target"]
    names = {
        "train": [[f"de-en/train.tags.de-en.{language}"] for language in languages],
        "test": [
            [f"de-en/IWSLT14.{name}.de-en.{language}.xml" for name in TEST_SETS]
            for language in languages
        ],
    }
    files = members(archive, [name for sides in names.values() for side in sides for name in side])
    train = [talks(files[name]) for [name] in names["train"]]
    test = [[line for name in side for line in segments(files[name])] for side in names["test"]]
    check_paired("data=full: train", *train)
    log.info("tokenising %s pairs of sentences: this takes minutes, once", f"{len(train[0]):,}")
    everything = tokenised(train, languages)
    clean = select(everything, map(is_clean, everything.source, everything.target))
    is_valid = [number % VALID_EVERY == 0 for number in range(1, len(clean.source) + 1)]
    return {
        "train": select(clean, [not valid for valid in is_valid]),
        "valid": select(clean, is_valid),
        "test": tokenised(test, languages),
    }


def read_wmt16(source: Mapping[str, Any], folder: Path) -> dict[str, Text]:
    """News in English and German that Google tokenised and cut into subwords."""
    [archive] = fetch(source, folder)
    languages = source["source"], source["target"]
    sets = {"train": "train", "valid": source["valid_set"], "test": source["test_set"]}
    subwords = {part: f"{name}.tok.bpe.32000" for part, name in sets.items()}
    subwords["train"] = "train.tok.clean.bpe.32000"
    plain = {part: f"{sets[part]}.{languages[1]}" for part in ("valid", "test")}
    names = {part: [f"{name}.{lang}" for lang in languages] for part, name in subwords.items()}
    files = members(archive, [*names["train"], *names["valid"], *names["test"], *plain.values()])
    return {
        part: Text(files[of_source], files[of_target], files[plain[part]] if part in plain else [])
        for part, (of_source, of_target) in names.items()
    }


def read_sample(source: Mapping[str, Any], folder: Path) -> dict[str, Text]:
    """Numbers that are spelled in two languages; they need no folder."""
    languages = source["source"], source["target"]
    return {
        part: tokenised(sides, languages) for part, sides in spelled_numbers.write(source).items()
    }


READERS = {"iwslt14": read_iwslt14, "wmt16": read_wmt16, "sample": read_sample}


def members(archive: Path, names: Iterable[str]) -> dict[str, Lines]:
    """Some files of a tar archive, as lines.

    Raises:
        DataError: the archive breaks off or lacks one.
    """
    files = {}
    names = set(names)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                content = tar.extractfile(member) if name in names else None
                if content:
                    # Not splitlines(), which also ends a line at U+2028 and the like.
                    files[name] = content.read().decode("utf-8").removesuffix("\n").split("\n")
    except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeError) as error:
        raise DataError(f"{archive}: cannot be read to its end: {error}") from error
    if missing := names - files.keys():
        raise DataError(f"{archive}: lacks {', '.join(sorted(missing))}")
    return files


def check_paired(where: str, source: Lines, target: Lines) -> None:
    if len(source) != len(target):
        raise DataError(
            f"{where}: {len(source)} lines to translate, and {len(target)} translations: "
            "must be equally many"
        )


# -- the lines of IWSLT's files --------------------------------------------------------------------


def talks(lines: Iterable[str]) -> Lines:
    """The spoken lines of a training file, with titles and descriptions."""
    spoken = (line for line in lines if not re.search("<(url|talkid|keywords)>", line))
    return [re.sub("</?(title|description)>", "", line) for line in spoken]


def segments(lines: Iterable[str]) -> Lines:
    """The spoken lines of a test set."""
    matches = (re.search(r"<seg id[^>]*>\s*(.*?)\s*</seg>", line) for line in lines)
    return [match[1].replace("’", "'") for match in matches if match]


def tokenised(sides: Sequence[Lines], languages: Sequence[str]) -> Text:
    """Words as Moses' tokenizer separates them, lower-cased.

    Unlike Moses' own script, sacremoses leaves an apostrophe or the dot of an abbreviation on its
    word where it ends a sentence.
    """
    from sacremoses import MosesTokenizer

    tokenised_sides = []
    for lines, language in zip(sides, languages, strict=True):
        moses = MosesTokenizer(language)
        tokenised_sides.append([" ".join(moses.tokenize(line)).lower() for line in lines])
    source, target = tokenised_sides
    return Text(source, target, list(sides[1]))


def is_clean(source: str, target: str) -> bool:
    shorter, longer = sorted((len(source.split()), len(target.split())))
    return shorter >= MIN_WORDS and longer <= MAX_WORDS and longer <= MAX_RATIO * shorter


def select(text: Text, keep: Iterable[bool]) -> Text:
    keep = list(keep)
    return Text(*(list(compress(side, keep)) for side in (text.source, text.target, text.plain)))
