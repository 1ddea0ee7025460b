"""One run by several processes: the same result, the same folder, and one end for all."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from gates import in_step
from rounding import as_rounded
from running import (
    ROOT,
    child_environment,
    config,
    environment,
    evaluations,
    files,
    folder,
    folders,
    lines,
    outcome,
    shared,
    spelled,
    summary,
    typed,
    wait_until,
)
from torch import nn

from engine import checkpoint, parallel
from engine.checks import BadInput
from engine.config import compose
from engine.make import make_task
from engine.resume import check_processes
from engine.run import Run
from engine.session import Session


@pytest.fixture
def torchrun(tmp_path):
    """Start the real one: `torchrun(2, *tiny())`; what it says is in its attribute `said`."""
    started = []

    def command(count, *arguments):
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        said = tmp_path / f"torchrun-{len(started)}"
        with open(said, "w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *launcher, "-m", "scripts.train", *arguments],
                cwd=ROOT,
                env=child_environment(),
                stdout=file,
                stderr=file,
            )
        process.said = said
        started.append(process)
        return process

    yield command
    for process in started:
        process.terminate()
        process.wait()


# -- the same result -------------------------------------------------------------------------------

KINDS = {
    "clipping, accumulation": (2, ["optim=sgd", "clip_norm=0.05", "accumulate=2"]),
    "adam, cosine, fp16": (2, ["schedule=cosine", "precision=fp16"]),
    "batch norm, uneven shares": (
        3,
        ["optim=sgd", "accumulate=2", "task.model._target_=odd.BatchNormMLP"],
    ),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if "fp16" in k else k for k in KINDS]
)
def test_the_number_of_processes_changes_no_loss(train_by, train, tiny, runs, tmp_path, kind):
    count, chosen = KINDS[kind]
    typed = [*tiny(task__steps=15, task__eval_every=1), *chosen]
    assert train(*typed, f"paths.runs={tmp_path}/alone").code == 0
    assert "finished in" in train_by(count, *typed)
    one, many = folder(tmp_path / "alone"), folder(runs)
    if "precision=fp16" in chosen:
        # Each share's gradient is rounded to 11 bits.
        losses = [[line["train/loss"] for line in lines(where)] for where in (one, many)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    else:
        assert evaluations(many) == [as_rounded(line) for line in evaluations(one)]
    # The same run, with the same files.
    assert many.relative_to(runs) == one.relative_to(tmp_path / "alone")
    assert {path.name for path in many.iterdir()} == {path.name for path in one.iterdir()}
    assert summary(many).keys() == summary(one).keys()
    assert environment(one)["processes"] == 1
    assert environment(many)["processes"] == count
    assert environment(many)["devices"] == ["cpu"] * count


def test_an_optimizer_with_a_closure_goes_as_far_in_all_processes(
    train_by, train, tiny, runs, tmp_path
):
    """Each knows its own share's loss: where one went on and another did not, both would wait."""
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    text = "_target_: torch.optim.LBFGS\n_partial_: true\nlr: 0.1\nmax_iter: 4\n"
    (tmp_path / "mine" / "optim" / "lbfgs.yaml").write_text(text)
    own = [f"--config-dir={tmp_path}/mine", "optim=lbfgs", "accumulate=2"]
    typed = [*tiny(task__steps=4, task__eval_every=1), *own]
    assert train(*typed, f"paths.runs={tmp_path}/alone").code == 0
    assert "finished in" in train_by(2, *typed)
    one, many = (
        [line["train/loss"] for line in lines(folder(where))]
        for where in (tmp_path / "alone", runs)
    )
    assert many == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize("name", ["glue", "roberta_pretrain"])
