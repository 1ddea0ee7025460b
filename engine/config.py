"""From typed overrides to a checked config, with one clear sentence where something is wrong."""

import functools
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from engine import search_path
from engine.checks import BadInput, check_values
from engine.groups import check_groups
from engine.hydra_internals import (
    ConfigRepository,
    Hydra,
    OverrideType,
    SearchPathQuery,
    create_config_search_path,
    get_gh_backup,
    restore_gh_from_backup,
    setbase,
)
from engine.make import check_classes
from engine.overrides import is_added, is_hydras, parts_of, read_override
from engine.signatures import GIVEN_BY_RUN, arguments_of, check_signatures, find_target
from engine.texts import SHOWN, asked, closest, did_you_mean, shorten, some_of, spell
from engine.yaml_files import YamlError, read_yaml

# Parts of a config that may hold more than its YAML does.
OPEN_PARTS = ("task", "optim", "schedule", "logger", "hydra")

# A run has exactly one choice from each of these groups, by which its record is named.
SINGLE_GROUPS = ("task", "optim", "schedule")
# From these it may have several.
LIST_GROUPS = ("logger",)

# The name under which Hydra knows the folders that are searched besides conf/.
CONFIG_DIR_PROVIDER = "adamily"

HELP = "see python -m scripts.train --help"


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved and checked config of one run, as plain containers.

    `names` in it holds the names of the task, the optimizer and the schedule that were chosen.

    Args:
        overrides: as typed.

    Raises:
        BadInput: an unknown name or key, or a value that is not allowed.
    """
    config = resolve_and_check(compose_unresolved(overrides), {}, overrides)
    check_classes(config)
    return config


@contextmanager
def hydra_of() -> Iterator[Hydra]:
    """Hydra with the YAML files of all folders."""
    before = get_gh_backup()
    setbase("1.3")
    paths = create_config_search_path(str(search_path.CONF))
    for folder in search_path.others():
        paths.append(CONFIG_DIR_PROVIDER, f"file://{folder}", SearchPathQuery(provider="main"))
    try:
        yield Hydra.create_main_hydra2("train", paths)
    finally:
        restore_gh_from_backup(before)


@dataclass(frozen=True)
class Composed:
    """What Hydra composes, with interpolations still in it, and the names that were chosen.

    Attributes:
        pickled: a DictConfig, which is copied several times faster this way than by deepcopy.
    """

    pickled: bytes
    choices: Mapping[str, str]


def compose_unresolved(overrides: Sequence[str]) -> Composed:
    try:
        cfg = compose_by_hydra(overrides)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(unreadable(error)) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise BadInput(explain(error, overrides)) from error
    run = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    check_closed(run)
    # The copy lost what refuses unknown keys.
    OmegaConf.set_struct(run, True)
    return Composed(pickle.dumps(run), dict(cfg.hydra.runtime.choices))


def compose_by_hydra(overrides: Sequence[str]) -> DictConfig:
    """What Hydra composes, its own part with it."""
    with hydra_of() as hydra:
        check_overrides(overrides, hydra)
        return hydra.compose_config(
            "train",
            list(overrides),
            RunMode.RUN,
            from_shell=False,
            with_log_configuration=False,
        )


def resolve_and_check(
    composed: Composed, values: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Set some dotted keys in a copy of what was composed, resolve it and check its values."""
    config = resolve(composed, values, overrides)
    check_resolved(config)
    check_signatures(config)
    return config


