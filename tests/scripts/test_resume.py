"""A run that is stopped at any point goes on as if it had never stopped."""

import random
import shutil
import signal

import pytest
import torch
from running import TINY, environment, folder, fork, lines, outcome, summary, typed, wait_until

from results import checkpoint

# A checkpoint after every step, so that a test can stop a run anywhere.
EVERY_STEP = {"task__steps": 100, "task__eval_every": 1, "train__checkpoint_seconds": 0}

# What carries state from one step to the next: moments, random numbers, the place in a schedule,
# in an epoch (of 31 steps) and between two evaluations, the scale of a gradient.
KINDS = {
    "adam, fp16, seldom evaluated": ["optim=adam", "precision=fp16", "task.eval_every=40"],
    "momentum, cosine, clipping": ["optim=sgd", "schedule=cosine", "clip_norm=0.1"],
    "counted swaps": ["optim=amsgrad_traced", "optim.betas=[0.9,0.5]"],
    "adamax, multistep, dropout": [
        "optim=adamax",
        "schedule=multistep",
        "schedule.milestones=[60,150]",
        "task.model._target_=odd.DropoutMLP",
    ],
}


def saved_step(runs):
    """The step of the checkpoint that a process is replacing all the time."""
    for path in runs.glob("*/*/*/checkpoint.pt"):
        try:
            return checkpoint.read(path)["step"]
        except (checkpoint.Damaged, OSError):
            pass
    return 0


def resumed_at(where):
    return [session["at_step"] for session in environment(where).get("resumed", [])]


def evaluated(runs):
    return max((len(lines(path.parent)) for path in runs.glob("*/*/*/metrics.jsonl")), default=0)


@pytest.fixture
def undisturbed(start, tiny, tmp_path):
    """The outcome of a run that nothing stops, trained in a process like the others: sums over
    another number of threads round otherwise.
    """

    def outcome_of(*typed, **changes):
        child = start("train", *tiny(paths__runs=tmp_path / "undisturbed", **changes), *typed)
        assert child.wait() == 0, child.output
        return outcome(folder(tmp_path / "undisturbed"))

    return outcome_of


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_steps(start, tiny, runs, undisturbed, kind):
    command = ["train", *tiny(**EVERY_STEP), *KINDS[kind]]
    # Seeded, so that a failure can be looked at again.
    points = sorted(random.Random(kind).sample(range(1, 90), 3))
    for point in points:
        child = start(*command)
        wanted = max(point, saved_step(runs) + 1)
        wait_until(lambda: saved_step(runs) >= wanted, f"step {wanted}", pause=0)  # noqa: B023
        assert child.kill() == -signal.SIGKILL, "the run is too short for this test"
    child = start(*command)
    assert child.wait() == 0, child.output
    where = folder(runs)
    assert outcome(where) == undisturbed(*KINDS[kind], **EVERY_STEP)
    # It went on each time, and did not begin anew.
    assert len(resumed_at(where)) == len(points)
    assert all(at >= point for at, point in zip(resumed_at(where), points, strict=True))
    assert sorted(path.name for path in where.glob("*checkpoint*")) == []


# Tasks that carry something of their own from step to step: which trials have succeeded, sums over
# the steps, another optimizer.
TRIALS = {
    "rosenbrock": ["optim=adam", "optim.lr=0.02", "task.noise=0.3", "task.threshold=0.7"],
    "convex_example": ["optim=amsgrad", "optim.lr=0.8", "optim.betas=[0.0,0.9]"],
    "gradients": ["optim=laprop", "optim@task.reference=lp_adam", "task.burn_in=10"],
}


