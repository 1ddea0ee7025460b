"""Makes imports find this project's packages, whatever else is called `models` or `tasks`.

`python -m` looks for modules in the working folder first, and so do most launchers' workers. Where
that folder has packages of the same names, a command would import some from there.
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


class ProjectFinder:
    """Finds the packages of this project, as an entry of `sys.meta_path`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [ROOT]) if name in PACKAGES else None


def find_project_packages() -> None:
    """From now on import this project's packages before others of the same names.

    The working folder is appended to sys.path, so that nothing in it hides what is installed.
    """
    if ProjectFinder not in sys.meta_path:
        sys.meta_path.insert(0, ProjectFinder)
    with suppress(OSError):  # it was removed
        folder = os.getcwd()
        if not {"", folder} & set(sys.path):
            sys.path.append(folder)


def for_children() -> dict[str, str]:
    """The variables by which a Python process that is started finds this project's packages."""
    variables = {"PYTHONSAFEPATH": "1"}
    path = os.environ.get("PYTHONPATH", "")
    if ROOT not in (
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        *path.split(os.pathsep),
    ):
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, path]))
    return variables


@contextmanager
def project_found_by_children() -> Iterator[None]:
    """Let Python processes that are started in the block find this project's packages first."""
    previous = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ |= for_children()
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
