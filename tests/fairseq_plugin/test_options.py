"""Every optimizer is there under its name, with its options, as those of fairseq are."""

import pytest
import torch
from conftest import RECIPE
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim import OPTIMIZER_REGISTRY, build_optimizer
from omegaconf import OmegaConf

import fairseq_plugin
import optim

FILES = {path.stem: OmegaConf.load(path) for path in sorted(fairseq_plugin.CONF.glob("*.yaml"))}
NAMES = [name for name, file in FILES.items() if file._target_.count(".") == 1]


def config(*given, recipe=RECIPE):
    arguments = ["data", *recipe, "--user-dir", "fairseq_plugin", *given]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    return convert_namespace_to_omegaconf(args).optimizer


def make(*given, recipe=RECIPE):
    """The optimizer of a command line, for one parameter."""
    return build_optimizer(config(*given, recipe=recipe), [torch.nn.Parameter(torch.ones(3))])


BARE = ["--arch", "transformer", "--lr", "0.25"]


def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def test_every_class_of_optim_is_there():
    offered = set(optim.__all__) - {"Observation", "Observer"}
    classes = {getattr(optim, name) for name in offered}
    assert {OPTIMIZER_REGISTRY[name].rule for name in NAMES} == classes


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_conf(name):
    optimizer = make("--optimizer", name, recipe=BARE)
    file = OmegaConf.to_container(FILES[name]) | {"lr": 0.25}
    assert type(optimizer.optimizer).__name__ == file.pop("_target_").removeprefix("optim.")
    del file["_partial_"]
    group = optimizer.param_groups[0]
    assert {key: group[key] for key in file} == {key: tuples(file[key]) for key in file}


@pytest.mark.parametrize("name", NAMES)
def test_no_option_is_called_as_one_of_fairseqs_own(name):
    """fairseq would leave it out without a word."""
    arguments = ["data", "--arch", "transformer_iwslt_de_en", "--lr-scheduler", "inverse_sqrt"]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    shared = {"lr", "_name", "weight_decay", "adam_betas", "adam_eps"}
    others = vars(args).keys() - shared
    assert not set(config("--optimizer", name, recipe=arguments[1:])) & others


def test_a_recipe_for_adam_needs_no_other_change():
    pair = {"lr": 5e-4, "weight_decay": 1e-4, "betas": (0.9, 0.98)}
    for name in NAMES:
        if "betas" in FILES[name]:
            group = make("--optimizer", name).param_groups[0]
            bounds = {"betas": (0.9, (0.5, 0.98))} if "beta_init" in group else {}
            assert {key: group[key] for key in pair} == pair | bounds


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ("madam --adam-betas (0.8,(0.6,0.99))", "betas", (0.8, (0.6, 0.99))),
        ("madam --beta-init 0.7", "beta_init", 0.7),
        ("madam --no-decoupled", "decoupled", False),
        ("lp_adam --p 6 --adam-betas (0.5,0.999)", "p", 6.0),
        ("laprop --adam-eps 1e-9", "eps", 1e-9),
        ("laprop --centered --centered-after 20", "centered_after", 20),
        ("laprop --amsgrad", "amsgrad", True),
        ("laprop --variant paper", "variant", "paper"),
        ("amsprop --no-amsgrad", "amsgrad", False),
    ],
)
def test_options_of_its_own(given, key, value):
    name, *rest = given.split()
    assert make("--optimizer", name, *rest).param_groups[0][key] == value


PAIR = "must be two numbers, as in '(0.9, 0.98)'"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("laprop --adam-betas 0.9", f"Invalid --adam-betas: 0.9, {PAIR}"),
        ("laprop --adam-betas (0.9,", f"Invalid --adam-betas: (0.9,, {PAIR}"),
        ("laprop --adam-betas (0.9,'b')", f"Invalid --adam-betas: (0.9,'b'), {PAIR}"),
        ("laprop --adam-betas (0.9,(0.5,0.98))", f"(0.9,(0.5,0.98)), {PAIR}"),
        ("madam --adam-betas (0.9,(0.5,))", "or bounds of the second, as in '(0.9, (0.5, 0.98))'"),
        ("laprop --adam-betas (0.9,1.5)", "Invalid beta parameter at index 1: 1.5"),
        ("laprop --variant mine", "Invalid variant: mine, must be one of paper, authors"),
        ("padam --partial 0.7", "Invalid partial value: 0.7"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_in_one_sentence(given, message):
    name, *rest = given.split()
    with pytest.raises(ValueError) as refused:
        make("--optimizer", name, *rest)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_value_of_another_kind_and_an_option_of_another_optimizer(capsys):
    for given, message in (
        ("padam --partial much", "argument --partial: invalid float value: 'much'"),
        ("laprop --partial 0.1", "unrecognized arguments: --partial 0.1"),
    ):
        name, *rest = given.split()
        with pytest.raises(SystemExit):
            make("--optimizer", name, *rest)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_state_rate_and_overrides(name):
    optimizer, other = (make("--optimizer", name, recipe=BARE) for _ in range(2))
    for each in optimizer.params:
        each.grad = torch.tensor([1.0, -2.0, 0.0])
    optimizer.set_lr(0.125)
    optimizer.step()
    other.load_state_dict(optimizer.state_dict(), {"lr": 0.5})
    assert (optimizer.get_lr(), other.get_lr()) == (0.125, 0.5)
    torch.testing.assert_close(optimizer.state_dict()["state"], other.state_dict()["state"])
    assert optimizer.supports_flat_params and optimizer.supports_memory_efficient_fp16
