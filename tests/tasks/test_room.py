"""What room there is, and that nothing begins which cannot have it."""

import os
from pathlib import Path

import pytest

from tasks import room
from tasks.room import available_memory, check_room, free_disk
from tasks.sources import DataError

GB = 10**9


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of so much free memory, whose limits are files below `tmp_path`."""

    def make(free, groups=""):
        monkeypatch.setattr(room, "machine_memory", lambda: free)
        (tmp_path / "groups").write_text(groups)
        monkeypatch.setattr(room, "GROUPS", tmp_path / "groups")
        versions = {
            controller: (tmp_path / (controller or "unified"), *names)
            for controller, (_, *names) in room.VERSIONS.items()
        }
        monkeypatch.setattr(room, "VERSIONS", versions)

    return make


def limit(folder: Path, most, used, files, freed):
    folder.mkdir(parents=True, exist_ok=True)
    values = [f"{most}\n", f"{used}\n", f"anon 5\n{freed[0]} {freed[1]}\n"]
    for name, value in zip([*files, "memory.stat"], values, strict=True):
        (folder / name).write_text(value)


SECOND = ("memory.max", "memory.current")
FIRST = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def test_memory_of_the_machine():
    assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_memory_without_any_limit(machine, tmp_path):
    machine(8 * GB, "0::/job\n")
    limit(tmp_path / "unified" / "job", "max", GB, SECOND, ("file", 0))
    assert available_memory() == 8 * GB


def test_memory_of_a_container(machine, tmp_path):
    machine(8 * GB, "3:cpu:/\n0::/\n")
    # What caches hold of files is freed for who needs it.
    limit(tmp_path / "unified", 4 * GB, 3 * GB, SECOND, ("file", 2 * GB))
    assert available_memory() == 3 * GB


def test_memory_of_a_job_inside_a_job(machine, tmp_path):
    machine(8 * GB, "0::/slurm/job/step\n")
    limit(tmp_path / "unified" / "slurm", 6 * GB, GB, SECOND, ("file", 0))
    limit(tmp_path / "unified" / "slurm" / "job", 2 * GB, GB, SECOND, ("file", 0))
    limit(tmp_path / "unified" / "slurm" / "job" / "step", "max", GB, SECOND, ("file", 0))
    assert available_memory() == GB


def test_memory_of_a_container_of_the_first_version(machine, tmp_path):
    machine(8 * GB, "4:memory:/docker\n1:name=systemd:/docker\n")
    limit(tmp_path / "memory" / "docker", 3 * GB, 2 * GB, FIRST, ("total_cache", 0))
    assert available_memory() == GB


def test_what_fits_is_let_through(machine, tmp_path):
    machine(2 * GB)
    check_room("a model", "make it smaller", memory=2 * GB)
    # Half of it, since others write to the disk meanwhile.
    check_room("a memory", "make it smaller", disk=free_disk(tmp_path) // 2, folder=tmp_path)


def test_what_does_not_fit_is_said_with_both_numbers(machine, tmp_path, monkeypatch):
    machine(2 * GB)
    with pytest.raises(DataError) as refused:
        check_room("a model", "make it smaller", memory=1234 * GB)
    wanted = "a model needs 1,234.00 GB of memory, of which 2.00 GB are there: make it smaller"
    assert str(refused.value) == wanted
    monkeypatch.setattr(room, "free_disk", lambda folder: GB)
    with pytest.raises(DataError) as refused:
        check_room("a memory", "make it smaller", memory=GB, disk=3 * GB, folder=tmp_path)
    assert f"needs 3.00 GB on the disk of {tmp_path}, which has 1.00 GB free" in str(refused.value)
