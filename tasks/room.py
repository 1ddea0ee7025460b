"""Whether there is room for what a run is going to need, in memory and on a disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tasks.sources import DataError

# Of a container's or a job's memory, in version 2 of cgroups and in version 1: the folder, and the
# names of the limit, of what is used, and of the part of it that the system frees when needed.
GROUPS = Path("/proc/self/cgroup")
VERSIONS = {
    "": (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "file"),
    "memory": (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_cache",
    ),
}


def check_room(
    what: str,
    remedy: str,
    memory: int = 0,
    available: int | None = None,
    disk: int = 0,
    folder: Path | None = None,
) -> None:
    """Refuse what does not fit into memory or on a disk.

    Args:
        what: it is, as the beginning of a sentence.
        remedy: what to do about it.
        memory: bytes of it that are needed.
        available: bytes of memory that there are; None: those of this machine.
        disk: bytes that are needed on a disk.
        folder: on that disk; it need not exist yet.

    Raises:
        DataError: there is less.
    """
    available = available_memory() if available is None else available
    free = free_disk(folder) if folder is not None else 0
    if memory <= available and disk <= free:
        return
    needs = f"{gigabytes(memory)} of memory, of which {gigabytes(available)} are there"
    if folder is not None:
        on_disk = f"{gigabytes(disk)} on the disk of {folder}, which has {gigabytes(free)} free"
        needs = f"{on_disk}, and {needs}"
    raise DataError(f"{what} needs {needs}: {remedy}")


def gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"


def available_memory() -> int:
    """Bytes that a process can still have: those of the machine, and of its container."""
    return min([machine_memory(), *container_memory()])


def machine_memory() -> int:
    try:
        return 1024 * read_numbers(Path("/proc/meminfo"))["MemAvailable:"]
    except (OSError, ValueError, LookupError):  # no Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def container_memory() -> Iterator[int]:
    """What is left of each limit on this process's memory: of its group, and of those around it."""
    try:
        groups = [line.split(":", 2) for line in GROUPS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for _, controller, path in groups:
        if controller not in VERSIONS:
            continue
        root, limit_name, used_name, freeable_name = VERSIONS[controller]
        group = root / path.lstrip("/")
        for folder in [group, *group.parents][: len(group.parts) - len(root.parts) + 1]:
            try:
                limit = int((folder / limit_name).read_text(encoding="ascii"))
                used = int((folder / used_name).read_text(encoding="ascii"))
                yield max(0, limit - used + read_numbers(folder / "memory.stat")[freeable_name])
            except (OSError, ValueError, LookupError):  # "max" is no limit
                continue


def read_numbers(path: Path) -> dict[str, int]:
    """The lines of a file of the system, each a word and a number."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def free_disk(folder: Path) -> int:
    """Bytes that the folder's disk has free, and those of files in the folder itself."""
    of_folder = sum(path.stat().st_size for path in folder.glob("*"))
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free + of_folder
