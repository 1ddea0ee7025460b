"""Whether there is room for what a run is going to need, in memory and on a disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tasks.sources import DataError

# Of a container's or a job's memory, in version 2 of cgroups and in version 1: the folder, and the
# names of the limit, of what is used, and of what is freed for who needs memory.
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
    """Refuse what cannot fit.

    Args:
        what: is to fit, as a sentence begins.
        remedy: what to do about it.
        memory: bytes of it that are needed.
        available: bytes of it that there are; None: those of this machine.
        disk: bytes that are needed on a disk.
        folder: on that disk; it need not exist yet.

    Raises:
        DataError: there is less.
    """
    there = available_memory() if available is None else available
    free = free_disk(folder) if folder is not None else 0
    if memory <= there and disk <= free:
        return
    needs = f"{size(memory)} of memory, of which {size(there)} are there"
    if folder is not None:
        needs = f"{size(disk)} on the disk of {folder}, which has {size(free)} free, and {needs}"
    raise DataError(f"{what} needs {needs}: {remedy}")


def size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"


def available_memory() -> int:
    """Bytes that a process can still have: those of the machine, and of its container."""
    return min([machine_memory(), *container_memory()])


def machine_memory() -> int:
    try:
        return 1024 * numbers(Path("/proc/meminfo"))["MemAvailable:"]
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
        root, limit, used, freed = VERSIONS[controller]
        own = root / path.lstrip("/")
        for folder in [own, *own.parents][: len(own.parts) - len(root.parts) + 1]:
            try:
                most = int((folder / limit).read_text(encoding="ascii"))
                now = int((folder / used).read_text(encoding="ascii"))
                yield max(0, most - now + numbers(folder / "memory.stat")[freed])
            except (OSError, ValueError, LookupError):  # "max" is no limit
                continue


def numbers(path: Path) -> dict[str, int]:
    """The lines of a file of the system, each a word and a number."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def free_disk(folder: Path) -> int:
    """Bytes that the folder's disk has free, or that files in it take."""
    ours = sum(path.stat().st_size for path in folder.glob("*"))
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free + ours
