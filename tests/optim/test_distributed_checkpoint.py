"""Optimizers in torch.distributed.checkpoint, which begins with a step that is none."""

from typing import Any

import pytest
import torch
from suite import assert_same, every_own, fresh, leaves, parameters, take
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.nn import Module, ParameterList
from torch.optim import Optimizer

import optim

WAYS = {
    "as it is": StateDictOptions(),
    "flat": StateDictOptions(flatten_optimizer_state_dict=True),
    "full": StateDictOptions(full_state_dict=True),
}


def model_and(make: type[Optimizer], **settings: Any) -> tuple[Module, Optimizer]:
    model = ParameterList(fresh())
    return model, make(model.parameters(), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.1, "decoupled": True},
        {"weight_decay": 0.1, "decoupled": False},
        {"lr": torch.tensor(0.1)},
        {"maximize": True, "foreach": False},
    ],
    ids=str,
)
@every_own
def test_asking_a_fresh_optimizer_for_its_state_moves_nothing(make, settings):
    model, optimizer = model_and(make, **settings)
    twin = make(fresh(), **settings)
    state = get_optimizer_state_dict(model, optimizer)
    assert all(torch.equal(p, q) for p, q in zip(parameters(optimizer), fresh(), strict=True))
    group = optimizer.param_groups[0]
    for p in leaves(optimizer):
        new, made = optimizer.new_state(p, group), optimizer.state[p]
        assert new.keys() == made.keys() and made["step"] == 0
        assert all(torch.as_tensor(made[name]).equal(torch.as_tensor(new[name])) for name in new)
    assert state["state"].keys() == dict(model.named_parameters()).keys()
    for each in (optimizer, twin):
        take(each, range(5))
    assert_same(optimizer, twin)


@pytest.mark.parametrize("way", WAYS)
@every_own
def test_states_go_out_and_in(make, way):
    model, whole = model_and(make, lr=0.1, weight_decay=0.1)
    other, resumed = model_and(make)
    take(whole, range(3))
    state = get_optimizer_state_dict(model, whole, options=WAYS[way])
    other.load_state_dict(model.state_dict())
    set_optimizer_state_dict(other, resumed, state, options=WAYS[way])
    for each in (whole, resumed):
        take(each, range(3, 8))
    assert_same(resumed, whole)


@pytest.mark.parametrize("way", WAYS)
def test_states_of_other_rules_are_refused(way):
    model, source = model_and(optim.MAdam)
    take(source, range(3))
    state = get_optimizer_state_dict(model, source, options=WAYS[way])
    other, target = model_and(optim.LaMAdam)
    with pytest.raises(ValueError, match="parameter 0 is of MAdam, this is LaMAdam"):
        set_optimizer_state_dict(other, target, state, options=WAYS[way])


@pytest.mark.parametrize("decoupled", [False, True])
@every_own
def test_nothing_moves_at_rate_zero_without_momentum(make, decoupled):
    # A warm-up from 0 is no such step: its gradients count.
    moving, still = (make(fresh(), lr=0.0, weight_decay=0.1, decoupled=decoupled) for _ in "ab")
    take(moving, range(2))
    assert_same(moving, still)
    assert [int(moving.state[p]["step"]) for p in leaves(moving)] == [2, 2, 2, 2]


def test_laprop_does_not_decay_at_rate_zero():
    decayed, plain = (optim.LaProp(fresh(), weight_decay=w) for w in (0.1, 0.0))
    for optimizer in (decayed, plain):
        take(optimizer, range(3))
    for p, q in zip(parameters(plain), parameters(decayed), strict=True):
        p.copy_(q)
    for optimizer in (decayed, plain):
        optimizer.param_groups[0]["lr"] = 0.0
        take(optimizer, range(3, 6))
    assert_same(decayed, plain)
    with optim.Observer(decayed) as seen:
        take(decayed, range(6, 7))
        before = [p.clone() for p in parameters(decayed)]
        take(decayed, range(7, 8))
    pairs = zip(parameters(decayed), before, strict=True)
    moved = torch.cat([(p - q).abs().reshape(-1) for p, q in pairs])
    assert seen.mean_abs_step == pytest.approx(moved.mean().item(), rel=1e-5)
