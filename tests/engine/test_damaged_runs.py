"""What is damaged, foreign or in the way is noticed, said in a sentence, and never a result."""

import errno
import os
import re
import shutil

import pytest
from running import environment, files, folder, folders, outcome, run_here

from engine import checkpoint

ODD = ["optim=sgd", "optim._target_=odd.Raises", "+optim.at=5"]
SAVING = {"task__steps": 8, "task__eval_every": 2, "train__checkpoint_seconds": 0}


@pytest.fixture
def stopped(train, tmp_path):
    """`stopped()`: the command of a run that failed in its fifth step, after a checkpoint in each,
    and how it ends in peace.
    """
    once = tmp_path / "once"

    def command(**changes):
        return train(*ODD, f"+optim.once={once}", **SAVING | {"train__loss_every": 1} | changes)

    def stop():
        assert command().code == 1
        assert command(paths__runs=tmp_path / "peace").code == 0
        return command, outcome(folder(tmp_path / "peace"))

    return stop


def rewrite(path, change):
    """Change a checkpoint's state and save it again with a checksum that fits."""
    state = checkpoint.read(path)
    change(state)
    with open(path, "wb") as file:
        checkpoint.write(file, state)


def resumed_at(where):
    return [session["at_step"] for session in environment(where).get("resumed", [])]


def without(key):
    return lambda state: state.pop(key)


def wider(state):
    """A layer of another width."""
    name = next(iter(state["model"]))
    state["model"][name] = state["model"][name].repeat(2, 1)


def other_groups(state):
    state["optimizer"]["param_groups"][0]["params"].pop()


def short_random(state):
    state["processes"][0]["random"] = state["processes"][0]["random"][:16]


MISFITS = [without("model"), without("processes"), without("threads"), without("metrics_bytes")]
MISFITS += [wider, other_groups, short_random]


@pytest.mark.parametrize("misfit", MISFITS, ids=range(len(MISFITS)))
def test_a_checkpoint_that_does_not_fit_is_passed_over_for_the_one_before_it(stopped, runs, misfit):
    command, expected = stopped()
    where = folder(runs)
    rewrite(where / checkpoint.CURRENT, misfit)
    done = command()
    assert done.code == 0, done.err
    assert "is passed over: it is damaged" in done.err and "Traceback" not in done.err
    assert resumed_at(where) == [3]
    assert outcome(where) == expected


def test_where_no_checkpoint_fits_the_run_begins_afresh(stopped, runs):
    command, expected = stopped()
    where = folder(runs)
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        rewrite(where / name, wider)
    done = command()
    assert done.code == 0 and "begins afresh: none of its checkpoints can be used" in done.err
    assert resumed_at(where) == []
    assert outcome(where) == expected


def test_a_checkpoint_of_another_run_is_not_taken(stopped, runs, tmp_path):
    command, expected = stopped()
    where = folder(runs)
    (tmp_path / "once").unlink()
    other = tmp_path / "other"
    assert command(seed=1, paths__runs=other).code == 1
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        shutil.copy(folder(other) / name, where / name)
    done = command()
    assert done.code == 0
    assert (
        f"it is a checkpoint of run {folder(other).name}, and this is run {where.name}" in done.err
    )
    assert outcome(where) == expected


def test_a_checkpoint_of_another_version_is_refused_and_kept(stopped, runs):
    command, _ = stopped()
    path = folder(runs) / checkpoint.CURRENT
    rewrite(path, without("format"))
    before = path.read_bytes()
    done = command()
    assert done.code == 1 and "Traceback" not in done.err
    assert (
        f"{path} is of format 0, and this version of adamily reads format {checkpoint.FORMAT}"
        in done.err
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "losses.jsonl"])
@pytest.mark.parametrize("at", [3, 40, -2], ids=["first", "middle", "last"])
def test_a_flipped_bit_in_the_lines_of_an_unfinished_run_is_noticed(stopped, runs, at, name):
    command, expected = stopped()
    where = folder(runs)
    content = bytearray((where / name).read_bytes())
    content[at] ^= 1
    (where / name).write_bytes(content)
    done = command()
    assert done.code == 0
    assert f"{where / name} has lost lines or was changed since" in done.err
    # The checkpoint before it was saved before the last line.
    assert resumed_at(where) == ([3] if at < 0 else [])
    assert outcome(where) == expected


