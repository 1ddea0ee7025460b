"""Rainbow on a game: its targets, noise, priorities and random actions, and an exact resume."""

import functools
import io

import numpy as np
import pytest
import torch
from running import ROOT

from engine.checks import BadInput
from engine.config import compose
from models import Rainbow
from results.study_file import load
from tasks import AtariRainbow
from tasks.atari.categorical import project, values
from tasks.atari.rainbow import LEAST_PRIORITY
from tasks.task import Context

pytest.importorskip("ale_py")


def make(folder=None, **changes):
    settings = {
        "game": "breakout",
        "side": 84,
        "model": functools.partial(
            Rainbow, atoms=11, duelling=True, sigma=0.5, channels=(4, 4, 4), hidden=8
        ),
        "padding": "valid",
        "v_max": 10.0,
        "agent_steps": 400,
        "learning_starts": 60,
        "train_every": 4,
        "environments": 2,
        "batch_size": 8,
        "capacity": 80,
        "replace": "oldest",
        "priority_exponent": 0.5,
        "importance_exponent": 0.4,
        "n_step": 3,
        "gamma": 0.9,
        "target_every": 5,
        "same_noise": False,
        "final_epsilon": 0.0,
        "epsilon_starts": 0,
        "epsilon_steps": 60,
        "random_after": None,
        "max_frames": 400,
        "steps": None,
        "eval_every": 10,
        "eval_episodes": 1,
        "eval_epsilon": 0.01,
        "seed": 0,
        "device": torch.device("cpu"),
        "root": None,
    }
    task = AtariRainbow(**settings | changes)
    task.bind(Context(folder))
    return task


