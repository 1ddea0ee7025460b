"""The values that a task's arguments may have: what their annotations say, a config is held to."""

import copy
import re
from typing import Annotated, get_args, get_origin

import pytest

from engine.checks import BadInput
from engine.config import compose, names
from engine.signatures import arguments_of, check_signatures, find_target
from tasks.bounds import (
    Bound,
    Count,
    CountOrZero,
    Fraction,
    Numbers,
    Positive,
    PositiveOrZero,
)

# Of each bound: what it refuses, and the nearest that it takes.
REFUSED = {
    Count: ([0, -1, 0.5, "many", True, None], 1),
    CountOrZero: ([-1, 0.5, "many", None], 0),
    Positive: ([0, -1e-9, float("inf"), float("nan"), "much", None], 1e-9),
    PositiveOrZero: ([-1e-9, float("inf"), "much", None], 0),
    Fraction: ([-1e-9, 1 + 1e-9, "much", None], 1),
    Numbers: ([[], ["much"], [1, float("inf")], 3, None], [0]),
}


class Taking:
    """A class whose one argument has the annotation that a test gives it."""

    def __init__(self, value):
        self.value = value


def config_of(value, hint, monkeypatch):
    monkeypatch.setitem(Taking.__init__.__annotations__, "value", hint)
    arguments_of.cache_clear()
    part = {"_target_": f"{Taking.__module__}.Taking", "value": value}
    toy = {"_target_": "builtins.dict"}
    return {"task": part, "optim": toy, "schedule": toy}


@pytest.mark.parametrize("hint", REFUSED, ids=lambda hint: hint.__metadata__[0].text)
def test_a_bound_refuses_what_lies_outside_and_says_what_is_allowed(hint, monkeypatch):
    [bound], (refused, taken) = hint.__metadata__, REFUSED[hint]
    for value in refused:
        with pytest.raises(BadInput) as caught:
            check_signatures(config_of(value, hint, monkeypatch))
        assert re.fullmatch(rf"task\.value=.*: must be {bound.text}", str(caught.value))
    check_signatures(config_of(taken, hint, monkeypatch))


def test_null_is_allowed_where_it_says_so(monkeypatch):
    check_signatures(config_of(None, Count | None, monkeypatch))
    with pytest.raises(BadInput, match=r"task\.value=0: must be a whole number above 0, or null$"):
        check_signatures(config_of(0, Count | None, monkeypatch))


def test_a_bound_of_ones_own(monkeypatch):
    even = Annotated[int, Bound(lambda value: value % 2 == 0, "an even number")]
    check_signatures(config_of(2, even, monkeypatch))
    with pytest.raises(BadInput, match=r"^task\.value=3: must be an even number$"):
        check_signatures(config_of(3, even, monkeypatch))


def bounded(hint):
    """The bounds in an annotation, which may allow null as well."""
    inside = [hint] if get_origin(hint) is Annotated else get_args(hint)
    return [one for one in inside if get_origin(one) is Annotated]


@pytest.mark.parametrize("name", names("task"))
def test_every_number_of_every_task_has_a_bound(name, tmp_path):
    """One that is missing would let a value through to a run, which it ends hours later."""
    config = compose([f"task={name}", "data=sample", f"paths.data={tmp_path}"])
    hints, _ = arguments_of(find_target("task", config["task"]["_target_"]))
    numbers = {
        key: hints[key]
        for key, value in config["task"].items()
        if key in hints and isinstance(value, int | float) and not isinstance(value, bool)
    }
    free = {key for key, hint in numbers.items() if not bounded(hint)}
    # Of the trials' start and the rate that cancels, any number makes sense.
    assert free <= {"first", "lr"}
    for key, hint in numbers.items():
        for bound in bounded(hint):
            wrong = copy.deepcopy(config)
            wrong["task"][key] = -1
            [said] = [note.text for note in bound.__metadata__]
            with pytest.raises(BadInput, match=rf"^task\.{key}=-1: must be {said}"):
                check_signatures(wrong)


@pytest.mark.parametrize(
    ("task", "typed", "allowed"),
    [
        ("cifar10_resnet20", "crop_padding=-1", "a whole number, 0 or above"),
        ("imdb_lstm", "flip_probability=-0.1", "a number from 0 to 1"),
        ("imdb_lstm", "flip_probability=1.1", "a number from 0 to 1"),
        ("roberta_pretrain", "mask_probability=1.0", "a number between 0 and 1"),
        ("mnist_fc2", "valid=0", "a number between 0 and 1, or null"),
        ("cifar10_resnet20", "valid=1", "a number between 0 and 1, or null"),
        ("imdb_lstm", "valid=2", "a number between 0 and 1, or null"),
        ("convex_example", "box=[1, 2, 3]", "two numbers, the lower one first, or null"),
        ("convex_example", "box=[1, -1]", "two numbers, the lower one first, or null"),
        ("iwslt14", "steps=null", "a whole number above 0"),
        ("iwslt14", "eval_every=null", "a whole number above 0"),
        ("noisy_quadratic", "noise=-0.1", "a number, 0 or above"),
        ("rosenbrock", "noise=-0.1", "a number, 0 or above"),
        ("rosenbrock", "trials=0", "a whole number above 0"),
        ("style_transfer", "size=3", "a whole number, 4 or above"),
        ("gradients", "dtype=float16", "one of float32, float64"),
        ("atari_rainbow", "replace=newest", "one of oldest, random"),
        ("dqn", "loss=absolute", "one of huber, squared"),
        ("dqn", "eval_episodes=0", "a whole number above 0"),
        ("dqn", "max_steps=0", "a whole number above 0, or null"),
        ("atari_dqn", "gamma=1.01", "a number from 0 to 1"),
    ],
)
def test_what_a_task_refuses(task, typed, allowed):
    with pytest.raises(BadInput) as caught:
        compose([f"task={task}", "data=sample", f"task.{typed}"])
    assert str(caught.value) == f"task.{typed}: must be {allowed}"
