"""`groups` of an optimizer's YAML: which parameters they take, and how they are refused."""

import pytest
import torch
from torch import nn

from engine.checks import BadInput
from engine.config import compose
from engine.grouped import choose
from engine.make import make_optimizer, make_schedule, make_task
from engine.optimizers import OptimizerGroup
from engine.run import Run


class Model(nn.Module):
    """A layer of each kind, whose last one shares its weights with another embedding."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.block = nn.Sequential(nn.Conv1d(4, 4, 1), nn.LayerNorm(4), nn.Linear(4, 4))
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(()))
        self.tied = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6)
        self.same = nn.Linear(4, 6, bias=False)
        self.same.weight = self.tied.weight


def chosen(**groups):
    config = {"names": {"task": "toy", "optim": "mine"}, "optim": {"groups": groups}}
    model = Model()
    names = {p: name for name, p in model.named_parameters()}
    found = choose(config, model)
    assert sorted(name for taken in found.values() for name in map(names.get, taken)) == sorted(
        name for name, p in model.named_parameters() if p.requires_grad
    )
    return {name: {names[p] for p in taken} for name, taken in found.items()}


TAKEN = [
    ({"names": "*.bias"}, {"block.0.bias", "block.1.bias", "block.2.bias", "head.bias"}),
    ({"names": ["head.*", "scale"]}, {"head.weight", "head.bias", "scale"}),
    ({"names": "same.weight"}, {"tied.weight"}),  # by any of its names
    ({"modules": "LayerNorm"}, {"block.1.weight", "block.1.bias"}),
    (
        {"modules": ["Conv1d", "Linear"], "dims": 1},
        {"block.0.bias", "block.2.bias", "head.bias"},
    ),
    ({"modules": "Sequential", "dims": 2}, {"block.2.weight"}),  # whatever it is inside of
    ({"modules": "_ConvNd", "dims": 3}, {"block.0.weight"}),  # a base of its class
    ({"dims": 0}, {"scale"}),
    ({"dims": [0, 3]}, {"scale", "block.0.weight"}),
    ({"layers": "embedding"}, {"words.weight", "tied.weight"}),
    ({"layers": "hidden", "dims": 2}, {"block.2.weight", "head.weight"}),
]


@pytest.mark.parametrize(("conditions", "taken"), TAKEN, ids=[str(said) for said, _ in TAKEN])
def test_a_group_takes_what_all_of_its_conditions_hold_for(conditions, taken):
    assert chosen(mine=conditions)["mine"] == taken


def test_the_first_group_that_asks_for_a_parameter_has_it():
    found = chosen(norms={"modules": "LayerNorm"}, vectors={"dims": 1}, matrices={"dims": [2, 3]})
    assert found[""] == {"scale"}
    assert found["norms"] == {"block.1.weight", "block.1.bias"}
    assert found["vectors"] == {"block.0.bias", "block.2.bias", "head.bias"}


def test_what_is_tied_to_an_embedding_is_one():
    # The last layer with a matrix, whose weights these are, has nothing else.
    with pytest.raises(BadInput, match=r"^optim\.groups\.last: takes no parameter of task=toy"):
        chosen(last={"layers": "output"})


def test_the_output_layer_is_the_last_one_with_a_matrix():
    config = {"names": {"task": "toy", "optim": "mine"}, "optim": {"groups": {}}}
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.LayerNorm(2))
    for layers, names in (("output", ["2.weight", "2.bias"]), ("hidden", ["0.weight"])):
        config["optim"]["groups"]["it"] = {"layers": layers, "names": names}
        assert choose(config, model)["it"] == [model.get_parameter(name) for name in names]


# -- what is refused -------------------------------------------------------------------------------

SAID = [
    ("groups=3", "optim.groups=3: must hold groups, as in NAME: {dims: 1}"),
    ("groups.a=3", "optim.groups.a=3: must hold keys, as in dims: 1"),
    ("groups.a={lr: 1}", "optim.groups.a: must say which parameters, by one of names, modules, "),
    ("groups.a={dims: two}", "optim.groups.a.dims=two: must be a whole number, 0 or above, or a"),
    ("groups.a={dims: []}", "optim.groups.a.dims=[]: must be a whole number, 0 or above, or a li"),
    ("groups.a={layers: last}", "optim.groups.a.layers=last: must be one of hidden, embedding, "),
    ("groups.a={names: 3}", "optim.groups.a.names=3: must be a pattern of names, or a list of suc"),
    ("groups.a={modules: 3}", "optim.groups.a.modules=3: must be the name of a class, or a list "),
    ("groups.a={names: '*.biass'}", "optim.groups.a.names=*.biass: fits no parameter; there are"),
    ("groups.a={names: [0.bias, x]}", "optim.groups.a.names=x: fits no parameter; there are 0.bi"),
    ("groups.a={modules: Norm}", "optim.groups.a.modules=Norm: no such module; there are Linear, "),
    ("groups.a={dims: 4}", "optim.groups.a: takes no parameter of task=mnist_fc2: there is no suc"),
    ("groups.a={modules: MLP}", "optim=adamw: takes no parameter of task=mnist_fc2: the groups le"),
    ("groups.a={dims: 1, lr: 0}", "optim.groups.a.lr=0: must be a number above 0"),
    ("groups.a={dims: 1, betas: [1, 1]}", "optim.groups.a.betas=[1, 1]: must be a list of two or"),
    ("groups.a={dims: 1, eps: x}", "optim.groups.a.eps=x: must be a number, 0 or above"),
    ("groups.a={dims: 1, momentum: 1}", "optim.groups.a.momentum=1: there is no such key; there "),
    ("groups.a={dims: 1, amsgrad: 1}", "optim.groups.a.amsgrad=1: must be true or false"),
    ("groups.a={dims: 1, params: 1}", "optim.groups.a.params: is given by the run itself; leave"),
    ("groups.a={dims: 1, _target_: torch.Mu}", "optim.groups.a._target_=torch.Mu: cannot be imp"),
    ("groups.a={dims: 1, _target_: torch.optim.Muon}", "optim.groups.a: Muon only supports 2D"),
    ("groups.a={dims: 1, _target_: os.getcwd}", "optim.groups.a: posix.getcwd() takes no argume"),
    ("groups.a={dims: 1, _target_: builtins.list}", "optim.groups.a: its _target_ makes ["),
    ("groups.a={dims: 1, _target_: torch.optim.LBFGS}", "optim.groups: LBFGS calls the loss seve"),
]


@pytest.mark.parametrize(("typed", "said"), SAID, ids=[typed for typed, _ in SAID])
def test_groups_that_cannot_be_are_refused_in_a_sentence(typed, said):
    with pytest.raises(BadInput) as caught:
        compose(["data=sample", "optim=adamw", f"+optim.{typed}"])
    assert str(caught.value).startswith(said) and len(str(caught.value)) <= 300


def test_what_an_optimizer_has_once_is_no_setting_of_a_group():
    typed = ["data=sample", "optim=amsgrad_traced", "+optim.groups.a={dims: 1, entries: 1}"]
    with pytest.raises(BadInput, match=r"^optim\.groups\.a\.entries: TracedAMSGrad has one for al"):
        compose(typed)


def test_muon_wants_a_hidden_matrix():
    with pytest.raises(BadInput, match=r"^optim\.groups\.muon: takes no parameter of task=mnist_"):
        compose(["data=sample", "optim=muon", "task.model.widths=[784,10]"])


# -- what comes of them ----------------------------------------------------------------------------


def built(*typed):
    config = compose(["data=sample", "task.model.widths=[784,16,10]", *typed])
    task = make_task(config, torch.device("cpu"))
    return config, task, make_optimizer(config, task.model)


NO_DECAY = "+optim.groups.no_decay={dims: [0, 1], weight_decay: 0}"


def test_a_group_without_a_target_is_one_of_its_optimizers_own():
    _, _, optimizer = built("optim=adamw", NO_DECAY)
    assert type(optimizer) is torch.optim.AdamW
    matrices, vectors = optimizer.param_groups
    assert [p.ndim for p in matrices["params"]] == [2, 2]
    assert [p.ndim for p in vectors["params"]] == [1, 1]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.01, 0)
    assert matrices["lr"] == vectors["lr"] == 1e-3


def test_without_groups_an_optimizer_is_given_a_list():
    _, task, optimizer = built("optim=adamw")
    (group,) = optimizer.param_groups
    assert group["params"] == list(task.model.parameters())


def test_groups_are_a_part_of_what_a_run_is():
    ids = {
        Run("runs", compose(["data=sample", "optim=adamw", *typed])).id
        for typed in ([], [NO_DECAY], [NO_DECAY, "optim.groups.no_decay.weight_decay=1"])
    }
    assert len(ids) == 3


def test_a_schedule_sets_the_rate_of_every_optimizer():
    typed = ["optim=muon", "optim.lr=0.1", "optim.groups.muon.lr=0.5", "schedule=linear"]
    config, _, optimizer = built(*typed, "schedule.warmup=0", "schedule.of=null")
    assert isinstance(optimizer, OptimizerGroup)
    adamw, muon = optimizer.optimizers
    schedule = make_schedule(config, optimizer, 10)
    optimizer.step()
    schedule.step()
    rates = [one.param_groups[0]["lr"] for one in (adamw, muon)]
    assert rates == pytest.approx([0.09, 0.45])
    # And after their state was put back, which gives an optimizer other groups.
    optimizer.load_state_dict(optimizer.state_dict())
    schedule.step()
    assert [one.param_groups[0]["lr"] for one in (adamw, muon)] == pytest.approx([0.08, 0.4])


def test_a_step_of_several_optimizers_is_a_step_of_each():
    _, task, optimizer = built("optim=muon", "optim.weight_decay=0.5")
    _, twin, _ = built("optim=muon")
    hidden, *others = (twin.model.get_parameter(n) for n in ("0.weight", "0.bias", "2.weight"))
    others.append(twin.model.get_parameter("2.bias"))
    options = {"lr": 1e-3, "weight_decay": 0.5}
    own = [
        torch.optim.Muon([hidden], adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW(others, betas=(0.9, 0.95), fused=True, **options),
    ]
    for step in range(3):
        for made in (task, twin):
            made.loss(made.batch(step)).backward()
        for one in (optimizer, *own):
            one.step()
            one.zero_grad()
    for ours, theirs in zip(task.model.parameters(), twin.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_gradient_scaler_skips_the_step_of_all():
    _, task, optimizer = built("optim=muon")
    scaler = torch.amp.GradScaler("cpu")
    before = [p.detach().clone() for p in task.model.parameters()]
    scaler.scale(task.loss(task.batch(0))).backward()
    task.model.get_parameter("2.bias").grad.fill_(torch.inf)  # which only AdamW has
    scaler.step(optimizer)
    scaler.update()
    assert all(map(torch.equal, before, task.model.parameters()))
    optimizer.zero_grad()
    scaler.scale(task.loss(task.batch(1))).backward()
    scaler.step(optimizer)
    assert not any(map(torch.equal, before, task.model.parameters()))
