"""Frames on disk, each written once, in files that are mapped into memory."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sources import DataError


class Frames:
    """The frames of all environments, appended one time step after the other and read anywhere.

    They lie in files of `times_per_file` time steps, which the system keeps in memory as far as
    there is room. A time step is never overwritten, so that a checkpoint is only a number of them:
    whatever a killed process has written after them is written again, the same. A file is removed
    when nobody needs its time steps any more (`forget`). To make an instance touches no disk. Every
    file that is there is mapped, and a map holds a descriptor of its file, so there should be few.

    Args:
        folder: of the files; it need not exist.
        shape: of a time step, (environments, …).
        times_per_file: time steps in each file.
        dtype: of the numbers in it.

    Attributes:
        written: time steps appended so far.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], times_per_file: int, dtype: Any):
        self.folder = folder
        self.shape = shape
        self.times_per_file = times_per_file
        self.dtype = np.dtype(dtype)
        self.written = 0
        self._flushed = 0
        self._oldest = 0  # number of the first file that may be there
        self._files: dict[int, np.ndarray] = {}
        self._checksums: dict[int, int] = {}  # CRC-32 of what was written to each

    def append(self, frames: np.ndarray) -> None:
        """Write a time step behind the others.

        Raises:
            OSError: the disk is full.
        """
        number, index = divmod(self.written, self.times_per_file)
        if number not in self._files:
            self._files[number] = self._create(number)
        target = self._files[number][index]
        target[:] = frames
        self._checksums[number] = zlib.crc32(target.data, self._checksums.get(number, 0))
        self.written += 1

    def read(self, first: int, environment: int, out: np.ndarray) -> None:
        """Copy an environment's frames of len(out) time steps from `first` on: all are there."""
        number, index = divmod(first, self.times_per_file)
        of_file = self._files[number][index : index + len(out), environment]
        out[: len(of_file)] = of_file
        if len(of_file) < len(out):
            self.read(first + len(of_file), environment, out[len(of_file) :])

    def flush(self) -> None:
        """Make all time steps survive a loss of power."""
        for number in range(self._flushed // self.times_per_file, self._count(self.written)):
            mapped: Any = self._files[number].base
            mapped.flush()
        self._flushed = self.written
        if self.folder.exists():
            descriptor = os.open(self.folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def forget(self, before: int) -> None:
        """Remove the files with time steps before this one only, whoever has written them."""
        while (self._oldest + 1) * self.times_per_file <= before:
            self._files.pop(self._oldest, None)
            self._checksums.pop(self._oldest, None)
            self._path(self._oldest).unlink(missing_ok=True)
            self._oldest += 1

    def checksums(self, first: int) -> list[int]:
        """The CRC-32 of what was written to each file that holds time steps from `first` on."""
        numbers = range(first // self.times_per_file, self._count(self.written))
        return [self._checksums[number] for number in numbers]

    def resume(self, first: int, written: int, checksums: list[int]) -> None:
        """Go on behind that many time steps, of which those from `first` on are to be read.

        Args:
            first: its file and all later ones are read through once.
            written: time steps that were there when `checksums(first)` was called.
            checksums: what it returned.

        Raises:
            DataError: a file of them is not there, or does not hold what was written to it.
        """
        self._files, self._checksums, self._oldest = {}, {}, 0
        numbers = range(first // self.times_per_file, self._count(written))
        for number, checksum in zip(numbers, checksums, strict=True):
            path = self._path(number)
            if not path.is_file() or path.stat().st_size != self._file_size:
                raise DataError(f"{path} is missing or incomplete")
            mapped = self._map(path)
            if zlib.crc32(mapped[: written - number * self.times_per_file].data) != checksum:
                raise DataError(f"{path} does not hold what was written to it")
            self._files[number], self._checksums[number] = mapped, checksum
        self.written = self._flushed = written

    def size(self, times: int) -> int:
        """Bytes that so many time steps take on the disk, wherever in a file they begin."""
        return (self._count(times) + 1) * self._file_size

    def _count(self, times: int) -> int:
        """Files that so many time steps fill or begin."""
        return -(-times // self.times_per_file)

    @property
    def _file_size(self) -> int:
        return self.times_per_file * int(np.prod(self.shape)) * self.dtype.itemsize

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
        shape = (self.times_per_file, *self.shape)
        return np.asarray(np.memmap(path, dtype=self.dtype, mode="r+", shape=shape))
