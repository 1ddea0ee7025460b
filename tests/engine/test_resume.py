"""A run that is stopped at any point goes on as if it had never stopped."""

import random
import shutil
import signal

import pytest
import torch
from gates import in_save, in_step
from running import (
    TINY,
    environment,
    folder,
    fork,
    lines,
    outcome,
    spelled,
    summary,
    typed,
    wait_until,
)

from engine import checkpoint

# A checkpoint after every step, so that a test can stop a run anywhere.
EVERY_STEP = {"task__steps": 45, "task__eval_every": 1, "train__checkpoint_seconds": 0}

# What carries state from one step to the next: moments, random numbers, the place in a schedule,
# in an epoch (of 31 steps) and between two evaluations, the scale of a gradient.
KINDS = {
    "adam, fp16, seldom evaluated": ["optim=adam", "precision=fp16", "task.eval_every=20"],
    "momentum, cosine, clipping": ["optim=sgd", "schedule=cosine", "clip_norm=0.1"],
    "counted swaps": ["optim=amsgrad_traced", "optim.betas=[0.9,0.5]"],
    "decay that follows lr": [
        "optim=laprop",
        "optim.weight_decay=0.01",
        "schedule=linear",
        "schedule.warmup=4",
        "schedule.scale_decay=true",
    ],
    "adamax, multistep, dropout": [
        "optim=adamax",
        "schedule=multistep",
        "schedule.milestones=[25,40]",
        "task.model._target_=odd.DropoutMLP",
    ],
}

PENDING, CURRENT, PREVIOUS = checkpoint.PENDING, checkpoint.CURRENT, checkpoint.PREVIOUS


def resumed_at(where):
    return [session["at_step"] for session in environment(where).get("resumed", [])]


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
    draw = random.Random(kind)
    points = [draw.randrange(1, 31), draw.randrange(31, 44)]  # in the first and second epoch
    for point in points:
        start(*command, hold=in_step(point)).held().kill()
    child = start(*command)
    assert child.wait() == 0, child.output
    where = folder(runs)
    assert outcome(where) == undisturbed(*KINDS[kind], **EVERY_STEP)
    # It went on each time, and did not begin anew.
    assert resumed_at(where) == points
    assert sorted(path.name for path in where.glob("*checkpoint*")) == []


# Tasks that carry something of their own from step to step: which trials have succeeded, sums over
# the steps, another optimizer.
TRIALS = {
    "rosenbrock": ["optim=adam", "optim.lr=0.02", "task.noise=0.3", "task.threshold=0.7"],
    "convex_example": ["optim=amsgrad", "optim.lr=0.8", "optim.betas=[0.0,0.9]"],
    "gradients": ["optim=laprop", "optim@task.reference=lp_adam", "task.burn_in=10"],
    "online_convex": ["optim=laprop", "optim.lr=0.1", "optim.amsgrad=corrected", "schedule=online"],
    "nonconvex": ["optim=padam"],
}


