"""Every rule and variant, in every way to run it, against the reference."""

from dataclasses import replace

import numpy as np
import pytest
import reference
import torch
from cases import CASES, RULES, Case, draw, expected, path, tolerance, worst_error

import optim
from optim import compiled, executors

# One that a CPU takes in chunks, ones that it takes together, and one of a single element.
SHAPES = [(60, 50), (33,), (1,), (4, 5, 2), ()]
STEPS = 50
DTYPES = [torch.float64, torch.float32]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(executors, "BATCH", 1000)
    monkeypatch.setattr(compiled, "PACKED", {"cpu": 1000, "cuda": 1000})
    monkeypatch.setattr(compiled, "LARGE", {"cpu": 2000, "cuda": 2000})
    monkeypatch.setattr(compiled, "MOST", 2999)  # and not one element is left over


def check(case: Case, executor: str, dtype: torch.dtype, device: torch.device) -> None:
    starts, gradients = draw(SHAPES, STEPS, dtype)
    kept = [[g.clone() for g in step] for step in gradients]
    got = path(case, starts, gradients, executor, device)
    assert worst_error(got, expected(case, starts, gradients), starts) < tolerance(case, dtype)
    for step, before in zip(gradients, kept, strict=True):
        assert all(torch.equal(g, b) for g, b in zip(step, before, strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("executor", ["loop", "foreach"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case, executor, dtype, device):
    check(case, executor, dtype, device)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_compiled(case, dtype, device):
    check(case, "compile", dtype, device)


def test_every_class_has_a_case():
    names = {case.make.__name__ for case in CASES}
    assert names == set(optim.__all__) - {"Observation", "Observer"}
    assert len(RULES) == len(names)


# Scales at which squares and powers leave the range of float32.


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("p", [1.0, 1.2, 1.5, 2.0, 3.0, 6.0, 9.5])
def test_lp_adam_is_exact_at_every_scale(p, scale):
    case = Case(optim.LpAdam, reference.lp_adam, {"p": p, "eps": 0.0})
    starts, gradients = draw([(200,)], STEPS, torch.float64)
    starts = [torch.zeros(200)]
    gradients = [[(g * scale).float() for g in step] for step in gradients]
    got = path(case, starts, gradients, "foreach")
    assert worst_error(got, expected(case, starts, gradients), starts) < 1e-5


def test_the_power_form_underflows_as_printed():
    starts, gradients = [torch.zeros(200)], draw([(200,)], STEPS, torch.float32)[1]
    gradients = [[g * 1e-6 for g in step] for step in gradients]
    case = Case(optim.LpAdam, reference.lp_adam, {"p": 6.0, "form": "power"})
    got = path(case, starts, gradients, "foreach")
    assert worst_error(got, expected(case, starts, gradients), starts) > 0.1


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e20])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_extreme_gradients_leave_finite_parameters(case, scale, device):
    case = replace(case, settings={"weight_decay": 0.0, **case.settings})
    starts, gradients = draw([(30,), (1,)], 15, torch.float32)
    gradients = [[g * scale for g in step] for step in gradients]
    got = path(case, starts, gradients, "foreach", device)
    assert all(np.isfinite(column).all() for column in got)
    if scale == 0.0 and case.settings["weight_decay"] == 0.0:
        assert all(
            (column == s.double().numpy()).all() for column, s in zip(got, starts, strict=True)
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", RULES, ids=str)
def test_one_bad_element_spoils_no_other(case, bad, device):
    starts, gradients = draw([(30,), (7,)], 10, torch.float32)
    clean = path(case, starts, gradients, "foreach", device)
    gradients[3][0][5] = bad
    got = path(case, starts, gradients, "foreach", device)
    others = np.arange(30) != 5
    assert (got[0][:, others] == clean[0][:, others]).all()
    assert (got[1] == clean[1]).all()
    if np.isnan(bad) and not issubclass(case.make, optim.SignSGDM):  # its docstring says why
        assert np.isnan(got[0][3:, 5]).all()


# A mean far above the spread: V - U² and n - n̄² cancel there.


@pytest.mark.parametrize(
    "case",
    [
        Case(optim.MAdam, reference.madam),
        Case(optim.LaMAdam, reference.lamadam),
        Case(optim.LaProp, reference.laprop, {"centered": True}),
    ],
    ids=str,
)
def test_float32_where_variances_cancel(case, device):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(STEPS, 200, generator=generator)
    gradients = [[1.0 + 1e-2 * each] for each in noise]
    starts = [torch.zeros(200)]
    got = path(case, starts, gradients, "foreach", device)
    assert worst_error(got, expected(case, starts, gradients), starts) < 1e-5