def train(task, optimizer, steps):
    """The losses of these steps."""
    losses = []
    for step in steps:
        loss = task.loss(task.batch(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        task.after_step(step)
        losses.append(loss.item())
    return losses


def adam(task):
    return torch.optim.Adam(task.model.parameters(), lr=1e-3)


def noise(model):
    return torch.cat([buffer for name, buffer in model.named_buffers() if "noise" in name])


# -- the loss --------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_divergence_from_double_q_targets_of_n_steps():
    task = make()
    batch = task.batch(0)
    states, actions, returns, following, discounts, weights, _ = batch
    with torch.no_grad():
        for parameter in task.target.parameters():  # let the two networks disagree
            parameter.mul_(1.5)
        best = values(task.model(following), task.support).argmax(1)
        follow = task.target(following)[torch.arange(8), best].exp()
        targets = project(follow, returns, discounts, task.support)
        taken = task.model(states)[torch.arange(8), actions]
        divergences = torch.nn.functional.kl_div(taken, targets, reduction="none").sum(1)
    loss = task.loss(batch)
    assert loss.item() == pytest.approx((weights * divergences).mean().item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is None for parameter in task.target.parameters())
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_a_drawn_step_gets_its_divergence_as_priority():
    task = make()
    batch = task.batch(0)
    before = task.replay.tree[np.arange(80)]
    for piece, _ in task.split(batch, 3):  # as with accumulate=3
        task.loss(piece)
    found = {}
    for slots, divergences in task._divergences:
        found |= dict(zip(slots.tolist(), divergences.tolist(), strict=True))
    task.after_step(0)
    after = task.replay.tree[np.arange(80)]
    for slot, divergence in found.items():
        wanted = max(divergence, 0) + LEAST_PRIORITY  # rounding may leave it below 0
        assert after[slot] == pytest.approx(wanted**0.5)
        before[slot] = after[slot]
    np.testing.assert_array_equal(before, after)


def test_the_importance_exponent_rises_to_1():
    task = make()
    for step, beta in ((0, 0.4), (task.steps // 2, 0.7), (task.steps, 1.0)):
        *_, weights, slots = task.batch(step)
        wanted = task.replay.weights(slots.numpy(), beta)
        np.testing.assert_allclose(weights, wanted, rtol=0.01)
        task.replay.prioritise(slots.numpy(), np.linspace(1, 3, 8))


def test_a_loss_that_is_not_finite_leaves_the_priorities_as_they_were():
    task = make()
    batch = task.batch(0)
    before = task.replay.tree[np.arange(80)]
    with torch.no_grad():
        next(task.model.parameters()).fill_(torch.nan)
    assert task.loss(batch).isnan()
    task.after_step(0)
    np.testing.assert_array_equal(task.replay.tree[np.arange(80)], before)
    task.batch(1)  # the run notices later


def test_the_target_network_is_a_copy_every_so_many_steps():
    task = make()
    optimizer = adam(task)

    def differs():
        pairs = zip(task.model.parameters(), task.target.parameters(), strict=True)
        return any(not torch.equal(a, b) for a, b in pairs)

    assert not differs()
    train(task, optimizer, range(4))
    assert differs()
    train(task, optimizer, [4])
    assert not differs()


# -- noise and random actions ----------------------------------------------------------------------


def test_noise_is_new_in_each_step_and_fixed_by_the_seed():
    task, again = make(), make()
    drawn = []
    for step in range(3):
        task.batch(step), again.batch(step)
        assert torch.equal(noise(task.model), noise(again.model))
        assert torch.equal(noise(task.target), noise(again.target))
        drawn += [noise(task.model), noise(task.target)]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert not torch.equal(noise(task.model), noise(make(seed=1).model))


def test_both_networks_may_have_the_same_noise():
    task = make(same_noise=True)
    task.batch(0)
    assert torch.equal(noise(task.model), noise(task.target))
    assert noise(task.model).abs().sum() > 0


def test_actions_are_chosen_with_noise_of_their_own(monkeypatch):
    task = make()
    seen = []
    monkeypatch.setattr(
        AtariRainbow,
        "choose",
        lambda self, states, random: seen.append(noise(self.model)) or np.zeros(2, int),
    )
    task.batch(1)
    assert len(seen) == 2 and torch.equal(*seen)
    assert not torch.equal(seen[0], noise(task.model)) and seen[0].abs().sum() > 0


def chosen(task):
    """Actions of 200 choices in one state of each game."""
    states = torch.from_numpy(np.stack([game.stack for game in task.games]))
    with torch.no_grad():
        return np.stack([task.choose(states, np.random.default_rng(i)) for i in range(200)])


def test_actions_are_greedy_but_for_epsilon():
    task = make()
    task.batch(1)
    assert task.epsilon == 0
    greedy = chosen(task)
    assert (greedy == greedy[0]).all()
    task.final_epsilon = 0.4
    # A random action is the greedy one in one case of four.
    assert (chosen(task) != greedy).mean() == pytest.approx(0.4 * 3 / 4, abs=0.06)


def study_of(name, profile):
    """The tasks of a study's runs, their settings alone."""
    cells = load(name, [ROOT / "conf" / "study"]).cells(profile, "full")
    return [compose(cell.overrides)["task"] for cell in cells]


@pytest.mark.parametrize("profile", ["paper", "short", "smoke"])
@pytest.mark.parametrize("name", ["laprop/fig6", "laprop/fig11"])
def test_in_studies_exploration_falls_when_learning_has_started(name, profile):
    for task in study_of(name, profile):
        assert task["epsilon_starts"] == task["learning_starts"]
        if profile == "paper":
            assert task["epsilon_steps"] == 62_500


def test_in_rainbows_own_settings_all_but_the_noise_is_greedy_from_the_first_step_on():
    task = compose(["task=atari_rainbow"])["task"]
    assert task["epsilon_starts"] + task["epsilon_steps"] == task["learning_starts"]
    assert task["final_epsilon"] == 0


def test_actions_are_random_from_some_step_of_an_episode_on():
    task = make(random_after=30)
    task.batch(1)
    for game, steps in zip(task.games, (29, 30), strict=True):
        game.episode_steps = steps
    actions = chosen(task)
    assert (actions[:, 0] == actions[0, 0]).all()
    shares = np.bincount(actions[:, 1], minlength=4) / len(actions)
    np.testing.assert_allclose(shares, 1 / 4, atol=0.08)


def test_an_episode_is_counted_from_its_start_or_the_last_life():
    task = make(environments=1)
    counted = []
    for _ in range(300):
        task.act()
        ended = task.replay._ends[(task.replay.written - 1) % task.replay.times, 0]
        counted.append((task.games[0].episode_steps, ended))
    before = 0
    for steps, ended in counted:
        assert steps == (0 if ended else before + 1)
        before = steps
    assert any(ended for _, ended in counted)


# -- exact resume ----------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", ["oldest", "random"])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, replace):
    changes = {"replace": replace, "final_epsilon": 0.2, "random_after": 20}
    whole = make(tmp_path / "whole", **changes)
    optimizer = adam(whole)
    losses = train(whole, optimizer, range(40))

    stopped = make(tmp_path / "stopped", **changes)
    optimizer = adam(stopped)
    first = train(stopped, optimizer, range(23))
    file = io.BytesIO()
    parts = (stopped.model.state_dict(), optimizer.state_dict(), stopped.state_dict())
    torch.save(parts, file)
    train(stopped, optimizer, range(23, 26))  # steps that no checkpoint knows of

    resumed = make(tmp_path / "stopped", **changes)
    optimizer = adam(resumed)
    file.seek(0)
    model, moments, state = torch.load(file, weights_only=True)
    resumed.model.load_state_dict(model)
    optimizer.load_state_dict(moments)
    resumed.load_state_dict(state)
    assert first + train(resumed, optimizer, range(23, 40)) == losses
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    places = np.arange(whole.replay.size)
    np.testing.assert_array_equal(whole.replay.tree[places], resumed.replay.tree[places])
    with torch.no_grad():
        results = []
        for task in (whole, resumed):
            task.model.eval()
            results.append({k: np.asarray(v).tolist() for k, v in task.evaluate().items()})
    assert results[0] == results[1]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "allowed"),
    [
        ("task.v_max=0", "a number above 0"),
        ("task.priority_exponent=-1", "a number, 0 or above"),
        ("task.importance_exponent=2", "a number from 0 to 1"),
        ("task.same_noise=2", "true or false"),
        ("task.random_after=0", "a whole number above 0, or null"),
    ],
)
def test_wrong_values_are_refused(typed, allowed):
    with pytest.raises(BadInput, match=f"{typed}: must be {allowed}"):
        compose(["task=atari_rainbow", typed])
