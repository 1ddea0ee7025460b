"""The training command and its loop."""

import io
import math
import os
import pty
import select
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml
from rounding import as_rounded
from running import (
    environment,
    evaluations,
    files,
    folder,
    folders,
    lines,
    outcome,
    outcomes,
    run_here,
    summary,
)
from torch import nn

from engine import progress
from engine.config import compose
from engine.execute import execute
from engine.loop import backward
from engine.make import make_optimizer, make_schedule, make_task
from engine.run import Run
from engine.session import Session
from tasks import Mnist

CPU = torch.device("cpu")


def run(config):
    """Train without the command around it; return the run's folder."""
    execute(Run(config["paths"]["runs"], config))
    return Run(config["paths"]["runs"], config).folder


def plain_loop(config, each_step=lambda step, model, loss, lr: None):
    """What the loop must come to, in the fewest lines: no clipping, no evaluation, no records."""
    task = make_task(config, CPU)
    model, optimizer = task.model, make_optimizer(config, task.model)
    schedule = make_schedule(config, optimizer, task.steps)
    losses = []
    for step in range(task.steps):
        loss = task.loss(task.batch(step))
        loss.backward()
        if config["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config["clip_norm"])
        lr = optimizer.param_groups[0]["lr"]
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        each_step(step, model, loss.item(), lr)
    return task, losses


# -- how a run ends, and what happens when it is asked for again -----------------------------------


def test_a_finished_run_is_not_run_again(train, runs):
    first = train()
    assert first.code == 0 and "finished in" in first.last
    where = folder(runs)
    assert summary(where)["status"] == "finished"
    assert summary(where)["step"] == summary(where)["steps"] == 6
    assert [line["step"] for line in lines(where)] == [2, 4, 6]
    assert not list(where.glob("checkpoint*"))

    before = files(runs)
    again = train()
    assert again.code == 0
    assert "finished before" in again.last and where.name in again.last
    assert files(runs) == before


def test_how_a_run_is_carried_out_makes_no_other_run(train, runs):
    assert train().code == 0
    again = train("train.checkpoint_seconds=5", "group=mine", "optim.lr=1e-3", "train.compile=true")
    assert "finished before" in again.last
    assert train("optim.lr=2e-3").code == 0
    assert len(folders(runs)) == 2


def test_the_last_step_is_evaluated_whatever_the_period(train, runs):
    assert train(task__steps=5, task__eval_every=3).code == 0
    assert [line["step"] for line in lines(folder(runs))] == [3, 5]


ODD = ["optim=sgd", "optim._target_=odd.Raises"]


def test_a_failed_run_says_where_its_log_is_and_is_tried_again(train, runs, tmp_path):
    command = [*ODD, f"+optim.once={tmp_path}/once", "+optim.at=4"]
    done = train(*command)
    assert done.code == 1
    where = folder(runs)
    for word in ("failed", str(where), str(where / "log.txt"), "odd on purpose"):
        assert word in done.last
    assert summary(where)["status"] == "failed"
    # The traceback is for the log alone.
    assert "Traceback" not in done.out + done.err
    log = (where / "log.txt").read_text()
    assert "Traceback" in log and "ArithmeticError: odd on purpose" in log

    assert train(*command).code == 0
    assert summary(where)["status"] == "finished"
    assert "error" not in summary(where)
    assert [line["step"] for line in lines(where)] == [2, 4, 6]


def test_a_run_that_always_fails_fails_every_time(train, runs):
    for _ in range(2):
        assert train(*ODD).code == 1
        assert summary(folder(runs))["status"] == "failed"


@pytest.mark.parametrize("eval_every", [7, 100])
def test_a_run_that_diverges_is_a_result(train, runs, tiny, eval_every):
    typed = ["optim=sgd", "optim.lr=1e12"]
    changes = {"task__steps": 40, "task__eval_every": eval_every}
    done = train(*typed, **changes)
    _, losses = plain_loop(compose([*tiny(**changes), *typed]))
    first = next(step for step, loss in enumerate(losses, 1) if not torch.tensor(loss).isfinite())
    assert first < 40
    assert done.code == 0
    where = folder(runs)
    assert summary(where)["status"] == "diverged"
    assert summary(where)["diverged_at"] == first
    assert f"diverged at step {first} of 40" in done.last
    # Nothing is recorded that was measured after it.
    assert all(line["step"] < first for line in lines(where))
    assert "diverged before" in train(*typed, **changes).last


def test_an_evaluation_that_is_not_finite_ends_the_run_as_diverged(train, runs, tiny):
    typed = ["optim=sgd", "optim.lr=1e12"]
    changes = {"task__steps": 40, "task__eval_every": 1}
    assert train(*typed, **changes).code == 0
    _, losses = plain_loop(compose([*tiny(**changes), *typed]))
    first = next(step for step, loss in enumerate(losses, 1) if not torch.tensor(loss).isfinite())
    # The weights that make a step's loss infinite were there when the step before was evaluated.
    said = summary(folder(runs))
    assert (said["status"], said["diverged_at"], said["step"]) == ("diverged", first - 1, first - 1)
    assert said["model_sha256"] is None
    assert lines(folder(runs))[-1]["test/loss"] is None


def test_trials_that_diverge_at_an_evaluation_are_a_result_without_their_values(runs):
    small = ["task=noisy_quadratic", "task.trials=3", "task.eval_every=1", "task.steps=60"]
    where = run(compose([*small, "optim=sgd", "optim.lr=1e6", f"paths.runs={runs}"]))
    assert lines(where)[-1]["test/loss"] is None
    assert (summary(where)["status"], summary(where)["trials"]) == ("diverged", {})


def test_a_run_that_diverges_is_noticed_between_evaluations(train, runs, monkeypatch):
    monkeypatch.setattr("engine.loop.TICK_SECONDS", 0.0)
    assert train("optim=sgd", "optim.lr=1e12", task__steps=2000, task__eval_every=2000).code == 0
    assert summary(folder(runs))["step"] < 100


def test_a_run_whose_trials_have_all_succeeded_is_finished(runs):
    small = ["task=rosenbrock", "task.trials=5", "task.noise=0.3", "task.threshold=0.9"]
    where = run(compose([*small, "task.eval_every=7", "optim.lr=0.02", f"paths.runs={runs}"]))
    said = summary(where)
    reached = said["trials"]["trials/steps_to_success"]
    assert (said["status"], said["steps"]) == ("finished", 10_000)
    # It ends with the first evaluation after the last success.
    assert said["step"] - 7 < max(reached) <= said["step"] < 1000
    assert said["trials"]["trials/success"] == [1.0] * 5
    assert said["final"]["trials/success"] == 1
    # It passes over no data.
    assert "epoch" not in said["final"] and said["final"]["time/train_seconds"] > 0
    assert said["final"]["trials/steps_to_success"] == pytest.approx(sum(reached) / 5)
    assert lines(where)[-1]["step"] == said["step"]
    assert all(line["trials/success"] < 1 for line in lines(where)[:-1])


@pytest.mark.parametrize(
    ("typed", "metric", "low", "high"),
    [
        (["optim=madam"], "optim/beta", 0.5, 0.999),
        (["optim=amsgrad", "optim.betas=[0.9,0.5]"], "optim/kept", 0.05, 0.95),
        (["optim=lp_adam", "optim.p=6"], "optim/underflow", 0.001, 0.95),
        (["optim=lp_adam", "optim.p=2"], "optim/underflow", 0, 1e-4),
        (["optim=adam"], None, 0, 0),
    ],
    ids=str,
)
def test_what_an_observer_sees_is_recorded(tiny, typed, metric, low, high):
    recorded = lines(run(compose([*tiny(), *typed])))
    assert len(recorded) == 3
    for line in recorded:
        seen = line.keys() & {"optim/beta", "optim/kept", "optim/underflow"}
        assert seen == ({metric} if metric else set())
    assert metric is None or low <= recorded[-1][metric] <= high


def test_what_an_optimizer_has_counted_is_recorded_for_each_entry(tiny):
    where = run(compose([*tiny(), "optim=amsgrad_traced", "optim.betas=[0.9,0.5]"]))
    final, trials = summary(where)["final"], summary(where)["trials"]
    for count, interval in (("swaps", "swap_interval"), ("falls", "fall_interval")):
        # Ten of each of the two weights and biases.
        counts, intervals = trials[f"optim/{count}"], trials[f"optim/{interval}"]
        assert len(counts) == len(intervals) == 40
        assert 0 < max(counts) <= 6
        assert all(1 <= steps <= 6 for steps in intervals)
    assert len(trials) == 4
    for name, found in trials.items():
        assert lines(where)[-1][name] == final[name] == pytest.approx(sum(found) / 40)


# -- the loop against a plain one ------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        ["optim=adam"],
        ["optim=sgd", "clip_norm=0.05"],
        ["optim=adamax", "schedule=cosine", "optim.lr=0.01"],
        ["optim=adam", "schedule=multistep", "schedule.milestones=[3,5]", "schedule.of=null"],
    ],
    ids=lambda typed: " ".join(typed),
)
def test_the_loop_equals_a_plain_one(tiny, typed):
    config = compose([*tiny(task__steps=8, task__eval_every=1), *typed])
    before, moved, rates = None, [], []

    def each_step(step, model, loss, lr):
        nonlocal before
        after = nn.utils.parameters_to_vector(model.parameters()).detach()
        if before is not None:
            moved.append((after - before).abs().double().mean().item())
        before = after
        rates.append(lr)

    task, losses = plain_loop(config, each_step)
    where = run(config)
    recorded = lines(where)
    assert [line["train/loss"] for line in recorded] == losses
    assert [line["lr"] for line in recorded] == rates
    assert [line["optim/mean_abs_step"] for line in recorded[1:]] == pytest.approx(moved, rel=1e-4)
    with torch.no_grad():
        task.model.eval()
        expected = task.evaluate()
    assert {name: recorded[-1][name] for name in expected} == expected


