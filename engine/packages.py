"""This project's packages are those beside this one, whatever else is called `models` or `tasks`.

`python -m` looks for modules in the working folder first, and so do most launchers' workers. Where
that folder has packages of the same names, a command would be put together from both.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOT = str(Path(__file__).resolve().parents[1])
PACKAGES = ("adamily", "optim", "models", "tasks", "engine", "results", "scripts")


class Ours:
    """A finder of the packages of this project, for `sys.meta_path`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [ROOT]) if name in PACKAGES else None


def find_ours() -> None:
    """From now on import this project's packages, and others from the working folder, too.

    The folder comes last, so that nothing in it hides what is installed.
    """
    if Ours not in sys.meta_path:
        sys.meta_path.insert(0, Ours)
    with suppress(OSError):  # it was removed
        folder = os.getcwd()
        if not {"", folder} & set(sys.path):
            sys.path.append(folder)


@contextmanager
def found_by_children() -> Iterator[None]:
    """Let Python processes that are started in the block find this `scripts` before any other."""
    told = {"PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    if ROOT not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        told["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, before["PYTHONPATH"]]))
    os.environ |= told
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
