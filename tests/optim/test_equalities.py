"""What the rules have in common, and what the papers prove of them."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

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
    Signum,
    schedules,
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


@given(gradients, betas, st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=60)
def test_bound_of_adam(values, nu, share):
    """Proposition 2 with the appendix's factor, 1/√(1 - ν), for any μ < √ν."""
    mu = share * math.sqrt(nu)
    path = walk(Adam, column(values), lr=1.0, betas=(mu, nu), eps=0.0)
    assert path.diff(dim=0).abs().max() <= (1 + 1e-9) / ((1 - share) * math.sqrt(1 - nu))


def test_the_bound_of_adam_in_the_main_text_is_wrong():
    """Proposition 2 as printed, 1/(1 - μ/√ν) = 1: a large gradient after tiny ones exceeds it."""
    values = [1e-6] * 50 + [1.0]
    path = walk(Adam, column(values), lr=1.0, betas=(0.0, 0.5), eps=0.0)
    assert path.diff(dim=0).abs().max() == pytest.approx(math.sqrt(2), rel=1e-6)


def test_no_bound_holds_for_adam_where_mu_exceeds_the_root_of_nu():
    """The text has "only applies when μ > √ν": there a small gradient after large ones is fatal."""
    largest = [
        walk(Adam, column([1.0] * 50 + [small] * length), lr=1.0, betas=(0.9, 0.1), eps=0.0)
        .diff(dim=0)
        .abs()
        .max()
        .item()
        for length, small in ((2, 1e-2), (4, 1e-4), (8, 1e-8))
    ]
    assert largest[0] > 5
    assert largest[1] > 5 * largest[0] and largest[2] > 5 * largest[1]


MOVING = {
    "online": ({"zeta": 0.7}, lambda t: (1e-2 / math.sqrt(t), 0.9 * 0.7 ** (t - 1), 0.999)),
    "nu_switch": ({"first": 0.5, "until": 9}, lambda t: (1e-2, 0.9, 0.5 if t <= 9 else 0.999)),
}


@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("name", MOVING)
def test_laprop_corrects_averages_by_the_betas_that_there_were(name, variant):
    numbers, at = MOVING[name]
    p = torch.nn.Parameter(torch.ones(20, dtype=torch.float64))
    optimizer = LaProp([p], lr=1e-2, betas=(0.9, 0.999), eps=0.0, variant=variant)
    schedule = getattr(schedules, name)(optimizer, STEPS, **numbers)
    theta, m, n = np.ones(20), np.zeros(20), np.zeros(20)
    # What each average would be of ones, and m of steps of the size lr.
    weight_m = weight_n = weight_lr = 0.0
    for t, g in enumerate(drawn(), 1):
        p.grad = g.clone()
        optimizer.step()
        schedule.step()
        (lr, mu, nu), gradient = at(t), g.numpy()
        n, weight_n = nu * n + (1 - nu) * gradient**2, nu * weight_n + 1 - nu
        m = mu * m + (1 - mu) * lr * gradient / np.sqrt(n / weight_n)
        weight_m = mu * weight_m + 1 - mu
        weight_lr = mu * weight_lr + (1 - mu) * lr
        theta = theta - m / (weight_m if variant == "paper" else weight_lr / lr)
        assert np.abs(p.detach().numpy() - theta).max() < 1e-12


def test_laprop_takes_up_a_schedule_of_betas_on_the_way():
    """As if the betas that it found had been there from the start."""
    late, whole = (
        LaProp([torch.nn.Parameter(torch.ones(20, dtype=torch.float64))], lr=1e-2) for _ in range(2)
    )
    schedules.nu_switch(whole, STEPS, first=0.999, until=0)
    for t, g in enumerate(drawn()):
        if t == 5:
            schedules.nu_switch(late, STEPS, first=0.999, until=0)
        for optimizer in (late, whole):
            optimizer.param_groups[0]["params"][0].grad = g.clone()
            optimizer.step()
    one, other = (optimizer.param_groups[0]["params"][0] for optimizer in (late, whole))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_laprop_of_nu_zero_is_signed_descent():
    mu, lr = 0.9, 1e-2
    laprop = walk(LaProp, drawn(), lr=lr, betas=(mu, 0.0)).diff(dim=0)
    signed = walk(SignSGDM, drawn(), lr=lr, momentum=mu).diff(dim=0)
    correction = 1 - mu ** torch.arange(1, STEPS + 1, dtype=torch.float64)[:, None]
    assert torch.allclose(laprop * correction, signed, rtol=1e-9, atol=1e-14)