def test_the_number_of_processes_changes_no_loss_of_language(
    train_by, name, request, tiny_sizes, tmp_path
):
    """Without dropout. Shares of unequal lengths, and of unequal numbers of masked words."""
    if name == "glue":
        source = request.getfixturevalue("glue_source")
        own = ["data=full", f"task.sources.full={spelled(source)}", "task.max_tokens=24"]
    else:
        sizes = f"task.sources.sample.sizes={spelled(tiny_sizes)}"
        files = spelled(request.getfixturevalue("text_files"))
        own = ["data=sample", sizes, "task.sources.sample.words=270", f"task.files={files}"]
        own += ["task.max_tokens=24"]
    common = [f"task={name}", "optim=adam", "task.batch_size=7", "task.steps=12"]
    common += ["task.eval_every=1", "train.device=cpu", "logger=none", f"paths.data={tmp_path}/d"]
    for count, parts in ((1, 1), (1, 3), (2, 2)):
        where = f"paths.runs={tmp_path}/runs-{count}-{parts}"
        train_by(count, *common, *own, f"accumulate={parts}", where)
    whole, cut, shared_out = (
        lines(folder(tmp_path / f"runs-{kind}")) for kind in ("1-1", "1-3", "2-2")
    )
    # As far as Adam's first steps let roundings be seen: they are the gradient's sign.
    for other in (cut, shared_out):
        losses = [[line["train/loss"] for line in some] for some in (other, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_finished_run_is_not_run_again_by_any_number(train_by, train, tiny, runs):
    assert train().code == 0
    before = files(runs)
    assert "finished before" in train_by(2, *tiny())
    assert files(runs) == before


def test_all_leave_a_run_that_diverges_at_the_same_step(train_by, train, tiny, runs, tmp_path):
    typed = [*tiny(task__steps=40, task__eval_every=7), "optim=sgd", "optim.lr=1e12"]
    assert "diverged at step" in train_by(2, *typed)
    assert train(*typed, f"paths.runs={tmp_path}/alone").code == 0
    assert (
        summary(folder(runs))["diverged_at"] == summary(folder(tmp_path / "alone"))["diverged_at"]
    )


# -- stopped, and gone on with ---------------------------------------------------------------------

# What a stopped run must come to, it is compared with one that was not.
LONG = {"task__steps": 30, "task__eval_every": 1, "train__checkpoint_seconds": 1e4}
DROPOUT = {"task__model___target_": "odd.DropoutMLP"}
DIED = "one of the 2 processes died; give the same command again to go on"


@pytest.fixture
def undisturbed(train_by, tmp_path):
    """The outcome of a run by some processes that nothing stops."""

    def outcome_of(count, *arguments):
        train_by(count, *arguments, f"paths.runs={tmp_path}/undisturbed")
        return outcome(folder(tmp_path / "undisturbed"))

    return outcome_of


def resumed_at(where):
    return [session["at_step"] for session in environment(where)["resumed"]]


def waiting(gate, count):
    """The process of each rank, once so many wait at the gate."""
    found = wait_until(lambda: len(gate.waiting) == count and gate.waiting, "all at the gate")
    return {rank: process for process, rank in found.items()}


def test_torchrun_is_told_to_stop(torchrun, train_by, undisturbed, tiny, runs, gate, waits):
    overrides = tiny(**LONG, **DROPOUT) + typed(waits(at=6))
    first = torchrun(2, *overrides)
    waiting(gate, 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait() != 0
    assert first.said.read_text().count("stopped; give the same command again to go on") == 1
    where = folder(runs)
    gate.open()
    train_by(2, *overrides)
    assert resumed_at(where) == [6]  # the step was taken to its end
    assert outcome(where) == undisturbed(2, *overrides)


def test_torchrun_loses_a_process(torchrun, train_by, tiny, runs, gate, waits):
    overrides = tiny(**LONG | {"train__checkpoint_seconds": 0}) + typed(waits(at=6))
    first = torchrun(2, *overrides)
    os.kill(waiting(gate, 2)[1], signal.SIGKILL)
    gate.open()
    assert first.wait() != 0
    where = folder(runs)
    assert DIED in first.said.read_text()
    assert DIED in (where / "log.txt").read_text()
    train_by(2, *overrides)
    assert resumed_at(where) == [5]
    assert summary(where)["status"] == "finished"
    assert [line["step"] for line in lines(where)] == list(range(1, 31))


@pytest.mark.slow
def test_the_first_process_dies(start_all, train_by, tiny, runs):
    command = [2, *tiny(**LONG | {"train__checkpoint_seconds": 0})]
    first, second = [child.held() for child in start_all(*command, hold=in_step(5))]
    first.kill()
    second.gate.open()
    assert second.wait() == 1
    assert second.output.count(DIED) == 1
    assert "finished in" in train_by(*command)
    assert resumed_at(folder(runs)) == [5]


@pytest.mark.slow
def test_a_signal_to_one_of_three_stops_all(start_all, train_by, undisturbed, tiny, runs):
    # Three: a sum of three depends on their order, which DDP changes after its first step.
    command = [3, *tiny(**LONG)]
    children = [child.held() for child in start_all(*command, hold=in_step(5))]
    children[2].signal(signal.SIGTERM)
    for child in children:
        child.gate.open()
    assert [child.wait() for child in children] == [143] * 3, [c.output for c in children]
    train_by(*command)
    assert resumed_at(folder(runs)) == [6]
    assert outcome(folder(runs)) == undisturbed(*command)


@pytest.mark.slow
def test_another_number_of_processes_goes_on(start_all, train_by, undisturbed, tiny, runs):
    children = [child.held() for child in start_all(2, *tiny(**LONG), hold=in_step(5))]
    for child in children:
        child.signal(signal.SIGTERM)
    assert [child.wait() for child in children] == [143] * 2
    train_by(3, *tiny(**LONG))
    where = folder(runs)
    assert [session["processes"] for session in environment(where)["resumed"]] == [3]
    final, expected = summary(where)["final"], undisturbed(1, *tiny(**LONG))[0]["final"]
    assert final == pytest.approx(expected, rel=1e-3)


def test_a_state_that_lies_in_several_processes_wants_as_many(tiny):
    session = Session(compose(tiny()), torch.device("cpu"))
    saved = session.state_dict()["processes"] * 2
    check_processes({"processes": saved})
    parted = [own | {"task": {"rows": rank}} for rank, own in enumerate(saved)]
    with pytest.raises(ValueError, match=r"2 processes have begun .* --nproc-per-node=2"):
        check_processes({"processes": parted})


def test_a_run_that_others_train_is_left_to_them(start_all, tiny, runs):
    with Run(runs, compose(tiny())).locked():
        children = start_all(2, *tiny())
        assert [child.wait() for child in children] == [1, 1]
    assert "another process is training it" in children[0].output
    assert children[1].output == ""


def test_a_failure_in_all_is_recorded_once(start_all, tiny, runs):
    typed = ["optim=sgd", "optim._target_=odd.Raises", "+optim.at=4"]
    children = start_all(2, *tiny(), *typed)
    assert [child.wait() for child in children] == [1, 1]
    assert summary(folder(runs))["error"] == "ArithmeticError: odd on purpose"
    assert "process 1 of 2: ArithmeticError: odd on purpose" in children[1].output


# -- who is alone ----------------------------------------------------------------------------------

# What launchers, and shells inside of their jobs, leave in the environment.
LEFT = {
    "RANK": "1",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "3",
    "SLURM_NTASKS": "4",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "PMI_RANK": "1",
    "MASTER_ADDR": "elsewhere",
    "MASTER_PORT": "1",
}


@pytest.mark.parametrize("left", [LEFT, LEFT | {"WORLD_SIZE": "1"}, {"RANK": "x"}])
def test_ranks_without_a_world_mean_nothing(train, runs, monkeypatch, left):
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    done = train()
    assert done.code == 0
    assert "]: finished in" in done.out
    assert summary(folder(runs))["status"] == "finished"
    assert environment(folder(runs))["processes"] == 1
    assert len(lines(folder(runs))) == 3
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert parallel.local_device("auto") == torch.device("cuda:0")


def test_a_sweep_with_a_rank_left_over(sweep, runs, study, monkeypatch):
    for name, value in LEFT.items():
        monkeypatch.setenv(name, value)
    done = sweep(*study())
    assert done.code == 0
    assert "4 runs, 0 ended before" in done.out and "| Adam" in done.out
    assert len(folders(runs)) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE=abc: must be a whole number above 0"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0: must be a whole number above 0"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE=: must be a whole number above 0"),
        ({"RANK": None, "MASTER_ADDR": None}, "WORLD_SIZE=2 without RANK, MASTER_ADDR"),
        ({"RANK": "one"}, "WORLD_SIZE=2 without RANK"),
        ({"LOCAL_RANK": "-1"}, "WORLD_SIZE=2 without LOCAL_RANK"),
        ({"RANK": "2"}, "RANK=2 with WORLD_SIZE=2"),
        ({"LOCAL_RANK": "5"}, "LOCAL_RANK=5 with LOCAL_WORLD_SIZE=2"),
    ],
)
def test_half_a_world_is_refused(
    as_first_of, train, sweep, study, runs, monkeypatch, changes, said
):
    as_first_of(2)
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    for done in (train(), train("-m", "seed=0,1"), sweep(*study())):
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert said in done.err and "torchrun, or unset WORLD_SIZE" in done.err
    assert folders(runs) == []


# -- what cannot be shared -------------------------------------------------------------------------


def test_many_runs_are_refused(as_first_of, train, sweep, study, runs):
    as_first_of(2)
    for done in (train("-m", "seed=0,1"), sweep(*study())):
        assert done.code == 2
        assert "torchrun trains one run" in done.last
        assert "sweep.devices_per_run=2" in done.last
    assert folders(runs) == []


def test_too_small_a_batch_is_refused(as_first_of, train, runs):
    as_first_of(4)
    done = train("task.batch_size=6", "accumulate=2")
    assert done.code == 2
    for word in ("4 processes", "task.batch_size=6", "accumulate=2"):
        assert word in done.last
    assert folders(runs) == []


def test_too_small_a_last_batch_is_refused(as_first_of, train, runs):
    as_first_of(4)
    done = train("task.batch_size=1333", "task.drop_last=false")
    assert done.code == 2 and folders(runs) == []
    assert "4 processes cannot share the last batch of an epoch, of 1 examples" in done.last
    assert "set task.drop_last=true" in done.last


def test_a_task_without_a_batch_says_so(as_first_of, tmp_path):
    task = make_task(compose(["task=rosenbrock", f"paths.data={tmp_path}"]), torch.device("cpu"))
    as_first_of(2)
    with pytest.raises(ValueError, match=r"no batch to cut into 2: it takes .* one process"):
        parallel.shards(task, task.batch(0), 1)


def test_a_process_for_which_nothing_is_left(as_first_of, monkeypatch):
    as_first_of(3)
    cut = [("first", 0.5), ("second", 0.5)]
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(parallel.local_shard(nn.Linear(1, 1), cut))
        with pytest.raises(ValueError, match=r"3 processes cannot share a batch of 2 examples"):
            parallel.local_shard(nn.BatchNorm1d(1), cut)
    assert shares == [*cut, ("first", 0.0)]


def test_each_process_needs_its_own_gpu(as_first_of, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", lambda device: None)
    as_first_of(2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parallel.local_device("auto") == torch.device("cuda:1")
    assert parallel.local_device("cpu") == torch.device("cpu")
    as_first_of(3)
    with pytest.raises(BadInput, match=r"nproc-per-node=3.*2 GPU"):
        parallel.local_device("auto")
    as_first_of(2)
    with pytest.raises(BadInput, match=r"train\.device=cuda:1 .* 1 GPU"):
        parallel.local_device("cuda:1")


# -- sweeps of runs on several devices -------------------------------------------------------------


SEVERAL = ["sweep.devices_per_run=2", "sweep.jobs_per_device=2"]


def test_a_run_of_many_is_trained_by_torchrun_again_if_a_process_dies(start, tiny, runs, tmp_path):
    dying = ["optim=sgd", "optim._target_=odd.Dies", f"+optim.once={tmp_path}/once"]
    child = start("train", "-m", *tiny(), *SEVERAL, *dying, "seed=3", "hydra/launcher=basic")
    assert child.wait() == 0, child.output
    assert (tmp_path / "once").exists()
    assert "Traceback" not in child.output
    assert "of the run ended with exit code 3" in child.output
    assert summary(folder(runs))["status"] == "finished"
    assert config(folder(runs))["seed"] == 3
    assert environment(folder(runs))["processes"] == 2


@pytest.mark.slow
def test_a_sweep_of_runs_on_two_places(start, tiny, runs, study, conf):
    chosen = study(rows={"SGD": {"optim": "sgd"}})
    command = ["sweep", *chosen, *shared(tiny()), *SEVERAL]
    child = start(*command, conf=conf)
    assert child.wait() == 0, child.output
    assert [environment(where)["processes"] for where in folders(runs)] == [2, 2]
    again = start(*command, conf=conf)
    assert again.wait() == 0 and "2 ended before" in again.output


@pytest.mark.slow
def test_a_sweep_stops_its_torchruns(start, tiny, runs, gate, waits):
    child = start("train", "-m", *tiny(**LONG), *typed(waits(at=6)), *SEVERAL, "seed=0,1")
    waiting(gate, 2)
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    assert (folder(runs) / checkpoint.CURRENT).exists()


@pytest.mark.slow
def test_torchruns_end_with_a_sweep_that_is_killed(start, tiny, runs, gate, waits):
    child = start("train", "-m", *tiny(**LONG), *typed(waits(at=6)), *SEVERAL, "seed=0,1")
    waiting(gate, 2)
    child.kill()
    wait_until(lambda: (folder(runs) / checkpoint.CURRENT).exists(), "a checkpoint")
    wait_until(lambda: not Run(runs, config(folder(runs))).busy, "the end of its processes")


@pytest.mark.parametrize("typed", ["sweep.devices_per_run=0", "sweep.devices_per_run=7"])
def test_more_devices_than_there_are_are_refused(train, runs, typed):
    done = train("-m", "seed=0,1", typed)
    assert done.code == 2
    assert typed in done.last
    assert folders(runs) == []
