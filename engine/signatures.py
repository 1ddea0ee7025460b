"""A config held against the signatures of the classes and functions that it names."""

import functools
import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Union, Unpack, get_args, get_origin

from hydra.errors import HydraException
from torch import Tensor

from engine.checks import BadInput, is_number
from engine.groups import optimizer_parts
from engine.hydra_internals import locate
from engine.texts import shorten, some_of, spell
from tasks.bounds import Bound

# What the run itself gives to a part of its config.
GIVEN = {
    "task": ("seed", "device", "root"),
    "optim": ("params",),
    "schedule": ("optimizer", "total_steps"),
}

# Packages that may be absent, and the extras that bring them.
EXTRAS = {"pytorch_optimizer": "modern", "schedulefree": "modern"}

WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}


def check_signatures(config: Mapping[str, Any]) -> None:
    """Raise BadInput for a key that a class does not take, and for a value of another type."""
    check_part("task", config["task"], GIVEN["task"])
    for key, settings in optimizer_parts(config["optim"]):
        check_part(key, settings, GIVEN["optim"])
    check_part("schedule", config["schedule"], GIVEN["schedule"])
    for name, settings in (config.get("logger") or {}).items():
        check_part(f"logger.{name}", settings)


def check_part(key: str, settings: Any, given: Sequence[str] = ()) -> None:
    """Hold a part of a config, and what is inside it, against what `_target_` names."""
    if not isinstance(settings, dict) or not isinstance(settings.get("_target_"), str):
        target = settings.get("_target_") if isinstance(settings, dict) else settings
        raise BadInput(f"{key}={spell(target)}: must name a class or function by _target_")
    target = find(key, settings["_target_"])
    hints, takes_any = arguments_of(target)
    for name, value in settings.items():
        inside = f"{key}.{name}"
        if name.startswith("_"):  # Hydra's own
            continue
        if name in given:
            raise BadInput(f"{inside}: is given by the run itself; leave it out")
        if name not in hints and not takes_any:
            raise BadInput(f"{inside}={spell(value)}: there is no such key; {names(hints, given)}")
        if isinstance(value, dict) and "_target_" in value:
            check_part(inside, value)
        elif not fits(value, hints.get(name, Any)):
            raise BadInput(f"{inside}={spell(value)}: must be {words(hints[name])}")


def find(key: str, name: str) -> Any:
    try:
        target = locate(name)
    except (HydraException, ImportError, ValueError) as error:
        package = name.partition(".")[0]
        if package in EXTRAS and find_spec(package) is None:
            raise BadInput(
                f"{key}._target_={shorten(name)}: {package} is not installed; "
                f"pip install 'adamily[{EXTRAS[package]}]'"
            ) from error
        raise BadInput(f"{key}._target_={shorten(name)}: cannot be imported") from error
    if not callable(target):
        raise BadInput(f"{key}._target_={shorten(name)}: is no class and no function")
    return target


def names(hints: Mapping[str, Any], given: Sequence[str]) -> str:
    return f"there are {some_of(name for name in hints if name not in given) or 'none'}"


@functools.cache
def arguments_of(target: Any) -> tuple[dict[str, Any], bool]:
    """The arguments by name with their annotations, and whether it takes any others, too.

    Of a class whose constructor takes others, those of its parents are among them, to which it may
    hand them on. It may also leave them unread: which of the two, only making it tells.
    """
    if not isinstance(target, type):
        return annotated(target)
    found, takes_any = annotated(target.__init__)
    for parent in target.__mro__[1:] if takes_any else ():
        hints, more = annotated(parent.__init__)
        found = hints | found
        if not more:
            break
    return found, takes_any


def annotated(function: Any) -> tuple[dict[str, Any], bool]:
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError):  # it says nothing of its arguments
        return {}, True
    named, takes_any = {}, False
    for p in signature.parameters.values():
        hint = hints.get(p.name, Any)
        if p.kind is p.VAR_KEYWORD and get_origin(hint) is Unpack:
            # Of a TypedDict, which names all of them.
            named |= typing.get_type_hints(*get_args(hint))
        elif p.kind is p.VAR_KEYWORD:
            takes_any = True
        elif p.kind is not p.VAR_POSITIONAL and p.name != "self":
            named[p.name] = hint
    return named, takes_any


# -- values and annotations ------------------------------------------------------------------------


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config may stand for what is annotated so; True where unclear."""
    if isinstance(hint, typing.TypeVar) or hint in (Any, object, inspect.Parameter.empty):
        return True
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, inside[0]) and all(bound.holds(value) for bound in bounds_of(hint))
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside and type(value) in {type(one) for one in inside}
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return is_number(value) or value in (float("inf"), float("-inf"))
    if hint in (str, Path):
        return isinstance(value, str)
    if origin is tuple and inside and inside[-1] is not ...:
        alike = isinstance(value, list) and len(value) == len(inside)
        return alike and all(fits(item, one) for item, one in zip(value, inside, strict=True))
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, dict)
    if is_list(kind):
        return isinstance(value, list) and all(fits(v, one) for v in value for one in inside[:1])
    # A function or an object, which only a part of the config with a _target_ makes.
    return False


def bounds_of(hint: Any) -> list[Bound]:
    return [note for note in hint.__metadata__ if isinstance(note, Bound)]


def is_list(kind: Any) -> bool:
    if not isinstance(kind, type) or issubclass(kind, Mapping | Tensor | str):
        return False
    return issubclass(kind, Iterable)


def words(hint: Any) -> str:
    """What a value must be, as a sentence says it."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        said = [bound.text for bound in bounds_of(hint)]
        return ", and ".join(said) or words(inside[0])
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(words(one) for one in inside if one is not Tensor))
    if origin is Literal:
        return f"one of {', '.join(map(str, inside))}"
    if hint in WORDS:
        return WORDS[hint]
    if origin is tuple and inside and inside[-1] is not ...:
        return f"a list of {len(inside)} values: {', '.join(words(one) for one in inside)}"
    if is_list(origin or hint):
        return "a list" + (f", of each item {words(inside[0])}" if inside else "")
    return "KEY: VALUE pairs"
