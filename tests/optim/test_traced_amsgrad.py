"""Swaps of AMSGrad, counted by hand, and that counting changes nothing."""

import pytest
import torch
from suite import assert_same, fresh, take
from torch.nn import Parameter

import optim
from optim.traced_amsgrad import TracedAMSGrad, evenly

NAMES = {"optim/swaps", "optim/swap_interval", "optim/falls", "optim/fall_interval"}


def counts(optimizer):
    with optim.Observer(optimizer) as seen:
        metrics = seen.metrics()
    return {name: metrics[name] for name in metrics.keys() & NAMES}


def run(optimizer, gradients):
    [p] = optimizer.param_groups[0]["params"]
    for g in gradients:
        p.grad = torch.tensor(g)
        optimizer.step()
    return {name: found.tolist() for name, found in counts(optimizer).items()}


# The first always grows; the second falls in steps 2, 3 and 6; the third in step 4 only.
GRADIENTS = [
    [1.0, 1.0, 1.0],
    [2.0, 0.0, 2.0],
    [3.0, 0.0, 3.0],
    [4.0, 9.0, 0.0],
    [5.0, 9.0, 9.0],
    [6.0, 0.0, 9.0],
]


@pytest.mark.parametrize("way", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_swaps_and_the_steps_between_them_by_hand(way):
    optimizer = TracedAMSGrad([Parameter(torch.zeros(3))], **way)
    found = run(optimizer, GRADIENTS)
    assert found["optim/swaps"] == [0, 3, 1]
    # Steps 2, 3, 6; with fewer than two swaps, the six steps so far.
    assert found["optim/swap_interval"] == [6, 2, 6]
    assert found["optim/falls"] == [0, 3, 1]
    assert found["optim/fall_interval"] == [6, 2, 6]


def test_v_may_rise_below_an_old_maximum():
    """Then Reddi et al. keep it, and g² is above v: a swap that is no fall."""
    optimizer = TracedAMSGrad([Parameter(torch.zeros(1))], betas=(0.9, 0.5))
    found = run(optimizer, [[4.0], [0.0], [0.0], [3.0], [9.0], [1.0]])
    # v is 8, 4, 2, 5.5, 43.25, 22.125.
    assert (found["optim/swaps"], found["optim/swap_interval"]) == ([4], [pytest.approx(4 / 3)])
    assert (found["optim/falls"], found["optim/fall_interval"]) == ([3], [2])


def test_a_fall_is_where_the_squared_gradient_is_below_v():
    generator = torch.Generator().manual_seed(0)
    p = Parameter(torch.zeros(10, dtype=torch.float64))
    optimizer = TracedAMSGrad([p])
    v, falls = torch.zeros_like(p), torch.zeros(10)
    for _ in range(60):
        p.grad = torch.randn(10, generator=generator, dtype=torch.float64)
        falls += p.grad**2 < v
        optimizer.step()
        v = optimizer.state[p]["exp_avg_sq"].clone()
    assert 0 < falls.sum() < 600
    assert counts(optimizer)["optim/falls"].tolist() == falls.tolist()


def test_swaps_are_what_an_observer_sees():
    parameters = fresh()
    optimizer = TracedAMSGrad(parameters, entries=100)
    total = 0
    with optim.Observer(optimizer) as seen:
        for t in range(30):
            take(optimizer, range(t, t + 1))
            total = (
                total
                + torch.cat([seen.values["optim/kept"][p].reshape(-1) for p in parameters]).float()
            )
    assert 0 < total.sum() < 30 * len(total)
    assert counts(optimizer)["optim/swaps"].tolist() == total.tolist()


def test_counting_changes_nothing():
    plain = torch.optim.Adam(fresh(), amsgrad=True)
    traced = TracedAMSGrad(fresh())
    for optimizer in (plain, traced):
        take(optimizer, range(10))
    for one, other in zip(*(o.param_groups[0]["params"] for o in (plain, traced)), strict=True):
        assert torch.equal(one, other)


def test_an_optimizer_that_is_loaded_goes_on_counting():
    whole, begun, resumed = (TracedAMSGrad(fresh()) for _ in range(3))
    take(whole, range(20))
    take(begun, range(9))
    resumed.load_state_dict(begun.state_dict())
    for mine, theirs in zip(
        resumed.param_groups[0]["params"], begun.param_groups[0]["params"], strict=True
    ):
        mine.data.copy_(theirs)
    take(resumed, range(9, 20))
    assert_same(resumed, whole)
    for name, wanted in counts(whole).items():
        assert torch.equal(counts(resumed)[name], wanted)


def test_a_step_that_a_gradient_scaler_skips_is_no_swap():
    optimizer = TracedAMSGrad([Parameter(torch.zeros(3))], fused=True)
    before = run(optimizer, GRADIENTS)
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.grad_scale = None
    assert run(optimizer, [[0.0, 0.0, 0.0]]) == before


def test_sampled_are_evenly_spaced_elements_of_evenly_spaced_parameters():
    parameters = [Parameter(torch.zeros(size)) for size in (30, 7, 2, 5)]
    optimizer = TracedAMSGrad(parameters, entries=3, tensors=2)
    assert counts(optimizer) == {}
    for p in parameters:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert ["swaps" in optimizer.state[p] for p in parameters] == [True, False, False, True]
    assert counts(optimizer)["optim/swaps"].shape == (6,)
    assert evenly(30, 3) == [0, 14, 29] and evenly(5, 3) == [0, 2, 4]
    assert evenly(2, 10) == [0, 1] and evenly(7, 1) == [0] and evenly(0, 3) == []


def test_elements_are_those_of_the_shape_whatever_the_layout_in_memory():
    shape = (2, 3, 4, 5)
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator) for _ in range(9)]
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        p = Parameter(torch.zeros(shape).to(memory_format=layout))
        optimizer = TracedAMSGrad([p])
        for g in gradients:
            p.grad = g.to(memory_format=layout)
            optimizer.step()
        found.append(counts(optimizer)["optim/swaps"].tolist())
    assert found[0] == found[1] and len(set(found[0])) > 1


@pytest.mark.parametrize("name", ["entries", "tensors"])
def test_a_sample_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"Invalid {name}: 0, must be 1 or more"):
        TracedAMSGrad([Parameter(torch.zeros(3))], **{name: 0})
