"""Any optimizer trains, stops and goes on: torch's, others', with closures or modes, in groups."""

import math
import signal
import sys

import pytest
import torch
from running import folder, lines, outcome, run_here, sentence, summary, typed
from torch import nn

from engine import interrupt, loop, search_path
from engine.checks import BadInput
from engine.config import compose
from engine.execute import execute
from engine.make import make_optimizer, make_task
from engine.optimizers import EvaluationWeights, OptimizerGroup, members, needs_closure
from engine.run import Run
from engine.session import Session, fingerprint
from tasks import Mnist

CPU = torch.device("cpu")

# Of a folder of somebody's own.
YAMLS = {
    "lbfgs": "_target_: torch.optim.LBFGS\nlr: 0.5\nmax_iter: 3\nline_search_fn: strong_wolfe",
    "asgd": "_target_: torch.optim.ASGD\nlr: 0.01\nt0: 2",
    "rprop": "_target_: torch.optim.Rprop\nlr: 0.001",
    "adagrad": "_target_: torch.optim.Adagrad\nlr: 0.01\ninitial_accumulator_value: 0.1",
    "no_rate": "_target_: test_optimizers.NoRate",
}


class NoRate(torch.optim.Optimizer):
    """Without a learning rate."""

    def __init__(self, params):
        super().__init__(params, {"pace": 1.0})


@pytest.fixture(autouse=True)
def mine(tmp_path):
    """The folder, which is read in these tests."""
    place = tmp_path / "mine" / "optim"
    place.mkdir(parents=True)
    for name, text in YAMLS.items():
        (place / f"{name}.yaml").write_text(f"{text}\n_partial_: true\n")
    with search_path.added([tmp_path / "mine"]):
        yield tmp_path / "mine"


# -- runs that stop --------------------------------------------------------------------------------


def run(config):
    """Train without the command around it; how that went, and the run's folder."""
    run = Run(config["paths"]["runs"], config)
    return execute(run), run.folder


@pytest.fixture
def stopped(monkeypatch):
    """Train, stop as if told by a signal in a step, and go on: `stopped(config, at=3)`."""

    def train(config, at):
        steps = [at]

        def after_step(task, step):
            if [step] == steps:
                steps.clear()
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(Mnist, "after_step", after_step)
        assert run(config)[0] == "interrupted"
        interrupt.reset()
        return run(config)

    return train


