"""A run on an environment of gymnasium goes on within the episodes that it was stopped in."""

import pytest
from gates import in_step
from running import environment, folder, lines, outcome, run_here, sentence, typed

pytest.importorskip("gymnasium")

# The memory holds 50 rows and goes round twice before the kill; episodes end all the time.
TASK = {
    "task": "dqn",
    "task.environment": "CartPole-v1",
    "task.model.hidden": "[8]",
    "task.environments": 2,
    "task.learning_starts": 60,
    "task.epsilon_steps": 300,
    "task.target_every": 7,
    "task.train_every": 4,
    "task.n_step": 2,
    "task.batch_size": 4,
    "task.capacity": 100,
    "task.steps": 120,
    "task.eval_every": 40,
    "task.eval_episodes": 2,
    "optim": "adam",
    "optim.lr": 0.01,
    "logger": "none",
    "train.device": "cpu",
}


@pytest.mark.parametrize("name", ["CartPole-v1", "corridor:Corridor-v0"])
def test_killed_in_the_middle(start, tmp_path, name):
    runs = tmp_path / "runs"
    command = ["train", *typed(TASK | {"task.environment": name}), "train.checkpoint_seconds=0"]
    for point in (50, 80):
        start(*command, f"paths.runs={runs}", hold=in_step(point, (50, 80))).held().kill()
        assert list((folder(runs) / "files" / "0").iterdir())
    for where in (runs, tmp_path / "undisturbed"):
        child = start(*command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    assert [session["at_step"] for session in environment(folder(runs))["resumed"]] == [50, 80]
    assert not (folder(runs) / "files").exists()
    last = lines(folder(runs))[-1]
    assert last["agent/steps"] == 60 + 119 * 4
    assert {"train/return", "test/return", "test/return_error"} <= last.keys()


def test_nothing_is_fetched(capsys, tmp_path):
    done = run_here(capsys, "data", "prepare", "task=dqn", f"paths.data={tmp_path / 'data'}")
    assert (done.code, "dqn: full data are whole" in done.out) == (0, True)
    assert not (tmp_path / "data").exists()


def test_an_environment_is_refused_before_anything_runs(capsys, tmp_path):
    command = ["train", *typed(TASK), f"paths.runs={tmp_path / 'runs'}"]
    said = sentence(run_here(capsys, *command, "task.environment=CartPol-v1"))
    assert "task.environment=CartPol-v1: there is no such environment" in said
    assert "the closest are CartPole-v1, CartPole-v0," in said
    said = sentence(run_here(capsys, *command, "task.environment=corridor:Unseeded-v0"))
    assert "so that a run could not be resumed exactly" in said
    assert not (tmp_path / "runs").exists()
