"""Schedules against closed forms in plain Python, and the YAML of torch's own optimizers."""

import io
import math
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from optim import LaProp, MAdam, schedules

CONF = Path(__file__).resolve().parents[2] / "conf"
TORCH_OPTIMS = ["sgd", "adam", "adamw", "amsgrad", "adamax", "nadam", "radam"]
LR = 0.3
EXAMPLES = {
    "constant": {},
    "multistep": {"milestones": [10, 20, 30], "of": 40},
    "step_halving": {"every": 7, "of": 40},
    "cosine": {"min_lr": 2e-6},
    "linear": {"warmup": 4, "end_lr": 1e-3, "of": 40},
    "polynomial": {"warmup": 4, "power": 2.0, "end_lr": 1e-3, "of": 40},
    "inverse_sqrt": {"warmup": 4, "of": 40},
    "tri_stage": {"warmup": 4, "hold": 10, "decay": 20, "of": 40},
    "online": {"zeta": 0.9},
    "nu_switch": {"first": 0.5, "until": 10, "of": 40},
}
SCHEDULES = list(EXAMPLES)


def make_optimizer(*lrs):
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": lr} for lr in lrs or (LR,)]
    return torch.optim.Adam(groups, lr=1.0, foreach=False)


def update(optimizer, scheduler):
    """One turn of the training loop; returns the learning rates it used."""
    used = [float(group["lr"]) for group in optimizer.param_groups]
    optimizer.step()
    scheduler.step()
    return used


def rates(name, total_steps, *, lr=LR, **numbers):
    """The learning rate of updates 1 … total_steps."""
    optimizer = make_optimizer(lr)
    scheduler = getattr(schedules, name)(optimizer, total_steps, **numbers)
    return [update(optimizer, scheduler)[0] for _ in range(total_steps)]