def test_signum_takes_the_sign_of_what_sign_sgdm_has_the_signs_of():
    """Without momentum they are the same; with it, one large gradient outweighs many small ones."""
    assert torch.equal(walk(Signum, drawn(), momentum=0.0), walk(SignSGDM, drawn(), momentum=0.0))
    rare = column([100] + [-1] * 9)
    steps = {
        make: walk(make, rare, lr=1.0, momentum=0.9).diff(dim=0) for make in (Signum, SignSGDM)
    }
    assert (steps[Signum] == -1).all()
    assert steps[SignSGDM][0] < 0 < steps[SignSGDM][2]


def test_laprop_of_nu_zero_stands_still_without_gradient():
    path = walk(LaProp, torch.zeros(5, 3), betas=(0.9, 0.0))
    assert (path == 1).all()


def test_lapropw_decays_after_the_update():
    # Algorithm 2: θ ← (θ - m/c_m)·(1 - w), with no lr before w.
    plain, decayed = (walk(LaProp, drawn(1), lr=0.1, weight_decay=w) for w in (0.0, 0.25))
    assert torch.allclose(decayed[1], plain[1] * 0.75, rtol=1e-12)


def test_lapropw_decays_by_a_schedule():
    """Algorithm 2's w_t, and not e^-1.7 of the weights over 44 epochs of a rate cut by 100."""
    p = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = LaProp([p], lr=1e-3, weight_decay=1e-4)
    per_epoch, epochs = 10, 164
    schedule = schedules.multistep(
        optimizer, per_epoch * epochs, milestones=[80, 120], of=epochs, scale_decay=True
    )
    norms = [1.0]
    for _ in range(per_epoch * epochs):
        p.grad = torch.zeros_like(p)
        optimizer.step()
        schedule.step()
        norms.append(p.item())
    shrunk = [
        math.log(norms[per_epoch * end] / norms[per_epoch * begin])
        for begin, end in ((0, 80), (80, 120), (120, 164))
    ]
    assert shrunk == pytest.approx([-1e-4 * 800, -1e-5 * 400, -1e-6 * 440], rel=1e-4)


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


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_padam_tends_to_sgd_with_momentum_as_p_tends_to_zero(momentum, decay):
    """Footnote 3: but for a factor of 1 - β1, of the rate and so of what the steps add."""
    common = {"lr": 0.1, "weight_decay": decay}
    sgd = walk(
        SGD, drawn(), momentum=momentum, dampening=0.0, **common | {"lr": 0.1 * (1 - momentum)}
    )
    distances = []
    for partial in (1e-2, 1e-4, 1e-6):
        rule = {"variant": "paper", "partial": partial, "betas": (momentum, 0.999)}
        padam = walk(Padam, drawn(), **common | rule)
        distances.append(((padam - sgd).abs().max() / (sgd - sgd[0]).abs().max()).item())
    # v̂ is about 1e-3 to 1e-8 here, so v̂^-p is 1 + O(p).
    assert distances == sorted(distances, reverse=True)
    assert distances[1] == pytest.approx(distances[0] / 100, rel=0.3)
    assert distances[2] < 3e-5


def test_padam_with_the_authors_factor_does_not_tend_to_sgd():
    sgd = walk(SGD, drawn(), lr=0.01, momentum=0.9)
    padam = walk(Padam, drawn(), lr=0.1, weight_decay=0.0, partial=1e-6)
    assert (padam - sgd).abs().max() > 0.5 * (sgd - sgd[0]).abs().max()


def test_padam_warns_where_the_condition_of_its_theorem_fails():
    """Theorem 4.3: β1 < β2^(2p)."""
    message = (
        r"^betas: \(0.9, 0.8\) with partial=0.5: beta1 < beta2\*\*\(2\*partial\) does not hold, "
        "and Padam's convergence is proved with it$"
    )
    p = torch.nn.Parameter(torch.ones(1))
    with pytest.warns(UserWarning, match=message):
        Padam([p], betas=(0.9, 0.8), partial=0.5)
    with pytest.warns(UserWarning, match="does not hold"):
        Padam([{"params": [p], "betas": (0.9, 0.9), "partial": 0.5}])
    # 0.8^(1/4) is 0.946, and 0.9 is below 0.9^0.8.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Padam([p], betas=(0.9, 0.8), partial=0.125)
        Padam([p], betas=(0.9, 0.9), partial=0.4)


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


