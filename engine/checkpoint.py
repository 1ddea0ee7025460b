"""Checkpoints: written whole, bound to their run, checked when read, one older one in reserve."""

import hashlib
import logging
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.files import atomic_write, open_file, path_in_errors, sync_folder

log = logging.getLogger("adamily")

# What every checkpoint has: the run's step, and how metrics.jsonl began when it was saved.
REQUIRED_KEYS = ("step", "metrics_bytes", "metrics_sha256")

# To be incremented whenever the content of a checkpoint, or its meaning, changes.
FORMAT = 2

CURRENT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
# Complete and newer than the others, just before it is renamed.
PENDING = "checkpoint.pending.pt"

# A folder for files too large to be written anew each time, to which the state refers.
FILES = "files"

CHUNK_BYTES = 1 << 20


class Damaged(Exception):
    """A checkpoint file does not hold what was written to it, or belongs to another run."""


class OtherFormat(Exception):
    """Another version of this project wrote the checkpoint, and could go on from it."""


class HashingFile:
    """Writes to a file, and computes the SHA-256 of what was written."""

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


def save(folder: Path, run_id: str, state: dict[str, Any]) -> None:
    """Write `state` as the folder's checkpoint; the one before it becomes the reserve.

    Raises:
        OSError: it could not be written. The checkpoints there are as they were.
    """
    pending = folder / PENDING
    with atomic_write(pending) as file:
        write(file, {"format": FORMAT, "run": run_id, **state})
    if (folder / CURRENT).exists():
        os.replace(folder / CURRENT, folder / PREVIOUS)
    os.replace(pending, folder / CURRENT)
    sync_folder(folder)


def write(file: BinaryIO, state: dict[str, Any]) -> None:
    import torch

    hashing_file = HashingFile(file)
    try:
        torch.save(state, cast(BinaryIO, hashing_file))
    except RuntimeError as error:  # torch's zip writer hides the OSError beneath it
        cause = error.__context__
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from None
    file.write(hashing_file.digest())


def usable(folder: Path, run_id: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The run's complete checkpoints, loaded onto the CPU, the newest first.

    Damaged ones are skipped with a warning.

    Raises:
        OtherFormat: one was written by another version of this project.
    """
    for name in (PENDING, CURRENT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            state = read(path)
            check_format_and_run(state, path, run_id)
        except Damaged as damage:
            log.warning("%s is passed over: %s.", path, damage)
            continue
        yield path, state


def check_format_and_run(state: dict[str, Any], path: Path, run_id: str) -> None:
    """Refuse what was saved by another version, or by another run."""
    if state.get("format") != FORMAT:
        raise OtherFormat(
            f"{path} is of format {state.get('format', 0)}, and this version of adamily reads "
            f"format {FORMAT}: go on with the version that wrote it, or remove the run's "
            f"checkpoints to begin afresh"
        )
    if state.get("run") != run_id:
        raise Damaged(f"it is a checkpoint of run {state.get('run')}, and this is run {run_id}")
    if missing := [key for key in REQUIRED_KEYS if key not in state]:
        raise Damaged(f"it is damaged (it lacks {', '.join(missing)})")


def read(path: Path) -> dict[str, Any]:
    """Read one checkpoint file.

    Raises:
        Damaged: it is not, byte for byte, what `save` wrote.
    """
    import torch

    try:
        with open_file(path) as file:
            if not is_whole(file):
                raise Damaged("it is damaged (wrong checksum)")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (Damaged, MemoryError):
        raise
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error})") from error
    # The rest of torch's message advises to trust the file.
    except pickle.UnpicklingError as error:
        raise Damaged("it is damaged (it holds other things than data)") from error
    except Exception as error:
        raise Damaged(f"it is damaged ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise Damaged("it is damaged (it holds no state)")
    return state


def is_whole(file: BinaryIO) -> bool:
    """Whether the file ends with the SHA-256 of all that comes before it.

    The checksums inside torch's format do not cover its directory, and torch.load ignores them.
    """
    sha256 = hashlib.sha256()
    remaining = os.fstat(file.fileno()).st_size - sha256.digest_size
    while remaining > 0 and (chunk := file.read(min(remaining, CHUNK_BYTES))):
        sha256.update(chunk)
        remaining -= len(chunk)
    return file.read() == sha256.digest()


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, usable or not, or anything that belongs to one."""
    return any((folder / name).exists() for name in (PENDING, CURRENT, PREVIOUS, FILES))


def remove(folder: Path) -> None:
    """Remove every checkpoint with its files.

    Raises:
        OSError: something could not be removed.
    """
    for name in (PENDING, CURRENT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
    if (folder / FILES).exists():
        with path_in_errors(folder / FILES):
            shutil.rmtree(folder / FILES)