def resolve(
    composed: Composed, values: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Set some dotted keys in a copy of what was composed, and resolve it."""
    try:
        cfg = pickle.loads(composed.pickled)
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
        return resolved(cfg, composed.choices)
    except (OmegaConfBaseException, ValueError) as error:
        raise BadInput(explain(error, overrides)) from error


def check_resolved(config: dict[str, Any]) -> None:
    """Check a config's values, but for what classes take, which must be imported to be asked."""
    for group, name in config["names"].items():
        if name is None:
            raise BadInput(f"{group} is missing: {choices_hint(group, '', names(group))}")
    check_values(config)
    check_groups(config["optim"])


def check_closed(run: DictConfig) -> None:
    """Refuse keys that nothing reads, which KEY={…} has added to a part."""
    for part, values in run.items_ex(resolve=False):
        closed = any(key.startswith(f"{part}.") for key in known_keys())
        if not closed or not isinstance(values, DictConfig):
            continue
        for key in values:
            if f"{part}.{key}" not in known_keys():
                full_key = f"{part}.{shorten(str(key))}"
                hint = asked(closest_key(full_key, sorted(known_keys())))
                raise BadInput(f"{full_key}: there is no such key{hint}; {HELP}")


def check_overrides(overrides: Sequence[str], hydra: Hydra) -> None:
    """Raise BadInput as `check_override` does, for the first that it refuses."""
    repository = ConfigRepository(hydra.config_loader.get_search_path())
    for typed in overrides:
        check_override(typed, repository)


def check_override(typed: str, repository: ConfigRepository) -> None:
    """Refuse what Hydra would accept without doing what it looks like.

    Raises:
        BadInput: the choice of a file is no plain name, nothing reads the key, or it is not for a
            run to set.
    """
    override = read_override(typed)
    key, shown = override.key_or_group, shorten(typed)
    if is_hydras(typed):
        check_hydras(typed)
    if re.fullmatch(r"_(?!target_)\w+_", key.rpartition(".")[2]):
        raise BadInput(f"{shown}: {key} is not for a command line")
    if override.type == OverrideType.ADD and key in known_keys():
        raise BadInput(f"{shown}: {key} is there already; write {key}=VALUE")
    # A key may only be added to a part that is passed to a class, which checks it.
    if is_added(override) and key not in known_keys() and not parts_of(override) <= {*OPEN_PARTS}:
        hint = asked(closest_key(key, sorted(known_keys())))
        raise BadInput(f"{shown}: there is no key {shorten(key)}{hint}; {HELP}")
    options = [n for n in repository.get_group_options(key) if not search_path.is_stray(n)]
    if options and is_added(override) and override.package is None and key not in LIST_GROUPS:
        raise BadInput(f"{shown}: write {key}=NAME; {choices_hint(key, '', options)}")
    if options and override.is_delete():
        if key in SINGLE_GROUPS:
            raise BadInput(f"{shown}: a run has one {key}; {choices_hint(key, '', options)}")
    elif options and not override.is_sweep_override():
        value = override.value()
        if isinstance(value, list) and key not in LIST_GROUPS:
            raise BadInput(f"{shown}: must be one name; {choices_hint(key, '', options)}")
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or name not in options:
                raise BadInput(unknown(key, spell(name), options))


def check_hydras(typed: str) -> None:
    """Raise BadInput unless an override of Hydra itself is about its launchers."""
    override = read_override(typed)
    key = override.key_or_group
    if override.is_delete() or not (key == "hydra/launcher" or key.startswith("hydra.launcher.")):
        raise BadInput(
            f"{shorten(typed)}: of Hydra's own keys, only hydra/launcher=NAME and "
            f"hydra.launcher.KEY=VALUE are for a command line (-m sweeps, paths.runs is the folder)"
        )
    if key.endswith("._target_"):
        raise BadInput(f"{shorten(typed)}: choose a launcher by hydra/launcher=NAME")


@functools.cache
def known_keys() -> frozenset[str]:
    """The keys of `conf/train.yaml`, nested ones with dots."""
    defaults = read_yaml(search_path.CONF / "train.yaml")
    own = {key: value for key, value in defaults.items() if key not in ("defaults", "hydra")}
    return frozenset(dotted(own))


def dotted(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a dictionary and of those inside it, with dots."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")


def default_choice(group: str) -> str:
    """The choice of `conf/train.yaml` from one of Hydra's own groups, such as hydra/launcher."""
    entries = read_yaml(search_path.CONF / "train.yaml")["defaults"]
    return next(entry[f"override {group}"] for entry in entries if f"override {group}" in entry)


def resolved(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """The config as plain containers, interpolations resolved, without Hydra's own part."""
    config: dict[str, Any] = {
        str(key): OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key, node in ((key, cfg[key]) for key in cfg if key != "hydra")
    }
    config["names"] = {group: choices.get(group) for group in SINGLE_GROUPS}
    return config


def names(group: str) -> list[str]:
    """The names that can be typed for a group such as "task", "optim" or "study"."""
    depth = 2 if group == "study" else 1
    paths = [
        path.relative_to(folder / group).with_suffix("")
        for folder in search_path.folders()
        for path in search_path.yaml_files(folder / group)
    ]
    return sorted(str(name) for name in paths if len(name.parts) == depth)


# -- Hydra's errors, in one sentence ---------------------------------------------------------------


def explain(error: Exception, overrides: Sequence[str]) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return unknown(group, name, error.options or names(group))
    text = f"{error}\n{error.__cause__ or ''}"
    if ambiguous := re.search(r"Ambiguous value for argument '(.*)'", text):
        return (
            f"{shorten(ambiguous[1])}: must be one value; several are for python -m scripts.train "
            "-m, and a list is written 'KEY=[A,B]'"
        )
    if existing := re.search(r"An item is already at '(.*)'", text):
        return f"+{existing[1]}: is there already; write {existing[1]}=VALUE"
    full_key = re.search(r"full_key: (\S+)", text)
    if full_key and re.search(r"Key '\S+' (is not in struct|not in)", text):
        key = full_key[1]
        matching = [
            typed for typed in overrides if read_override(typed).key_or_group.startswith(key)
        ]
        if not matching:
            return f"{shorten(key)}: there is no key {shorten(key)}; {HELP}"
        hint = asked(meant_key(read_override(matching[0]).key_or_group, overrides))
        return f"{shorten(matching[0])}: there is no key {shorten(key)}{hint}; {HELP}"
    messages = [message for message in (str(error), str(error.__cause__ or "")) if message]
    sentence = ": ".join(" ".join(message.split("\n")[0].split()) for message in messages)
    return f"{full_key[1]}: {sentence}" if full_key and full_key[1] not in sentence else sentence


def meant_key(key: str, overrides: Sequence[str]) -> str:
    """How the key is written that a wrong one was probably meant to be; "" where none is like it.

    Args:
        key: there is none of this name in a run with these overrides.
        overrides: as typed, of which those that choose files say which keys there are.
    """
    choices = [typed for typed in overrides if read_override(typed).key_or_group in SINGLE_GROUPS]
    if len(choices) == len(overrides):  # one of them is what is wrong
        return ""
    try:
        composed = compose_unresolved(choices)
    except BadInput:
        return ""
    config = OmegaConf.to_container(pickle.loads(composed.pickled))
    assert isinstance(config, dict)
    written = {name: name for name in dotted(config)}
    for part in SINGLE_GROUPS:
        for name in unwritten_arguments(part, config[part]):
            written[f"{part}.{name}"] = f"+{part}.{name}"
    return written.get(closest_key(key, written), "")


def unwritten_arguments(part: str, settings: Any) -> list[str]:
    """Arguments of the class of a part of the config that its YAML does not have."""
    try:
        hints, _ = arguments_of(find_target(part, settings["_target_"]))
    except (BadInput, KeyError, TypeError):
        return []
    return [name for name in hints if name not in settings and name not in GIVEN_BY_RUN[part]]


def closest_key(key: str, keys: Iterable[str]) -> str:
    """The key that a wrong one was probably meant to be; "" where none is like it.

    It has the same name in another part, or is beside the wrong one and spelt much like it.
    """
    parent, _, name = key.rpartition(".")
    parts: dict[str, dict[str, str]] = {}
    for known in keys:
        known_parent, _, known_name = known.rpartition(".")
        parts.setdefault(known_parent, {})[known_name] = known
    beside = parts.get(parent) or parts.get(closest(parent, parts), {})
    same_name = [part[name] for part in (beside, *parts.values()) if name in part]
    return same_name[0] if same_name else beside.get(closest(name, beside), "")


def unreadable(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """What is wrong with the YAML file that Hydra could not read; its error may not say which."""
    mark = getattr(error, "problem_mark", None)
    paths = (path for folder in search_path.folders() for path in search_path.yaml_files(folder))
    for path in [Path(mark.name)] if mark else paths:
        try:
            read_yaml(path)
        except YamlError as yaml_error:
            return str(yaml_error)
    return " ".join(str(error).split())


def unknown(group: str, name: str, allowed: Sequence[str]) -> str:
    choice = f"{group}={shorten(name, SHOWN // 2)}"  # beside a list of names
    meant = did_you_mean(name, allowed)
    hint = choices_hint(group, name, allowed)
    return f"{choice}: there is no such {group.rpartition('/')[2]}{meant}; {hint}"


def choices_hint(group: str, name: str, allowed: Sequence[str]) -> str:
    hint = f"choose one of {some_of(allowed, name)}"
    plurals = {"task": "tasks", "optim": "optims", "study": "studies", "suite": "suites"}
    if group in plurals and hint.endswith("others"):
        hint += f"; python -m scripts.list {plurals[group]} shows them"
    return hint
