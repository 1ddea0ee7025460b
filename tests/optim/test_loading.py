"""What `load_state_dict` takes, what it refuses, and that a refusal changes nothing."""

import copy
import itertools
from typing import Any

import pytest
import torch
from suite import (
    OURS,
    OWN,
    assert_same,
    equal,
    every_own,
    fresh,
    leaves,
    options_of,
    parameters,
    take,
)
from torch.nn import Parameter
from torch.optim import Optimizer

import optim
from optim.traced_amsgrad import TracedAMSGrad

Made = tuple[type[Optimizer], dict[str, Any]]


def all_of(optimizer: Optimizer) -> Any:
    """All that a refusal might have changed, but for the parameters, as values."""
    return copy.deepcopy([optimizer.state_dict(), optimizer.defaults, optimizer.param_groups])


def refuses(optimizer: Optimizer, state: Any, message: str) -> None:
    """It refuses the state in one sentence, is as it was, and goes on as it would have."""
    before, twin = all_of(optimizer), copy.deepcopy(optimizer)
    with pytest.raises(ValueError, match=message) as caught:
        optimizer.load_state_dict(state)
    assert "\n" not in str(caught.value)
    assert equal(all_of(optimizer), before)
    take(optimizer, range(50, 52))
    take(twin, range(50, 52))
    assert_same(optimizer, twin)


def begun(make: type[Optimizer], steps: int = 2, **settings: Any) -> Optimizer:
    optimizer = make(fresh(), **settings)
    take(optimizer, range(steps))
    return optimizer


# -- state that does not fit ----------------------------------------------------------------------


@every_own
def test_state_of_another_shape_is_refused(make):
    small = [("body", Parameter(torch.ones(2))), ("head.weight", Parameter(torch.ones(1, 10)))]
    large = [("body", Parameter(torch.ones(2))), ("head.weight", Parameter(torch.ones(3, 10)))]
    source, target = make(small), make(large)
    take(source, range(2))
    take(target, range(2))
    reason = r"state of parameter 1 \('head.weight'\) has \w+ of shape \[1, 10\], the parameter "
    refuses(target, source.state_dict(), f"cannot load: {reason}has .3, 10.")


def damaged(change: Any) -> dict[str, Any]:
    state = copy.deepcopy(begun(optim.LaProp).state_dict())
    change(state)
    return state


def put(**values: Any) -> Any:
    return lambda state: state["state"][1].update(values)


def option(**values: Any) -> Any:
    return lambda state: state["param_groups"][0].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(m=None), "parameter 1 has m that is no tensor"),
        (
            put(m=torch.zeros(5, dtype=torch.int64)),
            "m of torch.int64, which holds no fractions",
        ),
        (put(m=torch.zeros(5).to_sparse()), "has m in the layout torch.sparse_coo"),
        (
            put(m=torch.zeros(5, dtype=torch.complex64)),
            "m of torch.complex64, the parameter is",
        ),
        (put(m=torch.tensor(0.0)), r"has m of shape \[\], the parameter has \[5\]"),
        (
            put(extra=1),
            "has extra, lr_average, m, n, step; LaProp keeps lr_average, m, n, step",
        ),
        (lambda state: state["state"][1].pop("n"), "has lr_average, m, step; LaProp keeps lr_aver"),
        (put(step=1.5), "has step 1.5, it must be a whole number from 0 on"),
        (put(step=-1), "has step -1, it must be"),
        (put(step=10**400), "has step 10000"),
        (put(step=float("inf")), "has step inf, it must be"),
        (put(step=True), "has step True, it must be"),
        (put(step="2"), "has step '2', it must be"),
        (put(step=torch.ones(2)), "it must be a whole number"),
        (put(lr_average=float("nan")), "has lr_average nan, it must be a number from 0 on"),
        (lambda state: state["state"].update({1: [1]}), "state of parameter 1 is no dict"),
        (
            lambda state: state["state"].update({9: {"step": 1}}),
            "it has state of 9, which is in",
        ),
        (option(lr=-1.0), "options of parameter 0: Invalid learning rate: -1.0"),
        (option(betas=None), "options of parameter 0: "),
        (option(eps="tiny"), "options of parameter 0: "),
        (option(variant="mine"), "options of parameter 0: Invalid variant: mine"),
        (option(variant="paper"), "has lr_average, m, n, step; LaProp keeps m, n, step"),
        (option(amsgrad=True), "keeps lr_average, m, n, n_max, step"),
        (option(params=[0]), "group 0 has 1 parameters, the optimizer's has 4"),
        (lambda state: state.update(param_groups=[3]), "group 0 is no dict with a list `params`"),
        (lambda state: state.update(param_groups=[]), "different number of parameter groups: 0, "),
        (lambda state: state.pop("state"), "has a dict `state` and a list `param_groups`"),
    ],
)
def test_damaged_states_are_refused(change, message):
    refuses(begun(optim.LaProp), damaged(change), message)


