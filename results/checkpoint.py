"""Checkpoints: written whole, checked when read, and one older copy kept in reserve."""

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, cast

from results.files import replacing, sync_folder

log = logging.getLogger("adamily")

CURRENT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
# Whole and newer than the others, in the moment before it is renamed.
PENDING = "checkpoint.pending.pt"

# A folder for what is too large to be written anew each time, which the state refers to.
FILES = "files"

CHUNK_BYTES = 1 << 20


class Damaged(Exception):
    """A checkpoint file that does not hold what was written to it."""


class Hashing:
    """Passes on what is written to a file, and knows the SHA-256 of it."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` as the folder's checkpoint; the one before it becomes the reserve.

    Raises:
        OSError: it could not be written. The checkpoints there are as they were.
    """
    import torch

    pending = folder / PENDING
    try:
        with replacing(pending) as file:
            hashing = Hashing(file)
            torch.save(state, cast(BinaryIO, hashing))
            file.write(hashing.digest())
    except RuntimeError as error:  # torch's zip writer hides the OSError beneath it
        beneath = error.__context__
        raise beneath if isinstance(beneath, OSError) else OSError(str(error)) from None
    if (folder / CURRENT).exists():
        os.replace(folder / CURRENT, folder / PREVIOUS)
    os.replace(pending, folder / CURRENT)
    sync_folder(folder)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole, on the CPU; None where there is none.

    A damaged one is passed over with a warning.
    """
    for name in (PENDING, CURRENT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            return read(path)
        except Damaged as damage:
            log.warning("%s is damaged (%s): trying the checkpoint before it.", path, damage)
    return None


def read(path: Path) -> dict[str, Any]:
    """Read one checkpoint file.

    Raises:
        Damaged: it is not, byte for byte, what `save` wrote.
    """
    import torch

    try:
        if not is_whole(path):
            raise Damaged("wrong checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def is_whole(path: Path) -> bool:
    """Whether the file ends with the SHA-256 of all that comes before it.

    The checksums inside torch's format do not cover its directory, and torch.load ignores them.
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size - found.digest_size
        while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
            found.update(chunk)
            left -= len(chunk)
        return file.read() == found.digest()


def remove(folder: Path) -> None:
    """Remove every checkpoint with its files, and what a killed process left half written."""
    for name in (PENDING, CURRENT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
    for rest in folder.glob(f".{PENDING}.*.tmp"):
        rest.unlink(missing_ok=True)
    shutil.rmtree(folder / FILES, ignore_errors=True)
