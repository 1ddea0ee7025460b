"""The flags of `scripts.train`: Hydra's own, those that mean nothing here refused."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from engine import search_path
from engine.checks import BadInput
from engine.config import HELP
from engine.hydra_internals import get_args_parser
from engine.overrides import quoted
from engine.texts import SHOWN, shorten

NOT_HERE = {
    "config_name": "the config is conf/train.yaml; change its keys by KEY=VALUE",
    "config_path": "the config lies in conf/; --config-dir=FOLDER adds YAML files to it",
    "experimental_rerun": "give the run's own command again to go on with it",
}

# Each is a way to use the command, the last three to see something only.
WAYS = ("run", "multirun", "cfg", "info", "shell_completion")
COMPLETION = re.compile("(install|uninstall|query)=(bash|fish|zsh)")


def read_flags(arguments: Sequence[str]) -> argparse.Namespace:
    """What Hydra's parser says of a command line.

    Raises:
        BadInput: a flag is unknown, or has no meaning here or beside another one.
    """
    typed = sentenced(get_args_parser(), HELP).parse_args(arguments)
    for name, instead in NOT_HERE.items():
        if getattr(typed, name) is not None:
            raise BadInput(f"--{name.replace('_', '-')}: cannot be used; {instead}")
    ways = [flag for flag in WAYS if getattr(typed, flag)]
    if len(ways) > 1 and not (typed.help or typed.hydra_help):
        flags = " ".join(f"--{flag.replace('_', '-')}" for flag in ways)
        raise BadInput(f"{flags}: only one of these at a time")
    for name in ("package", "resolve"):
        if getattr(typed, name) and not typed.cfg:
            raise BadInput(f"--{name}: is for --cfg alone")
    if typed.hydra_help and typed.overrides:
        raise BadInput("--hydra-help: is about Hydra alone, and takes no KEY=VALUE")
    if typed.shell_completion and not COMPLETION.fullmatch(" ".join(typed.overrides)):
        raise BadInput("--shell-completion: must have one of install, uninstall and query, =SHELL")
    return typed


def take_config_dirs(arguments: Sequence[str]) -> list[str]:
    """Use the folders of YAML files that a command line names; return the rest of it.

    Raises:
        BadInput: one is not there, or has a file of the same name as another.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    typed, rest = sentenced(parser, HELP).parse_known_args(arguments)
    search_path.use(typed.config_dir)
    return rest


def only_shows(typed: argparse.Namespace) -> bool:
    """Whether a command line asks to see something, and nothing is to be trained."""
    return any(getattr(typed, flag) for flag in ("help", "hydra_help", *WAYS[2:]))


def sentenced(parser: argparse.ArgumentParser, help: str) -> argparse.ArgumentParser:
    """The parser, which says in one sentence what is wrong."""

    def error(message: str) -> NoReturn:
        raise BadInput(f"{shorten(message, 2 * SHOWN)}; {help}")

    parser.error = error  # type: ignore[method-assign]
    return parser


def quote_paths() -> None:
    """Put in quotes, on this process's command line, paths that Hydra would not read as typed."""
    sys.argv[1:] = [quoted(typed) for typed in sys.argv[1:]]
