"""Sentences of numbers that are spelled in German and in English: the sample of translation."""

import importlib.metadata
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tasks.seeds import derive
from tasks.sources import DataError

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
    draw = random.Random(derive(0, "spelled numbers"))  # this seed is part of what the sample is
    languages = source["source"], source["target"]
    texts = {}
    for part, of_part in numbers(draw).items():
        pools = by_kind(of_part)
        sentences = [sentence(draw, pools) for _ in range(source[part])]
        sides = [[text[language] for text in sentences] for language in languages]
        texts[part] = sides[0], sides[1]
    return texts


def numbers(draw: random.Random) -> dict[str, list[int]]:
    """The numbers of each part: none is in two parts."""
    shuffled = list(range(10, 10 ** max(DIGITS)))
    draw.shuffle(shuffled)
    return {"train": shuffled[10_000:], "valid": shuffled[:5000], "test": shuffled[5000:10_000]}


def by_kind(numbers: list[int]) -> dict[str, list[int]]:
    """Pools to draw from: by the number of digits, so that short ones are not rare, and years."""
    pools = {str(digits): [n for n in numbers if len(str(n)) == digits] for digits in DIGITS}
    return pools | {"year": [n for n in numbers if 1100 <= n < 2000]}


def check_version(required: str) -> None:
    try:
        installed = importlib.metadata.version("num2words")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != required:
        raise DataError(
            f"data=sample: is spelled by num2words {required}, and {installed} is installed: "
            f"pip install num2words=={required}"
        )


def sentence(draw: random.Random, pools: Mapping[str, list[int]]) -> dict[str, str]:
    """Two to four numbers of different kinds, in each language."""
    text = spelled(draw, pools)
    for _ in range(draw.randint(1, 3)):
        between, more = draw.choice(BETWEEN), spelled(draw, pools)
        text = {language: text[language] + between[language] + more[language] for language in text}
    return {language: f"{words[0].upper()}{words[1:]}." for language, words in text.items()}


def spelled(draw: random.Random, pools: Mapping[str, list[int]]) -> dict[str, str]:
    """One number in each language: a cardinal or an ordinal one, a year, or an amount of money."""
    from num2words import num2words

    kind = draw.choice(["cardinal", "ordinal", "year", "currency"])
    options: dict[str, Any] = {"to": kind}
    if kind == "year":
        number = draw.choice(pools["year"])
    else:
        number = draw.choice(pools[str(draw.choice(DIGITS))])
    if kind == "currency":
        number, options["currency"] = Decimal(number) / 100, draw.choice(CURRENCIES)
    return {language: num2words(number, lang=language, **options) for language in ("de", "en")}
