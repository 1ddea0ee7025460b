"""KEY=VALUE as it is typed, parsed by Hydra's own parser: every command parses it here."""

import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException

from engine.checks import MOST_RUNS, BadInput
from engine.hydra_internals import (
    ChoiceSweep,
    FloatRange,
    Override,
    OverridesParser,
    OverrideType,
    RangeSweep,
)
from engine.texts import hydra_text, shorten

MOST_BRACKETS = 100
LONGEST_KEY = 200


def read_override(typed: str) -> Override:
    """Parse one override.

    Raises:
        BadInput: it cannot be read.
    """
    return _read_override(typed)


@functools.lru_cache(maxsize=4096)
def _read_override(typed: str) -> Override:
    if not typed.isprintable():
        raise BadInput(f"{shorten(typed)}: holds a character that cannot be printed")
    try:
        if max(map(typed.count, "[{(")) > MOST_BRACKETS:
            raise ValueError("its parser takes minutes")
        override = OverridesParser.create().parse_override(typed)
        if 0 < len(override.key_or_group) <= LONGEST_KEY:
            return override
        raise ValueError("its key is none")
    except (HydraException, ValueError, RecursionError) as error:
        raise BadInput(
            f"{shorten(typed)}: cannot be read; write KEY=VALUE, and symbols in quotes, as in "
            "KEY=\"'a, b'\""
        ) from error


def name_of(override: Override) -> str:
    """Its key: optim.lr, or the group that a file is chosen from with its package: optim@task.x."""
    package = f"@{override.package}" if override.package else ""
    return override.key_or_group + package


def parts_of(override: Override) -> set[str]:
    """The parts of a config that it changes: {"task"} for task.steps=2, both for optim@task.x."""
    return {re.split(r"[./]", key, maxsplit=1)[0] for key in name_of(override).split("@")}


def is_change(override: Override) -> bool:
    """Whether it is written without +, ++ and ~."""
    return override.type == OverrideType.CHANGE


def is_added(override: Override) -> bool:
    """Whether it is written with + or ++."""
    return override.type in (OverrideType.ADD, OverrideType.FORCE_ADD)


def is_hydras(typed: str) -> bool:
    """Whether it is about Hydra itself, as hydra/launcher=… is."""
    return "hydra" in parts_of(read_override(typed))


def given(typed: Iterable[str], key: str) -> list[Override]:
    """The overrides that set a key or something inside it; the last one counts."""
    overrides = map(read_override, typed)
    return [o for o in overrides if o.key_or_group == key or o.key_or_group.startswith(f"{key}.")]


def quoted(typed: str) -> str:
    """An override of paths.… with its path in quotes, unless Hydra reads that as one text anyway.

    Whatever is no such override stays as it is.
    """
    key, _, path = typed.partition("=")
    if not key.startswith("paths.") or not path:
        return typed
    with suppress(BadInput):
        override = read_override(typed)
        if not override.is_sweep_override() and isinstance(override.value(), str | None):
            return typed
    return f"{key}={hydra_text(path)}"


# -- the keys of a command that is not a Hydra app -------------------------------------------------


def settings(
    typed: Sequence[str], defaults: Mapping[str, Any], command: str
) -> tuple[dict[str, Any], list[str]]:
    """The values of a command's own keys, and the other overrides.

    Raises:
        BadInput: something is not KEY=VALUE, or a key of the command is given twice, or in another
            form than KEY=VALUE with one value, which may be a dict where the default is one.
    """
    values: dict[str, Any] = dict(defaults)
    seen: set[str] = set()
    other_overrides = []
    for text in typed:
        if text.startswith("-") or ("=" not in text and not text.startswith("~")):
            raise BadInput(f"{shorten(text)}: write KEY=VALUE; see {command} --help")
        override = read_override(text)
        key = override.key_or_group
        if key not in defaults:
            other_overrides.append(text)
            continue
        if not is_change(override) or override.package is not None:
            raise BadInput(f"{shorten(text)}: write {key}=VALUE; see {command} --help")
        value = None if override.is_sweep_override() else override.value()
        may_be = dict if isinstance(defaults[key], dict) else ()
        several = isinstance(value, list | dict) and not isinstance(value, may_be)
        if several or override.is_sweep_override():
            raise BadInput(f"{shorten(text)}: must be one value; quote one that holds symbols")
        if key in seen:
            raise BadInput(f"{shorten(text)}: {key} is given twice")
        seen.add(key)
        values[key] = value
    return values, other_overrides


def only_settings(
    typed: Sequence[str], defaults: Mapping[str, Any], command: str
) -> dict[str, Any]:
    """The values of a command's own keys, for a command that takes no others.

    Raises:
        BadInput: as `settings`, and for any other key.
    """
    values, other_overrides = settings(typed, defaults, command)
    if other_overrides:
        shown = shorten(other_overrides[0])
        raise BadInput(f"{shown}: must be one of {', '.join(defaults)}, as KEY=VALUE")
    return values


# -- several runs of one command line --------------------------------------------------------------


def expand(typed: Sequence[str], loader: ConfigLoader, multirun: bool) -> list[list[str]]:
    """The overrides of each run that a command line asks for.

    With `multirun`, they are as Hydra's own sweeper makes them, without overrides of Hydra itself.

    Raises:
        BadInput: the values of a key cannot be counted, or there are none, or too many.
    """
    if not multirun:
        return [[*typed]]
    choices_by_key: dict[str, list[str]] = {}
    run_count = 1
    for text in typed:
        override = read_override(text)
        if is_hydras(text):
            continue
        element = override.get_key_element()
        if not override.is_sweep_override():
            choices_by_key[element] = [text]
            continue
        run_count *= value_count(override, text, loader)
        if run_count > MOST_RUNS:
            raise BadInput(f"{shorten(text)}: asks for {run_count:,} runs; at most {MOST_RUNS:,}")
        # Written as Hydra's own sweeper writes them.
        values = values_of(override, text, loader)
        choices_by_key[element] = [f"{element}={value}" for value in values]
    return [list(run) for run in itertools.product(*choices_by_key.values())]


def value_count(override: Override, text: str, loader: ConfigLoader) -> int:
    """How many values an override of several has, without a list of them."""
    if not override.is_discrete_sweep():
        raise BadInput(
            f"{shorten(text)}: has no end of values; list some, as in KEY=1,2 or 'KEY=range(0,3)'"
        )
    sweep = override._value
    if isinstance(sweep, RangeSweep):
        number = range_length(sweep, text)
    elif isinstance(sweep, ChoiceSweep):
        if any(isinstance(value, RangeSweep | ChoiceSweep) for value in sweep.list):
            raise BadInput(f"{shorten(text)}: values are single ones, or one range")
        number = len(sweep.list)
    else:
        number = len(values_of(override, text, loader))
    if not number:
        raise BadInput(f"{shorten(text)}: there is no such value")
    return number


def range_length(sweep: RangeSweep, text: str) -> int:
    try:
        values = sweep.range()
        if not isinstance(values, FloatRange):
            return len(values)
        first, end, step = map(Decimal, (values.start, values.stop, values.step))
        return max(0, math.ceil((end - first) / step))
    except (ArithmeticError, ValueError) as error:
        raise BadInput(f"{shorten(text)}: write range(FIRST, END, STEP) with a STEP") from error


def values_of(override: Override, text: str, loader: ConfigLoader) -> list[str]:
    try:
        return list(replace(override, config_loader=loader).sweep_string_iterator())
    except (HydraException, ValueError) as error:
        raise BadInput(f"{shorten(text)}: {' '.join(str(error).split())}") from error
