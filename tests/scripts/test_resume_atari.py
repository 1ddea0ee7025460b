"""A run that plays games goes on with the emulators and the memory that it had."""

import signal

import pytest
from running import environment, folder, lines, outcome, typed, wait_until

from results import checkpoint

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


def saved_step(runs):
    for path in runs.glob("*/*/*/checkpoint.pt"):
        try:
            return checkpoint.read(path)["step"]
        except (checkpoint.Damaged, OSError):
            pass
    return 0


@pytest.mark.parametrize(
    ("task", "seconds"),
    [(TASK, 0), (TASK, 0.3), (RAINBOW, 0)],
    ids=["every step", "now and then", "rainbow"],
)
def test_killed_in_the_middle(start, tmp_path, task, seconds):
    # Between two checkpoints, the process goes on writing frames that the next one must overwrite.
    runs = tmp_path / "runs"
    command = ["train", *typed(task), f"train.checkpoint_seconds={seconds}"]

    def train(where):
        return start(*command, f"paths.runs={where}")

    for point in (50, 80):
        child = train(runs)
        wait_until(lambda: saved_step(runs) >= point or not child.running, "a step", pause=0)  # noqa: B023
        assert child.kill() == -signal.SIGKILL, child.output
        assert list((folder(runs) / "files" / "0").iterdir())
    child = train(runs)
    assert child.wait() == 0, child.output
    child = train(tmp_path / "undisturbed")
    assert child.wait() == 0, child.output
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    assert [session["at_step"] >= 50 for session in environment(folder(runs))["resumed"]] == [
        True,
        True,
    ]
    # Frames go with the checkpoints.
    assert not (folder(runs) / "files").exists()
    assert lines(folder(runs))[-1]["agent/steps"] == 60 + 119 * 4


def test_lost_frames_are_missed(start, tmp_path):
    command = ["train", *typed(TASK), "train.checkpoint_seconds=0"]
    command.append(f"paths.runs={tmp_path / 'runs'}")
    child = start(*command)
    wait_until(lambda: saved_step(tmp_path / "runs") >= 20 or not child.running, "a step", pause=0)
    child.kill()
    for path in (folder(tmp_path / "runs") / "files" / "0").iterdir():
        path.unlink()
    child = start(*command)
    assert child.wait() == 1
    assert "is missing or incomplete: remove" in child.output
