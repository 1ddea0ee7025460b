"""Sentences of numbers that are spelled in German and in English: the sample of translation."""

import importlib.metadata
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tasks.seeds import derive
from tasks.sources import DataError

PARTS = ("train", "valid", "test")
DIGITS = (2, 3, 4, 5)
CURRENCIES = ("EUR", "USD", "GBP")
# Written between two numbers, in each language.
BETWEEN = [
    {"de": ", ", "en": ", "},
    {"de": " und ", "en": " and "},
    {"de": " oder ", "en": " or "},
    {"de": ", aber nicht ", "en": ", but not "},
    {"de": " ist mehr als ", "en": " is more than "},
]


def write(source: Mapping[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """The sentences of each part, in the source's language and in the target's.

    They follow from the version of num2words and from the number of sentences of each part. No
    number of one part is in another.

    Raises:
        DataError: num2words is absent, or of another version.
    """
    check_version(source["num2words"])
    # This seed is part of what the sample is.
    draw = random.Random(derive(0, "spelled numbers"))
    numbers = list(range(10, 10 ** DIGITS[-1]))
    draw.shuffle(numbers)
    languages = source["source"], source["target"]
    texts = {}
    for part, own in zip(
        PARTS, (numbers[10_000:], numbers[:5000], numbers[5000:10_000]), strict=True
    ):
        known = {digits: [n for n in own if len(str(n)) == digits] for digits in DIGITS}
        sentences = [sentence(draw, known) for _ in range(source[part])]
        texts[part] = tuple([text[language] for text in sentences] for language in languages)
    return texts


def check_version(wanted: str) -> None:
    try:
        found = importlib.metadata.version("num2words")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != wanted:
        raise DataError(
            f"data=sample: is spelled by num2words {wanted}, and {found} is installed: "
            f"pip install num2words=={wanted}"
        )


def sentence(draw: random.Random, known: Mapping[int, list[int]]) -> dict[str, str]:
    """Two to four numbers of different kinds, in each language."""
    text = spelled(draw, known)
    for _ in range(draw.randint(1, 3)):
        between, more = draw.choice(BETWEEN), spelled(draw, known)
        text = {language: text[language] + between[language] + more[language] for language in text}
    return {language: f"{words[0].upper()}{words[1:]}." for language, words in text.items()}


def spelled(draw: random.Random, known: Mapping[int, list[int]]) -> dict[str, str]:
    """One number in each language: how many, the how-manieth, a year, or money."""
    from num2words import num2words

    kind = draw.choice(["cardinal", "ordinal", "year", "currency"])
    options: dict[str, Any] = {"to": kind}
    if kind == "year":
        number = draw.choice([n for n in known[4] if 1100 <= n < 2000])
    else:
        number = draw.choice(known[draw.choice(DIGITS)])
    if kind == "currency":
        number, options["currency"] = Decimal(number) / 100, draw.choice(CURRENCIES)
    return {language: num2words(number, lang=language, **options) for language in ("de", "en")}
