"""Checkpoints: written whole, checked when read, and one older copy kept in reserve."""

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

from results.files import replacing, sync_folder

log = logging.getLogger("adamily")

CURRENT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


class Damaged(Exception):
    """A checkpoint file that does not hold what was written to it."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` as the folder's checkpoint; the one before it becomes the reserve.

    Raises:
        OSError: it could not be written. The checkpoints there are as they were.
    """
    import torch

    pending = folder / "checkpoint.pending.pt"
    try:
        with replacing(pending) as file:
            torch.save(state, file)
    except RuntimeError as error:  # torch's zip writer hides the OSError beneath it
        raise OSError(str(error)) from error
    if (folder / CURRENT).exists():
        os.replace(folder / CURRENT, folder / PREVIOUS)
    os.replace(pending, folder / CURRENT)
    sync_folder(folder)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole, on the CPU; None where there is none.

    A damaged one is passed over with a warning.
    """
    for name in (CURRENT, PREVIOUS):
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
        Damaged: the file is truncated, or a checksum in it is wrong.
    """
    import torch

    try:
        # torch.load does not compare the checksums that torch.save writes.
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise Damaged(str(error)) from error
    if broken is not None:
        raise Damaged(f"wrong checksum in {broken}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise Damaged(str(error).splitlines()[0]) from error


def remove(folder: Path) -> None:
    for name in (CURRENT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