def test_clipping_does_something(tiny):
    # Or the comparison with the plain loop above would not see a loop that never clips.
    config = compose([*tiny(), "optim=sgd"])
    clipped = compose([*tiny(), "optim=sgd", "clip_norm=0.05"])
    assert lines(run(config))[-1] != lines(run(clipped))[-1]


def test_training_loss_is_the_mean_since_the_evaluation_before(tiny):
    config = compose(tiny(task__steps=7, task__eval_every=3))
    _, losses = plain_loop(config)
    means = [sum(losses[:3]) / 3, sum(losses[3:6]) / 3, losses[6]]
    assert [line["train/loss"] for line in lines(run(config))] == pytest.approx(means, rel=1e-12)


@pytest.mark.parametrize("parts", [4, 3])  # 128 examples in 4 equal parts, in 3 that are not
def test_accumulation_equals_one_batch(tiny, tmp_path, parts):
    typed = [*tiny(task__steps=10), "optim=sgd"]
    whole = evaluations(run(compose(typed)))
    runs = f"paths.runs={tmp_path}/cut"
    cut = evaluations(run(compose([*typed, f"accumulate={parts}", runs])))
    assert cut == [as_rounded(line, rel=1e-4) for line in whole]


def test_accumulation_cuts_the_batch(tiny, monkeypatch):
    sizes = []
    original = Mnist.loss
    monkeypatch.setattr(Mnist, "loss", lambda s, b: sizes.append(len(b[0])) or original(s, b))
    run(compose([*tiny(task__steps=1), "accumulate=4"]))
    assert sizes == [32] * 4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_and_keeps_float32_weights(tiny, precision):
    config = compose([*tiny(task__steps=30), f"precision={precision}"])
    dtypes = []
    session = Session(config, CPU)
    first = next(m for m in session.task.model.modules() if isinstance(m, nn.Linear))
    first.register_forward_hook(
        lambda module, given, got: dtypes.append((module.weight.dtype, got.dtype))
    )
    backward(session, session.task.batch(0))
    wanted = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert dtypes == [(torch.float32, wanted)]
    assert session.parameters[0].grad.dtype == torch.float32

    recorded = lines(run(config))
    assert recorded[-1]["train/loss"] < 0.9 * recorded[0]["train/loss"]
    full = lines(run(compose(tiny(task__steps=30))))
    assert recorded[-1]["train/loss"] == pytest.approx(full[-1]["train/loss"], rel=0.02)
    assert recorded[-1] != full[-1]


