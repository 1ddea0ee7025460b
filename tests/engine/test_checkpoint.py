"""A checkpoint is exactly what was saved, or it is passed over for the one before it."""

import os
import random
import subprocess
import sys

import pytest
import torch

from engine import checkpoint
from engine.files import atomic_write


def state(step):
    return {
        "step": step,
        "model": {"weight": torch.arange(12.0).reshape(3, 4) * step, "bias": torch.ones(3)},
        "random": torch.arange(16, dtype=torch.uint8),
        "final": {"train/loss": 0.5, "test/accuracy": None},
        "metrics_bytes": 10 * step,
        "metrics_sha256": "0" * 64,
    }


def assert_is(found, step):
    wanted = state(step) | {"format": checkpoint.FORMAT, "run": "me"}
    assert found is not None and found.keys() == wanted.keys()
    assert torch.equal(found["model"]["weight"], wanted["model"]["weight"])
    assert torch.equal(found["model"]["bias"], wanted["model"]["bias"])
    assert torch.equal(found["random"], wanted["random"])
    assert (found["step"], found["final"]) == (step, wanted["final"])


def newest(folder, run_id="me"):
    return next((state for _, state in checkpoint.usable(folder, run_id)), None)


@pytest.fixture
def two(tmp_path):
    """A folder with checkpoints of step 1 and step 2."""
    checkpoint.save(tmp_path, "me", state(1))
    checkpoint.save(tmp_path, "me", state(2))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_checkpoint_comes_back(two, heard):
    assert_is(newest(two), 2)
    assert heard.text == ""
    assert names(two) == ["checkpoint.previous.pt", "checkpoint.pt"]


def test_there_is_none_in_an_empty_folder(tmp_path):
    assert newest(tmp_path) is None


def test_only_two_are_kept(two):
    checkpoint.save(two, "me", state(3))
    assert names(two) == ["checkpoint.previous.pt", "checkpoint.pt"]
    assert_is(checkpoint.read(two / checkpoint.PREVIOUS), 2)


def test_every_flipped_byte_is_noticed(tmp_path):
    """One flipped bit in every byte, the directory at the end of torch's format included."""
    checkpoint.save(tmp_path, "me", state(1))
    path = tmp_path / checkpoint.CURRENT
    whole = path.read_bytes()
    draw = random.Random(0)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)


def test_every_cut_is_noticed(tmp_path):
    checkpoint.save(tmp_path, "me", state(1))
    path = tmp_path / checkpoint.CURRENT
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 13), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)
    for more in (b"\0", b"\0" * 4096, whole):
        path.write_bytes(whole + more)
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\0" * 3000])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(two, heard, content):
    (two / checkpoint.CURRENT).write_bytes(content)
    assert_is(newest(two), 1)
    assert f"{two / checkpoint.CURRENT} is passed over: it is damaged (wrong" in heard.text


def test_without_a_whole_checkpoint_there_is_none(two, heard):
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        content = bytearray((two / name).read_bytes())
        content[200] ^= 1
        (two / name).write_bytes(content)
    assert newest(two) is None
    assert checkpoint.CURRENT in heard.text and checkpoint.PREVIOUS in heard.text


def test_a_damaged_checkpoint_does_not_push_out_the_good_one(two):
    """Killed between the renames, with a damaged current one: the new one still counts."""
    (two / checkpoint.CURRENT).write_bytes(b"damaged")
    with atomic_write(two / checkpoint.PENDING) as file:
        checkpoint.write(file, {"format": checkpoint.FORMAT, "run": "me", **state(3)})
    (two / checkpoint.CURRENT).replace(two / checkpoint.PREVIOUS)
    assert_is(newest(two), 3)
    checkpoint.save(two, "me", state(4))
    assert_is(newest(two), 4)
    assert_is(newest(two), 4)
    assert checkpoint.PENDING not in names(two)


def test_a_checkpoint_holds_no_code(tmp_path):
    """Whoever is sent a checkpoint can open it without running what is in it."""
    checkpoint.save(tmp_path, "me", {"step": 1, "bad": pytest.raises})
    with pytest.raises(checkpoint.Damaged) as caught:
        checkpoint.read(tmp_path / checkpoint.CURRENT)
    # What torch advises, to trust the file, is not passed on.
    assert str(caught.value) == "it is damaged (it holds other things than data)"


