"""Values that take long to make and depend on files alone, kept from one command to the next.

They lie in the user's cache folder, each beside the hash of all that it was made from. One that was
made from something else, or is damaged, counts as absent, and where nothing can be written, nothing
is kept: a value is the same as if it had been made anew.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.files import Unreadable, read_json, write_json
from engine.shared import make_folder


def folder() -> Path:
    """This project's folder in the user's cache, `~/.cache` where XDG_CACHE_HOME is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adamily"


def recall(name: str, source: str, make: Callable[[], tuple[Any, bool]]) -> Any:
    """The value of this name that was made from `source`.

    Args:
        name: of its file.
        source: the hash of all that it is made from.
        make: makes it, a JSON value, and says whether it is one to keep.
    """
    path = folder() / f"{name}.json"
    found = read(path, source)
    if found is not None:
        return found
    value, lasting = make()
    if lasting:
        with suppress(OSError):
            make_folder(path.parent)
            write_json(path, {"source": source, "sha256": hash_value(value), "value": value})
    return value


def read(path: Path, source: str) -> Any | None:
    try:
        content = read_json(path)
    except (OSError, Unreadable):
        return None
    if not isinstance(content, dict) or content.keys() != {"source", "sha256", "value"}:
        return None
    whole = content["source"] == source and content["sha256"] == hash_value(content["value"])
    return content["value"] if whole else None


def hash_value(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
