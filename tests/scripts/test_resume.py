"""A run that is stopped at any point goes on as if it had never stopped."""

import random
import signal

import pytest
import torch
from running import environment, folder, lines, outcome, outcomes, summary, wait_until

from results import checkpoint
from results.run import Run
from scripts.config import compose

# A checkpoint after every step and a line for every step, so that a test can stop it anywhere.
LONG = {"task__steps": 100, "task__eval_every": 1, "train__checkpoint_seconds": 0}

# What carries state from one step to the next: moments, random numbers, the place in a schedule,
# the order of an epoch that is under way (an epoch has 31 steps), the scale of a gradient.
KINDS = {
    "adam": ["optim=adam"],
    "momentum, cosine, clipping": ["optim=sgd", "schedule=cosine", "clip_norm=0.1"],
    "adamax, dropout": ["optim=adamax", "task.model._target_=odd.DropoutMLP"],
    "amsgrad, multistep": ["optim=amsgrad", "schedule=multistep", "schedule.milestones=[60,150]"],
    "fp16, seldom evaluated": ["precision=fp16", "optim=sgd", "task.eval_every=40"],
}


def steps_done(runs):
    return max((len(lines(path.parent)) for path in runs.glob("*/*/*/metrics.jsonl")), default=0)


def resumed_at(where):
    return [session["at_step"] for session in environment(where).get("resumed", [])]


@pytest.fixture
def undisturbed(start, tiny, tmp_path):
    """The outcome of a run that nothing stops. In a process like the others: sums over another
    number of threads round otherwise.
    """

    def outcome_of(*typed, **changes):
        child = start("train", *tiny(paths__runs=tmp_path / "undisturbed", **changes), *typed)
        assert child.wait() == 0, child.output
        return outcome(folder(tmp_path / "undisturbed"))

    return outcome_of


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_steps(start, tiny, runs, undisturbed, kind):
    typed = [*tiny(**LONG), *KINDS[kind]]
    # Seeded, so that a failure can be looked at again (as far as the machine keeps time).
    points = sorted(random.Random(kind).sample(range(5, 95), 3))
    kills = 0
    for point in points:
        child = start("train", *typed)
        if "task.eval_every=40" in typed:
            wanted = f"step {point}"
            saved = lambda: saved_step(runs) >= point  # noqa: B023, E731
            wait_until(lambda: saved() or not child.running, wanted, pause=0.001)  # noqa: B023
        else:
            wait_until(
                lambda: steps_done(runs) >= point or not child.running,  # noqa: B023
                f"step {point}",
                pause=0.001,
            )
        kills += child.kill() == -signal.SIGKILL
    assert kills >= 2, "the run is too short for this test"
    child = start("train", *typed)
    assert child.wait() == 0, child.output
    where = folder(runs)
    assert outcome(where) == undisturbed(*KINDS[kind], **LONG)
    # It did go on and did not begin anew.
    assert len(resumed_at(where)) == kills
    assert all(at >= point - 1 for at, point in zip(resumed_at(where), points, strict=False))
    assert not list(where.glob("checkpoint*"))


def saved_step(runs):
    for path in runs.glob("*/*/*/checkpoint.pt"):
        try:
            return checkpoint.read(path)["step"]
        except (checkpoint.Damaged, OSError):
            pass  # it was replaced meanwhile
    return 0
