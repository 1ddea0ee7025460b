"""Runs on a disk that nobody can write to: what has ended is read, anything else is refused."""

import ctypes
import os
from functools import partial

import pytest
from running import files, shared

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
NOT_POSSIBLE = 77


def mount_read_only(folder, gate):
    """Let this process, and no other, see the folder as one of a read-only disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(folder)
    steps = [
        lambda: libc.unshare(CLONE_NEWNS | (0 if os.geteuid() == 0 else CLONE_NEWUSER)),
        lambda: libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
        lambda: libc.mount(place, place, None, MS_BIND, None),
        lambda: libc.mount(b"none", place, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None),
    ]
    if any(step() != 0 for step in steps):
        os._exit(NOT_POSSIBLE)


@pytest.fixture
def read_only(start, runs, conf):
    """`read_only("train", …)`: a command as it sees the runs on a read-only disk."""

    def command(*arguments):
        child = start(*arguments, conf=conf, hold=partial(mount_read_only, runs))
        if child.wait() == NOT_POSSIBLE:
            pytest.skip("this system lets nobody mount a folder anew")
        return child

    return command


def test_what_has_ended_is_read_from_a_read_only_disk(sweep, study, tiny, runs, read_only):
    asked = study()
    done = sweep(*asked)
    assert done.code == 0
    before = files(runs)
    # The reports may lie elsewhere.
    elsewhere = f"paths.reports={runs.parent / 'elsewhere'}"
    again = read_only("sweep", *shared(tiny()), *asked, elsewhere)
    assert again.wait() == 0, again.output
    assert "4 ended before" in again.output and "Traceback" not in again.output
    table = done.out[done.out.index("| ") :].partition("\n\n")[0]
    assert table in again.output
    report = read_only("report", f"paths.runs={runs}", elsewhere)
    assert report.wait() == 0 and "Page: " in report.output, report.output
    assert files(runs) == before


def test_a_finished_run_is_read_and_another_one_refused(train, tiny, runs, read_only):
    assert train().code == 0
    before = files(runs)
    for command in (tiny(), ["-m", *tiny(), "seed=0"]):
        again = read_only("train", *command)
        assert again.wait() == 0, again.output
        assert "Traceback" not in again.output
    other = read_only("train", *tiny(), "seed=1")
    assert other.wait() == 2
    said = f"error: paths.runs={runs}: cannot be written: Read-only file system"
    assert other.output.strip().splitlines()[-1] == said
    assert files(runs) == before
