"""Files are whole or absent: whatever goes wrong while writing, the old one stays."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine.files import (
    Unreadable,
    atomic_write,
    parse_json,
    read_bytes,
    sweep_up,
    write_json,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_text_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new ±")
    assert path.read_bytes() == "new ±".encode()
    assert names(tmp_path) == ["a.txt"]


def test_an_error_inside_the_block_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"half of the n")
        raise KeyError("stop")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_nobody_sees_the_file_before_it_is_whole(tmp_path):
    path = tmp_path / "a.bin"
    with atomic_write(path) as file:
        file.write(b"x")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"x"


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(tmp_path):
    """The size limit of a process makes a real write fail half way."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, pathlib; from engine.files import write_text\n"
        "try: write_text(pathlib.Path(sys.argv[1]), 'x' * 100_000)\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert (done.stdout, done.stderr) == ("OSError\n", "")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failing_rename_leaves_no_litter(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no rename")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no rename"):
        write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == []


def test_the_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path, monkeypatch
):
    """Otherwise a loss of power leaves an empty file under the final name."""
    calls = []
    fsync, rename = os.fsync, os.replace
    # What a descriptor stands for tells a file from its folder.
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (calls.append(os.path.isdir(f"/proc/self/fd/{fd}")), fsync(fd))[1],
    )
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), rename(*a))[1])
    write_text(tmp_path / "a.txt", "new")
    assert calls == [False, "rename", True]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_json_that_is_not_strict_is_refused_and_the_old_file_stays(tmp_path, value):
    path = tmp_path / "a.json"
    write_json(path, {"loss": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, value)
    assert json.loads(path.read_text()) == {"loss": 1.5}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no JSON: "),
        (b'{"a": 1', "is no JSON: "),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (b"\x00" * 20, "is no JSON: "),
        (b"[" * 200_000, "values lie in each other too deep"),
        (b"9" * 6000, "holds a number that is too long"),
    ],
)
def test_json_that_is_damaged_is_refused_in_a_sentence(tmp_path, content, why):
    with pytest.raises(Unreadable) as caught:
        parse_json(content, tmp_path / "a.json")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}: {why}")


def test_what_is_absent_is_no_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "a.json", tmp_path / "file" / "a.json"):
        with pytest.raises(FileNotFoundError):
            read_bytes(path)


def loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "not a file"),
        (loop, "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
    ],
    ids=["folder", "pipe", "loop", "device"],
)
def test_what_only_has_a_files_name_is_refused(tmp_path, place, why):
    place(tmp_path / "a.json")
    with pytest.raises(Unreadable) as caught:
        read_bytes(tmp_path / "a.json")
    assert str(caught.value) == f"{tmp_path / 'a.json'}: cannot be read: {why}"


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "a.bin"
    path.touch()
    os.truncate(path, 11)
    assert len(read_bytes(path, 11)) == 11
    with pytest.raises(Unreadable, match="is larger than 10 bytes"):
        read_bytes(path, 10)


def test_what_a_killed_process_left_is_swept_up_and_nothing_else(tmp_path):
    kept = [".hidden", ".a.tmp", "a.4711.tmp", ".a.b.tmp"]
    for name in (*kept, ".a.json.4711.tmp", ".summary.json.1.tmp"):
        (tmp_path / name).touch()
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / ".000.gif.12.tmp").touch()
    sweep_up(tmp_path)
    assert names(tmp_path) == sorted([*kept, "artifacts"])
    assert names(tmp_path / "artifacts") == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_error_while_writing_names_the_file(tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "a.txt", "new")
    assert str(caught.value) == f"[Errno {code}] {os.strerror(code)}: '{tmp_path / 'a.txt'}'"
    assert names(tmp_path) == []