def close(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


@cache
def config(group, name):
    """What Hydra composes; kept, as composing would be most of this file's time."""
    with initialize_config_dir(version_base=None, config_dir=str(CONF)):
        return compose(f"{group}/{name}")[group]


# The closed forms: lr of update k in a run of T updates.


def test_constant():
    assert rates("constant", 50) == [LR] * 50


@pytest.mark.parametrize("total_steps", [80, 40])
def test_multistep(total_steps):
    first, second = total_steps // 2, 3 * total_steps // 4
    expected = [LR] * first + [LR * 0.1] * (second - first) + [LR * 0.01] * (total_steps - second)
    assert rates("multistep", total_steps, milestones=[100, 150], of=200) == close(expected)
    in_steps = rates("multistep", total_steps, milestones=[first, second])
    assert in_steps == close(expected)


@pytest.mark.parametrize("total_steps", [160, 80, 60, 7, 1])
def test_step_halving(total_steps):
    # 25 of 200 is an eighth, 7.5 of 60 steps: update k is in period floor((k - 1) / T * 8).
    expected = [LR * 0.5 ** (8 * k // total_steps) for k in range(total_steps)]
    assert rates("step_halving", total_steps, every=25, of=200) == close(expected)


def test_step_halving_in_steps_is_torchs_step_lr():
    optimizer = make_optimizer()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 7, gamma=0.25)
    expected = [update(optimizer, scheduler)[0] for _ in range(50)]
    assert rates("step_halving", 50, every=7, factor=0.25) == close(expected)


@pytest.mark.parametrize("total_steps", [1, 2, 300])
def test_cosine(total_steps):
    low = 2e-6
    angles = [math.pi * (k - 1) / total_steps for k in range(1, total_steps + 1)]
    expected = [low + (LR - low) * (1 + math.cos(a)) / 2 for a in angles]
    assert rates("cosine", total_steps, min_lr=low) == close(expected)


def test_cosine_ends_at_min_lr():
    optimizer = make_optimizer()
    scheduler = schedules.cosine(optimizer, 30, min_lr=2e-6)
    for _ in range(30):
        update(optimizer, scheduler)
    assert optimizer.param_groups[0]["lr"] == close(2e-6)


@pytest.mark.parametrize("total_steps", [120, 60])
@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("end_lr", [0.0, 0.05])
def test_polynomial(total_steps, power, end_lr):
    warm = total_steps // 30
    expected = [LR * k / warm for k in range(1, warm + 1)]
    for k in range(warm + 1, total_steps + 1):
        left = (total_steps + 1 - k) / (total_steps - warm)
        expected.append(end_lr + (LR - end_lr) * left**power)
    numbers = {"warmup": 2000, "of": 60000, "power": power, "end_lr": end_lr}
    assert rates("polynomial", total_steps, **numbers) == close(expected)


def test_linear_without_warmup():
    assert rates("linear", 4) == close([LR, LR * 0.75, LR * 0.5, LR * 0.25])


def test_linear_is_polynomial_of_power_one():
    numbers = {"warmup": 5, "end_lr": 0.01, "total": 80, "of": 50}
    assert rates("linear", 70, **numbers) == rates("polynomial", 70, power=1.0, **numbers)


@pytest.mark.parametrize("total_steps", [200, 100])
def test_linear_of_a_run_that_stops_early(total_steps):
    # RoBERTa in the LaProp paper: 20,000 updates, the first half warm-up, of a decay over 125,000.
    warm, end = total_steps // 2, total_steps * 125 // 20
    expected = [LR * k / warm for k in range(1, warm + 1)]
    expected += [LR * (end - k + 1) / (end - warm) for k in range(warm + 1, total_steps + 1)]
    got = rates("linear", total_steps, warmup=10000, total=125000, of=20000)
    assert got == close(expected)


def test_linear_keeps_end_lr_after_total():
    assert rates("linear", 6, total=2, end_lr=0.1) == close([LR, 0.2, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("total_steps", [200, 100])
def test_inverse_sqrt(total_steps):
    warm = total_steps // 25
    expected = [LR * warm**0.5 * min(k**-0.5, k * warm**-1.5) for k in range(1, total_steps + 1)]
    assert rates("inverse_sqrt", total_steps, warmup=4000, of=100000) == close(expected)


@pytest.mark.parametrize("total_steps", [120, 60])
def test_tri_stage(total_steps):
    warm, hold, decay = (total_steps * part // 60 for part in (4, 32, 24))
    step = (LR - 0.01 * LR) / warm
    expected = [0.01 * LR + step * i for i in range(warm)]
    expected += [LR] * hold
    expected += [LR * math.exp(math.log(0.01) * i / decay) for i in range(decay)]
    got = rates("tri_stage", total_steps, warmup=4000, hold=32000, decay=24000, of=60000)
    assert got == close(expected)


def test_tri_stage_stays_at_its_end():
    got = rates("tri_stage", 5, warmup=1, hold=1, decay=1, init_scale=0.5, final_scale=0.25)
    assert got == close([LR * 0.5, LR, LR, LR * 0.25, LR * 0.25])


def test_tri_stage_fills_the_budget():
    # The lengths, 0.6, 4.8 and 3.6 of 9 steps, would round to 1 + 5 + 4; the ends round to 1, 5, 9.
    got = rates("tri_stage", 9, warmup=4, hold=32, decay=24, of=60)
    down = [LR * 0.01 ** (i / 4) for i in range(4)]
    assert got == close([0.01 * LR] + [LR] * 4 + down)


def betas(optimizer, scheduler, total_steps):
    """Those of updates 1 … total_steps of each group."""
    used = []
    for _ in range(total_steps):
        used.append([group["betas"] for group in optimizer.param_groups])
        update(optimizer, scheduler)
    return [list(column) for column in zip(*used, strict=True)]


def test_online():
    assert rates("online", 50, zeta=0.9) == close([LR / k**0.5 for k in range(1, 51)])
    optimizer = make_optimizer()
    [used] = betas(optimizer, schedules.online(optimizer, 50, zeta=0.9), 50)
    assert [mu for mu, _ in used] == close([0.9 * 0.9 ** (k - 1) for k in range(1, 51)])
    assert {nu for _, nu in used} == {0.999}


@pytest.mark.parametrize("total_steps", [40, 20])
def test_nu_switch(total_steps):
    optimizer = make_optimizer(LR, LR)
    optimizer.param_groups[1]["betas"] = (0.8, 0.99)
    scheduler = schedules.nu_switch(optimizer, total_steps, first=0.5, until=1, of=4)
    first, second = betas(optimizer, scheduler, total_steps)
    early, late = total_steps // 4, 3 * total_steps // 4
    assert first == [(0.9, 0.5)] * early + [(0.9, 0.999)] * late
    assert second == [(0.8, 0.5)] * early + [(0.8, 0.99)] * late


@pytest.mark.parametrize("name", ["online", "nu_switch"])
def test_betas_after_a_resume(name):
    def fresh():
        optimizer = make_optimizer()
        return optimizer, getattr(schedules, name)(optimizer, 60, **EXAMPLES[name])

    [whole] = betas(*fresh(), 60)
    before, after = fresh(), fresh()
    [got] = betas(*before, 20)
    for part, state in zip(after, before, strict=True):
        part.load_state_dict(state.state_dict())
    assert got + betas(*after, 40)[0] == whole
    assert before[0].param_groups[0]["initial_betas"] == (0.9, 0.999)


# Decay that follows lr.

MOVE_LR = [name for name in SCHEDULES if name not in ("constant", "online", "nu_switch")]
DECAY = 0.01


def decaying(*decays, make=LaProp, **settings):
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": decay}
        for decay in decays or (DECAY,)
    ]
    return make(groups, lr=LR, **settings)


def decays(optimizer, scheduler, steps):
    """The decay of updates 1 … steps, of each group."""
    used = []
    for _ in range(steps):
        used.append([group["weight_decay"] for group in optimizer.param_groups])
        update(optimizer, scheduler)
    return [list(column) for column in zip(*used, strict=True)]


@pytest.mark.parametrize("name", MOVE_LR)
def test_decay_follows_lr(name):
    optimizer = decaying(DECAY, 0.0, 0.25)
    scheduler = getattr(schedules, name)(optimizer, 60, scale_decay=True, **EXAMPLES[name])
    scales = [rate / LR for rate in rates(name, 60, **EXAMPLES[name])]
    assert min(scales) < 0.2  # it moves
    for decay, used in zip((DECAY, 0.0, 0.25), decays(optimizer, scheduler, 60), strict=True):
        assert used == close([decay * scale for scale in scales])


@pytest.mark.parametrize("name", MOVE_LR)
def test_lr_is_the_same_where_decay_follows_it(name):
    optimizer = decaying()
    scheduler = getattr(schedules, name)(optimizer, 60, scale_decay=True, **EXAMPLES[name])
    got = [update(optimizer, scheduler)[0] for _ in range(60)]
    assert got == rates(name, 60, **EXAMPLES[name])


@pytest.mark.parametrize("name", MOVE_LR)
def test_decay_stays_unless_it_is_told_to_follow(name):
    optimizer = decaying()
    scheduler = getattr(schedules, name)(optimizer, 60, **EXAMPLES[name])
    assert decays(optimizer, scheduler, 60) == [[DECAY] * 60]


def test_decay_is_what_it_was_to_the_last_bit_where_lr_is():
    optimizer = decaying(0.1, 1e-4, 3e-8)
    scheduler = schedules.multistep(optimizer, 20, milestones=[10], scale_decay=True)
    assert [used[:10] for used in decays(optimizer, scheduler, 20)] == [
        [decay] * 10 for decay in (0.1, 1e-4, 3e-8)
    ]


def test_decay_of_a_rate_of_zero_stays():
    optimizer = decaying()
    optimizer.param_groups[0]["lr"] = 0.0
    scheduler = schedules.multistep(optimizer, 9, milestones=[3], scale_decay=True)
    assert decays(optimizer, scheduler, 9) == [[DECAY] * 9]


@pytest.mark.parametrize("name", MOVE_LR)
@pytest.mark.parametrize("cut", [0, 1, 15, 60])
def test_decay_after_a_resume(name, cut):
    def fresh():
        optimizer = decaying(DECAY, 0.25)
        schedule = getattr(schedules, name)
        return optimizer, schedule(optimizer, 60, scale_decay=True, **EXAMPLES[name])

    whole = decays(*fresh(), 60)
    before, after = fresh(), fresh()
    got = decays(*before, cut) or [[], []]
    file = io.BytesIO()
    torch.save([part.state_dict() for part in before], file)
    file.seek(0)
    for part, state in zip(after, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    rest = decays(*after, 60 - cut) or [[], []]
    assert [one + other for one, other in zip(got, rest, strict=True)] == whole


@pytest.mark.parametrize("name", MOVE_LR)
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (torch.optim.AdamW, {}),
        (torch.optim.SGD, {}),
        (MAdam, {}),
        (LaProp, {"decoupled": False}),
    ],
)
def test_decay_is_not_scaled_twice(name, make, settings):
    message = (
        "scale_decay is True: it is for decoupled decay that lr does not scale, as LaProp's, and "
        f"that of {make.__name__} is scaled by lr, or is L2"
    )
    schedule = getattr(schedules, name)
    with pytest.raises(ValueError, match=f"^{message}$"):
        schedule(decaying(make=make, **settings), 60, scale_decay=True, **EXAMPLES[name])
    # Where nothing decays there is nothing to scale.
    still = decaying(0.0, make=make, **settings)
    schedule(still, 60, scale_decay=True, **EXAMPLES[name])


def test_an_optimizer_from_outside_says_that_lr_is_no_factor_of_its_decay():
    class Outside(torch.optim.SGD):
        decay_without_lr = True

    optimizer = decaying(make=Outside)
    scheduler = schedules.multistep(optimizer, 4, milestones=[2], scale_decay=True)
    assert decays(optimizer, scheduler, 4) == [close([DECAY, DECAY, DECAY / 10, DECAY / 10])]


@pytest.mark.parametrize(
    ("norm", "updates", "wanted"),
    # Of Padam's section 5: 128 of 50,000 images for 200 epochs, and 256 of 1,281,167 for 100.
    [(2.5e-2, 78_125, 8.94427191e-5), (5e-2, 500_456, 7.06784e-5)],
)
def test_normalised_decay_is_adamws_appendix(norm, updates, wanted):
    """λ = λ_norm·√(b/(B·T)) in every update, whatever lr is; the schedule still scales it."""
    optimizer = decaying(norm, 0.0, make=torch.optim.AdamW)
    settings = {"milestones": [1], "gamma": 0.1, "normalised_decay": True}
    scheduler = schedules.multistep(optimizer, updates, **settings)
    lost = []
    for _ in range(2):
        before = [group["params"][0].detach().clone() for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["params"][0].grad = torch.zeros(2)
        update(optimizer, scheduler)
        after = [group["params"][0].detach() for group in optimizer.param_groups]
        lost.append([(1 - new / old)[0].item() for new, old in zip(after, before, strict=True)])
    first, second = lost
    assert first == [pytest.approx(wanted, rel=2e-3), 0.0]
    assert second == [pytest.approx(wanted / 10, rel=2e-2), 0.0]


def test_decay_is_normalised_once_however_often_a_schedule_is_built():
    optimizer = decaying(make=torch.optim.AdamW)
    for steps in (400, 100):
        schedules.multistep(optimizer, steps, milestones=[2], normalised_decay=True)
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(DECAY / LR / 10)


@pytest.mark.parametrize(
    ("make", "settings"), [(torch.optim.Adam, {}), (torch.optim.SGD, {}), (LaProp, {})]
)
def test_only_decay_that_lr_scales_is_normalised(make, settings):
    message = (
        "normalised_decay is True: it is for decoupled decay that an lr above 0 scales, as "
        f"AdamW's, and that of {make.__name__} is L2, or lr does not scale it"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        schedules.multistep(
            decaying(make=make, **settings), 60, milestones=[2], normalised_decay=True
        )


# Several groups, lr tensors, and the end of the budget.


def test_every_schedule_has_a_yaml():
    assert sorted(EXAMPLES) == sorted(file.stem for file in (CONF / "schedule").glob("*.yaml"))


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_group_follows_its_own_lr(name):
    optimizer = make_optimizer(LR, 0.004)
    scheduler = getattr(schedules, name)(optimizer, 60, **EXAMPLES[name])
    got = [update(optimizer, scheduler) for _ in range(60)]
    for column, lr in zip(zip(*got, strict=True), (LR, 0.004), strict=True):
        assert list(column) == close(rates(name, 60, lr=lr, **EXAMPLES[name]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_tensor_lr_is_changed_in_place(name):
    lr = torch.tensor(LR, dtype=torch.float64)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=lr, foreach=False)
    scheduler = getattr(schedules, name)(optimizer, 60, **EXAMPLES[name])
    got = [update(optimizer, scheduler)[0] for _ in range(60)]
    assert optimizer.param_groups[0]["lr"] is lr
    assert got == close(rates(name, 60, **EXAMPLES[name]))


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_update_has_lr_zero_and_nothing_warns(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert min(rates(name, 60, **EXAMPLES[name])) > 0


# Resuming.


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("cut", [0, 1, 15, 40, 60])
def test_resume_is_exact(name, cut):
    def fresh():
        optimizer = make_optimizer(LR, 0.004)
        return optimizer, getattr(schedules, name)(optimizer, 60, **EXAMPLES[name])

    whole = fresh()
    expected = [update(*whole) for _ in range(60)]

    before = fresh()
    got = [update(*before) for _ in range(cut)]
    file = io.BytesIO()
    torch.save([part.state_dict() for part in before], file)
    file.seek(0)
    after = fresh()
    for part, state in zip(after, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    got += [update(*after) for _ in range(60 - cut)]

    assert got == expected
    assert after[1].get_last_lr() == whole[1].get_last_lr()


# Edges.


def test_zero_warmup_is_left_out():
    assert rates("linear", 3, warmup=0)[0] == LR
    assert rates("inverse_sqrt", 4, warmup=0) == close([LR * k**-0.5 for k in (1, 2, 3, 4)])
    assert rates("tri_stage", 3, warmup=0, hold=3, decay=0) == [LR] * 3


def test_warmup_that_rounds_to_zero_is_left_out():
    assert rates("polynomial", 10, warmup=2000, of=60000)[0] == LR
    assert rates("tri_stage", 7, warmup=4, hold=32, decay=24, of=60)[0] == LR


@pytest.mark.parametrize("name", ["linear", "polynomial", "inverse_sqrt"])
@pytest.mark.parametrize("warmup", [10, 40])
def test_warmup_as_long_as_the_run_or_longer(name, warmup):
    assert rates(name, 10, warmup=warmup) == close([LR * k / warmup for k in range(1, 11)])


def test_tri_stage_warmup_longer_than_the_run():
    got = rates("tri_stage", 5, warmup=10, hold=10, decay=10, init_scale=0.5)
    assert got == close([LR * (0.5 + 0.05 * i) for i in range(5)])


def test_total_that_rounds_to_zero_leaves_one_full_update():
    assert rates("linear", 3, total=1, of=100) == close([LR, 0, 0])


def test_milestones_that_round_to_the_same_step_each_count():
    got = rates("multistep", 4, milestones=[98, 100, 102], gamma=0.5, of=200)
    assert got == close([LR, LR, LR / 8, LR / 8])


def test_milestone_that_rounds_to_zero_spares_the_first_update():
    assert rates("multistep", 3, milestones=[1], of=200) == close([LR, LR * 0.1, LR * 0.1])


def test_milestones_past_the_budget_or_none():
    assert rates("multistep", 5, milestones=[5, 9]) == [LR] * 5
    assert rates("multistep", 5, milestones=[]) == [LR] * 5


def test_fractional_numbers():
    numbers = {"milestones": [0.5, 0.75], "of": 1}
    assert rates("multistep", 40, **numbers) == rates("multistep", 40, milestones=[20, 30])


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_runs_at_the_first_rate(name):
    (first,) = rates(name, 1, **EXAMPLES[name])
    assert first == close(LR)


# Errors: one sentence with the argument, the value and what is allowed.

NOT_NEGATIVE = "it must be a finite number >= 0."
POSITIVE = "it must be a finite number > 0."
SCALE = "it must be a number > 0 and <= 1."
SHARE = "it must be a number >= 0 and < 1."
INCREASING = "it must be strictly increasing numbers > 0."
STAGES = {"warmup": 1, "hold": 1, "decay": 1}


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("multistep", {"milestones": [100, 100]}, rf"milestones is \[100, 100\]: {INCREASING}"),
        ("multistep", {"milestones": [3, 2]}, rf"milestones is \[3, 2\]: {INCREASING}"),
        ("multistep", {"milestones": [0, 2]}, rf"milestones is \[0, 2\]: {INCREASING}"),
        ("multistep", {"milestones": ["a"]}, rf"milestones is \['a'\]: {INCREASING}"),
        ("multistep", {"milestones": "1,2"}, rf"milestones is '1,2': {INCREASING}"),
        ("multistep", {"milestones": 5}, rf"milestones is 5: {INCREASING}"),
        ("multistep", {"milestones": [1], "gamma": 0}, f"gamma is 0: {POSITIVE}"),
        ("multistep", {"milestones": [1], "of": 0}, f"of is 0: {POSITIVE}"),
        ("step_halving", {"every": 0}, f"every is 0: {POSITIVE}"),
        ("step_halving", {"every": -2}, f"every is -2: {POSITIVE}"),
        ("step_halving", {"every": 1, "factor": 0}, f"factor is 0: {SCALE}"),
        ("step_halving", {"every": 1, "factor": 2}, f"factor is 2: {SCALE}"),
        ("step_halving", {"every": 1, "of": -1}, f"of is -1: {POSITIVE}"),
        ("cosine", {"min_lr": -1e-6}, f"min_lr is -1e-06: {NOT_NEGATIVE}"),
        ("cosine", {"min_lr": math.nan}, f"min_lr is nan: {NOT_NEGATIVE}"),
        ("cosine", {"min_lr": 0.5}, "min_lr is 0.5: it must not exceed the learning rate, 0.3."),
        ("linear", {"warmup": -1}, f"warmup is -1: {NOT_NEGATIVE}"),
        ("linear", {"warmup": "ten"}, f"warmup is 'ten': {NOT_NEGATIVE}"),
        ("linear", {"warmup": math.inf}, f"warmup is inf: {NOT_NEGATIVE}"),
        ("linear", {"end_lr": -1.0}, f"end_lr is -1.0: {NOT_NEGATIVE}"),
        ("linear", {"end_lr": 0.4}, "end_lr is 0.4: it must not exceed the learning rate, 0.3."),
        ("linear", {"total": 0}, f"total is 0: {POSITIVE}"),
        ("linear", {"warmup": 9, "total": 8}, "total is 8: it must be at least warmup, 9."),
        ("polynomial", {"power": 0}, f"power is 0: {POSITIVE}"),
        ("polynomial", {"of": 0}, f"of is 0: {POSITIVE}"),
        ("inverse_sqrt", {"warmup": -1}, f"warmup is -1: {NOT_NEGATIVE}"),
        ("inverse_sqrt", {"warmup": 1, "of": -5}, f"of is -5: {POSITIVE}"),
        ("tri_stage", {**STAGES, "warmup": -1}, f"warmup is -1: {NOT_NEGATIVE}"),
        ("tri_stage", {**STAGES, "hold": -1}, f"hold is -1: {NOT_NEGATIVE}"),
        ("tri_stage", {**STAGES, "decay": -1}, f"decay is -1: {NOT_NEGATIVE}"),
        ("tri_stage", {**STAGES, "init_scale": 0}, f"init_scale is 0: {SCALE}"),
        ("tri_stage", {**STAGES, "final_scale": 1.5}, f"final_scale is 1.5: {SCALE}"),
        ("tri_stage", {**STAGES, "of": 0}, f"of is 0: {POSITIVE}"),
        ("online", {"zeta": 0}, f"zeta is 0: {SCALE}"),
        ("online", {"zeta": 1.1}, f"zeta is 1.1: {SCALE}"),
        ("nu_switch", {"first": 1.0, "until": 1}, f"first is 1.0: {SHARE}"),
        ("nu_switch", {"first": -0.5, "until": 1}, f"first is -0.5: {SHARE}"),
        ("nu_switch", {"first": 0.5, "until": -1}, f"until is -1: {NOT_NEGATIVE}"),
        ("nu_switch", {"first": 0.5, "until": 1, "of": 0}, f"of is 0: {POSITIVE}"),
    ],
)
def test_bad_values(name, numbers, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        getattr(schedules, name)(make_optimizer(), 10, **numbers)


@pytest.mark.parametrize("name", ["online", "nu_switch"])
@pytest.mark.parametrize(
    ("make", "settings"), [(torch.optim.SGD, {}), (MAdam, {"betas": (0.9, (0.5, 0.999))})]
)
def test_betas_that_are_not_there_do_not_move(name, make, settings):
    optimizer = make([torch.nn.Parameter(torch.ones(2))], lr=LR, **settings)
    with pytest.raises(ValueError) as caught:
        getattr(schedules, name)(optimizer, 10, **EXAMPLES[name])
    assert str(caught.value) == (f"{make.__name__} has no two betas, which this schedule moves.")


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total_steps", [0, -3, 2.5])
def test_bad_total_steps(name, total_steps):
    message = f"^total_steps is {total_steps}: it must be an integer >= 1.$"
    with pytest.raises(ValueError, match=message):
        getattr(schedules, name)(make_optimizer(), total_steps, **EXAMPLES[name])


# The YAML.


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total_steps", [1, 7, 300])
@pytest.mark.parametrize("convert", ["none", "all"])
def test_schedule_yaml(name, total_steps, convert):
    optimizer = make_optimizer()
    scheduler = instantiate(config("schedule", name), _convert_=convert)(optimizer, total_steps)
    got = [update(optimizer, scheduler)[0] for _ in range(total_steps)]
    assert all(0 < lr <= LR for lr in got)


def test_multistep_yaml_is_padams():
    optimizer = make_optimizer()
    scheduler = instantiate(config("schedule", "multistep"))(optimizer, 8)
    got = [update(optimizer, scheduler)[0] for _ in range(8)]
    assert got == close([LR] * 4 + [LR * 0.1] * 2 + [LR * 0.01] * 2)


def make_from_yaml(name):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = instantiate(config("optim", name), _convert_="all")(model.parameters())
    return model, optimizer, schedules.linear(optimizer, 8, warmup=3)


def train(model, optimizer, scheduler, steps):
    for step in steps:
        optimizer.zero_grad()
        model(torch.tensor([1.0, -2.0, 0.5]) * (step + 1)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("name", TORCH_OPTIMS)
def test_optim_yaml_trains_and_resumes_exactly(name):
    whole = make_from_yaml(name)
    start = [p.detach().clone() for p in whole[0].parameters()]
    expected = train(*whole, range(8))
    assert all(torch.isfinite(p).all() for p in expected)
    assert not torch.equal(start[0], expected[0])

    before, after = make_from_yaml(name), make_from_yaml(name)
    train(*before, range(4))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in before], file)
    file.seek(0)
    for part, state in zip(after, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    for got, want in zip(train(*after, range(4, 8)), expected, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "amsgrad"])
def test_fused_agrees_with_the_plain_loop(name):
    model, fused, scheduler = make_from_yaml(name)
    assert fused.defaults["fused"] is True
    torch.manual_seed(0)
    twin = torch.nn.Linear(3, 2)
    plain = instantiate(config("optim", name), _convert_="all")(
        twin.parameters(), fused=False, foreach=False
    )
    got = train(model, fused, scheduler, range(8))
    want = train(twin, plain, schedules.linear(plain, 8, warmup=3), range(8))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_settings_by_name():
    assert config("optim", "amsgrad").amsgrad is True
    assert config("optim", "sgd").momentum == 0.9
    for name in TORCH_OPTIMS:
        cfg = config("optim", name)
        assert cfg.weight_decay == (0.01 if name == "adamw" else 0)
        if name != "sgd":
            assert (list(cfg.betas), cfg.eps) == ([0.9, 0.999], 1e-8)
