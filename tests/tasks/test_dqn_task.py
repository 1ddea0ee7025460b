"""Deep Q-learning on environments of gymnasium: episodes, what is learned, what is refused."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.config import compose
from engine.make import make_optimizer, make_task
from models import FlatDQN
from tasks.dqn import Dqn
from tasks.environments import EnvironmentGame, look_at
from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON
from tasks.sources import DataError
from tasks.task import Context

gymnasium = pytest.importorskip("gymnasium")

CORRIDOR = "corridor:Corridor-v0"

SMALL = {
    "environment": "CartPole-v1",
    "model": functools.partial(FlatDQN, hidden=(8,)),
    "max_steps": None,
    "agent_steps": 400,
    "learning_starts": 40,
    "train_every": 4,
    "environments": 2,
    "batch_size": 8,
    "capacity": 200,
    "n_step": 1,
    "gamma": 0.9,
    "loss": "squared",
    "target_every": 10,
    "final_epsilon": 0.1,
    "epsilon_starts": 0,
    "epsilon_steps": 200,
    "steps": None,
    "eval_every": 20,
    "eval_episodes": 3,
    "eval_epsilon": 0.05,
    "seed": 0,
}


def make(folder=None, **changes):
    task = Dqn(device=torch.device("cpu"), root=Path("nowhere"), **(SMALL | changes))
    task.bind(Context(folder))
    return task


# -- environments ----------------------------------------------------------------------------------


def play(game, actions):
    """All that an agent sees of a game."""
    return [(game.step(action), game.stack.copy()) for action in actions]


def same(one, other):
    return all(a == b and np.array_equal(c, d) for (a, c), (b, d) in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", CORRIDOR, "LunarLander-v3"]
)
def test_a_game_goes_on_from_what_was_saved(name):
    if name.startswith("Lunar"):
        pytest.importorskip("Box2D")
        pytest.importorskip("pygame")
    actions = np.random.default_rng(0).integers(look_at(name, 60).actions, size=400).tolist()
    game = EnvironmentGame(name, seed=3, max_steps=60)
    play(game, actions[:155])
    state = game.state_dict()
    wanted = play(game, actions[155:])
    assert any(step.game for step, _ in wanted)
    other = EnvironmentGame(name, seed=3, max_steps=60)
    play(other, actions[:17])
    other.load_state_dict(state)
    assert same(play(other, actions[155:]), wanted)


def test_a_game_says_what_gymnasium_says():
    game, plain = EnvironmentGame(CORRIDOR, seed=0, max_steps=None), gymnasium.make(CORRIDOR)

    def begin():
        """Put the plain environment where the game's new episode is."""
        plain.reset(seed=0)
        state = game._environment.unwrapped.np_random.bit_generator.state
        plain.unwrapped.np_random.bit_generator.state = state

    begin()
    rewards, ends = [], []
    for action in [0] * 100 + [1] * 100:  # stands, and walks on
        observation, reward, terminated, truncated, _ = plain.step(action + 5)
        rewards.append(reward)
        step = game.step(action)
        ends.append(step.end)
        assert step.reward == reward and step.life is None
        assert step.end == (ENDED if terminated else CUT_OFF if truncated else GOES_ON)
        if step.game is None:
            assert np.array_equal(game.stack[0], observation.astype(np.float32))
        else:
            assert step.game == (sum(rewards), len(rewards))
            rewards = []
            begin()
    assert ends[:100].count(CUT_OFF) == 4 and ends[100:].count(ENDED) > 4


def test_every_episode_has_a_seed_of_its_own():
    game = EnvironmentGame(CORRIDOR, seed=0, max_steps=1)
    firsts = {game.stack.tobytes()}
    for _ in range(9):
        game.step(0)
        firsts.add(game.stack.tobytes())
    assert len(firsts) == 10
    assert EnvironmentGame(CORRIDOR, seed=1, max_steps=1).stack.tobytes() not in firsts


def test_an_episode_that_goes_elsewhere_is_noticed():
    game = EnvironmentGame(CORRIDOR, seed=0, max_steps=None)
    play(game, [1, 1, 0])
    state = game.state_dict()
    game.load_state_dict(state)
    with pytest.raises(DataError, match="comes to another state by the same seed and the same 3"):
        game.load_state_dict(state | {"actions": state["actions"].flip(0) * 2})


