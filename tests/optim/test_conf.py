"""The rules by the names that people type."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate

import optim

CONF = Path(__file__).parents[2] / "conf" / "optim"
NAMES = {
    "lp_adam": {},
    "lp_adagrad": {},
    "laprop": {},
    "laprop_centered": {"centered": True},
    "amsprop": {"amsgrad": True},
    "sign_sgdm": {},
    "signum": {},
    "adamal": {},
    "padam": {},
    "madam": {},
    "lamadam": {},
    "adabelief": {},
    "adabound": {},
    "yogi": {},
}
# What the room offers beside update rules.
OTHERS = {"Observation", "Observer"}


def plain(value):
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", NAMES)
def test_yaml_holds_the_defaults_but_for_what_its_name_or_its_paper_says(name):
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = instantiate(config, _convert_="all")([p])
    default = type(optimizer)([p]).defaults
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    assert given.keys() == default.keys() - {"maximize", "foreach", "differentiable"}
    differing = {key: value for key, value in given.items() if plain(default[key]) != value}
    assert differing == NAMES[name]
    p.grad = torch.ones(3)
    optimizer.step()
    assert (p < 1).all()


def test_every_class_has_a_yaml_and_a_docstring():
    targets = {yaml.safe_load((CONF / f"{name}.yaml").read_text())["_target_"] for name in NAMES}
    assert targets == {f"optim.{name}" for name in optim.__all__ if name not in OTHERS}
    for name in optim.__all__:
        text = inspect.getdoc(getattr(optim, name)) or ""
        assert name in OTHERS or "State: " in text or "All else is as in" in text
