"""What the rules have in common, and what the papers prove of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import Adagrad, Adam, AdamW, Optimizer

from optim import (
    AdaBound,
    AdamAL,
    LaMAdam,
    LaProp,
    LpAdaGrad,
    LpAdam,
    MAdam,
    Observer,
    Padam,
    SignSGDM,
)

STEPS = 40

# Whole numbers times a power of two: exact in float64, never so small that eps shows.
gradients = st.lists(st.integers(-1000, 1000).filter(bool), min_size=3, max_size=30)
betas = st.floats(0.0, 0.99)


def drawn(steps: int = STEPS, size: int = 20, device: str | torch.device = "cpu") -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(steps, size, generator=generator, dtype=torch.float64).to(device)


def walk(make: type[Optimizer], gradients: torch.Tensor, **settings) -> torch.Tensor:
    """θ before the first and after every step, from 1 in each element."""
    p = torch.nn.Parameter(torch.ones_like(gradients[0]))
    optimizer = make([p], **settings)
    path = [p.detach().clone()]
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
        path.append(p.detach().clone())
    return torch.stack(path)


def same(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> bool:
    return bool((a - b).abs().max() <= tolerance * (b - b[0]).abs().max())


def column(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    "common", [{}, {"weight_decay": 0.1}, {"maximize": True}, {"betas": (0.5, 0.9)}], ids=str
)
def test_lp_adam_of_two_is_adam(common, device):
    gradients = drawn(device=device)
    assert same(walk(LpAdam, gradients, p=2, **common), walk(Adam, gradients, **common))
    if "weight_decay" in common:
        got = walk(LpAdam, gradients, p=2, decoupled=True, **common)
        assert same(got, walk(AdamW, gradients, **common))


@pytest.mark.parametrize("common", [{}, {"weight_decay": 0.1}, {"maximize": True}], ids=str)
def test_lp_adagrad_of_two_is_adagrad(common, device):
    gradients = drawn(device=device)
    assert same(walk(LpAdaGrad, gradients, p=2, **common), walk(Adagrad, gradients, **common))


@pytest.mark.parametrize("p", [1.2, 2.0, 6.0])
def test_first_step_of_lp_adagrad_is_lr_whatever_the_norm(p):
    moved = walk(LpAdaGrad, drawn(), lr=0.25, p=p, eps=0.0).diff(dim=0)
    assert torch.allclose(moved[0], -0.25 * drawn()[0].sign())
    # A larger norm is smaller: steps after the first one are the larger, the larger p is.
    assert (moved[1:].abs() <= 0.25).all()


@pytest.mark.parametrize("p", [1.2, 3.0, 6.0])
def test_root_and_power_form_are_the_same_in_float64(p):
    root, power = (walk(LpAdam, drawn(), p=p, form=form) for form in ("root", "power"))
    assert same(root, power)


@given(gradients, st.sampled_from([1.2, 1.5, 2.0, 3.0, 6.0]), st.integers(-40, 40))
@settings(deadline=None, max_examples=30)
def test_lp_adam_does_not_see_the_scale(values, p, power):
    g = column(values)
    a, b = (walk(LpAdam, scale * g, p=p, eps=0.0) for scale in (1.0, 2.0**power))
    assert same(a, b, 1e-10)


@pytest.mark.parametrize("p", [1.2, 1.5, 2.0, 3.0, 6.0])
def test_largest_step_of_lp_adam(p):
    # Table 1. "After zeros": bias corrections are gone and the moments are 0.
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = LpAdam([theta], lr=1.0, p=p, eps=0.0)
    theta.grad = torch.ones_like(theta)
    optimizer.step()
    state = optimizer.state[theta]
    state["step"] = 10**6
    for name in set(state) - {"step"}:
        state[name].zero_()
    before = theta.item()
    optimizer.step()
    assert before - theta.item() == pytest.approx(0.1 / 0.001 ** (1 / p), rel=1e-12)
    printed = {1.2: 10 * 10**0.5, 1.5: 10, 2.0: 10**0.5, 3.0: 1, 6.0: 10**-0.5}[p]
    assert before - theta.item() == pytest.approx(printed, rel=1e-12)


@given(gradients, betas, betas, st.booleans())
@settings(deadline=None, max_examples=60)
def test_bound_of_laprop(values, mu, nu, amsgrad):
    # Proposition 1.
    path = walk(LaProp, column(values), lr=1.0, betas=(mu, nu), amsgrad=amsgrad)
    assert path.diff(dim=0).abs().max() <= (1 + 1e-9) / math.sqrt(1 - nu)


def test_laprop_of_nu_zero_is_signed_descent():
    mu, lr = 0.9, 1e-2
    laprop = walk(LaProp, drawn(), lr=lr, betas=(mu, 0.0)).diff(dim=0)
    signed = walk(SignSGDM, drawn(), lr=lr, momentum=mu).diff(dim=0)
    correction = 1 - mu ** torch.arange(1, STEPS + 1, dtype=torch.float64)[:, None]
    assert torch.allclose(laprop * correction, signed, rtol=1e-9, atol=1e-14)


def test_laprop_of_nu_zero_stands_still_without_gradient():
    path = walk(LaProp, torch.zeros(5, 3), betas=(0.9, 0.0))
    assert (path == 1).all()


def test_lapropw_decays_after_the_update():
    # Algorithm 2: θ ← (θ - m/c_m)·(1 - w), with no lr before w.
    plain, decayed = (walk(LaProp, drawn(1), lr=0.1, weight_decay=w) for w in (0.0, 0.25))
    assert torch.allclose(decayed[1], plain[1] * 0.75, rtol=1e-12)


def test_both_variants_of_laprop_are_the_same_at_one_rate():
    assert same(walk(LaProp, drawn(), variant="authors"), walk(LaProp, drawn(), variant="paper"))


def test_laprop_changes_its_variant_on_the_way():
    switched, whole = (
        LaProp([torch.nn.Parameter(torch.ones(20, dtype=torch.float64))], variant=variant)
        for variant in ("paper", "authors")
    )
    for t, g in enumerate(drawn()):
        if t == 5:
            switched.param_groups[0]["variant"] = "authors"
        for optimizer in (switched, whole):
            optimizer.param_groups[0]["params"][0].grad = g.clone()
            optimizer.step()
    one, other = (optimizer.param_groups[0]["params"][0] for optimizer in (switched, whole))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_padam_of_one_half_is_amsgrad():
    # AMSGrad as printed and as torch has it differ where eps stands: here it is 0.
    common = {"lr": 1e-2, "eps": 0.0, "weight_decay": 0.1}
    padam = walk(Padam, drawn(), partial=0.5, variant="authors", **common)
    assert same(padam, walk(Adam, drawn(), amsgrad=True, **common))


@pytest.mark.parametrize("beta", [0.5, 0.999])
@pytest.mark.parametrize("amsgrad", [False, "torch"])
def test_madam_of_equal_betas_is_adamw(beta, amsgrad):
    common = {"lr": 1e-2, "weight_decay": 0.1}
    madam = walk(MAdam, drawn(), betas=(0.9, (beta, beta)), amsgrad=amsgrad, **common)
    adamw = walk(AdamW, drawn(), betas=(0.9, beta), amsgrad=bool(amsgrad), **common)
    assert same(madam, adamw, 1e-10)


def test_the_authors_maximum_of_madam_is_not_torchs():
    # Theirs is taken after bias correction: what the first steps had is never outgrown.
    common = {"lr": 1e-2, "betas": (0.9, (0.999, 0.999))}
    gradients = drawn() * torch.linspace(2, 1, STEPS)[:, None]
    authors, torchs = (walk(MAdam, gradients, amsgrad=how, **common) for how in (True, "torch"))
    assert not same(authors, torchs, 0.1)


@pytest.mark.parametrize("beta", [0.5, 0.999])
def test_lamadam_of_equal_betas_and_torchs_maximum_is_amsprop(beta):
    lamadam = walk(LaMAdam, drawn(), lr=1e-3, betas=(0.9, (beta, beta)), amsgrad="torch")
    amsprop = walk(LaProp, drawn(), lr=1e-3, betas=(0.9, beta), amsgrad=True)
    assert same(lamadam, amsprop, 1e-10)


@pytest.mark.parametrize("beta", [0.5, 0.999])
def test_lamadam_of_equal_betas_is_laprop(beta):
    lamadam = walk(LaMAdam, drawn(), lr=1e-3, betas=(0.9, (beta, beta)))
    assert same(lamadam, walk(LaProp, drawn(), lr=1e-3, betas=(0.9, beta)), 1e-10)


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=30), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=60)
def test_madams_beta_lies_in_its_interval(values, high):
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = MAdam([theta], betas=(0.9, (0.0, 1.0)), beta_init=high)
    w = 0.0
    with Observer(optimizer) as seen:
        for t, value in enumerate(values, 1):
            theta.grad = torch.full_like(theta, value)
            optimizer.step()
            beta = seen.values["optim/beta"][theta].item()
            # Section 3, and clipped at 1: β_lo = 0.5 binds nobody.
            if t > 2 and len(set(values[: t - 1])) > 1:
                assert (1 - 1e-9) / (1 + w) <= beta <= 1.0
            w = optimizer.state[theta]["w"].item()


def test_madams_second_beta():
    theta = torch.nn.Parameter(torch.zeros(20, dtype=torch.float64))
    optimizer = MAdam([theta], betas=(0.9, (0.5, 0.999)), beta_init=0.8)
    with Observer(optimizer) as seen:
        for g in drawn(2):
            theta.grad = g.clone()
            optimizer.step()
    assert torch.allclose(seen.values["optim/beta"][theta], torch.full_like(theta, 1 / (2 - 0.8)))


@given(gradients)
@settings(deadline=None, max_examples=30)
def test_adamals_second_moment_never_falls(values):
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = AdamAL([theta])
    last = 0.0
    for value in values:
        theta.grad = torch.full_like(theta, value)
        optimizer.step()
        v = optimizer.state[theta]["v"].item()
        assert v >= last * (1 - 1e-12)
        last = v


def test_maximize_is_minimize_of_the_negative():
    for make in (LaProp, MAdam, Padam):
        up = walk(make, drawn(), maximize=True, weight_decay=0.01)
        assert np.array_equal(up, walk(make, -drawn(), weight_decay=0.01))


def test_adabound_waits_while_lr_is_zero():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = AdaBound([p], lr=0.0)
    p.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(p.detach(), torch.ones(3))
    optimizer.param_groups[0]["lr"] = 1e-3
    optimizer.step()
    assert ((p > 0.9) & (p < 1)).all()


@pytest.mark.parametrize("p", [0.1875, 0.375, 0.75, 1.0])
def test_roots_of_small_norms_are_exact(p):
    theta = [torch.nn.Parameter(torch.zeros(50, dtype=torch.float64)) for _ in range(2)]
    forms = ("root", "power")
    both = [
        LpAdam([q], betas=(0.0, 0.999), p=p, form=form)
        for q, form in zip(theta, forms, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        g = torch.randn(50, generator=generator, dtype=torch.float64)
        for q, optimizer in zip(theta, both, strict=True):
            q.grad = g
            optimizer.step()
    torch.testing.assert_close(theta[0], theta[1], rtol=1e-9, atol=0.0)