REFUSED = {
    "CartPole-v9": "there is no such environment among the .* closest are CartPole-v",
    "acrobot": "there is no such environment .* closest are Acrobot-v1,",
    "nowhere_at_all:Walk-v0": r"nowhere_at_all cannot be imported \(ModuleNotFoundError\)",
    "corridor:Corridor-v1": "there is no such environment .* the closest are Corridor-v0",
    "Pendulum-v1": r"its actions are a Box of shape \(1,\), and must be Discrete",
    "FrozenLake-v1": "its observations are a Discrete, and must be a Box of one dimension",
    "Blackjack-v1": "its observations are a Tuple, and must be a Box of one dimension",
    "corridor:Endless-v0": "it has no limit of steps of its own; set task.max_steps",
    "corridor:Unseeded-v0": "the same seed and actions lead to other observations or rewards",
    "corridor:OfTheLastEpisode-v0": "the same seed and actions lead to other observations or",
    "corridor:Failing-v0": "the door is shut",
    "corridor:Crowded-v0": "it has 300 actions, and must have 2 to 256",
    "corridor:Still-v0": "it has 1 actions, and must have 2 to 256",
}


@pytest.mark.parametrize("name", REFUSED)
def test_environments_that_are_refused(name):
    with pytest.raises(ValueError, match=REFUSED[name]) as refused:
        make(environment=name)
    assert str(refused.value).startswith(f"task.environment={name}: ")


def test_images_are_refused():
    class Picture(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 3), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)

    gymnasium.register("Picture-v0", Picture, max_episode_steps=9)
    try:
        with pytest.raises(ValueError, match=r"a Box of shape \(84, 84, 3\), and must be a Box of"):
            look_at("Picture-v0", None)
    finally:
        del gymnasium.registry["Picture-v0"]


def test_what_an_environment_lacks_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for module in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, module)
    look_at.cache_clear()
    with pytest.raises(ValueError, match=r'LunarLander-v3: .*pip install "gymnasium\[box2d\]"'):
        look_at("LunarLander-v3", None)


def test_without_gymnasium(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    look_at.cache_clear()
    with pytest.raises(ValueError, match=r"pip install 'adamily\[gymnasium\]'"):
        make()


def test_a_limit_of_ones_own():
    assert look_at("corridor:Endless-v0", 7).max_steps == 7
    task = make(environment=CORRIDOR, max_steps=7, final_epsilon=0.0)
    task.batch(80)
    assert max(task.lengths) == 7 and CUT_OFF in task.replay._ends


# -- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "by_hand"), [("squared", F.mse_loss), ("huber", F.huber_loss)])
def test_a_step_is_that_of_q_learning_written_out(loss, by_hand):
    task = make(loss=loss, environment=CORRIDOR)
    with torch.no_grad():
        for parameter in task.target.parameters():
            parameter.add_(0.3)
    batch = task.batch(5)
    assert batch.states.shape == (8, 1, 2) and batch.states.dtype == torch.float32
    hidden, _, last = task.model
    rows = []
    for state, action, reward, after, discount in zip(*batch, strict=True):
        targets = task.target[2](torch.relu(task.target[0](after[0]))).detach()
        value = last(torch.relu(hidden(state[0])))[action]
        rows.append(by_hand(value, reward + discount * targets.max()))
    wanted = torch.stack(rows).mean()
    found = task.loss(batch)
    torch.testing.assert_close(found, wanted)
    parameters = list(task.model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(found, parameters), torch.autograd.grad(wanted, parameters)
    )
    assert not any(parameter.requires_grad for parameter in task.target.parameters())


def test_the_memory_holds_what_was_played():
    """Each transition that is drawn is one that happened."""
    task = make(environment=CORRIDOR, capacity=60, gamma=0.5)
    happened = set()
    for number, game in enumerate(task.games):
        step = game.step

        def watched(action, game=game, step=step, number=number):
            before = game.stack.copy()
            done = step(action)
            after = None if done.end == ENDED else game.stack.tobytes()
            if done.end != CUT_OFF:
                happened.add((before.tobytes(), action, done.reward, after))
            return done

        game.step = watched
    drawn = 0
    for step in range(60):
        batch = task.batch(step)
        for state, action, reward, after, discount in zip(*batch, strict=True):
            assert discount in (0.0, 0.5)
            key = (state.numpy().tobytes(), int(action), float(reward))
            assert (*key, after.numpy().tobytes() if discount else None) in happened
            drawn += not discount
    assert drawn > 0


def test_rewards_are_learned_from_as_they_are():
    task = make(environment=CORRIDOR)
    task.batch(30)
    assert set(task.replay._rewards.ravel().tolist()) == {0.0, -0.25, 10.0}


def test_an_evaluation_repeats_and_leaves_the_training_alone():
    task = make(environment=CORRIDOR)
    task.batch(20)
    before = [game.stack.tobytes() for game in task.games]
    with torch.no_grad():
        one, other = task.evaluate(), task.evaluate()
    assert one["test/return"].shape == one["test/length"].shape == (3,)
    assert one.keys() == other.keys() <= Dqn.metrics.keys() and Dqn.headline in one
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name]))
    assert [game.stack.tobytes() for game in task.games] == before


