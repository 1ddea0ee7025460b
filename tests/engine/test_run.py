"""A run's folder: begun, recorded, checkpointed, resumed, locked and ended."""

import json
import logging
import os
import signal
import subprocess
import sys

import pytest
import torch

from engine.record_files import Damaged
from engine.run import Busy, Run, artifacts_of
from engine.yaml_files import dump_yaml, read_yaml

HERE = {"device": "cpu", "started": "now"}


def lines(run):
    text = (run.folder / "metrics.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def steps(run):
    return [line["step"] for line in lines(run)]


@pytest.fixture
def run(tmp_path, make_config):
    return Run(tmp_path / "runs", make_config())


def trained(run, upto, since=0, checkpoint_at=()):
    """Record a line for each step, with checkpoints after some."""
    for step in range(since + 1, upto + 1):
        run.record(step, {"train/loss": 1 / step})
        if step in checkpoint_at:
            run.save_checkpoint({"step": step, "w": torch.ones(2) * step})


def go_on(run, environment=None):
    """Begin the run from its newest checkpoint that can be used, and return that."""
    state = next(run.checkpoints(), None)
    run.begin(environment or HERE, state)
    return state


def ended(status="finished", step=3):
    return status, {"step": step, "final": {}, "best": {}}


# -- from the start to the end ---------------------------------------------------------------------


def test_a_run_lies_below_its_task_and_its_optimizer(run, tmp_path):
    assert run.folder == tmp_path / "runs" / "toy" / "adam" / run.id
    assert len(run.id) == 12
    assert (run.summary, run.ended, run.begun, run.busy) == (None, False, False, False)


def test_a_whole_run_leaves_its_record_and_no_checkpoint(run, make_config):
    assert go_on(run) is None
    assert run.begun and not run.ended
    trained(run, 3, checkpoint_at=(1, 2))
    run.end(*ended())
    assert run.ended and not run.begun
    assert run.summary["status"] == "finished"
    wanted = {"task": "toy", "optim": "adam", "seed": 0, "profile": "smoke", "data": "sample"}
    assert wanted.items() <= run.summary.items()
    assert read_yaml(run.folder / "config.yaml") == make_config()
    assert steps(run) == [1, 2, 3]
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["config.yaml", "environment.json", "metrics.jsonl", "summary.json"]


def test_an_artifact_is_whole_or_not_there_and_stays(run, monkeypatch):
    def full(descriptor):
        raise OSError("no space left")

    go_on(run)
    path = run.keep_artifact(4, "game.gif", b"GIF of a game")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for step in (4, 6):
            with pytest.raises(OSError, match="no space left"):
                run.keep_artifact(step, "game.gif", b"another")
    assert artifacts_of(run.folder, 4) == [*path.parent.iterdir()] == [path]
    assert path.name == "000000004.game.gif"
    trained(run, 4, checkpoint_at=(4,))
    run.end(*ended())
    assert path.read_bytes() == b"GIF of a game"


def test_a_failed_run_keeps_its_checkpoint_and_is_begun_again(run):
    go_on(run)
    trained(run, 3, checkpoint_at=(2,))
    run.end(*ended("failed"))
    assert not run.ended and not run.begun
    state = go_on(run)
    assert state["step"] == 2
    assert run.summary is None and run.begun
    assert steps(run) == [1, 2]


def test_a_diverged_run_has_ended(run):
    go_on(run)
    run.end(*ended("diverged"))
    assert run.ended


def test_a_number_that_is_not_finite_is_recorded_as_null(run):
    go_on(run)
    run.record(1, {"train/loss": float("nan"), "test/loss": float("inf"), "lr": 0.1})
    assert lines(run) == [{"step": 1, "train/loss": None, "test/loss": None, "lr": 0.1}]


# -- resuming --------------------------------------------------------------------------------------


def test_a_resumed_run_goes_on_from_its_checkpoint_and_records_nothing_twice(run, tmp_path):
    go_on(run)
    trained(run, 5, checkpoint_at=(1, 3))
    again = Run(tmp_path / "runs", run.config)
    state = go_on(again, {"device": "cuda:0", "started": "later"})
    assert state["step"] == 3 and torch.equal(state["w"], torch.ones(2) * 3)
    assert steps(again) == [1, 2, 3]
    trained(again, 5, since=3)
    assert [line["train/loss"] for line in lines(again)] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_a_line_cut_off_by_a_crash_is_recorded_again(run):
    go_on(run)
    trained(run, 2, checkpoint_at=(1,))
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "tra')
    assert go_on(run)["step"] == 1
    assert steps(run) == [1]


def test_without_a_checkpoint_a_run_starts_afresh(run):
    go_on(run)
    trained(run, 2)
    assert go_on(run, {**HERE, "started": "later"}) is None
    assert lines(run) == []
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment == {**HERE, "started": "later"}


@pytest.mark.parametrize("left", [0, 10])
def test_a_checkpoint_newer_than_its_metrics_is_not_used(run, heard, left):
    """Otherwise the curve would have a hole that nobody sees."""
    go_on(run)
    trained(run, 2, checkpoint_at=(2,))
    os.truncate(run.folder / "metrics.jsonl", left)
    assert go_on(run) is None
    assert lines(run) == []
    assert "metrics.jsonl has lost lines" in heard.text and run.id in heard.text


def test_every_session_of_a_resumed_run_is_in_its_environment(run):
    go_on(run, {"device": "cpu", "started": "first"})
    trained(run, 2, checkpoint_at=(2,))
    go_on(run, {"device": "cpu", "started": "second"})
    trained(run, 4, since=2, checkpoint_at=(4,))
    go_on(run, {"device": "cuda:0", "started": "third"})
    assert json.loads((run.folder / "environment.json").read_text()) == {
        "device": "cpu",
        "started": "first",
        "resumed": [
            {"at_step": 2, "device": "cpu", "started": "second"},
            {"at_step": 4, "device": "cuda:0", "started": "third"},
        ],
    }


def test_a_damaged_environment_is_written_anew(run):
    go_on(run)
    trained(run, 1, checkpoint_at=(1,))
    (run.folder / "environment.json").write_text("{")
    go_on(run)
    assert json.loads((run.folder / "environment.json").read_text()) == HERE


# -- a config edited by hand -----------------------------------------------------------------------


def edit(run, **changes):
    path = run.folder / "config.yaml"
    path.write_text(dump_yaml({**read_yaml(path), **changes}))


def test_a_config_edited_by_hand_is_refused_before_anything_is_written(run, make_config):
    go_on(run)
    trained(run, 2, checkpoint_at=(2,))
    edit(run, seed=7)
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    other = Run(run.root, make_config({"seed": 7})).id
    with pytest.raises(Damaged) as caught:
        go_on(run)
    said = str(caught.value)
    assert str(run.folder / "config.yaml") in said
    assert run.id in said and other in said and "remove the folder" in said
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before


@pytest.mark.parametrize(
    "content",
    [b"", b"seed: 0\n", b"a: [", b"- 1\n", b"task: caf\xe9\n", b"\0\0\0", b"task: {sources: 1}\n"],
)
def test_a_config_that_is_no_config_is_refused(run, content):
    go_on(run)
    (run.folder / "config.yaml").write_bytes(content)
    with pytest.raises(Damaged, match=r"config\.yaml (cannot be read|lacks|holds no)"):
        run.check()


def test_a_config_that_is_gone_from_an_ended_run_is_written_anew(tmp_path, make_config, write_run):
    run = write_run(tmp_path, make_config(), {"status": "finished"}, [])
    path = run.folder / "config.yaml"
    text = path.read_text()
    path.unlink()
    run.restore_config()
    assert path.read_text() == text
    path.write_text("mine")
    run.restore_config()
    assert path.read_text() == "mine"
    path.unlink()
    (run.folder / "summary.json").unlink()
    run.restore_config()
    assert not path.exists()


def test_a_change_of_what_does_not_decide_the_outcome_is_none(run):
    go_on(run)
    edit(run, group="other", paths={"runs": "/moved"})
    go_on(run)
    assert read_yaml(run.folder / "config.yaml") == run.config


# -- one process at a time -------------------------------------------------------------------------

HOLD = """
import sys
from engine.run import Run, artifacts_of
from engine.yaml_files import read_yaml
run = Run(sys.argv[1], read_yaml(__import__("pathlib").Path(sys.argv[2])))
with run.locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(run, tmp_path):
    """Another process that holds the run."""
    (tmp_path / "config.yaml").write_text(dump_yaml(run.config))
    command = [sys.executable, "-c", HOLD, tmp_path / "runs", tmp_path / "config.yaml"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_that_another_process_holds_is_busy_until_that_process_dies(run, holder):
    """A lock of a dead process, even of one that was killed, is taken over."""
    assert run.busy
    with pytest.raises(Busy, match=f"run {run.id} .*{run.id}.* another process"), run.locked():
        pytest.fail("two processes hold one run")
    assert holder.poll() is None, "it is not waited for"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not run.busy
    with run.locked():
        assert run.busy
    assert not run.busy


def test_a_run_is_held_once_within_a_process_too(run, tmp_path):
    with run.locked(), pytest.raises(Busy), Run(tmp_path / "runs", run.config).locked():
        pytest.fail("one run is held twice")


def test_runs_do_not_hold_each_other(run, make_config):
    with run.locked(), Run(run.root, make_config({"seed": 1})).locked():
        pass


def test_an_error_lets_go_of_the_run(run):
    with pytest.raises(KeyError), run.locked():
        raise KeyError
    assert not run.busy


# -- a disk that is full ---------------------------------------------------------------------------


def test_a_full_disk_costs_one_warning_and_no_run(run, heard, monkeypatch):
    go_on(run)
    trained(run, 1, checkpoint_at=(1,))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", full)
        trained(run, 3, since=1, checkpoint_at=(2, 3))
    warnings = [record.getMessage() for record in heard.records]
    assert len(warnings) == 1
    assert run.id in warnings[0] and "step 2" in warnings[0] and "No space left" in warnings[0]
    # There is room again: the next checkpoint counts.
    trained(run, 5, since=3, checkpoint_at=(4,))
    assert go_on(run)["step"] == 4
    assert steps(run) == [1, 2, 3, 4]


SHORT_WRITE = """
import pathlib, resource, sys
from engine.run import Run, artifacts_of
from engine.yaml_files import read_yaml
run = Run(sys.argv[1], read_yaml(pathlib.Path(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
for step in range(1, 100):
    try:
        run.record(step, {"train/loss": 0.5})
    except OSError as error:
        sys.exit(f"{step}: {error.strerror}: {error.filename}")
"""


def test_a_line_that_fits_only_in_part_is_an_error(run, tmp_path):
    """Else the next line would be written behind half a line, and the record be unreadable."""
    go_on(run)
    (tmp_path / "config.yaml").write_text(dump_yaml(run.config))
    line = len('{"step": 1, "train/loss": 0.5}\n')
    command = [sys.executable, "-c", SHORT_WRITE, tmp_path / "runs", tmp_path / "config.yaml"]
    done = subprocess.run([*command, str(2 * line + 5)], capture_output=True, text=True)
    assert done.stderr == f"3: No space left on device: {run.folder / 'metrics.jsonl'}\n"
    assert [step["step"] for step in lines(run)] == [1, 2]


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path, make_config):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError):
        Run(tmp_path / "runs", make_config()).begin(HERE, None)


# -- what is logged --------------------------------------------------------------------------------


@pytest.mark.usefixtures("heard")
def test_the_log_holds_what_was_logged_meanwhile_and_only_that(run):
    log = logging.getLogger("adamily")
    run.folder.mkdir(parents=True)
    with run.logged():
        pass
    assert not (run.folder / "log.txt").exists()
    with run.logged():
        log.warning("inside %d", 1)
    log.warning("outside")
    text = (run.folder / "log.txt").read_text()
    assert "WARNING inside 1" in text and "outside" not in text