@pytest.mark.slow
def test_a_compiled_model_gives_the_same(tiny, tmp_path):
    typed = tiny(task__steps=10)
    plain = evaluations(run(compose(typed)))
    where = run(compose([*typed, "train.compile=true", f"paths.runs={tmp_path}/compiled"]))
    assert summary(where)["status"] == "finished", (where / "log.txt").read_text()
    assert evaluations(where) == [as_rounded(line, rel=1e-4) for line in plain]


def test_deterministic_is_turned_on_and_off(tiny, tmp_path):
    run(compose([*tiny(), "train.deterministic=true"]))
    assert torch.are_deterministic_algorithms_enabled()
    run(compose([*tiny(), f"paths.runs={tmp_path}/other"]))
    assert not torch.are_deterministic_algorithms_enabled()


# -- seeds -----------------------------------------------------------------------------------------


def beginning(config, steps=40):
    """The first weights, and the batches of more than one epoch."""
    task = make_task(config, CPU)
    weights = [parameter.detach().clone() for parameter in task.model.parameters()]
    return weights, [tensor for step in range(steps) for tensor in task.batch(step)]


def same(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_optimizers_with_one_seed_see_the_same(tiny):
    torch.manual_seed(1)
    weights, batches = beginning(compose([*tiny(), "optim=adam", "seed=3"]))
    # Whatever was drawn before, and in whatever order batches are asked for.
    torch.manual_seed(2)
    torch.rand(7)
    other_weights, other_batches = beginning(compose([*tiny(), "optim=sgd", "seed=3"]))
    assert same(weights, other_weights) and same(batches, other_batches)
    later = make_task(compose([*tiny(), "seed=3"]), CPU).batch(35)
    assert same(later, batches[70:72])


def test_another_seed_is_another_run(tiny):
    weights, batches = beginning(compose([*tiny(), "seed=3"]))
    other_weights, other_batches = beginning(compose([*tiny(), "seed=4"]))
    assert not same(weights, other_weights)
    assert not same(batches[:2], other_batches[:2])


def test_dropout_depends_on_the_seed_alone(tiny, tmp_path):
    typed = [*tiny(), "task.model._target_=odd.DropoutMLP"]
    first = outcome(run(compose(typed)))
    torch.manual_seed(99)
    torch.rand(5)
    assert outcome(run(compose([*typed, f"paths.runs={tmp_path}/again"]))) == first


def test_two_executions_write_the_same_bytes(train, tmp_path):
    for name in ("one", "other"):
        assert train(paths__runs=tmp_path / name).code == 0
    one, other = outcomes(tmp_path / "one"), outcomes(tmp_path / "other")
    assert one == other and one


# -- cost ------------------------------------------------------------------------------------------


def test_the_device_is_asked_for_nothing_between_evaluations(tiny, monkeypatch):
    # On a GPU each of these waits until the device has done all that it was given.
    asked = []
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        original = getattr(torch.Tensor, name)

        def spy(tensor, *args, original=original, name=name, **kwargs):
            asked.append(name)
            return original(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, spy)

    during = []
    batch = Mnist.batch

    def next_batch(task, step):
        during.append((step, len(asked)))
        return batch(task, step)

    monkeypatch.setattr(Mnist, "batch", next_batch)
    monkeypatch.setattr("engine.loop.TICK_SECONDS", 1e9)
    run(compose([*tiny(task__steps=30, task__eval_every=10), "optim=sgd", "clip_norm=1.0"]))
    counts = dict(during)
    # Evaluations follow steps 9 and 19, counted from 0; the first batch loads the data.
    for first, last in ((1, 9), (10, 19), (20, 29)):
        assert counts[first] == counts[last], asked
    assert counts[10] > counts[9]


def test_losses_stay_on_the_device_until_asked(tiny):
    session = Session(compose(tiny()), CPU)
    session.losses.add(torch.tensor(1.0))
    session.losses.add(torch.tensor(float("nan")))
    assert len(session.losses._unread) == 2
    assert session.losses.any_not_finite()
    assert session.losses.first_not_finite() == 1


# -- trouble that a run survives -------------------------------------------------------------------


def test_a_checkpoint_that_cannot_be_written(start, tiny, runs, tmp_path):
    # Limits the size of files, of which checkpoints are the largest, as a full disk would.
    typed = tiny(task__steps=20, train__checkpoint_seconds=0)
    child = start("train", *typed, limit=20_000)
    assert child.wait() == 0, child.output
    where = folder(runs)
    log = (where / "log.txt").read_text()
    assert child.output.count("goes on without a checkpoint") == 1
    assert log.count("goes on without a checkpoint") == 1
    assert summary(where)["status"] == "finished"
    # Nothing half written stays behind.
    names = {path.name for path in where.iterdir()}
    assert names == {"config.yaml", "environment.json", "metrics.jsonl", "summary.json", "log.txt"}
    undisturbed = start("train", *typed, f"paths.runs={tmp_path}/other")
    assert undisturbed.wait() == 0
    assert outcome(where) == outcome(folder(tmp_path / "other"))


class FailingLogger:
    def start(self, info):
        pass

    def log(self, metrics, step):
        raise OSError(28, "No space left on device")

    def finish(self, summary):
        raise AssertionError("called after it failed")


def test_a_logger_that_fails_is_dropped_with_one_warning(train, runs, monkeypatch):
    monkeypatch.setattr("engine.execute.make_loggers", lambda _: [FailingLogger()])
    done = train("logger=tensorboard")
    assert done.code == 0
    assert done.err.count("WARNING") == 1 and "No space left on device" in done.err
    assert len(lines(folder(runs))) == 3


def test_loggers_are_told_what_is_recorded(tiny, monkeypatch):
    told = {}

    class Recorder:
        def start(self, info):
            told["info"] = info

        def log(self, metrics, step):
            told.setdefault("logged", []).append({"step": step, **metrics})

        def finish(self, summary):
            told["summary"] = summary

    monkeypatch.setattr("engine.execute.make_loggers", lambda _: [Recorder()])
    # Of what is shown meanwhile, where a run takes long, nothing is recorded.
    monkeypatch.setattr("engine.loop.TICK_SECONDS", math.inf)
    where = run(compose([*tiny(), "logger=tensorboard", "group=lp_adam/fc2", "profile=smoke"]))
    assert told["logged"] == lines(where)
    assert told["info"].id == where.name
    assert told["info"].group == "lp_adam/fc2"
    wanted = ["lp_adam", "mnist_fc2", "adam", "data:sample", "profile:smoke"]
    assert told["info"].tags == wanted
    assert told["summary"]["final"] == summary(where)["final"]
    assert told["summary"]["status"] == "finished"


def test_metrics_are_on_the_one_list(tiny, monkeypatch):
    monkeypatch.setattr(Mnist, "evaluate", lambda self: {"test/speed": 1.0})
    where = run(compose(tiny()))
    assert "test/speed" in summary(where)["error"]


# -- many runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", ["joblib", "basic"])
def test_multirun_makes_the_same_runs_as_single_commands(train, tmp_path, launcher):
    many, single = tmp_path / "many", tmp_path / "single"
    typed = ["-m", "optim=adam,sgd", "optim.lr=1e-3,0.01", f"hydra/launcher={launcher}"]
    done = train(*typed, paths__runs=many)
    assert done.code == 0, done
    for optim in ("adam", "sgd"):
        for lr in ("0.001", "1e-2"):
            assert train(f"optim={optim}", f"optim.lr={lr}", paths__runs=single).code == 0
    assert outcomes(many) == outcomes(single)
    assert len(outcomes(many)) == 4
    # Hydra leaves no folders of its own beside the runs.
    assert sorted(path.name for path in many.iterdir()) in (
        [".hydra", ".locks", "mnist_fc2"],
        [".locks", "mnist_fc2"],
    )


@pytest.fixture
def three_threads(monkeypatch):
    """As of a process on a machine of three cores."""
    before = torch.get_num_threads()
    monkeypatch.setattr("engine.devices.THREADS", 3)
    monkeypatch.setattr("engine.devices.cores", lambda: 3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_runs_side_by_side_on_the_cpu_have_a_thread_each(train, tmp_path):
    def threads(place, *typed):
        assert train(*typed, f"paths.runs={tmp_path}/{place}").code == 0
        return environment(folder(tmp_path / place))["threads"]

    here = ["-m", "hydra/launcher=basic"]
    assert threads("alone") == 3
    assert threads("each core", *here, "sweep.jobs_per_device=auto") == 1
    assert threads("one", *here, "sweep.jobs_per_device=1") == 3
    assert threads("more than cores", *here, "sweep.jobs_per_device=7") == 1
    assert threads("alone again") == 3


@pytest.mark.usefixtures("three_threads")
def test_a_run_goes_on_with_the_threads_that_it_had(train, runs, tmp_path):
    once = ["optim=sgd", "optim._target_=odd.Raises", "+optim.at=4", f"+optim.once={tmp_path}/once"]
    typed = [*once, "train.checkpoint_seconds=0"]
    assert train(*typed).code == 1
    assert train("-m", *typed, "hydra/launcher=basic", "sweep.jobs_per_device=auto").code == 0
    known = environment(folder(runs))
    assert known["threads"] == 3
    assert [(again["at_step"], again["threads"]) for again in known["resumed"]] == [(3, 3)]


def test_one_failure_among_many(train, runs):
    done = train("-m", "seed=0,1,2", *ODD, "+optim.at=1,100")
    assert done.code == 1
    failed = [line for line in done.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 3
    statuses = [summary(where)["status"] for where in folders(runs)]
    assert sorted(statuses) == ["failed"] * 3 + ["finished"] * 3


def test_a_run_that_another_process_trains_is_left_alone(train, runs, tiny):
    config = compose(tiny())
    with Run(config["paths"]["runs"], config).locked():
        done = train()
    assert done.code == 1
    assert "is being trained by another process" in done.err
    assert folders(runs) == []


# -- help and progress -----------------------------------------------------------------------------


def examples(text):
    return [
        line.split("python -m scripts.train ")[1].split()
        for line in text.splitlines()
        if "python -m scripts.train " in line and "=" in line
    ]


def test_help_shows_examples_that_can_be_pasted(capsys, tiny, runs):
    done = run_here(capsys, "train", "--help")
    assert done.code == 0 and "scripts.train" in done.out
    shown = examples(done.out)
    assert len(shown) >= 3
    small = [
        o for o in tiny() if o.split("=")[0] in ("task.model.widths", "logger", "train.device")
    ]
    for number, example in enumerate(shown):
        small_example = [*example, *small, "task.steps=2", f"paths.runs={runs}/{number}"]
        paths = [o for o in tiny() if o.startswith("paths.data")]
        assert run_here(capsys, "train", *small_example, *paths).code == 0, example
        assert folders(runs / str(number))


def test_cfg_prints_the_config_and_runs_nothing(capsys, tiny, runs):
    done = run_here(capsys, "train", "--cfg", "job", *tiny(seed=7))
    assert done.code == 0
    shown = yaml.safe_load(done.out)
    assert shown["seed"] == 7 and shown["task"]["steps"] == 6
    assert not runs.exists()


METRICS = {"train/recent_loss": 0.25, "test/accuracy": 0.5, "perf/steps_per_second": 10.0}


def test_lines_now_and_then_without_a_terminal(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = progress.progress("a run", 0, 1000)
    for _ in range(60):
        clock[0] += 1
        shown.update(400, METRICS)
    shown.close()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 60 // progress.LINE_SECONDS
    for word in ("a run", "step 400/1000", "0.25", "accuracy 0.5", "10.0 steps/s", "0:01:00"):
        assert word in said[0]


def test_a_bar_on_a_terminal(monkeypatch):
    ours, theirs = pty.openpty()
    with open(theirs, "w", buffering=1) as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "160")
        shown = progress.progress("a run", 0, 1000)
        assert isinstance(shown, progress.Bar)
        shown.update(400, METRICS)
        shown.bar.refresh()
        said = read_until(ours, "400/1000")
        shown.close()
    os.close(ours)
    for word in ("a run", "400/1000", "0.25", "accuracy 0.5", "10.0 steps/s"):
        assert word in said


def read_until(descriptor, word):
    """Everything up to the piece with the word: a terminal gives what is written in pieces."""
    said = b""
    while word.encode() not in said:
        assert select.select([descriptor], [], [], 10)[0], f"no {word} in {said!r}"
        said += os.read(descriptor, 65536)
    return said.decode()


@pytest.fixture
def notebook(monkeypatch):
    """What runs a notebook; `sent` is what its frontend is sent."""
    sent = []
    shell = SimpleNamespace(kernel=object(), sent=sent)

    def display(data, *, raw, display_id):
        assert raw and display_id
        sent.append(data)
        return SimpleNamespace(update=lambda data, raw: sent.append(data))

    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return shell


def test_a_bar_in_a_notebook(notebook, capsys):
    shown = progress.progress("a <run>", 0, 1000)
    shown.update(400, METRICS)
    first, second = notebook.sent
    assert "<progress value='0' max='1000'></progress> a &lt;run&gt;" in first["text/html"]
    assert "<progress value='400' max='1000'>" in second["text/html"]
    for word in ("a <run>", "step 400/1000", "0.25", "accuracy 0.5", "10.0 steps/s", "0:01:00"):
        assert word in second["text/plain"]
    shown.close()
    assert not any(notebook.sent[-1].values())
    assert capsys.readouterr().out == ""


def test_a_run_in_a_notebook_shows_its_bar(notebook, train, monkeypatch):
    monkeypatch.setattr("engine.loop.TICK_SECONDS", 0.0)
    done = train()
    assert done.code == 0 and "steps/s" not in done.out
    assert sum("steps/s" in data["text/plain"] for data in notebook.sent) == 6


def test_ipython_without_a_kernel_is_no_notebook(notebook):
    del notebook.kernel
    assert isinstance(progress.progress("a run", 0, 10), progress.Lines)


def test_no_bar_where_workers_share_the_terminal(monkeypatch):
    monkeypatch.setattr(progress.multiprocessing.current_process(), "_name", "LokyProcess-1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(progress.progress("a run", 0, 10), progress.Lines)


def test_a_long_run_shows_that_it_goes_on(train, monkeypatch):
    monkeypatch.setattr("engine.loop.TICK_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    done = train()
    assert sum("steps/s" in line for line in done.out.splitlines()) == 6
