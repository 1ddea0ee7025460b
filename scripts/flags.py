"""The flags of `scripts.train`: Hydra's own, those that mean nothing here refused."""

import argparse
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

from engine import search_path
from engine.checks import BadInput
from engine.config import HELP, OPEN_PARTS, known_keys
from engine.hydra_internals import get_args_parser
from engine.overrides import quoted, read_override
from engine.texts import SHOWN, asked, closest, shorten

NOT_HERE = {
    "config_name": "the config is conf/train.yaml; change its keys by KEY=VALUE",
    "config_path": "the config lies in conf/; --config-dir=FOLDER adds YAML files to it",
    "experimental_rerun": "give the run's own command again to go on with it",
}

# Flags that choose what the command does; with the last three it only shows something.
MODES = ("run", "multirun", "cfg", "info", "shell_completion")
COMPLETION = re.compile("(install|uninstall|query)=(bash|fish|zsh)")


def read_flags(arguments: Sequence[str]) -> argparse.Namespace:
    """What Hydra's parser says of a command line.

    Raises:
        BadInput: a flag is unknown, or has no meaning here or beside another one.
    """
    flags = with_short_errors(get_args_parser(), HELP).parse_args(arguments)
    for name, instead in NOT_HERE.items():
        if getattr(flags, name) is not None:
            raise BadInput(f"--{name.replace('_', '-')}: cannot be used; {instead}")
    modes = [flag for flag in MODES if getattr(flags, flag)]
    if len(modes) > 1 and not (flags.help or flags.hydra_help):
        listed = " ".join(f"--{flag.replace('_', '-')}" for flag in modes)
        raise BadInput(f"{listed}: only one of these at a time")
    for name in ("package", "resolve"):
        if getattr(flags, name) and not flags.cfg:
            raise BadInput(f"--{name}: is for --cfg alone")
    if flags.hydra_help and flags.overrides:
        raise BadInput("--hydra-help: is about Hydra alone, and takes no KEY=VALUE")
    if flags.shell_completion and not COMPLETION.fullmatch(" ".join(flags.overrides)):
        raise BadInput("--shell-completion: must have one of install, uninstall and query, =SHELL")
    return flags


def take_config_dirs(arguments: Sequence[str]) -> list[str]:
    """Add the folders of --config-dir to the search path; return the other arguments.

    Raises:
        BadInput: one is not there, or has a file of the same name as another.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    flags, rest = with_short_errors(parser, HELP).parse_known_args(arguments)
    search_path.use(flags.config_dir)
    return rest


def check_own_keys(others: Iterable[str], own: Collection[str], command: str) -> None:
    """Refuse overrides that are a misspelt key of the command itself, and no key of a run.

    Args:
        others: overrides that go to runs.
        own: the command's keys.
        command: as it is typed.

    Raises:
        BadInput: names the key that was probably meant.
    """
    keys = [*own, *known_keys(), *OPEN_PARTS]
    for typed in others:
        key = read_override(typed).key_or_group
        meant = closest(key, keys)
        if "." not in key and key not in keys and meant in own:
            shown = f"{shorten(typed)}: there is no key {shorten(key)}"
            raise BadInput(f"{shown}{asked(meant)}; see {command} --help")


def only_shows(flags: argparse.Namespace) -> bool:
    """Whether a command line only asks to see something, without training."""
    return any(getattr(flags, flag) for flag in ("help", "hydra_help", *MODES[2:]))


def with_short_errors(parser: argparse.ArgumentParser, hint: str) -> argparse.ArgumentParser:
    """The same parser, whose errors are BadInput with one sentence, which ends with the hint."""

    def error(message: str) -> NoReturn:
        raise BadInput(f"{shorten(message, 2 * SHOWN)}; {hint}")

    parser.error = error  # type: ignore[method-assign]
    return parser


def quote_paths() -> None:
    """Put in quotes, on this process's command line, paths that Hydra would not read as typed."""
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