KINDS = {
    "muon": ["schedule=cosine", "clip_norm=0.1"],
    "muon fp16": ["precision=fp16"],
    "groups": ["optim=padam", "+optim.groups.a={dims: 1, weight_decay: 0}"],
    "adafactor": [],
    "lbfgs": [],
    "asgd": [],
    "rprop": [],
    "adagrad": [],
    "lion": [],
    "adan": [],
    "ademamix": ["optim.t_alpha_beta3=5"],
    "soap": ["optim.precondition_frequency=2"],
    "schedule_free_adamw": ["optim.warmup_steps=3"],
    "prodigy": [],
    "mars": [],
    "shampoo": ["optim.preconditioning_compute_steps=4"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tiny, tmp_path, stopped, kind):
    name = kind.split()[0]
    own = [*([] if name == "groups" else [f"optim={name}"]), *KINDS[kind]]
    sizes = tiny(task__steps=8, task__eval_every=2)
    # Dropout draws in every step, and in every call of a closure.
    config = compose([*sizes, "task.model._target_=odd.DropoutMLP", *own])
    aside = config | {"paths": config["paths"] | {"runs": str(tmp_path / "aside")}}
    (status, where), (other, there) = stopped(config, at=4), run(aside)
    assert status == other == "finished"
    assert outcome(where) == outcome(there)
    assert len(lines(where)) == 4
    assert all(math.isfinite(value) for line in lines(where) for value in line.values())
    assert lines(where)[-1]["optim/mean_abs_step"] > 0


def test_a_folder_of_ones_own_has_any_optimizer(capsys, tiny, runs, mine):
    search_path.use([])
    done = run_here(capsys, "train", f"--config-dir={mine}", *tiny(), "optim=lbfgs")
    assert done.code == 0 and "finished in" in done.last
    losses = [line["train/loss"] for line in lines(folder(runs))]
    assert losses[-1] < losses[0]


# -- closures --------------------------------------------------------------------------------------


def test_who_needs_a_closure():
    parameters = [nn.Parameter(torch.zeros(2, 2))]
    assert needs_closure(torch.optim.LBFGS(parameters))
    # It may be given one.
    assert not needs_closure(torch.optim.SGD(parameters))
    assert not needs_closure(OptimizerGroup([torch.optim.SGD(parameters)]))


@pytest.mark.parametrize("clip_norm", ["null", "0.05"])
def test_a_closure_in_the_loop_equals_a_plain_one(tiny, clip_norm):
    config = compose(
        [*tiny(task__steps=5, task__eval_every=1), "optim=lbfgs", f"clip_norm={clip_norm}"]
    )
    task = make_task(config, CPU)
    optimizer = make_optimizer(config, task.model)
    firsts = []
    for step in range(task.steps):
        calls, batch = [], task.batch(step)

        def closure(batch=batch, calls=calls):
            optimizer.zero_grad()
            loss = task.loss(batch)
            loss.backward()
            if config["clip_norm"] is not None:
                nn.utils.clip_grad_norm_(task.model.parameters(), config["clip_norm"])
            calls.append(loss.item())
            return loss

        optimizer.step(closure)
        assert len(calls) > 1
        firsts.append(calls[0])
    status, where = run(config)
    assert status == "finished"
    assert [line["train/loss"] for line in lines(where)] == firsts
    assert summary(where)["model_sha256"] == fingerprint(task.model.state_dict())


def test_a_closure_goes_through_all_micro_batches(tiny):
    config = compose([*tiny(), "optim=lbfgs"])
    losses = []
    for parts in (1, 3):
        session = Session(config | {"accumulate": parts}, CPU)
        closure = loop.Closure(session, session.task.batch(0))
        losses.append(closure())
        assert torch.equal(closure(), losses[-1])  # no gradient of the call before is left
        losses.append(session.parameters[0].grad)
    torch.testing.assert_close(losses[:2], losses[2:])


def test_dropout_draws_anew_in_each_call(tiny):
    config = compose([*tiny(), "optim=lbfgs", "task.model._target_=odd.DropoutMLP"])
    session = Session(config, CPU)
    closure = loop.Closure(session, session.task.batch(0))
    with torch.no_grad():  # some optimizers call it so
        assert closure() != closure()


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (["optim=lbfgs", "precision=fp16"], "precision=fp16: optim=lbfgs calls the loss several "),
        (["optim=lbfgs", "task=ptb_lstm"], "task=ptb_lstm: optim=lbfgs calls the loss several ti"),
        (["optim=no_rate"], "optim=no_rate: it has no lr, which a schedule sets"),
        (["optim=muon", "optim._target_=torch.optim.Muon"], "optim.betas="),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_an_optimizer_cannot_do_is_said_before_a_run(own, said):
    with pytest.raises(BadInput) as caught:
        compose(["data=sample", *own])
    assert str(caught.value).startswith(said) and len(str(caught.value)) <= 300


def test_an_optimizer_meets_the_tasks_own_shapes_before_a_run(mine):
    (mine / "optim" / "matrices.yaml").write_text("_target_: torch.optim.Muon\n_partial_: true\n")
    with pytest.raises(BadInput, match=r"^optim=matrices: Muon only supports 2D parameters"):
        compose(["data=sample", "optim=matrices"])


def test_a_check_takes_no_memory():
    # 400 GB of weights, of which the check of memory says so; before, a class was made for them.
    compose(["data=sample", "optim=adam", "task.model.widths=[784,100000000,10]"])


# -- two modes -------------------------------------------------------------------------------------


def test_schedule_free_is_evaluated_and_recorded_at_its_averages(tiny):
    config = compose([*tiny(), "optim=schedule_free_adamw", "optim.lr=0.1"])
    session = Session(config, CPU)
    for step in range(6):
        loop.step(session, session.task.batch(step))
        session.optimizer.zero_grad()
    trained = fingerprint(session.task.model.state_dict())
    with session.evaluation_weights():
        averaged = fingerprint(session.task.model.state_dict())
        with torch.no_grad():
            test_loss = session.task.evaluate()["test/loss"]
    # Bit for bit what it was, which the library's own way back is not.
    assert fingerprint(session.task.model.state_dict()) == trained != averaged
    assert session.optimizer.param_groups[0]["train_mode"]
    _, where = run(config)
    assert summary(where)["model_sha256"] == averaged
    assert lines(where)[-1]["test/loss"] == test_loss


def test_how_often_it_is_evaluated_changes_no_weights(tiny):
    found = set()
    for every in (1, 6):
        own = ["optim=schedule_free_adamw", "optim.lr=0.1"]
        _, where = run(compose([*tiny(task__eval_every=every), *own]))
        found.add(summary(where)["model_sha256"])
    assert len(found) == 1


def test_of_several_optimizers_only_those_with_modes_change():
    first, second = (nn.Parameter(torch.ones(2)) for _ in range(2))
    import schedulefree

    free = schedulefree.SGDScheduleFree([second], lr=0.1)
    group = OptimizerGroup([torch.optim.SGD([first], lr=0.1), free])
    evaluation_weights = EvaluationWeights(group)
    for _ in range(3):
        (first.sum() + second.square().sum()).backward()
        group.step()
        group.zero_grad()
    before = first.clone(), second.clone()
    with evaluation_weights():
        assert torch.equal(first, before[0]) and not torch.equal(second, before[1])
    assert torch.equal(first, before[0]) and torch.equal(second, before[1])
    assert members(group) == [group.optimizers[0], free]


# -- the extra -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package"),
    [("lion", "pytorch_optimizer"), ("schedule_free_adamw", "schedulefree")],
)
def test_an_extra_that_is_missing_is_named(capsys, tiny, runs, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    said = sentence(run_here(capsys, "train", *tiny(), f"optim={name}"))
    assert f"{package} is not installed; pip install 'adamily[modern]'" in said
    assert not runs.exists()
    listed = run_here(capsys, "list", "optims")
    assert listed.code == 0 and name in listed.out and listed.err == ""


def test_values_follow_the_annotations_of_a_class():
    common = ["data=sample", *typed({"task.model.widths": "[784,8,10]"})]
    assert compose([*common, "optim=adafactor"])["optim"]["eps"] == [None, 1e-3]
    assert compose([*common, "optim=prodigy", "optim.eps=null"])["optim"]["eps"] is None
    for own, said in (
        ("optim=adafactor optim.eps=[null,-1]", r"optim\.eps=\[null, -1\]: must be a number, 0 or"),
        ("optim=adafactor optim.eps=1e-3", r"optim\.eps=0\.001: must be a list of 2 values: a num"),
        ("optim=adam optim.eps=null", r"optim\.eps=null: must be a number"),
        ("optim=adam optim.eps=[1,2]", r"optim\.eps=\[1, 2\]: must be a number"),
        ("optim=adan optim.betas=[0.9]", r"optim\.betas=\[0\.9\]: must be a list of two or more"),
    ):
        with pytest.raises(BadInput, match=f"^{said}"):
            compose([*common, *own.split()])