def test_a_checkpoint_of_another_run_is_passed_over(two, tmp_path, heard):
    other = tmp_path / "other"
    other.mkdir()
    checkpoint.save(other, "another", state(7))
    (other / checkpoint.CURRENT).replace(two / checkpoint.CURRENT)
    assert_is(newest(two), 1)
    said = "is passed over: it is a checkpoint of run another, and this is run me."
    assert f"{two / checkpoint.CURRENT} {said}" in heard.text


@pytest.mark.parametrize("found", [None, 0, checkpoint.FORMAT + 1, "1"])
def test_a_checkpoint_of_another_version_is_refused_and_stays(two, found):
    """Its work is not lost, and it is not taken for what it is not."""
    form = {} if found is None else {"format": found}
    with atomic_write(two / checkpoint.CURRENT) as file:
        checkpoint.write(file, {**form, "run": "me", **state(3)})
    with pytest.raises(checkpoint.OtherFormat) as caught:
        newest(two)
    said = str(caught.value)
    assert said.startswith(f"{two / checkpoint.CURRENT} is of format {found or 0}, and this ")
    assert said.endswith("or remove the run's checkpoints to begin afresh")


@pytest.mark.parametrize("key", checkpoint.REQUIRED_KEYS)
def test_a_checkpoint_that_lacks_a_key_is_passed_over(two, heard, key):
    lacking = state(3)
    del lacking[key]
    checkpoint.save(two, "me", lacking)
    assert_is(newest(two), 2)
    assert f"is passed over: it is damaged (it lacks {key})" in heard.text


def folder_there(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (folder_there, "it cannot be read (Is a directory)"),
        (os.mkfifo, "it cannot be read (not a file)"),
        (lambda path: path.symlink_to("/dev/zero"), "it cannot be read (not a file)"),
    ],
    ids=["folder", "pipe", "device"],
)
def test_what_is_no_file_is_passed_over(two, heard, place, said):
    (two / checkpoint.CURRENT).unlink()
    place(two / checkpoint.CURRENT)
    assert_is(newest(two), 1)
    assert f"{two / checkpoint.CURRENT} is passed over: {said}." in heard.text


# The limit on the size of a file stops a real write at the given number of bytes: in the middle of
# a tensor, in the directory at the end, in the checksum.
FULL_DISK = """
import resource, sys, pathlib, torch
from engine import checkpoint
folder = pathlib.Path(sys.argv[1])
small = {"metrics_bytes": 0, "metrics_sha256": ""}
big = {"step": 3, "model": {"weight": torch.ones(30_000), "bias": torch.ones(3)}, **small}
checkpoint.save(folder, "me", big)
size = (folder / checkpoint.CURRENT).stat().st_size
checkpoint.remove(folder)
for step in (1, 2):
    checkpoint.save(folder, "me", {"step": step, **small})
for limit in (10, 60_000, size - 1000, size - 40, size - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        checkpoint.save(folder, "me", big)
    except OSError as error:
        print(error.strerror, pathlib.Path(error.filename).name)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert next(checkpoint.usable(folder, "me"))[1]["step"] == 2
print(*sorted(path.name for path in folder.iterdir()))
checkpoint.save(folder, "me", big)
print(next(checkpoint.usable(folder, "me"))[1]["step"])
"""


def test_a_disk_that_fills_up_leaves_the_old_checkpoints_and_no_litter(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *["File too large checkpoint.pending.pt"] * 5,
        "checkpoint.previous.pt checkpoint.pt",
        "3",
    ]


def test_remove_takes_all_of_them(two):
    (two / checkpoint.PENDING).write_bytes(b"whole")
    (two / checkpoint.FILES / "0").mkdir(parents=True)
    (two / checkpoint.FILES / "0" / "frames-000000").write_bytes(b"")
    (two / "metrics.jsonl").write_text("")
    assert checkpoint.exists(two)
    checkpoint.remove(two)
    assert names(two) == ["metrics.jsonl"] and not checkpoint.exists(two)
    checkpoint.remove(two)