def test_a_models_state_dict_is_refused():
    state = torch.nn.Linear(2, 2).state_dict()
    refuses(begun(optim.AdamAL), state, "a state dict of an optimizer has a dict `state`")


def test_a_bad_option_of_a_group_is_refused():
    optimizer = begun(optim.AdaBound)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["first_lr"] = -1.0
    refuses(optimizer, state, "Invalid first_lr value: -1.0")


# -- state of other optimizers --------------------------------------------------------------------

TORCHS: list[Made] = [
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"amsgrad": True, "fused": True}),
    (torch.optim.AdamW, {"weight_decay": 0.1}),
    (torch.optim.AdamW, {"amsgrad": True}),
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.RMSprop, {}),
    (torch.optim.Adamax, {}),
    (torch.optim.NAdam, {}),
    (torch.optim.RAdam, {}),
    (torch.optim.Adagrad, {}),
    (torch.optim.Adadelta, {}),
    (torch.optim.ASGD, {}),
    (torch.optim.Rprop, {}),
    (TracedAMSGrad, {}),
]
SOURCES = [*((make, {}) for make in OURS), *OWN[:-1], *TORCHS]
TARGETS = [*((make, {}) for make in OURS), *OWN[:-1]]
HALF = {"partial": 0.5}


def goes_on(source: Made, target: Made, steps: int) -> bool:
    """Whether the target can go on from the source's state."""
    theirs, ours = source[0], target[0]
    if theirs is TracedAMSGrad and steps == 0:  # nothing counted yet: it is AMSGrad
        return target == (optim.Padam, HALF)
    if theirs in (torch.optim.Adam, torch.optim.AdamW):
        if source[1].get("amsgrad"):
            return target == (optim.Padam, HALF)
        return ours is optim.AdaBound or (ours is optim.LpAdam and target[1].get("p", 2) == 2)
    return theirs is ours


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_states_of_all_others_are_refused(target, steps):
    make, settings = target
    for other, options in SOURCES:
        state = begun(other, steps, **copy.deepcopy(options)).state_dict()
        optimizer = begun(make, **copy.deepcopy(settings))
        if goes_on((other, options), target, steps):
            optimizer.load_state_dict(state)
        else:
            refuses(optimizer, state, "^cannot load: (state|options) of parameter 0 ")


def test_a_state_of_another_class_is_named():
    state = begun(optim.MAdam).state_dict()
    message = "state of parameter 0 is of MAdam, this is LaMAdam"
    refuses(begun(optim.LaMAdam), state, message)
    message = "state of parameter 0 is of torch.optim.Adam with amsgrad=False, which LaProp cannot"
    refuses(begun(optim.LaProp), begun(torch.optim.Adam).state_dict(), message)
    message = "amsgrad=True; LpAdam with p=2 goes on from amsgrad=False"
    refuses(begun(optim.LpAdam), begun(torch.optim.Adam, amsgrad=True).state_dict(), message)
    message = "options of parameter 0 have dampening, .*nesterov, which SignSGDM has not"
    refuses(begun(optim.SignSGDM), begun(torch.optim.SGD).state_dict(), message)


def go_on_alike(source: Optimizer, target: Optimizer, tolerance: float = 1e-6) -> None:
    for p, q in zip(parameters(source), parameters(target), strict=True):
        q.copy_(p)
    target.load_state_dict(source.state_dict())
    take(source, range(5, 10))
    take(target, range(5, 10))
    assert_same(target, source, tolerance)