def test_nothing_to_draw_where_every_episode_is_cut_off_at_once():
    task = make(environment="corridor:Cut-v0")
    with pytest.raises(DataError, match=r"every episode was cut off within 1 step"):
        task.batch(0)


def test_returns_are_over_fewer_steps_than_an_episode():
    with pytest.raises(ValueError, match=r"task.n_step=25: must be less than the 25 steps after"):
        make(environment=CORRIDOR, n_step=25, capacity=200, learning_starts=150)


def train(task, optimizer, steps):
    losses = []
    for step in steps:
        loss = task.loss(task.batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.after_step(step)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("environment", ["CartPole-v1", CORRIDOR])
def test_a_restored_task_goes_on_bit_for_bit(tmp_path, environment):
    task = make(tmp_path, environment=environment, capacity=60, n_step=2)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-2)
    train(task, optimizer, range(30))
    saved = task.state_dict()
    weights = {name: value.clone() for name, value in task.model.state_dict().items()}
    moments = optimizer.state_dict()
    moments["state"] = {
        number: {name: value.clone() for name, value in state.items()}
        for number, state in moments["state"].items()
    }
    saved["target"] = {name: value.clone() for name, value in saved["target"].items()}
    wanted = train(task, optimizer, range(30, 60))
    again = make(tmp_path, environment=environment, capacity=60, n_step=2)
    again.load_state_dict(saved)
    again.model.load_state_dict(weights)
    optimizer = torch.optim.Adam(again.model.parameters(), lr=1e-2)
    optimizer.load_state_dict(moments)
    assert train(again, optimizer, range(30, 60)) == wanted
    with torch.no_grad():
        assert torch.equal(again.evaluate()["test/return"], task.evaluate()["test/return"])


def test_a_corridor_is_learned():
    """The way out is worth 10: walking on takes about 8 steps, and random steps find it rarely."""
    task = make(
        environment=CORRIDOR, agent_steps=3000, epsilon_steps=1500, capacity=3000, batch_size=32
    )
    with torch.no_grad():
        before = task.evaluate()["test/return"].mean()
    train(task, torch.optim.Adam(task.model.parameters(), lr=3e-3), range(task.steps))
    with torch.no_grad():
        after = task.evaluate()["test/return"].mean()
    assert before < 0 and after > 7


def test_cartpole_is_learned_with_the_settings_of_conf(tmp_path):
    """A random network drops the pole after 9 steps; in a tenth of the budget it stays up."""
    config = compose(["task=dqn", "optim=adam", f"paths.data={tmp_path}"])
    task = make_task(config, torch.device("cpu"))
    task.bind(Context(None))
    with torch.no_grad():
        before = task.evaluate()["test/return"].mean()
    train(task, make_optimizer(config, task.model), range(task.steps // 10))
    with torch.no_grad():
        after = task.evaluate()["test/return"].mean()
    assert before < 60 and after > 100