@pytest.mark.parametrize("task", TRIALS)
def test_trials_go_on_where_a_kill_stopped_them(start, runs, tmp_path, task):
    budget = ["task.trials=20", "task.steps=100", "task.eval_every=1"]
    how = ["train.device=cpu", "logger=none"]
    command = ["train", f"task={task}", *TRIALS[task], *budget, *how]
    child = start(*command, f"paths.runs={runs}", "train.checkpoint_seconds=0")
    wait_until(lambda: saved_step(runs) >= 30 or not child.running, "step 30", pause=0)
    assert child.kill() == -signal.SIGKILL, "the run is too short for this test"
    for where in (runs, tmp_path / "undisturbed"):
        child = start(*command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    found, wanted = (outcome(folder(where)) for where in (runs, tmp_path / "undisturbed"))
    assert found == wanted
    [at] = resumed_at(folder(runs))
    assert 30 <= at < 100
    if task == "rosenbrock":
        # Some succeeded before and some after the kill, and some never.
        reached = set(found[0]["trials"]["trials/steps_to_success"])
        assert min(reached) < 30 and max(reached - {100}) > at and 100 in reached


def test_killed_while_a_checkpoint_is_written(start, tiny, runs, undisturbed):
    # A model large enough that most of the time goes into writing checkpoints (of 10 MB).
    large = {"task__model__widths": "[784,1000,10]", "task__steps": 12, "task__eval_every": 3}
    command = ["train", *tiny(**large, train__checkpoint_seconds=0)]

    def writing():
        for path in runs.glob("*/*/*/.checkpoint.*.tmp"):
            try:
                if path.stat().st_size > 0:
                    return path
            except FileNotFoundError:
                pass
        return None

    def forget():
        for path in runs.glob("*/*/*/.checkpoint.*.tmp"):
            path.unlink()

    in_the_middle = 0
    for _ in range(4):
        before = saved_step(runs)
        child = start(*command)
        # Let it get one step further, so that the test comes to an end.
        wait_until(lambda: saved_step(runs) > before or not child.running, "a checkpoint", pause=0)  # noqa: B023
        wait_until(lambda: writing() or not child.running, "another one", pause=0)  # noqa: B023
        if child.kill() == 0:
            break
        in_the_middle += writing() is not None
        forget()
    assert in_the_middle >= 2
    assert start(*command).wait() == 0
    assert outcome(folder(runs)) == undisturbed(**large)


def test_what_a_killed_process_left_half_written_goes_with_the_checkpoints(start, tiny, runs):
    command = ["train", *tiny(**EVERY_STEP)]
    child = start(*command)
    wait_until(lambda: saved_step(runs) >= 3, "step 3")
    child.kill()
    where = folder(runs)
    (where / ".checkpoint.pending.pt.12345.tmp").write_bytes(b"the beginning of a checkpoint")
    assert start(*command).wait() == 0
    assert sorted(path.name for path in where.iterdir()) == [
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_leaves_a_checkpoint(start, tiny, runs, undisturbed, number):
    # No checkpoint is due for hours: there is one because of the signal.
    changes = {"task__steps": 300, "task__eval_every": 1, "train__checkpoint_seconds": 1e4}
    command = ["train", *tiny(**changes)]
    child = start(*command)
    wait_until(lambda: evaluated(runs) >= 20, "20 steps")
    child.signal(number)
    assert child.wait() == 128 + number, child.output
    assert "Traceback" not in child.output
    assert "give the same command again to go on" in child.output.splitlines()[-1]
    where = folder(runs)
    assert not (where / "summary.json").exists()
    step = checkpoint.read(where / "checkpoint.pt")["step"]
    assert 20 <= step < 300
    child = start(*command)
    assert child.wait() == 0, child.output
    assert resumed_at(where) == [step]
    assert outcome(where) == undisturbed(**changes)


def test_a_signal_where_the_sweep_cannot_be_told(start, tiny, runs):
    # A job of SLURM's runs on another machine than its sweep, whose name for that file it inherits.
    changes = {"task__steps": 300, "task__eval_every": 1}
    child = start("train", *tiny(**changes), environment={"ADAMILY_STOP_FILE": "/nowhere/stop"})
    wait_until(lambda: evaluated(runs) >= 20, "20 steps")
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    assert (folder(runs) / "checkpoint.pt").exists()


def test_a_signal_stops_many_runs(start, tiny, runs):
    changes = {"task__steps": 150, "task__eval_every": 1, "train__checkpoint_seconds": 1e4}
    command = ["train", "-m", *tiny(**changes), "seed=0,1,2"]
    child = start(*command)
    wait_until(lambda: evaluated(runs) >= 20, "20 steps")
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    # Those that had not begun were not begun.
    assert len(list(runs.glob("*/*/*"))) == 1
    child = start(*command)
    assert child.wait() == 0, child.output
    assert len(list(runs.glob("*/*/*/summary.json"))) == 3


# -- damaged checkpoints ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(fork_server, sample_root, tmp_path_factory):
    """A run that was killed after some checkpoints, the overrides, and the outcome in peace."""
    base = tmp_path_factory.mktemp("killed")
    changes = {key.replace("__", "."): value for key, value in EVERY_STEP.items()}
    overrides = typed(TINY | changes | {"paths.data": sample_root})
    child = fork(fork_server, base, "train", [*overrides, f"paths.runs={base}/killed"])
    wait_until(lambda: saved_step(base / "killed") >= 20, "20 steps")
    child.kill()
    child = fork(fork_server, base, "train", [*overrides, f"paths.runs={base}/peace"])
    assert child.wait() == 0, child.output
    return base / "killed", overrides, outcome(folder(base / "peace"))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path):
    path.write_bytes(b"")


CURRENT, PREVIOUS = checkpoint.CURRENT, checkpoint.PREVIOUS


@pytest.mark.parametrize(
    ("damage", "which"),
    [
        (flip, [CURRENT]),
        (truncate, [CURRENT]),
        (empty, [CURRENT]),
        (flip, [PREVIOUS]),
        (truncate, [CURRENT, PREVIOUS]),
        (lambda path: path.unlink(), [CURRENT]),
        (lambda path: path.unlink(), [CURRENT, PREVIOUS]),
    ],
    ids=["flipped", "truncated", "empty", "reserve flipped", "both truncated", "gone", "both gone"],
)
def test_damaged_checkpoints(start, killed, runs, damage, which):
    source, overrides, expected = killed
    shutil.copytree(source, runs)
    where = folder(runs)
    # The kill may have come between writing a third one and renaming it.
    (where / checkpoint.PENDING).unlink(missing_ok=True)
    saved = {name: checkpoint.read(where / name)["step"] for name in (CURRENT, PREVIOUS)}
    for name in which:
        damage(where / name)
    damaged = [name for name in which if (where / name).exists() and name != PREVIOUS]
    child = start("train", *overrides, f"paths.runs={runs}")
    assert child.wait() == 0, child.output
    assert outcome(where) == expected
    # One warning for each that had to be passed over, on the terminal and in the run's log.
    log = where / "log.txt"
    for said in (child.output, log.read_text() if log.exists() else ""):
        assert said.count(f"{CURRENT} is passed over") == len(damaged)
        assert said.count(f"{PREVIOUS} is passed over") == (
            which == [CURRENT, PREVIOUS] and damaged != []
        )
    usable = [saved[name] for name in (CURRENT, PREVIOUS) if name not in which]
    assert resumed_at(where) == usable[:1]


def test_lost_metrics_make_it_start_afresh(start, killed, runs):
    source, overrides, expected = killed
    shutil.copytree(source, runs)
    where = folder(runs)
    text = (where / "metrics.jsonl").read_bytes()
    (where / "metrics.jsonl").write_bytes(text[: len(text) // 2])
    child = start("train", *overrides, f"paths.runs={runs}")
    assert child.wait() == 0, child.output
    assert "has lost lines" in child.output
    assert outcome(where) == expected


def test_checkpoints_are_read_as_data_alone(start, killed, runs):
    # A pickle that would run code when loaded; weights_only refuses it.
    source, overrides, expected = killed
    shutil.copytree(source, runs)
    where = folder(runs)
    mark = runs / "mark"

    class Evil:
        def __reduce__(self):
            return open, (str(mark), "w")

    torch.save({"step": 50, "model": Evil()}, where / CURRENT)
    child = start("train", *overrides, f"paths.runs={runs}")
    assert child.wait() == 0, child.output
    assert not mark.exists()
    assert outcome(where) == expected


def test_the_time_of_all_sessions_counts(start, tiny, runs):
    command = ["train", *tiny(**EVERY_STEP), "optim=sgd", "optim._target_=odd.Slow"]
    command.append("+optim.seconds=0.01")
    child = start(*command)
    wait_until(lambda: saved_step(runs) >= 50, "50 steps")
    child.kill()
    assert start(*command).wait() == 0
    ended = summary(folder(runs))
    assert ended["wall_seconds"] > 1.0
    assert 0.01 <= ended["step_seconds"] < 1.0  # a busy machine is slow, too