WIDE = {"final_lr": 1.0, "gamma": 1e-12}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ((torch.optim.Adam, {}), (optim.LpAdam, {})),
        ((torch.optim.Adam, {"fused": True, "maximize": True}), (optim.LpAdam, {"lr": 5.0})),
        ((torch.optim.Adam, {"weight_decay": 0.1}), (optim.LpAdam, {"decoupled": True})),
        ((torch.optim.AdamW, {"weight_decay": 0.1}), (optim.LpAdam, {"form": "power"})),
        ((torch.optim.AdamW, {"lr": torch.tensor(0.01), "foreach": False}), (optim.LpAdam, {})),
        ((torch.optim.Adam, {"betas": (0.5, 0.9), "eps": 0.0}), (optim.AdaBound, WIDE)),
        ((torch.optim.AdamW, {"eps": 0.0}), (optim.AdaBound, WIDE)),
        ((torch.optim.Adam, {"amsgrad": True, "eps": 0.0}), (optim.Padam, HALF)),
        ((torch.optim.AdamW, {"amsgrad": True, "betas": (0.9, 0.5)}), (optim.Padam, HALF)),
    ],
    ids=str,
)
def test_ours_go_on_where_torchs_adam_was(theirs, ours):
    target = ours[0](fresh(), **ours[1])
    go_on_alike(begun(theirs[0], 5, **theirs[1]), target)
    assert options_of(target) == options_of(ours[0](fresh()))


def test_adam_of_before_it_was_told_from_adamw():
    state = begun(torch.optim.AdamW, 5, weight_decay=0.1).state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    for decoupled in (False, True):
        target = optim.LpAdam(fresh(), decoupled=decoupled)
        target.load_state_dict(state)
        assert target.param_groups[0]["decoupled"] is decoupled


def test_adabound_goes_on_from_the_first_rate_of_adam():
    source = torch.optim.Adam(fresh(), lr=0.5)
    schedule = torch.optim.lr_scheduler.StepLR(source, 1)
    take(source, range(2))
    schedule.step()
    target = optim.AdaBound(fresh(), lr=0.1)
    target.load_state_dict(source.state_dict())
    assert target.param_groups[0]["first_lr"] == 0.5
    assert target.param_groups[0]["lr"] == pytest.approx(0.05)


OPTIONS = {
    optim.LaProp: {"variant": ["paper", "authors"], "amsgrad": [False, True], "centered": [False]}
    | {"centered": [False, True], "centered_after": [3]},
    optim.LpAdam: {"p": [2, 3], "form": ["root", "power"]},
    optim.MAdam: {"amsgrad": [False, True, "torch"], "variant": ["paper", "authors"]},
    optim.LaMAdam: {"amsgrad": [False, True, "torch"], "variant": ["paper", "authors"]},
    optim.Padam: {"variant": ["paper", "authors"]},
}


@pytest.mark.parametrize("make", OPTIONS, ids=lambda make: make.__name__)
def test_a_state_brings_its_options_along(make):
    # Options decide what is kept: all of it comes from the state dict, or it would not fit.
    names, values = zip(*OPTIONS[make].items(), strict=True)
    chosen = [dict(zip(names, row, strict=True)) for row in itertools.product(*values)]
    for theirs, mine in itertools.product(chosen, chosen):
        target = begun(make, 1, **mine)
        go_on_alike(begun(make, 5, **theirs), target, 0.0)
        assert all(target.param_groups[0][name] == value for name, value in theirs.items())


# -- what else may be in a state dict -------------------------------------------------------------


@every_own
def test_state_dicts_that_do_not_name_their_rule(make):
    source = begun(make, 5)
    state = source.state_dict()
    del state["param_groups"][0]["rule"]
    source.load_state_dict(state)
    assert source.param_groups[0]["rule"] == make.__name__
    others = [other for other in OURS if not issubclass(other, make)]
    for other in (other for other in others if not issubclass(make, other)):
        refuses(begun(other), state, "^cannot load: (state|options) of parameter 0 ")