@pytest.mark.parametrize("variant", ["authors", "paper"])
def test_lamadam_of_equal_betas_and_a_moving_rate_is_laprop_as_the_authors_have_it(variant):
    paths = []
    for make, betas, how in (
        (LaMAdam, (0.9, (0.99, 0.99)), variant),
        (LaProp, (0.9, 0.99), "authors"),
    ):
        p = torch.nn.Parameter(torch.ones_like(drawn()[0]))
        optimizer = make([p], lr=1.0, betas=betas, variant=how)
        path = [p.detach().clone()]
        for t, g in enumerate(drawn()):
            optimizer.param_groups[0]["lr"] = 1e-3 * (t % 10)
            p.grad = g.clone()
            optimizer.step()
            path.append(p.detach().clone())
        paths.append(torch.stack(path))
    assert same(*paths, 1e-10) == (variant == "authors")
    # The listing takes the last rate for all gradients that m remembers.
    assert same(*paths, 0.1) == (variant == "authors")


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


def test_amsgrad_of_equation_16_is_adamal():
    theta = torch.nn.Parameter(torch.zeros(20, dtype=torch.float64))
    optimizer, v = AdamAL([theta], betas=(0.9, 0.99)), torch.zeros(20, dtype=torch.float64)
    rising = 0
    for g in drawn(200):
        theta.grad = g.clone()
        optimizer.step()
        averaged = 0.99 * v + (1 - 0.99) * g**2
        rising += (averaged > v).sum().item()
        v = torch.maximum(averaged, v)
        assert torch.allclose(optimizer.state[theta]["v"], v, rtol=1e-14, atol=0)
    assert 0 < rising < 200 * 20  # both sides of the maximum were taken


def test_with_beta1_in_its_line_and_at_0_adamals_v_is_the_greatest_square():
    theta = torch.nn.Parameter(torch.zeros(20, dtype=torch.float64))
    optimizer = AdamAL([theta], betas=(0.0, 0.99), variant="listing")
    greatest = torch.zeros(20, dtype=torch.float64)
    for g in drawn(50):
        theta.grad = g.clone()
        optimizer.step()
        greatest = torch.maximum(greatest, g**2)
        assert torch.equal(optimizer.state[theta]["v"], greatest)


def test_a_projection_moves_only_what_has_left_the_box_in_a_step():
    inside, still = (torch.nn.Parameter(torch.tensor([5.0, -5.0, 0.0])) for _ in range(2))
    optimizer = AdamAL([inside, still], lr=0.01, project=(-1.0, 2.0))
    inside.grad = torch.tensor([1.0, 0.0, 1.0])
    optimizer.step()
    assert inside[:2].tolist() == [2.0, -1.0] and -0.1 < inside[2].item() < 0
    assert still.tolist() == [5.0, -5.0, 0.0]  # it had no gradient
    optimizer.param_groups[0] |= {"lr": 0.0, "project": (-0.5, 0.5)}
    optimizer.step()
    assert inside[:2].tolist() == [2.0, -1.0]


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


def test_lp_adam_tends_to_adamax_as_p_grows_and_beta2_with_it():
    # Daley & Amato, footnote 1: β₂ must be β₂^p for the limit.
    wanted = walk(torch.optim.Adamax, drawn(), lr=0.01, betas=(0.9, 0.99), eps=0.0)

    def distance(p):
        found = walk(LpAdam, drawn(), lr=0.01, betas=(0.9, 0.99**p), eps=0.0, p=p)
        return ((found - wanted).abs().max() / (wanted - wanted[0]).abs().max()).item()

    near, nearer, nearest = (distance(p) for p in (30.0, 300.0, 3000.0))
    assert near < 0.2
    assert nearest < nearer / 3 and nearer < near / 3


@pytest.mark.parametrize(("p", "q"), [(1.2, 2.0), (2.0, 6.0), (1.0, 100.0)])
def test_the_weighted_norm_is_at_least_the_reweighted_norm_of_a_larger_power(p, q):
    # Daley & Amato, equations 7 and 8: w^(q/p) is less than w, so that norms of one p and of
    # another are in no order.
    g, beta2 = drawn(), 0.9
    parameter = torch.nn.Parameter(torch.ones_like(g[0]))
    optimizer = LpAdam([parameter], betas=(0.0, beta2), p=p, form="power")
    for gradient in g:
        parameter.grad = gradient.clone()
        optimizer.step()
    weights = (1 - beta2) * beta2 ** torch.arange(STEPS - 1, -1, -1, dtype=g.dtype)[:, None]
    norm = optimizer.state[parameter]["v"] ** (1 / p)
    assert torch.allclose(norm, (weights * g.abs() ** p).sum(0) ** (1 / p), rtol=1e-12)
    reweighted = (weights ** (q / p) * g.abs() ** q).sum(0) ** (1 / q)
    assert (norm >= reweighted).all()
    weighted = (weights * g.abs() ** q).sum(0) ** (1 / q)
    assert ((weighted > norm) | (weighted < norm)).all() and (weighted > norm).any()
