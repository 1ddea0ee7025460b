"""Where YAML files are found: this project's conf/, folders that are given, installed packages.

Each folder is laid out as conf/: task/, optim/, schedule/, logger/, study/PAPER/. No two of them
may have a file of the same name, so that their order does not matter.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from engine.checks import BadInput
from engine.texts import PATH_SHOWN, shorten

log = logging.getLogger("adamily")

CONF = Path(__file__).resolve().parents[1] / "conf"

# The group of entry points by which an installed package offers a folder: NAME = "package.folder".
ENTRY_POINT_GROUP = "adamily.conf"

_named: tuple[Path, ...] = ()


def folders() -> tuple[Path, ...]:
    """All folders of YAML files, this project's own first."""
    return (CONF, *others())


def named() -> tuple[Path, ...]:
    """The folders that a command line or a call names."""
    return _named


def others() -> tuple[Path, ...]:
    """All folders but conf/: those that are named and those of installed packages."""
    return (*_named, *(folder for folder in installed() if folder not in _named))


def find(relative: str) -> Path | None:
    """The file or folder of this path in any of the folders; None where there is none."""
    return next((f / relative for f in folders() if (f / relative).exists()), None)


def use(chosen: Iterable[str | Path]) -> None:
    """From now on also read YAML files from these folders, and from none that was named before.

    Raises:
        BadInput: a folder does not exist, or has a file of the same name as another one.
    """
    global _named
    _named = ()
    for folder in chosen:
        path = Path(folder).resolve()
        if not path.is_dir():
            shown = shorten(str(folder), PATH_SHOWN)
            raise BadInput(f"--config-dir={shown}: there is no such folder")
        if path not in folders():
            check_names(path, folders())
            _named = (*_named, path)


@contextmanager
def added(chosen: Iterable[str | Path]) -> Iterator[None]:
    """In the block, also read YAML files from these folders."""
    global _named
    before = _named
    try:
        use([*before, *chosen])
        yield
    finally:
        _named = before


def check_names(folder: Path, folders: Iterable[Path]) -> None:
    """Raise BadInput where a file in `folder` has the name of one in the other folders."""
    for path, other in itertools.product(yaml_files(folder), folders):
        duplicate = other / path.relative_to(folder)
        if duplicate.exists():
            shown = shorten(str(path), PATH_SHOWN)
            raise BadInput(
                f"{shown}: {duplicate.parent} has one of this name, too; give it another"
            )


def yaml_files(folder: Path) -> list[Path]:
    """All YAML files in a folder and in those inside it, without stray ones."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.yaml"))]
    return [folder / path for path in paths if not any(map(is_stray, path.parts))]


def is_stray(name: str) -> bool:
    """Whether an editor or a file system left this file or folder behind: `.#x`, `._x`."""
    return name.startswith((".", "#"))


@lru_cache(maxsize=1)
def installed() -> tuple[Path, ...]:
    """The folders of installed packages; one that cannot be used is left out with a warning."""
    folders: list[Path] = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            folder = folder_of(entry)
            check_names(folder, [CONF, *folders])
            folders.append(folder)
        except (BadInput, ImportError, ValueError) as error:
            log.warning("the folder %s of an installed package is left out: %s", entry.name, error)
    return tuple(folders)


def folder_of(entry: EntryPoint) -> Path:
    spec = find_spec(entry.value)
    paths = list((spec and spec.submodule_search_locations) or [])
    if not paths or not Path(paths[0]).is_dir():
        raise BadInput(f"{entry.value} is no package with a folder of its own")
    return Path(paths[0]).resolve()
