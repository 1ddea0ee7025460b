"""A file of JSON lines while a run writes it: one object a line, and the SHA-256 of its content."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.files import Unreadable, path_in_errors, read_bytes, sync_folder


class JsonLines:
    """The file as this process has written it, even if it is changed on the disk since.

    Attributes:
        byte_count: bytes written so far.
    """

    def __init__(self, path: Path):
        self.path = path
        self.byte_count = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of the whole file, in hex digits."""
        return self._hash.hexdigest()

    def begins_with(self, byte_count: int, sha256: str) -> bool:
        """Whether this is the hash of its first `byte_count` bytes."""
        try:
            beginning = read_bytes(self.path)[:byte_count]
        except FileNotFoundError:
            beginning = b""
        except Unreadable:
            return False
        return len(beginning) == byte_count and hashlib.sha256(beginning).hexdigest() == sha256

    def cut(self, byte_count: int) -> None:
        """Cut the file off after `byte_count` bytes.

        Raises:
            OSError: it cannot be written.
        """
        with path_in_errors(self.path):
            self.path.touch()
            os.truncate(self.path, byte_count)
        self.byte_count, self._hash = byte_count, hashlib.sha256(read_bytes(self.path))

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)
        self.byte_count, self._hash = 0, hashlib.sha256()

    def append(self, values: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            OSError: it could not be written whole; the file is as it was.
        """
        line = (json.dumps(values, allow_nan=False) + "\n").encode()
        # A single write, so that a killed process leaves whole lines behind.
        with path_in_errors(self.path), open(self.path, "ab", buffering=0) as file:
            previous_size = os.fstat(file.fileno()).st_size
            if file.write(line) < len(line):
                os.ftruncate(file.fileno(), previous_size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.byte_count += len(line)
        self._hash.update(line)

    def sync(self) -> None:
        """Make what was written survive a loss of power.

        Raises:
            OSError: it could not be written.
        """
        if not self.path.exists():
            return
        with path_in_errors(self.path), open(self.path, "rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.path.parent)


def finite_or_none(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """What strict JSON can hold: None stands for NaN and for the infinities."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