@pytest.mark.parametrize("task", TRIALS)
def test_trials_go_on_where_a_kill_stopped_them(start, runs, tmp_path, task):
    budget = ["task.trials=20", "task.steps=100", "task.eval_every=1"]
    how = ["train.device=cpu", "logger=none"]
    command = ["train", f"task={task}", *TRIALS[task], *budget, *how]
    often = [f"paths.runs={runs}", "train.checkpoint_seconds=0"]
    start(*command, *often, hold=in_step(30)).held().kill()
    for where in (runs, tmp_path / "undisturbed"):
        child = start(*command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    found, wanted = (outcome(folder(where)) for where in (runs, tmp_path / "undisturbed"))
    assert found == wanted
    assert resumed_at(folder(runs)) == [30]
    if task == "rosenbrock":
        # Some succeeded before and some after the kill, and some never.
        reached = set(found[0]["trials"]["trials/steps_to_success"])
        assert min(reached) < 30 < max(reached - {100}) and 100 in reached


def test_style_transfer_goes_on_where_a_kill_stopped_it(start, runs, tmp_path, style_source):
    """With the image, the moments, and the sum of its losses so far."""
    source = {"data": "full", "task.sources.full": spelled(style_source), "task.size": 8}
    budget = {"task.steps": 20, "task.eval_every": 5, "train.checkpoint_seconds": 0}
    where = {"train.device": "cpu", "logger": "none", "paths.data": tmp_path / "data"}
    command = ["train", "task=style_transfer", "optim=laprop", *typed(source | budget | where)]
    start(*command, f"paths.runs={runs}", hold=in_step(12)).held().kill()
    for folder_of_runs in (runs, tmp_path / "undisturbed"):
        child = start(*command, f"paths.runs={folder_of_runs}")
        assert child.wait() == 0, child.output
    found, wanted = (outcome(folder(path)) for path in (runs, tmp_path / "undisturbed"))
    assert found == wanted
    assert resumed_at(folder(runs)) == [12]


@pytest.mark.parametrize(
    ("place", "step"),
    [("whole", 2), (PENDING, 2), (PREVIOUS, 3), (CURRENT, 3)],
    ids=["half written", "not yet renamed", "before both renames", "between them"],
)
def test_killed_while_a_checkpoint_is_written(start, killed, runs, place, step):
    """The step that it goes on from is the last one whose checkpoint is whole and has a name."""
    _, overrides, expected = killed
    command = ["train", *overrides, f"paths.runs={runs}"]
    start(*command, hold=in_save(3, place)).held().kill()
    where = folder(runs)
    assert any(where.glob(".checkpoint.*.tmp")) == (step == 2)
    child = start(*command)
    assert child.wait() == 0, child.output
    assert resumed_at(where) == [step]
    assert outcome(where) == expected
    # What was half written goes with the checkpoints.
    assert sorted(path.name for path in where.iterdir()) == [
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_leaves_a_checkpoint(start, tiny, runs, undisturbed, number):
    # No checkpoint is due for hours: there is one because of the signal.
    changes = {"task__steps": 40, "task__eval_every": 1, "train__checkpoint_seconds": 1e4}
    command = ["train", *tiny(**changes)]
    child = start(*command, hold=in_step(20)).held()
    child.signal(number)
    assert child.wait() == 128 + number, child.output
    assert "Traceback" not in child.output
    assert "give the same command again to go on" in child.output.splitlines()[-1]
    where = folder(runs)
    assert not (where / "summary.json").exists()
    child = start(*command)
    assert child.wait() == 0, child.output
    assert resumed_at(where) == [21]  # the step was taken to its end
    assert outcome(where) == undisturbed(**changes)


def test_a_signal_where_the_sweep_cannot_be_told(start, tiny, runs):
    # A job of SLURM's runs on another machine than its sweep, whose name for that file it inherits.
    nowhere = {"ADAMILY_STOP_FILE": "/nowhere/stop"}
    child = start("train", *tiny(), environment=nowhere, hold=in_step(2)).held()
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    assert (folder(runs) / "checkpoint.pt").exists()


def test_a_signal_stops_many_runs(start, tiny, runs, gate, waits):
    common = tiny(train__checkpoint_seconds=1e4)
    command = ["train", "-m", *common, *typed(waits(at=3)), "seed=0,1,2"]
    child = start(*command)
    wait_until(lambda: gate.waiting, "a run under way")
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    # Those that had not begun were not begun.
    assert len(list(runs.glob("*/*/*"))) == 1
    gate.open()
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
    stopped = [*overrides, f"paths.runs={base}/killed"]
    fork(fork_server, base, "train", stopped, hold=in_step(20)).held().kill()
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
    usable = [step for name, step in ((CURRENT, 20), (PREVIOUS, 19)) if name not in which]
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
    overrides = tiny(task__steps=30, task__eval_every=10, train__checkpoint_seconds=0)
    command = ["train", *overrides, "optim=sgd"]
    command += ["optim._target_=odd.Slow", "+optim.seconds=0.01"]
    start(*command, hold=in_step(20)).held().kill()
    assert start(*command).wait() == 0
    ended = summary(folder(runs))
    assert ended["wall_seconds"] >= 30 * 0.01
    assert 0.01 <= ended["step_seconds"] < ended["wall_seconds"]
    evaluations = lines(folder(runs))
    seconds = [line["time/train_seconds"] for line in evaluations]
    assert all(line["time/train_seconds"] >= 0.01 * line["step"] for line in evaluations)
    assert seconds == sorted(seconds) and seconds[-1] < ended["wall_seconds"]
    # An epoch of the sample has 31 steps.
    assert [line["epoch"] for line in evaluations] == [10 / 31, 20 / 31, 30 / 31]
