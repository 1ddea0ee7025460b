"""Rendered files and the hash of their source: they are current while that has not changed.

The folder of reports has a file MADE with an entry for each study's files and for the page: the
hash of all that they were made from, and the hash of each file. Where it is lost or damaged,
everything counts as changed.
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
LIBRARIES = ("adamily", "matplotlib", "numpy", "plotly", "scipy")


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

    Take it before any of these is read, so that a change in between makes the files outdated.
    """
    names = (*RECORD, "pauses.json")
    paths = [path for name in names for path in runs.glob(f"*/*/*/{name}")]
    return hash_of_all([*paths, *code_files(code)], [str(runs), *map(version, LIBRARIES)])


def code_files(code: Iterable[Path]) -> list[Path]:
    """The files of code, studies and templates in some folders."""
    return [path for folder in code for path in folder.rglob("*") if path.suffix in CODE]


def hash_of_all(paths: Iterable[Path], others: Iterable[object]) -> str:
    """The hash of files with their paths, of this Python, and of what else counts."""
    digest = hashlib.sha256()
    for text in (platform.python_version(), *others):
        digest.update(f"{text}\n".encode())
    for path in sorted(paths):
        digest.update(f"{path} {hash_file(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def hash_file(path: Path) -> str | None:
    """None where there is no file, or it cannot be read."""
    try:
        return hash_bytes(read_bytes(path))
    except (FileNotFoundError, Unreadable):
        return None


def hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def current(reports: Path, name: str, source: str) -> list[Path]:
    """The files of this name, if they were made from `source` and nothing changed them since."""
    made = read_made(reports).get(name)
    if made is None or made.source != source:
        return []
    if any(hash_file(reports / file) != expected for file, expected in made.files.items()):
        return []
    return [reports / file for file in made.files]


def write(reports: Path, name: str, source: str, files: Mapping[str, bytes]) -> list[Path]:
    """Write files, remove those that only the previous call had written, and note the source.

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
    previous = read_made(reports)
    for file in previous[name].files if name in previous else ():
        if file not in files:
            (reports / file).unlink(missing_ok=True)
    made = previous | {name: Made(source, hashes)}
    write_json(reports / MADE, {key: asdict(value) for key, value in made.items()})
    return [reports / file for file in files]


def read_made(reports: Path) -> dict[str, Made]:
    """The entries of MADE; none where it is missing or damaged, and no damaged ones."""
    try:
        content = read_json(reports / MADE)
    except (FileNotFoundError, Unreadable):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: Made(**made) for name, made in content.items() if is_made(name, made)}


def files_of(reports: Path) -> dict[str, list[str]]:
    """The files in the folder of reports, by what they were rendered as."""
    return {name: list(made.files) for name, made in read_made(reports).items()}


def is_made(name: str, made: Any) -> bool:
    """Whether an entry has the shape of one, and only names files that begin with its name."""
    return (
        isinstance(made, dict)
        and made.keys() == {"source", "files"}
        and isinstance(made["source"], str)
        and isinstance(made["files"], dict)
        and all(
            file.startswith(name) and ".." not in file and isinstance(digest, str)
            for file, digest in made["files"].items()
        )
    )
