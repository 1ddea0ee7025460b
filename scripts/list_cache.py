"""What scripts.list shows, kept from one command to the next: tasks take long to make."""

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import search_path
from engine.cache import recall
from engine.config import names
from engine.environment import version
from engine.signatures import EXTRAS
from results.rendered import code_files, hash_of_all

Entry = dict[str, Any]

HERE = Path(__file__).resolve().parents[1]
ROOMS = ("models", "optim", "tasks", "engine", "results", "scripts")


def kept(name: str, group: str, make: Callable[[], list[Entry]]) -> list[Entry]:
    """A list as it was made for an earlier command, where nothing has changed since.

    Only a whole one is kept: of what is missing, each command says why.

    Args:
        name: of the list.
        group: in conf/, whose names it has.
        make: makes it anew.
    """

    def make_whole() -> tuple[list[Entry], bool]:
        entries = make()
        whole = len(entries) == len(names(group))
        return entries, whole and all(entry.get("steps", True) for entry in entries)

    code = [HERE / room for room in ROOMS]
    if search_path.others() or not only_ours():
        return make()  # code that is not known here may change
    source = hash_of_all(code_files([search_path.CONF, *code]), versions())
    return recall(f"list.{name}", source, make_whole)


def only_ours() -> bool:
    """Whether conf/ names no class but this project's and those of packages with a version."""
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in search_path.yaml_files(search_path.CONF)
    ]
    targets = {found for text in texts for found in re.findall(r"_target_:\s*['\"]?(\w+)", text)}
    return targets <= {*ROOMS, "torch", "torchvision", *EXTRAS}


def versions() -> list[str]:
    """Of all packages that this project can use, those that are not installed included."""
    needed = importlib.metadata.requires("adamily") if version("adamily") else None
    packages = sorted({re.split(r"[^\w.-]", text)[0] for text in needed or []})
    return [f"{package} {version(package)}" for package in packages]
