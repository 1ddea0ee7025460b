"""Values as sentences and commands show them."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

# Of what was typed, in a sentence about it.
SHOWN = 80
# A path is of use only whole.
PATH_SHOWN = 250
# Letters of names in a list that one still reads.
LISTED = 210


def spell(value: Any) -> str:
    """A value as a sentence shows it."""
    return shorten(value if isinstance(value, str) else json.dumps(value, default=str))


def some_of(allowed: Iterable[str], name: str = "") -> str:
    """What a name may be: all of it, or what is most like it first where all would be too much."""
    every = sorted(allowed)
    if len(", ".join(every)) <= LISTED:
        return ", ".join(every)
    near = difflib.get_close_matches(name[:SHOWN], every, n=6, cutoff=0.3)
    return f"{', '.join([*dict.fromkeys([*near, *every])][:6])} and others"


def shorten(text: str, most: int = SHOWN) -> str:
    """A text that fits into a sentence, on one line, whatever it holds."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def hydra_text(value: Any) -> str:
    """A value as Hydra's grammar writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(hydra_text(item) for item in value)}]"
    text = str(value)
    if re.fullmatch(r"[\w./-]+", text, re.ASCII) or not isinstance(value, str):
        return text
    # In Hydra's quotes a backslash is one, but before a quote, where it is doubled.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + "\\'" * len(found[2]), text)
    return f"'{escaped}'"