def test_a_run_ends_although_its_checkpoints_cannot_be_removed(train, runs, monkeypatch):
    def refuse(folder):
        raise PermissionError(
            errno.EACCES, os.strerror(errno.EACCES), str(folder / "checkpoint.pt")
        )

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "remove", refuse)
        done = train(**SAVING)
    assert done.code == 0
    where = folder(runs)
    assert "has ended, but not all it needed is removed" in done.err and str(where) in done.err
    assert (where / checkpoint.CURRENT).exists()
    # Whoever asks for the run next removes it, and what killed processes left beside it.
    (where / ".summary.json.4711.tmp").write_text("{")
    assert train(**SAVING).last.endswith("finished before")
    names = {path.name for path in where.iterdir()} - {"log.txt"}
    assert names == {"config.yaml", "environment.json", "metrics.jsonl", "summary.json"}


# -- many runs of which one is damaged -------------------------------------------------------------


@pytest.fixture
def swept(sweep, study, conf):
    """`swept()`: sweep a study of two runs, of which alone there is to be a report."""
    for path in (conf / "study").glob("*/*.yaml"):
        path.unlink()
    asked = study(grid={})
    return lambda: sweep(*asked)


def nulls(where):
    (where / "summary.json").write_text('{"status": "finished", "final": null}')


def emptied(where):
    (where / "metrics.jsonl").write_text("")


def other_data(where):
    text = (where / "config.yaml").read_text()
    (where / "config.yaml").write_text(text.replace("data: sample", "data: full", 1))


def list_of_nothing(where):
    (where / "environment.json").write_text("[]")


@pytest.mark.parametrize("damage", [nulls, emptied, other_data, list_of_nothing])
def test_a_damaged_run_stops_neither_sweep_nor_report(swept, capsys, runs, damage):
    assert swept().code == 0
    bad, _ = folders(runs)
    damage(bad)
    before = files(bad)
    done = swept()
    assert done.code == 1 and "Traceback" not in done.err
    assert done.err.strip().splitlines()[-1].startswith(f"failed: {bad}/")
    assert "put it back, or remove" in done.err and "1 of 2 runs" in done.out
    # Whatever can be saved of it is still there.
    assert files(bad) == before
    report = run_here(
        capsys, "report", f"paths.runs={runs}", f"paths.reports={runs.parent / 'reports'}"
    )
    assert report.code == 0 and report.err.count(f"{bad} is left out: its ") == 1
    # As it says, the run is trained anew where its folder is removed, or that file.
    if damage is list_of_nothing:
        (bad / "environment.json").unlink()
    else:
        shutil.rmtree(bad)
    assert swept().code == 0


def test_a_folder_in_the_place_of_a_lock_fails_one_run(swept, runs):
    assert swept().code == 0
    bad, _ = folders(runs)
    shutil.rmtree(bad)
    lock = runs / ".locks" / f"{bad.name}.lock"
    lock.unlink()
    lock.mkdir()
    done = swept()
    assert done.code == 1 and str(lock) in done.err and "Traceback" not in done.err


# -- a disk that is full ---------------------------------------------------------------------------


@pytest.fixture
def full_at(monkeypatch):
    """`full_at("summary.json")`: the disk is full when this file is written."""

    def fill(name):
        fsync = os.fsync

        def full(descriptor):
            if name in os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full)

    return fill


@pytest.mark.parametrize(
    "name", ["config.yaml", "environment.json", "metrics.jsonl", "summary.json"]
)
def test_a_full_disk_is_said_with_the_file_that_it_has_no_room_for(train, runs, full_at, name):
    full_at(name)
    done = train(**SAVING)
    assert done.code == 1 and "Traceback" not in done.err
    assert re.search(f"No space left on device: '{runs}/.*/{name}'", done.err)


def test_a_full_disk_for_checkpoints_is_said_once_with_the_file(train, runs, full_at):
    full_at("checkpoint.pending.pt")
    done = train(**SAVING)
    assert done.code == 0
    path = folder(runs) / "checkpoint.pending.pt"
    assert done.err.count(f"No space left on device: '{path}'") == 1
