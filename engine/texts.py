"""Values as text in messages and in Hydra's overrides."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

# How many characters of what was typed a message shows.
SHOWN = 80
# The same for a path, which is useful only in full.
PATH_SHOWN = 250
# How many characters a readable list of names has.
LISTED = 210


def spell(value: Any) -> str:
    """A value as a message shows it."""
    return shorten(value if isinstance(value, str) else json.dumps(value, default=str))


def some_of(allowed: Iterable[str], name: str = "") -> str:
    """A list of allowed names; if all would be too long, some of them, the most similar first."""
    names = sorted(allowed)
    if len(", ".join(names)) <= LISTED:
        return ", ".join(names)
    closest = difflib.get_close_matches(name[:SHOWN], names, n=6, cutoff=0.3)
    return f"{', '.join([*dict.fromkeys([*closest, *names])][:6])} and others"


def closest(name: str, allowed: Iterable[str]) -> str:
    """The allowed name that a misspelt one is most like, in whatever case; "" where none is.

    Of lp_adam/fc2, fc2 alone will do.
    """
    names = list(allowed)
    by_spelling = {known.rpartition("/")[2].lower(): known for known in reversed(names)}
    by_spelling |= {known.lower(): known for known in names}
    found = difflib.get_close_matches(name[:SHOWN].lower(), by_spelling, n=1)
    return by_spelling[found[0]] if found else ""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A question to put behind a misspelt name; "" where no allowed one is like it."""
    return asked(closest(name, allowed))


def asked(meant: str) -> str:
    return f" (did you mean {meant}?)" if meant else ""


def shorten(text: str, max_length: int = SHOWN) -> str:
    """A text cut to fit into a message, on one line, with escapes for what cannot be printed."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: max_length + 1])
    return shown if len(shown) <= max_length else f"{shown[: max_length - 1]}…"


def hydra_text(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(hydra_text(item) for item in value)}]"
    text = str(value)
    if re.fullmatch(r"[\w./-]+", text, re.ASCII) or not isinstance(value, str):
        return text
    # Within Hydra's quotes a backslash stands for itself, but before a quote it must be doubled.
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + "\\'" * len(match[2]), text)
    return f"'{escaped}'"
