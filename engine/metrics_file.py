"""metrics.jsonl while a run writes it: one JSON object a line, and the SHA-256 of what it holds."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from engine.files import Unreadable, naming, read_bytes, sync_folder


class MetricsFile:
    """The file as this process has written it, whatever becomes of it on the disk.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, path: Path):
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of the whole file, in hex digits."""
        return self._hash.hexdigest()

    def begins_with(self, size: int, sha256: str) -> bool:
        """Whether its first `size` bytes are those whose hash this is."""
        try:
            beginning = read_bytes(self.path)[:size]
        except FileNotFoundError:
            beginning = b""
        except Unreadable:
            return False
        return len(beginning) == size and hashlib.sha256(beginning).hexdigest() == sha256

    def cut(self, size: int) -> None:
        """Go on behind the first `size` bytes, dropping what comes after them.

        Raises:
            OSError: it cannot be written.
        """
        with naming(self.path):
            self.path.touch()
            os.truncate(self.path, size)
        self.size, self._hash = size, hashlib.sha256(read_bytes(self.path))

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a line.

        Raises:
            OSError: it could not be written whole; the file is as it was.
        """
        text = json.dumps({"step": step, **finite_or_none(metrics)}, allow_nan=False) + "\n"
        line = text.encode()
        # A single write, so that a killed process leaves whole lines behind.
        with naming(self.path), open(self.path, "ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            if file.write(line) < len(line):
                os.ftruncate(file.fileno(), before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(line)
        self._hash.update(line)

    def sync(self) -> None:
        """Make what was written survive a loss of power.

        Raises:
            OSError: it could not be written.
        """
        if not self.path.exists():
            return
        with naming(self.path), open(self.path, "rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.path.parent)


def finite_or_none(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """What strict JSON can hold: None stands for NaN and for the infinities."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
