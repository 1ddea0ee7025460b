"""Games as an agent meets them, and what DQN learns from them."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tasks.atari import AtariDqn
from tasks.atari.games import NO_OPS, AtariGame, count_actions, names
from tasks.atari.video import Video
from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON
from tasks.q_learning.replay import Transitions
from tasks.seeds import derive
from tasks.sources import DataError
from tasks.task import Context

pytest.importorskip("ale_py")

SMALL = {
    "game": "breakout",
    "side": 84,
    "agent_steps": 400,
    "learning_starts": 40,
    "train_every": 4,
    "environments": 2,
    "batch_size": 8,
    "capacity": 200,
    "n_step": 1,
    "gamma": 0.9,
    "max_frames": 400,
    "steps": None,
    "eval_every": 20,
    "eval_episodes": 2,
    "eval_epsilon": 0.05,
    "padding": "valid",
    "target_every": 10,
    "final_epsilon": 0.1,
    "epsilon_starts": 0,
    "epsilon_steps": 200,
    "seed": 0,
}


class Tiny(nn.Linear):
    """The mean of the newest frame, through a linear layer."""

    def __init__(self, actions, padding, side):
        super().__init__(1, actions)

    def forward(self, input):
        return super().forward(input[:, -1].float().mean((1, 2))[:, None] / 255)


def make(**changes):
    return AtariDqn(
        model=Tiny, device=torch.device("cpu"), root=Path("nowhere"), **(SMALL | changes)
    )


# -- games -----------------------------------------------------------------------------------------


def play(game, actions):
    """All that an agent sees of a game."""
    seen = []
    for action in actions:
        seen.append((game.step(action % game.action_count), game.stack.copy()))
    return seen


def same(one, other):
    return all(a == b and np.array_equal(c, d) for (a, c), (b, d) in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["breakout", "pong", "qbert", "seaquest"])
def test_a_game_goes_on_from_what_was_saved(name):
    actions = np.random.default_rng(0).integers(100, size=800).tolist()
    game = AtariGame(name, side=84, seed=3, max_frames=2000, life_ends=True)
    play(game, actions[:300])
    state = game.state_dict()
    wanted = play(game, actions[300:])
    assert any(step.game for step, _ in wanted)
    other = AtariGame(name, side=84, seed=3, max_frames=2000, life_ends=True)
    play(other, actions[:17])
    other.load_state_dict(state)
    assert same(play(other, actions[300:]), wanted)
    assert np.array_equal(other.stack, game.stack)


def test_seeds_decide_how_long_games_wait():
    seeds = [0, 0, *range(1, 8)]
    firsts = {AtariGame("seaquest", 84, seed, 1000, True).stack.tobytes() for seed in seeds}
    assert 5 < len(firsts) <= 8
    assert NO_OPS == 30


def test_a_lost_life_ends_the_agents_episode_and_not_the_game():
    training = AtariGame("breakout", side=84, seed=0, max_frames=18_000, life_ends=True)
    ends, lives, games = [], [], []
    while not games:
        step = training.step(len(ends) % 2)  # waits, and serves: the ball is lost soon
        ends.append(step.end)
        if step.end == ENDED:
            # What comes next has nothing before it.
            assert training.stack[-1].any() and not training.stack[:-1].any()
            lives.append(step.life)
        else:
            assert step.life is None
        games += [step.game] if step.game else []
    assert ends.count(ENDED) == 5 and ends.count(GOES_ON) == len(ends) - 5
    assert games == [(sum(lives), len(ends))]
    judged = AtariGame("breakout", side=84, seed=0, max_frames=18_000, life_ends=False)
    steps = [judged.step(0)]
    while steps[-1].game is None:
        steps.append(judged.step(len(steps) % 2))
    assert [step.end for step in steps] == [GOES_ON] * (len(steps) - 1) + [ENDED]
    assert sum(step.life is not None for step in steps) == 5


def test_a_game_that_takes_too_long_is_cut_off():
    game = AtariGame("pong", side=84, seed=0, max_frames=100, life_ends=True)
    steps = [game.step(0) for _ in range(60)]
    cut = [number for number, step in enumerate(steps) if step.end == CUT_OFF]
    assert cut and all(step.end != ENDED for step in steps)
    assert steps[cut[0]].game == (sum(s.reward for s in steps[: cut[0] + 1]), cut[0] + 1)
    # With up to 30 frames of waiting, 100 frames are 18 to 25 actions.
    assert 18 <= cut[0] + 1 <= 25


def test_a_life_that_is_lost_in_the_very_frame_of_the_cut_ends_the_episode():
    def played(max_frames):
        game = AtariGame("breakout", side=84, seed=0, max_frames=max_frames, life_ends=True)
        steps, frames = [], []
        while not steps or steps[-1].end == GOES_ON:
            steps.append(game.step(len(steps) % 2))
            frames.append(game._ale.getEpisodeFrameNumber())
        return steps[-1], frames[-1]

    lost, frame = played(18_000)
    assert (lost.end, lost.game) == (ENDED, None)
    cut, _ = played(frame)  # the game is over as well, which is not why the episode has ended
    assert cut.game is not None and cut.end == ENDED
    assert played(frame - 1)[0].end == CUT_OFF


def test_frames_are_grey_and_flickering_sprites_are_in_them():
    game = AtariGame("space_invaders", side=42, seed=0, max_frames=1000, life_ends=True)
    game.step(0)
    assert game.stack.shape == (4, 42, 42) and game.stack.dtype == np.uint8
    brighter = game._screens.max(0).astype(float)
    assert abs(brighter.mean() - game.stack[-1].mean()) < 1


def test_the_state_after_a_lost_life_shows_what_flickers():
    """The maximum of two screens, unless the life was lost before there was a second one."""
    lost = 0
    for seed in range(12):
        game = AtariGame("seaquest", 84, seed, max_frames=18_000, life_ends=True, in_colour=True)
        single = []
        keep = game._keep_screen
        game._keep_screen = lambda index: (single.append(index), keep(index))[1]  # noqa: B023
        for number in range(400):
            single.clear()
            step = game.step(number * 7 % game.action_count)
            if step.end == ENDED and step.game is None:
                # Both screens, each kept once: after the third frame and the fourth, or at one.
                assert sorted(single) == [0, 1]
                lost += 1
    assert lost > 10


def test_games_by_name():
    for name in ("beam_rider", "breakout", "pong", "qbert", "seaquest", "space_invaders"):
        assert name in names()
    assert count_actions("breakout") == 4
    with pytest.raises(ValueError) as refused:
        make(game="chess")
    said = str(refused.value)
    assert said.startswith("task.game=chess: there is no such game; choose one of the ")
    assert "video_chess" in said and "combat" not in said


def test_a_game_without_a_choice(monkeypatch):
    still = SimpleNamespace(getMinimalActionSet=lambda: [0])  # none of ale_py's is one
    monkeypatch.setattr("tasks.atari.games.emulator", lambda *_: still)
    with pytest.raises(ValueError, match=r"task.game=still: it has 1 action\(s\), and needs 2"):
        count_actions("still")


# -- learning --------------------------------------------------------------------------------------


def test_targets_and_loss_by_hand():
    task = make()
    with torch.no_grad():
        for network in (task.model, task.target):
            network.weight.zero_()
        task.model.bias.copy_(torch.tensor([1.0, 2.0, 0.0, 0.0]))
        task.target.bias.copy_(torch.tensor([0.0, 3.0, 5.0, 4.0]))
    frames = torch.zeros(3, 4, 84, 84, dtype=torch.uint8)
    batch = Transitions(
        states=frames,
        actions=torch.tensor([0, 1, 1]),
        returns=torch.tensor([1.0, 1.0, -1.0]),
        next_states=frames,
        discounts=torch.tensor([0.9, 0.0, 0.09]),
    )
    # The best of the target network's values is 5: targets 5.5, 1 (the end) and -0.55.
    # Errors -4.5 (linear: 4.5 - 1/2), 1 (square: 1/2) and 2.55 (linear: 2.05).
    loss = task.loss(batch)
    assert loss.item() == pytest.approx((4.0 + 0.5 + 2.05) / 3, rel=1e-5)
    loss.backward()
    # Clipped to ±1, and a mean over the batch: −1, and 1 + 1 of the second action.
    torch.testing.assert_close(task.model.bias.grad, torch.tensor([-1 / 3, 2 / 3, 0, 0]))
    assert all(parameter.grad is None for parameter in task.target.parameters())


def test_the_target_network_is_a_copy_from_time_to_time():
    task = make(target_every=3)
    before = task.target.weight.clone()
    assert torch.equal(before, task.model.weight)
    with torch.no_grad():
        task.model.weight.add_(1.0)
    for step in range(2):
        task.after_step(step)
        assert torch.equal(task.target.weight, before)
    task.after_step(2)
    assert torch.equal(task.target.weight, before + 1.0)


def test_exploration_falls_linearly():
    task = make(final_epsilon=0.1, epsilon_steps=200)
    found = []
    for task.actions_taken in (0, 50, 100, 200, 1000):
        found.append(task.epsilon)
    assert found == pytest.approx([1.0, 0.775, 0.55, 0.1, 0.1])
    task.epsilon_starts = 100
    later = []
    for task.actions_taken in (0, 100, 150, 200, 300, 1000):
        later.append(task.epsilon)
    assert later == pytest.approx([1.0, 1.0, 0.775, 0.55, 0.1, 0.1])
    states = torch.zeros(4000, 4, 84, 84, dtype=torch.uint8)[:, :, :1, :1]
    with torch.no_grad():
        task.model.weight.zero_()
        task.model.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
        actions = task.choose(states, np.random.default_rng(0))
    # Random actions are any of the four.
    assert np.bincount(actions, minlength=4) / 4000 == pytest.approx(
        [0.025, 0.025, 0.925, 0.025], abs=0.01
    )


@pytest.mark.parametrize("environments", [1, 2, 8])
def test_actions_and_batches_keep_their_ratio(environments):
    task = make(environments=environments, learning_starts=48, train_every=4)
    assert task.steps == (400 - 48) // 4
    for step in range(6):
        states, *_, next_states, _ = task.batch(step)
        assert 0 <= task.actions_taken - (48 + 4 * step) < environments
        assert states.shape == next_states.shape == (8, 4, 84, 84)
    assert task.replay.written * environments == task.actions_taken


def test_frames_of_another_size():
    assert make(side=42).batch(0).states.shape == (8, 4, 42, 42)


def test_rewards_are_clipped_and_scores_are_not():
    task = make(game="space_invaders", learning_starts=396, capacity=400, max_frames=500)
    task.batch(0)
    assert set(task.replay._rewards.ravel().tolist()) == {0.0, 1.0}
    assert task.returns and min(task.returns) >= 5 and not set(task.returns) <= {0.0, 1.0}
    metrics = task.evaluate()
    assert metrics["train/return"] == np.mean(task.returns)
    assert metrics["train/return_per_life"] == np.mean(task.life_returns)
    assert metrics["agent/steps"] == 396


def test_an_evaluation_repeats_and_leaves_the_training_alone():
    task = make()
    task.batch(0)
    before = task.state_dict()
    with torch.no_grad():
        one, other = task.evaluate(), task.evaluate()
    assert one["test/return"].shape == one["test/length"].shape == (2,)
    # Of two values, the standard error of the mean is half their distance.
    a, b = one["test/return"].tolist()
    assert one["test/return_error"] == pytest.approx(abs(a - b) / 2)
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name]))
    after = task.state_dict()
    for a, b in zip(before["games"], after["games"], strict=True):
        assert torch.equal(a["system"], b["system"])


def test_the_first_game_of_an_evaluation_is_filmed():
    task = make(game="space_invaders")
    task.bind(Context(keeps_artifacts=True))
    task.batch(0)
    with torch.no_grad():
        metrics = task.evaluate()
        plain = make(game="space_invaders")
        plain.model.load_state_dict(task.model.state_dict())
        plain.batch(0)
        assert torch.equal(plain.evaluate()["test/return"], metrics["test/return"])
    assert plain.context.artifacts == {}
    film = Image.open(io.BytesIO(task.context.artifacts["game.gif"]))
    shown = 0
    for number in range(film.n_frames):
        film.seek(number)
        shown += film.info["duration"]
    # 15 actions a second; a picture may stand for several that look alike.
    actions = int(metrics["test/length"][0])
    assert shown == pytest.approx(actions * 1000 / 15, abs=10)
    assert film.size == (160, 210) and film.n_frames > actions / 2
    game = AtariGame("space_invaders", 84, derive(0, "evaluation", 0), 400, False, in_colour=True)
    film.seek(0)
    assert np.array_equal(np.asarray(film.convert("RGB")), game.picture)
    assert len(np.unique(game.picture.reshape(-1, 3), axis=0)) > 4
    before = game.stack[-1].astype(float)
    grey = game.picture @ np.array([0.299, 0.587, 0.114])
    assert abs(grey.mean() - before.mean()) < 2


def test_a_video_ends_after_two_minutes(monkeypatch):
    monkeypatch.setattr("tasks.atari.video.LONGEST", 3)
    video = Video()
    for number in range(5):
        video.add(np.full((210, 160, 3), 50 * number, np.uint8))
    film = Image.open(io.BytesIO(video.gif()))
    assert film.n_frames == 3
    film.seek(2)
    assert film.convert("RGB").getpixel((0, 0)) == (100, 100, 100)


def test_an_evaluation_before_any_game_has_ended(heard):
    task = make(max_frames=4000, eval_episodes=0)
    task.batch(0)
    assert task.evaluate() == {"agent/steps": 40}
    assert "No game of breakout has ended in 40 steps of the agent" in heard.text


def test_room_is_looked_for_before_anything_is_played(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.room.free_disk", lambda folder: 0)
    task = make()
    task.prepare()  # without a run, as for `scripts.data prepare`, there is nothing to keep
    task.bind(Context(tmp_path / "run" / "files"))
    with pytest.raises(DataError, match=r"which has 0\.00 GB free"):
        task.prepare()
    assert list(tmp_path.iterdir()) == [] and "games" not in vars(task)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capacity": 201}, "task.capacity=201: must be a multiple of task.environments=2"),
        ({"capacity": 8}, "task.capacity=8: must be 12 or more"),
        ({"learning_starts": 11}, "task.learning_starts=11: must be 12 or more"),
        ({"agent_steps": 42}, "task.agent_steps=42: must leave steps to train on"),
        ({"n_step": 3, "max_frames": 42}, "task.max_frames=42: must be more than 42, for up to 30"),
    ],
)
def test_numbers_that_do_not_fit_together(changes, said):
    with pytest.raises(ValueError) as refused:
        make(**changes)
    assert said in str(refused.value)
