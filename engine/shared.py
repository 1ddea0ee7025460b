"""Folders of runs and reports that several people write to, by their group."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for the group of the one above where that is for a group.

    Whatever the umask: who may add a run to a folder may add one beside it, too.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:  # by another process, meanwhile
        return
    above = path.parent.stat()
    if above.st_mode & stat.S_IWGRP and not above.st_mode & stat.S_ISVTX:
        with suppress(PermissionError):  # of the group that this user is not in
            os.chown(path, -1, above.st_gid)
            # Set-group-ID, so that files in it are the group's.
            path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_ISGID | stat.S_IRWXG)


@contextmanager
def locked(path: Path, patience: float = -1) -> Iterator[None]:
    """Hold a lock, for all who may write to its folder; the system frees it with the process.

    Args:
        path: of a file, which stays.
        patience: seconds to wait for it; as long as it takes if negative.

    Raises:
        filelock.Timeout: another process holds it.
        PermissionError: another user made it, for nobody else.
    """
    lock = FileLock(path, timeout=patience, mode=path.parent.stat().st_mode & 0o666 | 0o600)
    try:
        lock.acquire()
    except PermissionError as error:
        folder = path.parent
        raise PermissionError(
            f"{path}: cannot be opened ({error.strerror}): the owner of {folder} must let others "
            f"write there, as by chmod -R g+w {shlex.quote(str(folder))}"
        ) from error
    try:
        yield
    finally:
        lock.release()
