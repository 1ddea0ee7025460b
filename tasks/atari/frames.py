"""Frames on disk, each written once, in files that are mapped into memory."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sources import DataError


class Frames:
    """Rows of bytes that are appended one after the other and read anywhere.

    They lie in files of `rows_per_file` rows, which the system keeps in memory as far as there is
    room. A row is never overwritten, so that a checkpoint is only a number of rows: whatever a
    killed process has written after them is written again, the same. A file goes when nobody needs
    its rows any more (`forget`). Making one touches no disk. Every file that is there is mapped,
    and a map holds a descriptor of its file, so there should be few of them.

    Args:
        folder: of the files; it need not exist.
        shape: of a row.
        rows_per_file: of all files but the last.

    Attributes:
        written: rows appended so far.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], rows_per_file: int):
        self.folder = folder
        self.shape = shape
        self.rows_per_file = rows_per_file
        self.written = 0
        self._flushed = 0
        self._oldest = 0  # number of the first file that may be there
        self._files: dict[int, np.ndarray] = {}
        self._checksums: dict[int, int] = {}  # CRC-32 of what was written to each

    def append(self, row: np.ndarray) -> None:
        """Write a row of this shape behind the others.

        Raises:
            OSError: the disk is full.
        """
        number, place = divmod(self.written, self.rows_per_file)
        if number not in self._files:
            self._files[number] = self._create(number)
        written = self._files[number][place]
        written[:] = row
        self._checksums[number] = zlib.crc32(written.data, self._checksums.get(number, 0))
        self.written += 1

    def read(self, first: int, column: int, out: np.ndarray) -> None:
        """Copy the entries `column` of len(out) rows, from row `first` on, which are all there."""
        number, place = divmod(first, self.rows_per_file)
        here = self._files[number][place : place + len(out), column]
        out[: len(here)] = here
        if len(here) < len(out):
            self.read(first + len(here), column, out[len(here) :])

    def flush(self) -> None:
        """Make all rows survive a loss of power."""
        for number in range(self._flushed // self.rows_per_file, self._count(self.written)):
            mapped: Any = self._files[number].base
            mapped.flush()
        self._flushed = self.written
        if self.folder.exists():
            descriptor = os.open(self.folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def forget(self, before: int) -> None:
        """Remove the files of which all rows come before this one, whoever has written them."""
        while (self._oldest + 1) * self.rows_per_file <= before:
            self._files.pop(self._oldest, None)
            self._checksums.pop(self._oldest, None)
            self._path(self._oldest).unlink(missing_ok=True)
            self._oldest += 1

    def checksums(self, first: int) -> list[int]:
        """The CRC-32 of what was written to each file that holds rows from `first` on."""
        numbers = range(first // self.rows_per_file, self._count(self.written))
        return [self._checksums[number] for number in numbers]

    def resume(self, first: int, written: int, checksums: list[int]) -> None:
        """Go on behind that many rows, of which those from `first` on are to be read.

        Args:
            first: of which the file and all later ones are read through once.
            written: rows that were there when `checksums(first)` was asked for.
            checksums: what that gave.

        Raises:
            DataError: a file of them is not there, or does not hold what was written to it.
        """
        self._files, self._checksums, self._oldest = {}, {}, 0
        numbers = range(first // self.rows_per_file, self._count(written))
        for number, checksum in zip(numbers, checksums, strict=True):
            path = self._path(number)
            if not path.is_file() or path.stat().st_size != self._file_size:
                raise DataError(f"{path} is missing or incomplete")
            mapped = self._map(path)
            if zlib.crc32(mapped[: written - number * self.rows_per_file].data) != checksum:
                raise DataError(f"{path} does not hold what was written to it")
            self._files[number], self._checksums[number] = mapped, checksum
        self.written = self._flushed = written

    def size(self, rows: int) -> int:
        """Bytes that so many rows take on the disk, wherever in a file they begin."""
        return (self._count(rows) + 1) * self._file_size

    def _count(self, rows: int) -> int:
        """Files that so many rows are in."""
        return -(-rows // self.rows_per_file)

    @property
    def _file_size(self) -> int:
        return self.rows_per_file * int(np.prod(self.shape))

    def _path(self, number: int) -> Path:
        return self.folder / f"frames-{number:06}"

    def _create(self, number: int) -> np.ndarray:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self._path(number), "wb") as file:
            # Else a full disk would kill the process when it touches the memory.
            os.posix_fallocate(file.fileno(), 0, self._file_size)
        return self._map(self._path(number))

    def _map(self, path: Path) -> np.ndarray:
        # Indexing a plain array is several times faster than indexing a memmap.
        shape = (self.rows_per_file, *self.shape)
        return np.asarray(np.memmap(path, dtype=np.uint8, mode="r+", shape=shape))