def test_parameters_without_state_begin_anew():
    source = optim.AdaBelief(fresh())
    for p in leaves(source)[:2]:
        p.grad = torch.ones_like(p)
    source.step()
    target = begun(optim.AdaBelief, 3)
    target.load_state_dict(source.state_dict())
    assert [int(target.state[p].get("step", 0)) for p in leaves(target)] == [1, 1, 0, 0]
    take(target, range(1))
    assert [target.state[p]["step"] for p in leaves(target)] == [2, 2, 1, 1]


def test_keys_of_ones_own_in_a_group_are_kept():
    groups = [{"params": fresh(), "name": "all", "lr_scale": 0.5}]
    source, target = optim.Yogi(copy.deepcopy(groups)), optim.Yogi(copy.deepcopy(groups))
    target.load_state_dict(source.state_dict())
    assert target.param_groups[0]["name"] == "all" and target.param_groups[0]["lr_scale"] == 0.5


def test_options_that_are_missing_stay_as_the_group_has_them():
    groups = [{"params": fresh()[:2], "decoupled": True}, {"params": fresh()[2:]}]
    optimizer = optim.AdaBelief(groups)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        del group["decoupled"]
    optimizer.load_state_dict(state)
    assert [group["decoupled"] for group in optimizer.param_groups] == [True, False]


def test_a_group_handed_over_is_of_the_class_that_has_it():
    source = begun(optim.MAdam)
    target = optim.LaMAdam(source.param_groups)
    assert target.param_groups[0]["rule"] == "LaMAdam"


class Mine(optim.LpAdam):
    """A subclass that only has other defaults."""

    def __init__(self, params: Any):
        super().__init__(params, lr=0.5)


def test_a_subclass_of_the_same_rule_goes_on():
    go_on_alike(begun(optim.LpAdam, 5), Mine(fresh()), 0.0)
    go_on_alike(begun(Mine, 5), optim.LpAdam(fresh()), 0.0)


@every_own
def test_groups_are_added_after_loading(make):
    source = make(fresh()[:2])
    take(source, range(3))
    target = make(fresh()[:2])
    target.load_state_dict(source.state_dict())
    for p, q in zip(parameters(source), parameters(target), strict=True):
        q.copy_(p)
    for optimizer in (source, target):
        optimizer.add_param_group({"params": fresh()[2:], "weight_decay": 0.1})
        take(optimizer, range(3, 6))
    assert_same(target, source)
    assert options_of(source, 1) == options_of(target, 1)
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        target.add_param_group({"params": [Parameter(torch.ones(1))], "lr": -1})


def test_hooks_after_loading_have_the_last_word():
    source = optim.LaProp(fresh(torch.bfloat16))
    take(source, range(3))
    target = optim.LaProp(fresh(torch.bfloat16))
    seen = []

    def halve(optimizer: Optimizer) -> None:
        for p in leaves(optimizer):
            seen.append(optimizer.state[p]["m"].clone())
            optimizer.state[p]["m"] /= 2

    target.register_load_state_dict_post_hook(halve)
    target.load_state_dict(source.state_dict())
    for p, q, m in zip(leaves(source), leaves(target), seen, strict=True):
        assert torch.equal(m, source.state[p]["m"]) and m.dtype == torch.float32
        assert torch.equal(target.state[q]["m"], m / 2)


def test_a_failed_load_leaves_no_hooks():
    optimizer = begun(optim.LaProp)
    state = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="cannot load"):
        optimizer.load_state_dict(begun(optim.Yogi).state_dict())
    assert not optimizer._optimizer_load_state_dict_pre_hooks
    assert not optimizer._optimizer_load_state_dict_post_hooks
    optimizer.load_state_dict(state)


# -- counted swaps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: begun(torch.optim.Adam), "needs the state of an AMSGrad"),
        (lambda: begun(torch.optim.Adam, amsgrad=True), "this sample of TracedAMSGrad keeps"),
        (lambda: begun(TracedAMSGrad, entries=3), r"of shape \[3\], the sample has \[10\]"),
        (lambda: begun(TracedAMSGrad, tensors=2), "state of parameter 1 has exp_avg, exp_avg_sq"),
        (lambda: begun(optim.Padam), "needs the state of an AMSGrad"),
    ],
)
def test_counts_of_another_sample_are_refused(other, message):
    refuses(begun(TracedAMSGrad), other().state_dict(), message)
