"""The optimizers of `conf/optim/` in fairseq: `fairseq-train … --user-dir fairseq_plugin`.

Each file becomes an `--optimizer` of its name, or of its package and name where fairseq has one of
that name itself: `torch_adam`. Its values are the defaults of the options, so that an optimizer is
the same in both projects. betas and eps are called `--adam-betas` and `--adam-eps`, as in recipes
for fairseq's Adam; lr is fairseq's own `--lr`. Other keys keep their names, with `--no-…` for a
flag that the file sets to true.

fairseq's options are numbers, words, flags and lists of numbers; other keys have no option. A value
that refers to another (`${.lr}`) follows that one and has no option either. An optimizer is refused
when it is chosen, in a sentence that says why,

- if its file has KEY: VALUE pairs (`groups:`, for some of the parameters), since fairseq hands all
  parameters over as one group;
- if it fails to take steps with a matrix and a vector: it is not installed, takes matrices only, or
  needs a closure;
- if it has train() and eval(), which fairseq does not call.
"""

import ast
from collections.abc import Sequence
from dataclasses import make_dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.optim import OPTIMIZER_REGISTRY, FairseqOptimizer, register_optimizer
from omegaconf import II, OmegaConf

from fairseq_plugin.trial import Trial, try_out
from optim.base import ElementwiseOptimizer

CONF = Path(__file__).parents[1] / "conf" / "optim"

# Ours update every element by itself, and keep their state in float32.
OURS = Trial(flat=True, half=True)


class PluggedOptimizer(FairseqOptimizer):
    """The interface that fairseq expects of an optimizer; each registered name is a subclass.

    Attributes:
        settings: what its file says.

    Raises:
        ValueError: an option's value that the class does not allow, or an optimizer that cannot
            train here.
    """

    settings: ClassVar[dict[str, Any]]

    def __init__(self, cfg: Any, params: Any):
        super().__init__(cfg)
        config = self.optimizer_config
        try:
            optimizer_class = locate(self.settings)
            self.trial = (
                OURS if is_ours(optimizer_class) else try_out(partial(optimizer_class, **config))
            )
        except ValueError as error:
            raise ValueError(f"--optimizer {type(self).__name__} cannot train: {error}") from error
        self._optimizer = optimizer_class(params, **config)
        # Ours keep their state in float32 when they load, and on the device of the parameters.
        self._optimizer.disable_mem_eff_fp16_loading_hack = is_ours(optimizer_class)

    @property
    def supports_flat_params(self) -> bool:
        return self.trial.flat

    @property
    def supports_memory_efficient_fp16(self) -> bool:
        return self.trial.half

    @property
    def optimizer_config(self) -> dict[str, Any]:
        """The keyword arguments of the class."""
        lr = self.cfg.lr
        values: dict[str, Any] = {"lr": lr[0] if isinstance(lr, Sequence) else lr}
        for key, default in options_of(self.settings).items():
            value = getattr(self.cfg, option_name(key, default))
            if isinstance(default, list):
                value = read_list(key, value, default)
            values[key] = not value if default is True else value
        resolved: Any = OmegaConf.to_container(
            OmegaConf.create(self.settings | values), resolve=True
        )
        return {key: tuples(value) for key, value in resolved.items() if key[0] != "_"}


def locate(settings: dict[str, Any]) -> Any:
    """The class that a file names.

    Raises:
        ValueError: it is not installed, or the file says more than one group of parameters needs.
    """
    for key, value in settings.items():
        if isinstance(value, dict):
            raise ValueError(f"{key}: fairseq hands all parameters over as one group")
    module, _, name = settings["_target_"].rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(str(error)) from error


def is_ours(optimizer_class: Any) -> bool:
    return isinstance(optimizer_class, type) and issubclass(optimizer_class, ElementwiseOptimizer)


def read_list(key: str, typed: Any, default: list[Any]) -> tuple[Any, ...]:
    """As many numbers as the default has.

    Of MAdam's (α, (β_lo, β_hi)), two numbers, as Adam has, are α and β_hi, with the default's β_lo.
    """
    bounds = isinstance(default[-1], list)
    try:
        values = ast.literal_eval(typed) if isinstance(typed, str) else typed
        if bounds:
            alpha, beta = values
            low, high = beta if isinstance(beta, Sequence) else (default[1][0], beta)
            return float(alpha), (float(low), float(high))
        if len(values) != len(default):
            raise ValueError
        return tuple(None if value is None else float(value) for value in values)
    except (SyntaxError, TypeError, ValueError):
        is_pair = key == "betas" and len(default) == 2
        count = {2: "two", 3: "three"}.get(len(default), len(default))
        allowed = f"{count} numbers, as in '{(0.9, 0.98) if is_pair else tuple(default)}'"
        if bounds:
            allowed += ", or bounds of the second, as in '(0.9, (0.5, 0.98))'"
        flag = option_name(key, default).replace("_", "-")
        raise ValueError(f"Invalid --{flag}: {typed}, must be {allowed}") from None


def tuples(value: Any) -> Any:
    return tuple(map(tuples, value)) if isinstance(value, list) else value


# -- options ---------------------------------------------------------------------------------------


def options_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The keys that can be options, with their defaults."""
    return {
        key: value
        for key, value in settings.items()
        if key[0] != "_" and key != "lr" and is_option(key, value)
    }


def is_option(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return "${" not in value
    if isinstance(value, list):
        return key == "betas" or all(
            item is None or isinstance(item, int | float) for item in value
        )
    return not isinstance(value, dict)


def option_name(key: str, default: Any) -> str:
    if key in ("betas", "eps"):
        return f"adam_{key}"
    # A flag of fairseq's can only change its default.
    return f"no_{key}" if default is True else key


def option(key: str, default: Any) -> tuple[str, Any, Any]:
    """A field of a dataclass, of which fairseq makes an option."""
    if isinstance(default, list):
        return option_name(key, default), Any, str(default)
    if default is True:
        return option_name(key, default), bool, False
    if default is None:
        return key, Optional[float], None  # noqa: UP045 (fairseq reads no other spelling)
    return option_name(key, default), type(default), default


def register(stem: str, settings: dict[str, Any]) -> None:
    """Make an `--optimizer` of what a file says."""
    package = settings["_target_"].partition(".")[0]
    name = f"{package}_{stem}" if stem in OPTIMIZER_REGISTRY else stem
    options = [option(key, default) for key, default in options_of(settings).items()]
    lr = ("lr", list[float], II("optimization.lr"))
    dataclass = make_dataclass(f"{name}_config", [*options, lr], bases=(FairseqDataclass,))
    # fairseq loads a checkpoint into an optimizer whose class has the same name.
    register_optimizer(name, dataclass=dataclass)(
        type(name, (PluggedOptimizer,), {"settings": settings})
    )


def register_all() -> None:
    for path in sorted(CONF.glob("*.yaml")):
        settings: Any = OmegaConf.to_container(OmegaConf.load(path))
        register(path.stem, settings)


register_all()
