"""What every optimizer refuses, and in which words."""

from typing import Any

import pytest
import torch
from suite import ALL, OURS, every_executor, every_optimizer, every_own, fresh, parameters, way
from torch.nn import Parameter

import optim


@every_executor
@every_optimizer
def test_sparse_gradients_are_refused(make, executor):
    dense, sparse = Parameter(torch.ones(2)), Parameter(torch.ones(3))
    optimizer = make([dense, sparse], **way(make, executor))
    dense.grad = torch.ones(2)
    sparse.grad = torch.sparse_coo_tensor([[0]], [1.0], (3,), check_invariants=True)
    with pytest.raises(RuntimeError, match=f"{make.__name__} does not support sparse gradients"):
        optimizer.step()
    assert all((p == 1).all() for p in parameters(optimizer))


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@every_own
def test_sparse_parameters_are_refused(make):
    p = Parameter(torch.eye(3).to_sparse_csr())
    p.grad = torch.eye(3).to_sparse_csr()
    with pytest.raises(RuntimeError, match="does not support sparse_csr gradients: parameter 0"):
        make([p]).step()


BAD: list[tuple[Any, dict[str, Any], str]] = [
    *[(make, {"lr": -1e-2}, "Invalid learning rate: -0.01") for make in ALL],
    *[(make, {"weight_decay": -1.0}, "Invalid weight_decay value: -1.0") for make in ALL],
    *[
        (make, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0")
        for make in ALL
        if make not in (optim.SignSGDM, optim.Signum, optim.MAdam, optim.LaMAdam, optim.LpAdaGrad)
    ],
    *[
        (make, {"eps": -1.0}, "Invalid epsilon value: -1.0")
        for make in ALL
        if not issubclass(make, optim.SignSGDM)
    ],
    *[(make, {"lr": torch.ones(2)}, "must have 1 element") for make in OURS],
    *[(make, {"lr": float("nan")}, "Invalid learning rate: nan") for make in OURS],
    *[(make, {"foreach": True, "compile": True}, "cannot be `True` together") for make in OURS],
    *[
        (make, {name: "maybe"}, f"Invalid {name}: maybe, must be True or False")
        for make in OURS
        for name in ("decoupled", "maximize", "foreach", "compile")
    ],
    *[(make, {"weight_decay": "much"}, "Invalid weight_decay value: much") for make in OURS],
    (optim.LaProp, {"amsgrad": 1}, "Invalid amsgrad: 1, must be one of False, True, corrected"),
    (optim.LaProp, {"centered": "yes"}, "Invalid centered: yes, must be one of False, True, waits"),
    (optim.LaProp, {"betas": (0.9, "high")}, "Invalid beta parameter at index 1: high"),
    (optim.LaProp, {"betas": 0.9}, "Invalid betas: 0.9, must be two numbers"),
    (optim.MAdam, {"amsgrad": "no"}, "Invalid amsgrad: no, must be one of False, True, torch"),
    (optim.MAdam, {"betas": (0.9, (0.5, "high"))}, "Invalid beta parameter at index 1"),
    (optim.LpAdam, {"p": "two"}, "Invalid p value: two"),
    (optim.LpAdam, {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
    (optim.LpAdam, {"betas": (0.9, 0.5)}, r"beta1 < beta2\*\*\(1/p\) must hold"),
    (optim.LpAdam, {"betas": (0.9,)}, "must be two numbers"),
    (optim.LpAdam, {"p": 0}, "Invalid p value: 0"),
    (optim.LpAdam, {"p": float("inf")}, "Invalid p value: inf"),
    (optim.LpAdam, {"form": "cube"}, "Invalid form: cube, must be one of root, power"),
    (optim.LpAdaGrad, {"p": 0}, "Invalid p value: 0"),
    (optim.LaProp, {"variant": "mine"}, "Invalid variant: mine"),
    (optim.LaProp, {"centered_after": 0}, "Invalid centered_after value: 0"),
    (optim.LaProp, {"weight_decay": 1.5}, "Invalid weight_decay value: 1.5"),
    (
        optim.AdamAL,
        {"variant": "paper"},
        "Invalid variant: paper, must be one of equation",
    ),
    (
        optim.AdamAL,
        {"project": (1.0, -1.0)},
        r"Invalid project: \(1.0, -1.0\), must be two",
    ),
    (
        optim.AdamAL,
        {"project": 1.0},
        "must be two numbers, the lower one first",
    ),
    (optim.SignSGDM, {"momentum": 1.0}, "Invalid momentum value: 1.0"),
    (optim.Padam, {"partial": 0.0}, "Invalid partial value: 0.0"),
    (optim.Padam, {"partial": "half"}, "Invalid partial value: half"),
    (optim.Padam, {"partial": 0.75}, "Invalid partial value: 0.75"),
    (optim.MAdam, {"betas": (0.9, 0.999)}, r"must be \(alpha, \(beta_lo, beta_hi\)\)"),
    (optim.MAdam, {"betas": (0.9, (0.9, 0.5))}, r"Invalid beta parameter at index 1: \(0.9, 0.5\)"),
    (optim.MAdam, {"betas": (1.0, (0.5, 0.9))}, "Invalid beta parameter at index 0: 1.0"),
    (optim.MAdam, {"betas": (0.9, (0.5, 1.0))}, "Invalid beta_init value: 1.0"),
    (optim.LaMAdam, {"beta_init": 1.0}, "Invalid beta_init value: 1.0"),
    (optim.AdaBound, {"gamma": 0.0}, "Invalid gamma value: 0.0"),
    (optim.AdaBound, {"final_lr": -1.0}, "Invalid final_lr value: -1.0"),
    (optim.Yogi, {"initial": -1.0}, "Invalid initial value: -1.0"),
]


@pytest.mark.parametrize(("make", "settings", "message"), BAD)
def test_bad_settings_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(fresh(), **settings)


@every_own
def test_an_argument_that_there_is_not_is_refused(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'maximise'"):
        make(fresh(), maximise=True)


@every_own
def test_bad_settings_of_a_group_are_refused(make):
    optimizer = make(fresh()[:1])
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optimizer.add_param_group({"params": fresh()[1:], "lr": -1})
    assert len(optimizer.param_groups) == 1
