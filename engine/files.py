"""Files that are either complete or absent, whatever stops the process that writes them."""

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

# Far more than any record holds: a larger file was not written by this project.
LARGEST_FILE = 1 << 30  # bytes

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")  # .NAME.PROCESS.tmp


class Unreadable(ValueError):
    """A file cannot be read as what it should be; the message names it and says why."""


@contextmanager
def path_in_errors(path: Path) -> Iterator[None]:
    """In the block, errors of the system that name no file are raised again with this one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes `path`'s place once the block has ended without an error.

    Raises:
        OSError: the folder cannot be written to, or the disk is full. `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with path_in_errors(path):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sweep_up(folder: Path) -> None:
    """Remove temporary files of processes that were killed inside `atomic_write`.

    To be called when no process writes into the folder.

    Raises:
        OSError: the folder cannot be written to.
    """
    for path in temporary_files(folder):
        path.unlink(missing_ok=True)


def temporary_files(folder: Path) -> list[Path]:
    """The temporary files in a folder and in those just below it."""
    candidates = (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp"))
    return [path for path in candidates if TEMPORARY.fullmatch(path.name)]


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with path_in_errors(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def json_text(value: Any) -> str:
    """Strict JSON: a NaN or an infinity raises ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `json_text`."""
    write_text(path, json_text(value))


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file to read it.

    Raises:
        OSError: it is a folder, a pipe, a device or the like, or there is none.
    """
    # Without O_NONBLOCK, opening a pipe would wait until somebody writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        yield file


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is nothing of this name.
        Unreadable: it is no file, cannot be read, or is larger.
    """
    try:
        with open_file(path) as file:
            content = file.read(largest + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > largest:
        raise Unreadable(f"{path}: is larger than {largest:,} bytes")
    return content


def parse_json(text: bytes, path: Path) -> Any:
    """The value that a file's text stands for.

    Raises:
        Unreadable: it is no JSON in UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: is no text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise Unreadable(f"{path}: is no JSON: {error}") from error
    except ValueError as error:  # more digits than Python turns into a number
        raise Unreadable(f"{path}: holds a number that is too long") from error
    except RecursionError as error:
        raise Unreadable(f"{path}: values lie in each other too deep") from error


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        FileNotFoundError, Unreadable: as `read_bytes` and `parse_json` do.
    """
    return parse_json(read_bytes(path), path)
