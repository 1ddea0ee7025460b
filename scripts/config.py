"""From what was typed to a checked config, with one clear sentence where something is wrong."""

import copy
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from results.yaml_files import YamlError, read_yaml
from scripts.checks import BadInput, check_values

CONF = Path(__file__).resolve().parents[1] / "conf"

# Parts of a config that may hold more than its YAML does.
OPEN_PARTS = ("task", "optim", "schedule", "logger", "hydra")


def compose(overrides: list[str]) -> dict[str, Any]:
    """The resolved and checked config of one run, as plain containers.

    `names` in it holds the names of the task, the optimizer and the schedule that were chosen.

    Raises:
        BadInput: an unknown name or key, or a value that is not allowed.
    """
    config = settle(compose_unresolved(overrides), {}, overrides)
    check_classes(config)
    return config


@dataclass(frozen=True)
class Composed:
    """What Hydra composes, with interpolations still in it, and the names that were chosen.

    Attributes:
        pickled: a DictConfig, which is copied several times faster this way than by deepcopy.
    """

    pickled: bytes
    choices: Mapping[str, str]


def compose_unresolved(overrides: Sequence[str]) -> Composed:
    refuse_new_keys(overrides)
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose("train", overrides=list(overrides), return_hydra_config=True)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(unreadable(error)) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise BadInput(explain(error, overrides)) from error
    run = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    # The copy lost what refuses unknown keys.
    OmegaConf.set_struct(run, True)
    return Composed(pickle.dumps(run), dict(cfg.hydra.runtime.choices))


def settle(
    composed: Composed, values: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Set some dotted keys in a copy of what was composed, resolve it and check its values."""
    try:
        cfg = pickle.loads(composed.pickled)
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
        config = resolved(cfg, composed.choices)
    except (OmegaConfBaseException, ValueError) as error:
        raise BadInput(explain(error, overrides)) from error
    for group, name in config["names"].items():
        if name is None:
            raise BadInput(f"{group} is missing: choose one of {', '.join(names(group))}")
    check_values(config)
    return config


def refuse_new_keys(overrides: Iterable[str]) -> None:
    """A key that is added must lie in a part that is handed to a class, which will check it."""
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        if override.startswith("+") and key.split(".")[0] not in OPEN_PARTS:
            raise BadInput(f"{override}: there is no key {key}; see python -m scripts.train --help")


def resolved(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """Plain containers without interpolations, without Hydra's own part."""
    config: dict[str, Any] = {
        str(key): OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key, node in ((key, cfg[key]) for key in cfg if key != "hydra")
    }
    config["names"] = {group: choices.get(group) for group in ("task", "optim", "schedule")}
    return config


def names(group: str) -> list[str]:
    """The names that can be typed for a group such as "task", "optim" or "study".

    What editors and file systems leave beside the files (`.#x.yaml`, `._x.yaml`) has none.
    """
    folder = CONF / group
    depth = "*/*.yaml" if group == "study" else "*.yaml"
    paths = [path for path in folder.glob(depth) if path.name[0] not in ".#"]
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in paths)


# -- what Hydra says, in one sentence --------------------------------------------------------------


def explain(error: Exception, overrides: Iterable[str]) -> str:
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read; write KEY=VALUE, and quote a value with symbols"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return unknown(group, name, error.options or names(group))
    text = f"{error}\n{error.__cause__ or ''}"
    if several := re.search(r"Ambiguous value for argument '(.*)'", text):
        return (
            f"{several[1]}: must be one value; several are for python -m scripts.train -m, "
            "and a list is written [A,B]"
        )
    if "Config group override must be" in text:  # as in optim=3: Hydra does not say which
        for override in overrides:
            group, _, name = override.partition("=")
            if group and (CONF / group).is_dir() and name not in names(group):
                return unknown(group, name, names(group))
    full = re.search(r"full_key: (\S+)", text)
    if full and re.search(r"Key '\S+' (is not in struct|not in)", text):
        typed = next((o for o in overrides if o.lstrip("+~").startswith(full[1])), full[1])
        return f"{typed}: there is no key {full[1]}; see python -m scripts.train --help"
    reasons = [line for line in (str(error), str(error.__cause__ or "")) if line]
    sentence = ": ".join(" ".join(reason.split("\n")[0].split()) for reason in reasons)
    return f"{full[1]}: {sentence}" if full and full[1] not in sentence else sentence


def unreadable(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """What is wrong with the file of conf/ that Hydra could not read; it may not say which."""
    mark = getattr(error, "problem_mark", None)
    for path in [Path(mark.name)] if mark else sorted(CONF.rglob("*.yaml")):
        try:
            read_yaml(path)
        except YamlError as found:
            return str(found)
    return " ".join(str(error).split())


def unknown(group: str, name: str, allowed: Iterable[str]) -> str:
    return f"{group}={name}: there is no such {group}; choose one of {', '.join(sorted(allowed))}"


# -- from config to objects ------------------------------------------------------------------------


def make_task(config: dict[str, Any], device: Any) -> Any:
    """The task of a run.

    Raises:
        tasks.sources.DataError: it needs its data at once, and they are not what the config says.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from tasks.sources import DataError

    root = Path(config["paths"]["data"])
    try:
        return instantiate(
            copy.deepcopy(config["task"]),
            seed=config["seed"],
            device=device,
            root=root,
            _convert_="all",
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        raise


def make_optimizer(config: dict[str, Any], parameters: Iterable[Any]) -> Any:
    from hydra.utils import instantiate

    from scripts.startup import defer_compiler

    defer_compiler()
    return instantiate(config["optim"], _convert_="all")(parameters)


def make_loggers(config: dict[str, Any]) -> list[Any]:
    """The loggers, not started."""
    from hydra.utils import instantiate

    chosen = (config.get("logger") or {}).values()
    return [instantiate(logger, _convert_="all") for logger in chosen]


def make_schedule(config: dict[str, Any], optimizer: Any, total_steps: int) -> Any:
    from hydra.utils import instantiate

    return instantiate(config["schedule"], _convert_="all")(optimizer, total_steps)


# -- held against the classes that it names --------------------------------------------------------


def check_classes(config: dict[str, Any]) -> None:
    """Make all that a run is made of: the task without memory, the optimizer for one parameter."""
    import torch
    from hydra.errors import InstantiationException

    chosen = config["names"]
    part = f"task={chosen['task']}"
    try:
        task = make_task(config, torch.device("meta"))
        part = f"optim={chosen['optim']}"
        optimizer = make_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
        part = f"schedule={chosen['schedule']}"
        make_schedule(config, optimizer, task.steps)
        part = "logger"
        make_loggers(config)
    except (InstantiationException, TypeError, ValueError) as error:
        reason = error.__cause__ or error
        raise BadInput(f"{part}: {' '.join(str(reason).split())}") from error
