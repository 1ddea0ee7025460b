"""Every optimizer is there under its name, with its options, as those of fairseq are."""

import itertools
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import RECIPE
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim import OPTIMIZER_REGISTRY, build_optimizer
from omegaconf import OmegaConf

import fairseq_plugin
import optim
from optim.base import ElementwiseOptimizer

OWN = ("adam", "adamax", "sgd", "adafactor", "adagrad", "adadelta", "nag", "lamb")


def registered(stem, file):
    """fairseq's own names stay its own."""
    return f"{file._target_.partition('.')[0]}_{stem}" if stem in OWN else stem


PATHS = sorted(fairseq_plugin.CONF.glob("*.yaml"))
EVERY = {registered(path.stem, file): file for path in PATHS for file in [OmegaConf.load(path)]}


def can_train(name):
    try:
        make("--optimizer", name, recipe=BARE)
    except ValueError:
        return False
    return True


def config(*given, recipe=RECIPE):
    arguments = ["data", *recipe, "--user-dir", "fairseq_plugin", *given]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    return convert_namespace_to_omegaconf(args).optimizer


def make(*given, recipe=RECIPE):
    """The optimizer of a command line, for one parameter."""
    return build_optimizer(config(*given, recipe=recipe), [torch.nn.Parameter(torch.ones(3))])


BARE = ["--arch", "transformer", "--lr", "0.25"]

# Of the others the package may not be installed here, or they are refused: below.
FILES = {name: file for name, file in EVERY.items() if can_train(name)}
NAMES = list(FILES)


def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def test_every_file_is_there_and_every_class_of_optim_and_of_torch_trains():
    assert OPTIMIZER_REGISTRY.keys() >= EVERY.keys()
    trained = {file._target_ for file in FILES.values()}
    classes = set(optim.__all__) - {"Observation", "Observer"}
    assert trained >= {f"optim.{name}" for name in classes}
    single = (file._target_ for file in EVERY.values() if "groups" not in file)
    assert trained >= {target for target in single if target.startswith("torch.")}


def test_names_of_fairseqs_own_stay_its_own():
    for name in OWN:
        assert not issubclass(OPTIMIZER_REGISTRY[name], fairseq_plugin.PluggedOptimizer)
    assert type(make("--optimizer", "torch_adam").optimizer) is torch.optim.Adam
    assert type(make("--optimizer", "torch_adamax").optimizer) is torch.optim.Adamax
    sgd = make("--optimizer", "torch_sgd", "--momentum", "0.5", recipe=BARE)
    assert type(sgd.optimizer) is torch.optim.SGD and sgd.param_groups[0]["momentum"] == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_conf(name):
    optimizer = make("--optimizer", name, recipe=BARE)
    file = OmegaConf.to_container(FILES[name]) | {"lr": 0.25}
    assert type(optimizer.optimizer).__name__ == file.pop("_target_").rpartition(".")[2]
    del file["_partial_"]
    group = optimizer.param_groups[0]
    options = {key for key in file if key in group}
    # A class that counts entries does not keep how many they are to be.
    assert file.keys() - options <= {"entries", "tensors"}
    assert {key: group[key] for key in options} == {key: tuples(file[key]) for key in options}


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
        if len(FILES[name].get("betas", [])) == 2:
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
        ("adamw --no-fused", "fused", False),
        ("amsgrad --no-amsgrad", "amsgrad", False),
        ("nadam --momentum-decay 0.01", "momentum_decay", 0.01),
        ("radam --decoupled-weight-decay", "decoupled_weight_decay", True),
        ("torch_adam --adam-betas (0.5,0.99)", "betas", (0.5, 0.99)),
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


@pytest.mark.parametrize("name", NAMES)
def test_what_it_can_do(name):
    """Torch's keep their state in the parameters' dtype, and only Adafactor sees their shapes."""
    optimizer = make("--optimizer", name, recipe=BARE)
    ours = isinstance(optimizer.optimizer, ElementwiseOptimizer)
    if ours or FILES[name]._target_.startswith("torch."):
        assert optimizer.supports_memory_efficient_fp16 == ours
        assert optimizer.supports_flat_params == (name != "torch_adafactor")


# -- what other files may say ----------------------------------------------------------------------


class Modes(torch.optim.SGD):
    """An optimizer that is told what its weights are used for."""

    def train(self):
        pass

    def eval(self):
        pass


NUMBERS = itertools.count()


@pytest.fixture
def chosen(monkeypatch):
    """`chosen(settings, *options)`: the optimizer of a file that says this."""
    monkeypatch.setitem(sys.modules, "modes", SimpleNamespace(Modes=Modes))

    def make_chosen(settings, *given):
        name = f"chosen_{next(NUMBERS)}"
        fairseq_plugin.register(name, {"_partial_": True, "lr": 0.1} | settings)
        return make("--optimizer", name, *given, recipe=BARE)

    return make_chosen


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"_target_": "torch.optim.Muon"}, "Muon only supports 2D parameters"),
        ({"_target_": "torch.optim.LBFGS"}, "closure"),
        ({"_target_": "modes.Modes"}, "it has train() and eval(), which fairseq does not call"),
        ({"_target_": "nowhere.Adam"}, "No module named 'nowhere'"),
        ({"_target_": "torch.optim.Adan"}, "has no attribute 'Adan'"),
        (
            {"_target_": "torch.optim.AdamW", "groups": {"muon": {"dims": 2}}},
            "groups: fairseq hands all parameters over as one group",
        ),
    ],
)
def test_what_cannot_train_is_refused_in_a_sentence_when_it_is_chosen(chosen, settings, said):
    with pytest.raises(ValueError) as refused:
        chosen(settings)
    message = str(refused.value)
    assert message.startswith("--optimizer ") and " cannot train: " in message
    assert said in message and "\n" not in message


def test_a_value_that_refers_to_another_follows_it(chosen):
    settings = {"_target_": "torch.optim.SGD", "momentum": 0.5, "dampening": "${.momentum}"}
    assert chosen(settings, "--momentum", "0.25").param_groups[0]["dampening"] == 0.25
    with pytest.raises(SystemExit):
        chosen(settings, "--dampening", "0.5")


def test_lists_of_numbers(chosen):
    settings = {"_target_": "torch.optim.Adafactor", "eps": [None, 1e-3], "beta2_decay": -0.8}
    made = chosen(settings)
    assert made.param_groups[0]["eps"] == (None, 1e-3)
    assert not made.supports_flat_params and not made.supports_memory_efficient_fp16
    assert chosen(settings, "--adam-eps", "(1e-9, 0.1)").param_groups[0]["eps"] == (1e-9, 0.1)
    with pytest.raises(ValueError, match=r"--adam-eps: 1e-9, must be two numbers, as in '\(None, "):
        chosen(settings, "--adam-eps", "1e-9")


def test_three_betas():
    assert fairseq_plugin.read_list("betas", "(0.9, 0.8, 0.7)", [0.98, 0.92, 0.99]) == (
        0.9,
        0.8,
        0.7,
    )
    with pytest.raises(ValueError, match=r"must be three numbers, as in '\(0.98, 0.92, 0.99\)'"):
        fairseq_plugin.read_list("betas", "(0.9, 0.98)", [0.98, 0.92, 0.99])
