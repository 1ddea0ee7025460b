"""The optimizers of `optim` in fairseq: `fairseq-train … --user-dir fairseq_plugin`.

Each file of `conf/optim/` that is about a class of `optim` becomes an `--optimizer` of that name.
Its values are the defaults of the options, so that an optimizer is the same here and there. betas
and eps are called `--adam-betas` and `--adam-eps`, as in recipes for fairseq's Adam; lr is
fairseq's own `--lr`. All else is called as in the file, or `--no-…` where it switches off what the
file switches on.
"""

import ast
from collections.abc import Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II, OmegaConf

import optim

CONF = Path(__file__).parents[1] / "conf" / "optim"


class PluggedOptimizer(FairseqOptimizer):
    """What fairseq asks of an optimizer; each name that is registered is a subclass.

    Attributes:
        rule: the class of `optim`.
        defaults: its keyword arguments, without lr.

    Raises:
        ValueError: an option's value that the rule does not allow.
    """

    rule: ClassVar[type]
    defaults: ClassVar[dict[str, Any]]

    # Every element is updated by itself, and half precision in float32.
    supports_flat_params = True
    supports_memory_efficient_fp16 = True

    def __init__(self, cfg: Any, params: Any):
        super().__init__(cfg)
        self._optimizer = self.rule(params, **self.optimizer_config)
        # It keeps its state in float32 when it loads, and on the device of the parameters.
        self._optimizer.disable_mem_eff_fp16_loading_hack = True

    @property
    def optimizer_config(self) -> dict[str, Any]:
        """The keyword arguments of the rule."""
        lr = self.cfg.lr
        config = {"lr": lr[0] if isinstance(lr, Sequence) else lr}
        for key, default in self.defaults.items():
            value = getattr(self.cfg, option_name(key, default))
            if key == "betas":
                value = read_betas(value, default)
            config[key] = not value if default is True else value
        return config


def read_betas(given: Any, default: list[Any]) -> tuple[Any, Any]:
    """Two numbers; for MAdam's (α, (β_lo, β_hi)), Adam's two are α and β_hi, β_lo the default's."""
    try:
        alpha, beta = ast.literal_eval(given) if isinstance(given, str) else given
        if not isinstance(default[1], list):
            return float(alpha), float(beta)
        low, high = beta if isinstance(beta, Sequence) else (default[1][0], beta)
        return float(alpha), (float(low), float(high))
    except (SyntaxError, TypeError, ValueError):
        allowed = "two numbers, as in '(0.9, 0.98)'"
        if isinstance(default[1], list):
            allowed += ", or bounds of the second, as in '(0.9, (0.5, 0.98))'"
        raise ValueError(f"Invalid --adam-betas: {given}, must be {allowed}") from None


def option_name(key: str, default: Any) -> str:
    if key in ("betas", "eps"):
        return f"adam_{key}"
    # A flag of fairseq's can only change its default.
    return f"no_{key}" if default is True else key


def option(key: str, default: Any) -> tuple[str, Any, Any]:
    """A field of a dataclass, of which fairseq makes an option."""
    if key == "betas":
        return option_name(key, default), Any, str(default)
    if default is True:
        return option_name(key, default), bool, False
    if default is None:
        return key, Optional[float], None  # noqa: UP045 (fairseq reads no other spelling)
    return option_name(key, default), type(default), default


def register(name: str, rule: type, defaults: dict[str, Any]) -> None:
    options = [option(key, default) for key, default in defaults.items()]
    lr = ("lr", list[float], II("optimization.lr"))
    dataclass = make_dataclass(f"{name}_config", [*options, lr], bases=(FairseqDataclass,))
    # fairseq loads a checkpoint into an optimizer whose class has the same name.
    plugged = type(name, (PluggedOptimizer,), {"rule": rule, "defaults": defaults})
    register_optimizer(name, dataclass=dataclass)(plugged)


def register_all() -> None:
    for path in sorted(CONF.glob("*.yaml")):
        settings: Any = OmegaConf.to_container(OmegaConf.load(path))
        room, _, rule = settings["_target_"].rpartition(".")
        if room == "optim":
            defaults = {k: v for k, v in settings.items() if k[0] != "_" and k != "lr"}
            register(path.stem, getattr(optim, rule), defaults)


register_all()
