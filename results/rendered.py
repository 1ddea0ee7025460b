"""Rendered files, and what they were made from: they are current while nothing of that changed.

The folder of reports has a file MADE that says, for each study's files and for the page, the hash
of all that they were made from, and the hash of each file. Where it is lost or damaged, everything
counts as changed.
"""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.environment import version
from engine.files import Unreadable, atomic_write, read_bytes, read_json, write_json
from engine.record_files import RECORD
from engine.shared import make_folder

MADE = ".made.json"

CODE = (".py", ".yaml", ".html", ".js", ".css")
LIBRARIES = ("adamily", "matplotlib", "numpy", "plotly")


@dataclass(frozen=True)
class Made:
    """Files that were rendered together.

    Attributes:
        source: the hash of what they were made from.
        files: each one's name in the folder of reports and its hash.
    """

    source: str
    files: dict[str, str]


def hash_source(runs: Path, code: Iterable[Path]) -> str:
    """The hash of all that a report is made from: runs, code, studies and libraries.

    To be taken before any of it is read: what changes meanwhile then makes another hash.
    """
    found = [path for name in RECORD for path in runs.glob(f"*/*/*/{name}")]
    found += [path for folder in code for path in folder.rglob("*") if path.suffix in CODE]
    whole = hashlib.sha256()
    for text in (str(runs), platform.python_version(), *map(version, LIBRARIES)):
        whole.update(f"{text}\n".encode())
    for path in sorted(found):
        whole.update(f"{path} {hash_file(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def hash_file(path: Path) -> str | None:
    """None where there is no file, or it cannot be read."""
    try:
        return hash_bytes(read_bytes(path))
    except (FileNotFoundError, Unreadable):
        return None


def hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def current(reports: Path, name: str, source: str) -> list[Path]:
    """The files of this name, if they were made from this and are as they were written."""
    made = read_made(reports).get(name)
    if made is None or made.source != source:
        return []
    if any(hash_file(reports / file) != known for file, known in made.files.items()):
        return []
    return [reports / file for file in made.files]


def write(reports: Path, name: str, source: str, files: Mapping[str, bytes]) -> list[Path]:
    """Write files, remove those that this name had before and has no more, and note the source.

    Args:
        reports: the folder of reports.
        name: what the names of all these files begin with.
        source: the hash of what they were made from.
        files: their contents by their names.

    Returns:
        Their paths.

    Raises:
        OSError: a file could not be written.
    """
    hashes = {file: hash_bytes(content) for file, content in files.items()}
    for file, content in files.items():
        path = reports / file
        if hash_file(path) != hashes[file]:
            make_folder(path.parent)
            with atomic_write(path) as opened:
                opened.write(content)
    before = read_made(reports)
    for file in before[name].files if name in before else ():
        if file not in files:
            (reports / file).unlink(missing_ok=True)
    made = before | {name: Made(source, hashes)}
    write_json(reports / MADE, {key: asdict(value) for key, value in made.items()})
    return [reports / file for file in files]


def read_made(reports: Path) -> dict[str, Made]:
    """What MADE says; nothing of it where that cannot be."""
    try:
        said = read_json(reports / MADE)
    except (FileNotFoundError, Unreadable):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: Made(**made) for name, made in said.items() if is_made(name, made)}


def is_made(name: str, made: Any) -> bool:
    """Whether an entry has the shape of one, and only names files that begin with its name."""
    return (
        isinstance(made, dict)
        and made.keys() == {"source", "files"}
        and isinstance(made["source"], str)
        and isinstance(made["files"], dict)
        and all(
            file.startswith(name) and ".." not in file and isinstance(known, str)
            for file, known in made["files"].items()
        )
    )
