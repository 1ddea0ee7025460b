"""The replay memory against what one would keep without thinking of memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks import room as room_module
from tasks.q_learning.frames import Frames
from tasks.q_learning.game import CUT_OFF, ENDED, GOES_ON
from tasks.q_learning.replay import Replay
from tasks.sources import DataError

SHAPE = (2, 3)
STACK = 4


def make(folder=None, capacity=40, environments=1, n_step=1, gamma=0.5):
    return Replay(
        capacity=capacity,
        environments=environments,
        budget=10**6,
        n_step=n_step,
        gamma=gamma,
        shape=SHAPE,
        dtype=np.uint8,
        stack=STACK,
        folder=folder,
    )


def frame(number, environments=1):
    """Frames of which every pixel says which step, from 1 on, and which environment it is."""
    values = np.arange(environments, dtype=np.uint8) * 100 + number + 1
    return np.broadcast_to(values[:, None, None], (environments, *SHAPE))


def fill(replay, ends, rewards=None):
    """One environment whose steps end like this."""
    for number, end in enumerate(ends):
        reward = 0.0 if rewards is None else rewards[number]
        replay.add(frame(number), np.array([number]), np.array([reward]), np.array([end]))


def stacked(states):
    """What the pixels of each state say."""
    assert (states == states[..., :1, :1]).all()
    return states[..., 0, 0].tolist()


def test_states_hold_zeros_for_what_lies_before_their_episode():
    replay = make()
    fill(replay, [GOES_ON, GOES_ON, ENDED, GOES_ON, CUT_OFF, *[GOES_ON] * 5])
    assert stacked(replay.transitions(np.arange(9)).states) == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [0, 0, 0, 4],
        [0, 0, 4, 5],
        [0, 0, 0, 6],
        [0, 0, 6, 7],
        [0, 6, 7, 8],
        [6, 7, 8, 9],
    ]


def test_an_episode_that_ended_is_worth_nothing_more_and_one_cut_off_is_not_drawn():
    replay = make(n_step=3)
    rewards = [1, 1, 1, 1, -1, 1, 1, 1, 1, 1]
    fill(replay, [GOES_ON] * 4 + [ENDED, GOES_ON, CUT_OFF] + [GOES_ON] * 3, rewards)
    # Rewards of three steps at a discount of 1/2, and (1/2)³ for the state behind them.
    found = replay.transitions(np.array([0, 1, 2, 3, 4]))
    assert found.returns.tolist() == [1.75, 1.75, 1 + 0.5 - 0.25, 1 - 0.5, -1]
    assert found.discounts.tolist() == [0.125, 0.125, 0, 0, 0]
    assert found.actions.tolist() == [0, 1, 2, 3, 4]
    assert stacked(found.next_states)[:2] == [[1, 2, 3, 4], [2, 3, 4, 5]]
    # Steps 5 and 6 lead to where the episode was cut off; from 7 on, three steps are not over.
    assert list(replay.drawable) == list(range(7))
    assert replay.cut_off(np.arange(7)).tolist() == [False] * 5 + [True] * 2
    drawn = replay.draw(np.random.default_rng(0), 500)
    assert set(drawn.tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("n_step", [1, 3])
def test_one_step_can_be_drawn_at_least_in_the_smallest_memory_and_shortest_games(n_step):
    # A game has more than n steps, and a memory holds those n twice and a state; see `Agent`.
    replay = make(capacity=2 * n_step + STACK, n_step=n_step)
    for number in range(60):
        fill(replay, [CUT_OFF if number % (n_step + 1) == n_step else GOES_ON])
        if number > n_step:
            assert len(replay.draw(np.random.default_rng(0), 5)) == 5


class Naive:
    """Every state as it was, and all of the past."""

    def __init__(self, environments, n_step, gamma):
        self.n_step, self.gamma = n_step, gamma
        self.steps = [[] for _ in range(environments)]  # (state, action, reward, end)
        self.stacks = [[0] * 4 for _ in range(environments)]

    def add(self, frames, actions, rewards, ends):
        for e, steps in enumerate(self.steps):
            fresh = not steps or steps[-1][3] != GOES_ON
            before = [0, 0, 0] if fresh else self.stacks[e][1:]
            self.stacks[e] = [*before, int(frames[e, 0, 0])]
            steps.append((self.stacks[e], int(actions[e]), float(rewards[e]), int(ends[e])))

    def transition(self, row, e):
        """State, action, return, discount and next state, or None where it was cut off."""
        total, discount = 0.0, 1.0
        for _, _, reward, end in self.steps[e][row : row + self.n_step]:
            total += discount * reward
            discount *= self.gamma
            if end == CUT_OFF:
                return None
            if end == ENDED:
                return *self.steps[e][row][:2], total, 0.0, None
        return *self.steps[e][row][:2], total, discount, self.steps[e][row + self.n_step][0]


@pytest.mark.parametrize(("environments", "n_step"), [(1, 1), (3, 1), (2, 3), (3, 5)])
def test_against_the_naive_one(monkeypatch, environments, n_step):
    # Files of two time steps, so that stacks lie across their borders.
    monkeypatch.setattr("tasks.q_learning.replay.FILES", 12)
    random = np.random.default_rng(environments * 10 + n_step)
    replay = make(capacity=24 * environments, environments=environments, n_step=n_step)
    naive = Naive(environments, n_step, 0.5)
    drawn = 0
    for number in range(120):
        step = (
            frame(number % 90, environments),
            random.integers(5, size=environments),
            random.integers(-1, 2, size=environments).astype(np.float32),
            random.choice([GOES_ON, ENDED, CUT_OFF], p=[0.8, 0.12, 0.08], size=environments),
        )
        replay.add(*step)
        naive.add(*step)
        slots = np.array(replay.drawable, dtype=np.int64)
        if len(slots) == 0:
            continue
        # All that can be looked at is: the newest with n steps behind them, 21 time steps at most.
        assert slots[-1] // environments == number - n_step
        assert len(slots) == environments * (min(number + 1, 21) - n_step) or number < 24
        wanted = [naive.transition(*divmod(slot, environments)) for slot in slots.tolist()]
        assert replay.cut_off(slots).tolist() == [one is None for one in wanted]
        whole = slots[~replay.cut_off(slots)]
        found = replay.transitions(whole)
        after = stacked(found.next_states)
        columns = (stacked(found.states), found.actions.tolist(), found.returns.tolist())
        for i, one in enumerate(one for one in wanted if one is not None):
            assert tuple(column[i] for column in columns) == one[:3]
            assert found.discounts[i] == one[3]
            assert one[4] is None or after[i] == one[4]
            drawn += 1
    assert drawn > 1000


def test_draws_are_uniform():
    replay = make(capacity=40, environments=2)
    for number in range(20):
        replay.add(frame(number, 2), np.zeros(2), np.zeros(2), np.full(2, GOES_ON))
    drawn = replay.draw(np.random.default_rng(0), 36_000)
    counts = np.bincount(drawn)
    # 19 time steps of which the last one has no state behind it, less the 3 before the first
    # whole stack.
    assert np.flatnonzero(counts).tolist() == list(range(6, 38))
    assert abs(counts[6:] - 36_000 / 32).max() < 5 * (36_000 / 32) ** 0.5


# -- on disk ---------------------------------------------------------------------------------------


def numbers(folder):
    return sorted(int(path.name.removeprefix("frames-")) for path in folder.iterdir())


def files_of_five(monkeypatch):
    """Keep 20 time steps, and one more for each of two checkpoints, in files of 5."""
    monkeypatch.setattr("tasks.q_learning.replay.SPARE_STEPS", 0)
    monkeypatch.setattr("tasks.q_learning.replay.FILES", 5)


def test_it_goes_on_from_what_was_saved_whatever_was_written_since(tmp_path, monkeypatch):
    files_of_five(monkeypatch)
    random = np.random.default_rng(1)
    ends = random.choice([GOES_ON, ENDED], p=[0.9, 0.1], size=100)

    def go_on(replay, until):
        for n in range(replay.written, until):
            replay.add(frame(n), np.array([n % 7]), np.array([n % 3 - 1]), ends[n : n + 1])

    replay = make(tmp_path, capacity=20)
    for until in (31, 48):
        go_on(replay, until)
        state = replay.state_dict()
        replay.saved()
    kept = numbers(tmp_path)
    wanted = replay.transitions(np.array(replay.drawable))
    # A process that is killed long after: the ring has gone round, no checkpoint was written.
    go_on(replay, 95)
    assert numbers(tmp_path) == [*kept, *range(kept[-1] + 1, 19)]
    again = make(tmp_path, capacity=20)
    again.load_state_dict(state)
    assert again.written == 48
    for found, expected in zip(again.transitions(np.array(again.drawable)), wanted, strict=True):
        assert torch.equal(found, expected)
    # And it goes on as the other one did.
    go_on(again, 95)
    for found, expected in zip(
        again.transitions(np.array(again.drawable)),
        replay.transitions(np.array(replay.drawable)),
        strict=True,
    ):
        assert torch.equal(found, expected)


def test_files_stay_as_long_as_one_of_two_checkpoints_needs_them(tmp_path, monkeypatch):
    files_of_five(monkeypatch)
    replay = make(tmp_path, capacity=20)
    states = []
    for number in range(100):
        fill(replay, [GOES_ON])
        if number in (29, 44, 59):
            states.append(replay.state_dict())
            replay.saved()
    # The last two checkpoints remember time steps 25 to 44 and 40 to 59.
    assert numbers(tmp_path)[0] == 25 // 5
    for state in states[1:]:
        make(tmp_path, capacity=20).load_state_dict(state)
    with pytest.raises(DataError, match="frames-000002 is missing or incomplete"):
        make(tmp_path, capacity=20).load_state_dict(states[0])


def test_a_process_that_goes_on_removes_what_the_one_before_it_left(tmp_path, monkeypatch):
    files_of_five(monkeypatch)
    replay = make(tmp_path, capacity=20)
    for count in (30, 30):
        fill(replay, [GOES_ON] * count)
        state = replay.state_dict()
        replay.saved()
    assert numbers(tmp_path)[0] == 2  # the reserve's first row is 10
    again = make(tmp_path, capacity=20)
    again.load_state_dict(state)
    fill(again, [GOES_ON] * 30)
    again.state_dict()
    again.saved()
    # Of the checkpoints in the files now, the older one's first row is 40.
    assert numbers(tmp_path)[0] == 40 // 5


def test_a_checkpoint_is_due_before_frames_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.q_learning.replay.FILES", 6)  # of 27 time steps
    monkeypatch.setattr("tasks.q_learning.replay.SPARE_STEPS", 30)
    replay = make(tmp_path, capacity=100)
    most = replay._frames.size(100 + 2 * 30)  # as is asked of the disk
    saved = []
    for number in range(400):
        fill(replay, [GOES_ON])
        if replay.checkpoint_due:
            replay.state_dict()
            # A checkpoint that could not be saved is tried again as much later, not at each step.
            assert not replay.checkpoint_due
            replay.saved()
            saved.append(number + 1)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= most
    assert saved == list(range(30, 400, 30))


def test_without_a_folder_it_drops_what_it_does_not_remember(monkeypatch):
    monkeypatch.setattr("tasks.q_learning.replay.FILES", 4)
    replay = make(capacity=20)
    fill(replay, [GOES_ON] * 100)
    assert numbers(replay._frames.folder) == [16, 17, 18, 19]


def test_too_large_for_the_disk_or_for_ram(tmp_path, monkeypatch):
    usage = room_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(room_module.shutil, "disk_usage", lambda folder: room)
    folder = tmp_path / "run" / "files"

    def full_size(capacity, budget=10**12):
        return Replay(
            capacity=capacity,
            environments=1,
            budget=budget,
            n_step=1,
            gamma=0.9,
            shape=(84, 84),
            dtype=np.uint8,
            stack=STACK,
            folder=folder,
        )

    room = usage._replace(free=3_000_000_000)
    full_size(100_000)
    with pytest.raises(DataError) as refused:
        full_size(1_000_000)
    assert "needs 7.61 GB on the disk of" in str(refused.value)
    assert "has 3.00 GB free, and 0.01 GB of memory" in str(refused.value)
    assert "set task.capacity lower, or paths.runs to another disk" in str(refused.value)
    # A run that is short asks for the frames that it will see.
    room = usage._replace(free=3_000_000)
    full_size(1_000_000, budget=300)
    room = usage._replace(free=10**18)
    with pytest.raises(DataError, match=r"and 600\.00 GB of memory, of which \d"):
        full_size(100_000_000_000)
    # Files of ours that are there already are no further ones.
    room = usage._replace(free=0)
    folder.mkdir(parents=True)
    with open(folder / "frames-000000", "wb") as file:
        file.truncate(7_700_000_000)
    full_size(1_000_000)


def test_a_million_transitions_take_7_gigabytes(tmp_path):
    frames = Frames(tmp_path, (1, 84, 84), 15_625, np.uint8)  # a 64th of a million
    frames.append(np.zeros((1, 84, 84), np.uint8))
    [file] = tmp_path.iterdir()
    assert 66 * file.stat().st_size < 7.5e9


def test_a_small_memory_opens_few_files_however_often_it_goes_round(tmp_path):
    replay = make(tmp_path, capacity=1000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    most = 0
    for number in range(25_000):
        fill(replay, [GOES_ON])
        if replay.checkpoint_due:
            replay.state_dict()
            replay.saved()
        if number % 100 == 0:
            most = max(most, len(list(Path("/proc/self/fd").iterdir())))
    assert most - before < 80


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_in_any_row_that_a_checkpoint_refers_to_is_noticed(tmp_path, monkeypatch):
    files_of_five(monkeypatch)
    replay = make(tmp_path, capacity=20)
    fill(replay, [GOES_ON] * 33)
    state = replay.state_dict()
    fill(replay, [GOES_ON] * 2)  # which the checkpoint knows nothing of
    row = SHAPE[0] * SHAPE[1]
    for number in range(10, 35):
        path = tmp_path / f"frames-{number // 5:06}"
        flip(path, number % 5 * row + number % row)
        if number < 33:
            with pytest.raises(
                DataError, match=f"{path.name} does not hold what was written to it"
            ):
                make(tmp_path, capacity=20).load_state_dict(state)
        else:
            make(tmp_path, capacity=20).load_state_dict(state)
        flip(path, number % 5 * row + number % row)
    # Also after one that went on, whose last file was begun by another process.
    again = make(tmp_path, capacity=20)
    again.load_state_dict(state)
    fill(again, [GOES_ON] * 9)
    state = again.state_dict()
    make(tmp_path, capacity=20).load_state_dict(state)
    flip(tmp_path / "frames-000006", 1)
    with pytest.raises(DataError, match="frames-000006 does not hold"):
        make(tmp_path, capacity=20).load_state_dict(state)
