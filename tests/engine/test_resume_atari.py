"""A run that plays games goes on with the emulators and the memory that it had."""

from pathlib import Path

import pytest
from gates import in_step
from running import environment, folder, lines, outcome, run_here, typed

pytest.importorskip("ale_py")

# The memory holds 50 rows and goes round twice before the kill; games and lives end all the time.
TASK = {
    "task": "atari_dqn",
    "task.game": "breakout",
    "task.model.channels": "[2,2,2]",
    "task.model.hidden": 4,
    "task.environments": 2,
    "task.learning_starts": 60,
    "task.epsilon_steps": 300,
    "task.target_every": 7,
    "task.n_step": 2,
    "task.batch_size": 4,
    "task.capacity": 100,
    "task.max_frames": 200,
    "task.steps": 120,
    "task.eval_every": 40,
    "task.eval_episodes": 1,
    "train.artifacts": "true",
    "optim": "adam",
    "optim.lr": 0.01,
    "logger": "none",
    "train.device": "cpu",
}

# Noise and priorities go on, too; random replacement keeps 300 steps of the memory's frames.
RAINBOW = TASK | {
    "task": "atari_rainbow",
    "task.model.atoms": 5,
    "task.replace": "random",
    "task.final_epsilon": 0.1,
    "task.random_after": 20,
}


def artifacts(where):
    return {path.name: path.read_bytes() for path in (where / "artifacts").iterdir()}


@pytest.mark.parametrize(
    ("task", "seconds", "saves"),
    [(TASK, 0, (50, 80)), (TASK, 1e4, (45, 78)), (RAINBOW, 0, (50, 80))],
    ids=["every step", "now and then", "rainbow"],
)
def test_killed_in_the_middle(start, tmp_path, task, seconds, saves):
    # Since the last checkpoint, the process may have written frames that are to be overwritten.
    runs = tmp_path / "runs"
    command = ["train", *typed(task), f"train.checkpoint_seconds={seconds}"]
    for point in (50, 80):
        start(*command, f"paths.runs={runs}", hold=in_step(point, saves)).held().kill()
        assert list((folder(runs) / "files" / "0").iterdir())
    for where in (runs, tmp_path / "undisturbed"):
        child = start(*command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    assert [session["at_step"] for session in environment(folder(runs))["resumed"]] == [*saves]
    # Frames go with the checkpoints, and artifacts stay.
    assert not (folder(runs) / "files").exists()
    kept = artifacts(folder(runs))
    assert kept == artifacts(folder(tmp_path / "undisturbed"))
    assert sorted(kept) == [f"{step:09}.game.gif" for step in (40, 80, 120)]
    assert lines(folder(runs))[-1]["agent/steps"] == 60 + 119 * 4


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [(Path.unlink, "is missing or incomplete"), (flip, "does not hold what was written to it")],
)
def test_lost_frames_are_missed(capsys, tmp_path, damage, said):
    odd = {"optim": "sgd", "optim._target_": "odd.Raises", "+optim.at": 30}
    short = TASK | odd | {"+optim.once": tmp_path / "once", "task.steps": 40}
    command = ["train", *typed(short), "train.checkpoint_seconds=0"]
    assert run_here(capsys, *command, f"paths.runs={tmp_path / 'runs'}").code == 1
    assert run_here(capsys, *command, f"paths.runs={tmp_path / 'peace'}").code == 0
    where = folder(tmp_path / "runs")
    for path in (where / "files" / "0").iterdir():
        damage(path)
    done = run_here(capsys, *command, f"paths.runs={tmp_path / 'runs'}")
    assert done.code == 0, done.err
    # They belong to both checkpoints.
    assert done.err.count(said) == 2 and "begins afresh" in done.err
    assert outcome(where) == outcome(folder(tmp_path / "peace"))


def test_an_artifact_changes_nothing_else(capsys, tmp_path):
    command = ["train", *typed(TASK | {"task.steps": 4, "task.eval_every": 2})]
    command.append(f"paths.runs={tmp_path}")
    assert run_here(capsys, *command).code == 0
    # The run is the same, and so it has ended.
    done = run_here(capsys, *command, "train.artifacts=false")
    assert (done.code, done.last.endswith("finished before")) == (0, True)
    assert len(artifacts(folder(tmp_path))) == 2


# -- what is refused before anything is played -----------------------------------------------------


def test_a_memory_that_does_not_fit_is_refused_at_once(capsys, tmp_path):
    command = ["train", *typed(TASK), f"paths.runs={tmp_path / 'runs'}"]
    done = run_here(capsys, *command, "task.capacity=1000000000000")
    assert done.code == 2
    assert "error: the replay memory needs 0.00 GB on the disk of" in done.err
    assert "and 6,000.00 GB of memory, of which" in done.err
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_run_that_has_ended_needs_no_room(capsys, tmp_path, monkeypatch):
    command = ["train", *typed(TASK | {"task.steps": 2}), f"paths.runs={tmp_path}"]
    assert run_here(capsys, *command).code == 0
    monkeypatch.setattr("tasks.room.free_disk", lambda folder: 0)
    assert run_here(capsys, *command).last.endswith("finished before")
    assert run_here(capsys, *command, "seed=1").code == 2


@pytest.mark.parametrize("task", [TASK, RAINBOW], ids=["dqn", "rainbow"])
def test_several_processes_are_refused(capsys, tmp_path, as_first_of, task):
    command = ["train", *typed(task), f"paths.runs={tmp_path}"]
    said = f"error: task={task['task']}: this task is trained by one process, not by 2: leave"
    assert said in run_here(capsys, *command, "sweep.devices_per_run=2").err
    as_first_of(2)
    done = run_here(capsys, *command)
    assert (done.code, said in done.err) == (2, True)
