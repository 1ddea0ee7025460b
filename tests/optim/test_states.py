"""State dicts, pickles and copies of every optimizer."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from suite import (
    ALL,
    EXECUTOR_MARKS,
    OURS,
    OWN,
    assert_same,
    equal,
    every_executor,
    every_input,
    every_optimizer,
    every_own,
    fresh,
    leaves,
    options_of,
    parameters,
    take,
    way,
)
from torch.optim import Optimizer

from optim.traced_amsgrad import TracedAMSGrad


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("target", EXECUTOR_MARKS)
@pytest.mark.parametrize("source", EXECUTOR_MARKS)
@every_input
def test_state_goes_from_any_way_to_run_to_any(make, inputs, source, target, device):
    whole = make(fresh(device=device), **copy.deepcopy(inputs), **way(make, source))
    take(whole, range(3))
    state = through_file(whole.state_dict())
    resumed = make(fresh(device=device), **copy.deepcopy(inputs), **way(make, target))
    with torch.no_grad():
        for p, q in zip(parameters(resumed), parameters(whole), strict=True):
            p.copy_(q)
    resumed.load_state_dict(state)
    take(whole, range(3, 6))
    take(resumed, range(3, 6))
    assert_same(resumed, whole, 0.0 if source == target else 1e-6)
    assert whole.state_dict()["state"].keys() == resumed.state_dict()["state"].keys()
    if make in OURS:
        for name, value in way(make, target).items():
            assert resumed.param_groups[0][name] == value


@every_own
def test_state_dicts_look_like_torchs(make):
    optimizer, model = make(fresh()), torch.optim.Adam(fresh())
    take(optimizer, range(2))
    take(model, range(2))
    state, wanted = optimizer.state_dict(), model.state_dict()
    assert state.keys() == wanted.keys()
    assert state["state"].keys() == wanted["state"].keys()
    assert state["param_groups"][0]["params"] == wanted["param_groups"][0]["params"]
    assert all(float(s["step"]) == 2 for s in state["state"].values())


@every_own
def test_a_loaded_state_is_a_copy(make, device):
    optimizer, other = make(fresh(device=device)), make(fresh(device=device))
    take(optimizer, range(2))
    kept = copy.deepcopy(optimizer.state_dict())
    other.load_state_dict(optimizer.state_dict())
    take(other, range(2, 4))
    now = optimizer.state_dict()["state"]
    for key, values in kept["state"].items():
        for name, value in values.items():
            torch.testing.assert_close(now[key][name], value, rtol=0, atol=0)


@every_own
def test_loading_keeps_the_precision_of_state(make, device):
    optimizer, other = (make(fresh(torch.bfloat16, device)) for _ in range(2))
    take(optimizer, range(5))
    other.load_state_dict(through_file(optimizer.state_dict()))
    for p, q in zip(leaves(optimizer), leaves(other), strict=True):
        for name, value in optimizer.state[p].items():
            torch.testing.assert_close(other.state[q][name], value, rtol=0, atol=0)


@every_own
def test_state_moves_to_another_dtype(make):
    optimizer, other = make(fresh(torch.bfloat16)), make(fresh(torch.float64))
    take(optimizer, range(2))
    other.load_state_dict(optimizer.state_dict())
    take(other, range(2, 4))
    p = leaves(other)[0]
    assert all(v.dtype == torch.float64 for v in other.state[p].values() if torch.is_tensor(v))


@every_optimizer
def test_options_that_an_older_state_lacks_are_filled_in(make):
    optimizer, whole = make(fresh()), make(fresh())
    take(optimizer, range(2))
    take(whole, range(4))
    state = optimizer.state_dict()
    for name in ("maximize", "foreach", "compile", "decoupled", "variant", "form", "first_lr"):
        state["param_groups"][0].pop(name, None)
    for values in state["state"].values():
        values["step"] = torch.tensor(float(values["step"]))
    optimizer.load_state_dict(state)
    take(optimizer, range(2, 4))
    assert_same(optimizer, whole, 1e-6)


@every_optimizer
def test_loading_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match="different number of parameter groups"):
        make(fresh()).load_state_dict(make([{"params": [p]} for p in fresh()]).state_dict())
    with pytest.raises(ValueError, match="doesn't match the size"):
        make(fresh()).load_state_dict(make(fresh()[:2]).state_dict())


def pickled(optimizer: Optimizer) -> Optimizer:
    return pickle.loads(pickle.dumps(optimizer))


def in_a_file(optimizer: Optimizer) -> Optimizer:
    file = io.BytesIO()
    torch.save(optimizer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("how", [copy.deepcopy, pickled, in_a_file])
@every_executor
@pytest.mark.parametrize(
    ("make", "settings"), [*((make, {}) for make in ALL), *OWN, (TracedAMSGrad, {})], ids=str
)
def test_copies_go_on_alike(make, settings, executor, how):
    optimizer = make(fresh(), **copy.deepcopy(settings), **way(make, executor))
    take(optimizer, range(2))
    twin = how(optimizer)
    at_first = copy.deepcopy([parameters(twin), twin.state_dict()])
    take(optimizer, range(2, 7))
    assert equal([parameters(twin), twin.state_dict()], at_first)
    take(twin, range(2, 7))
    assert_same(twin, optimizer)
    assert equal(twin.state_dict()["state"], optimizer.state_dict()["state"])
    assert options_of(twin) == options_of(optimizer)


@every_own
def test_load_hooks_are_heeded(make):
    optimizer, other = make(fresh()), make(fresh())
    take(optimizer, range(1))
    kept = optimizer.state[leaves(optimizer)[0]].items()
    name = next(k for k, v in kept if isinstance(v, torch.Tensor) and k != "step")

    def zeroed(_, state):
        state = copy.deepcopy(state)
        for values in state["state"].values():
            values[name].zero_()
        return state

    other.register_load_state_dict_pre_hook(zeroed)
    other.load_state_dict(optimizer.state_dict())
    assert all((other.state[p][name] == 0).all() for p in leaves(other))
    assert any((optimizer.state[p][name] != 0).any() for p in leaves(optimizer))
