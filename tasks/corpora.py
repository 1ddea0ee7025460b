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
    """Sentences and their translations as lines of words with blanks between.

    Attributes:
        source, target: equally many lines.
        plain: the target as people write it; for a training part, perhaps none.
    """

    source: Lines
    target: Lines
    plain: Lines


def read_iwslt14(source: Mapping[str, Any], folder: Path) -> dict[str, Text]:
    """German talks and their English translation, as fairseq's recipe prepares them.

    Words are separated, pairs of unequal length go, all is lower-cased; every 23rd pair validates.
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
    found = members(archive, [name for sides in names.values() for side in sides for name in side])
    train = [talks(found[name]) for [name] in names["train"]]
    test = [[line for name in side for line in segments(found[name])] for side in names["test"]]
    check_paired("data=full: train", *train)
    log.info("tokenising %s pairs of sentences: this takes minutes, once", f"{len(train[0]):,}")
    everything = tokenised(train, languages)
    kept = picked(everything, map(is_clean, everything.source, everything.target))
    valid = [place % VALID_EVERY == 0 for place in range(1, len(kept.source) + 1)]
    return {
        "train": picked(kept, [not one for one in valid]),
        "valid": picked(kept, valid),
        "test": tokenised(test, languages),
    }


def read_wmt16(source: Mapping[str, Any], folder: Path) -> dict[str, Text]:
    """News in English and German that Google tokenised and cut into pieces of words."""
    [archive] = fetch(source, folder)
    languages = source["source"], source["target"]
    sets = {"train": "train", "valid": source["valid_set"], "test": source["test_set"]}
    cut = {part: f"{name}.tok.bpe.32000" for part, name in sets.items()}
    cut["train"] = "train.tok.clean.bpe.32000"
    plain = {part: f"{sets[part]}.{languages[1]}" for part in ("valid", "test")}
    names = [f"{name}.{language}" for name in cut.values() for language in languages]
    found = members(archive, [*names, *plain.values()])
    sides = {part: [found[f"{name}.{own}"] for own in languages] for part, name in cut.items()}
    return {
        part: Text(source_side, target_side, found[plain[part]] if part in plain else [])
        for part, (source_side, target_side) in sides.items()
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
    found = {}
    wanted = set(names)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                content = tar.extractfile(member) if name in wanted else None
                if content:
                    # Not splitlines(), which also ends a line at U+2028 and the like.
                    found[name] = content.read().decode("utf-8").removesuffix("\n").split("\n")
    except (tarfile.TarError, EOFError, OSError, zlib.error, UnicodeError) as error:
        raise DataError(f"{archive}: cannot be read to its end: {error}") from error
    if missing := wanted - found.keys():
        raise DataError(f"{archive}: lacks {', '.join(sorted(missing))}")
    return found


def check_paired(where: str, source: Lines, target: Lines) -> None:
    if len(source) != len(target):
        raise DataError(
            f"{where}: {len(source)} lines to translate, and {len(target)} translations: "
            "must be equally many"
        )


# -- the lines of IWSLT's files --------------------------------------------------------------------


def talks(lines: Iterable[str]) -> Lines:
    """What is said, with titles and descriptions."""
    spoken = (line for line in lines if not re.search("<(url|talkid|keywords)>", line))
    return [re.sub("</?(title|description)>", "", line) for line in spoken]


def segments(lines: Iterable[str]) -> Lines:
    """What is said in a test set."""
    found = (re.search(r"<seg id[^>]*>\s*(.*?)\s*</seg>", line) for line in lines)
    return [segment[1].replace("’", "'") for segment in found if segment]


def tokenised(sides: Sequence[Lines], languages: Sequence[str]) -> Text:
    """Words as Moses' tokenizer separates them, lower-cased.

    Unlike Moses' own script, sacremoses leaves an apostrophe or the dot of an abbreviation on its
    word where it ends a sentence.
    """
    from sacremoses import MosesTokenizer

    cut = []
    for lines, language in zip(sides, languages, strict=True):
        moses = MosesTokenizer(language)
        cut.append([" ".join(moses.tokenize(line)).lower() for line in lines])
    return Text(cut[0], cut[1], list(sides[1]))


def is_clean(source: str, target: str) -> bool:
    shorter, longer = sorted((len(source.split()), len(target.split())))
    return shorter >= MIN_WORDS and longer <= MAX_WORDS and longer <= MAX_RATIO * shorter


def picked(text: Text, wanted: Iterable[bool]) -> Text:
    wanted = list(wanted)
    return Text(*(list(compress(side, wanted)) for side in (text.source, text.target, text.plain)))
