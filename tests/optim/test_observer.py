"""What an observer sees, and that it changes nothing."""

import pytest
import torch
from suite import ALL, assert_same, fresh, parameters, take
from torch.nn import Parameter

import optim

every_optimizer = pytest.mark.parametrize(
    "make", [*ALL, torch.optim.AdamW], ids=lambda make: make.__name__
)


@every_optimizer
def test_an_observer_sees_the_step_and_changes_nothing(make):
    plain, watched = (make(fresh(torch.float64), weight_decay=0.0) for _ in range(2))
    with optim.Observer(watched) as seen:
        for t in range(5):
            before = [p.clone() for p in parameters(plain)]
            take(plain, range(t, t + 1))
            take(watched, range(t, t + 1))
            moved = [p - q for p, q in zip(parameters(plain), before, strict=True)]
            mean = torch.cat([m.reshape(-1) for m in moved]).abs().mean().item()
            assert seen.mean_abs_step == pytest.approx(mean, rel=1e-9)
    assert_same(watched, plain)
    take(watched, range(5, 6))
    assert seen.mean_abs_step == pytest.approx(mean, rel=1e-9)


@every_optimizer
def test_decoupled_decay_is_no_part_of_the_step(make):
    plain = make(fresh(torch.float64), weight_decay=0.0)
    if "decoupled" in plain.defaults:
        decayed = make(fresh(torch.float64), weight_decay=0.1, decoupled=True)
    elif make is torch.optim.AdamW:
        decayed = make(fresh(torch.float64), weight_decay=0.1)
    else:
        pytest.skip("has no decoupled decay")
    with optim.Observer(plain) as one, optim.Observer(decayed) as other:
        for t in range(5):
            take(plain, range(t, t + 1))
            take(decayed, range(t, t + 1))
            assert other.mean_abs_step == pytest.approx(one.mean_abs_step, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (torch.optim.Adam, {"amsgrad": True}),
        (optim.Padam, {}),
        (optim.LaProp, {"amsgrad": True}),
        (optim.MAdam, {"amsgrad": True}),
    ],
)
def test_observer_tells_which_maxima_are_kept(make, settings):
    p = Parameter(torch.zeros(2))
    optimizer = make([p], **settings)
    kept = []
    with optim.Observer(optimizer) as seen:
        for g in ([1.0, 1.0], [0.0, 2.0], [0.0, 0.0], [2.0, 8.0]):
            p.grad = torch.tensor(g)
            optimizer.step()
            kept.append(seen.kept[p].tolist())
    assert kept[0] == [False, False]
    assert kept[1] == [True, False]
    assert kept[2] == [True, True]
    assert kept[3] == [False, False]
