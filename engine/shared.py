"""Folders of runs and reports that several people of a group write to."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock


def make_folder(path: Path) -> None:
    """Make a folder and its parents; each is writable for a group if its parent is.

    This holds with any umask: whoever may add a run to a folder may add one to those inside it.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:  # by another process, meanwhile
        return
    parent_status = path.parent.stat()
    if parent_status.st_mode & stat.S_IWGRP and not parent_status.st_mode & stat.S_ISVTX:
        with suppress(PermissionError):  # of the group that this user is not in
            os.chown(path, -1, parent_status.st_gid)
            # Set-group-ID, so that files in it are the group's.
            path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_ISGID | stat.S_IRWXG)


@contextmanager
def locked(path: Path, patience: float = -1) -> Iterator[None]:
    """Hold a lock that all who may write to its folder can take; it is freed with the process.

    Args:
        path: of the lock file, which is not removed.
        patience: seconds to wait for the lock; without limit if negative.

    Raises:
        filelock.Timeout: another process holds it.
        PermissionError: another user made the file, with access for nobody else.
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
