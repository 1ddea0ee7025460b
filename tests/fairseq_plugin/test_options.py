"""Every optimizer is there under its name, with its options, as those of fairseq are."""

import re
from types import SimpleNamespace

import pytest
import torch
from conftest import RECIPE, ROOT
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim import OPTIMIZER_REGISTRY, build_optimizer

import fairseq_plugin
import optim

NAMES = sorted(
    path.stem
    for path in (ROOT / "conf" / "optim").glob("*.yaml")
    if re.search(r"^_target_: optim\.\w+$", path.read_text(), re.MULTILINE)
)


def parse(*given):
    arguments = ["data", *RECIPE, "--user-dir", "fairseq_plugin", *given]
    return options.parse_args_and_arch(options.get_training_parser(), arguments)


def make(*given):
    """The optimizer of a command line, of one parameter."""
    cfg = convert_namespace_to_omegaconf(parse(*given))
    return build_optimizer(cfg.optimizer, [torch.nn.Parameter(torch.ones(3))])


def group(*given):
    return make(*given).param_groups[0]


def test_every_class_of_optim_is_there():
    classes = {
        each
        for each in vars(optim).values()
        if isinstance(each, type) and issubclass(each, torch.optim.Optimizer)
    }
    assert {OPTIMIZER_REGISTRY[name].rule for name in NAMES} == classes


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_conf(name):
    rule, defaults = OPTIMIZER_REGISTRY[name].rule, OPTIMIZER_REGISTRY[name].defaults
    given = {"lr": 5e-4, "weight_decay": 1e-4}  # by the recipe
    expected = rule([torch.nn.Parameter(torch.ones(3))], **defaults | given).param_groups[0]
    args = [word for word in RECIPE if word not in ("--adam-betas", "(0.9, 0.98)")]
    arguments = ["data", *args, "--user-dir", "fairseq_plugin", "--optimizer", name]
    cfg = convert_namespace_to_omegaconf(
        options.parse_args_and_arch(options.get_training_parser(), arguments)
    )
    optimizer = build_optimizer(cfg.optimizer, [torch.nn.Parameter(torch.ones(3))])
    made = optimizer.param_groups[0]
    assert type(optimizer.optimizer) is rule
    assert {key: made[key] for key in made if key not in ("params", "betas")} == {
        key: expected[key] for key in made if key not in ("params", "betas")
    }
    assert str(made.get("betas")).translate({91: 40, 93: 41}) == str(
        expected.get("betas")
    ).translate({91: 40, 93: 41})
