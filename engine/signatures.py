"""Checks a config against the signatures of the classes and functions that it names."""

import functools
import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Union, Unpack, get_args, get_origin

from hydra.errors import HydraException

from engine.checks import BadInput, is_number
from engine.groups import optimizer_parts
from engine.hydra_internals import locate
from engine.texts import asked, closest, shorten, some_of, spell
from tasks.bounds import Bound

# Arguments that the run itself passes to the classes of these parts.
GIVEN_BY_RUN = {
    "task": ("seed", "device", "root"),
    "optim": ("params",),
    "schedule": ("optimizer", "total_steps"),
}

# Packages that may be absent, and the extras that install them.
EXTRAS = {"pytorch_optimizer": "modern", "schedulefree": "modern"}

DESCRIPTIONS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}


def check_signatures(config: Mapping[str, Any]) -> None:
    """Raise BadInput for a key that a class does not take, and for a value of another type."""
    check_part("task", config["task"], GIVEN_BY_RUN["task"])
    for key, settings in optimizer_parts(config["optim"]):
        check_part(key, settings, GIVEN_BY_RUN["optim"])
    check_part("schedule", config["schedule"], GIVEN_BY_RUN["schedule"])
    for name, settings in (config.get("logger") or {}).items():
        check_part(f"logger.{name}", settings)


def check_part(key: str, settings: Any, given: Sequence[str] = ()) -> None:
    """Check a part of a config, and the parts inside it, against the `_target_` of each."""
    if not isinstance(settings, dict) or not isinstance(settings.get("_target_"), str):
        target = settings.get("_target_") if isinstance(settings, dict) else settings
        raise BadInput(f"{key}={spell(target)}: must name a class or function by _target_")
    target = find_target(key, settings["_target_"])
    hints, takes_any = arguments_of(target)
    for name, value in settings.items():
        inner_key = f"{key}.{name}"
        if name.startswith("_"):  # Hydra's own
            continue
        if name in given:
            raise BadInput(f"{inner_key}: is given by the run itself; leave it out")
        if name not in hints and not takes_any:
            known = [known for known in hints if known not in given]
            meant = closest(name, known)
            raise BadInput(
                f"{inner_key}={spell(value)}: there is no such key"
                f"{asked(meant and f'{key}.{meant}')}; there are {some_of(known) or 'none'}"
            )
        if isinstance(value, dict) and "_target_" in value:
            check_part(inner_key, value)
        elif not fits(value, hints.get(name, Any)):
            raise BadInput(f"{inner_key}={spell(value)}: must be {description_of(hints[name])}")


def find_target(key: str, name: str) -> Any:
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


@functools.cache
def arguments_of(target: Any) -> tuple[dict[str, Any], bool]:
    """The annotations of the arguments by name, and whether any other arguments are taken.

    If a class's constructor takes any others, its parents' arguments are included, since it may
    pass them on. Whether it does is only known once it is called.
    """
    if not isinstance(target, type):
        return annotated(target)
    arguments, takes_any = annotated(target.__init__)
    for parent in target.__mro__[1:] if takes_any else ():
        hints, parent_takes_any = annotated(parent.__init__)
        arguments = hints | arguments
        if not parent_takes_any:
            break
    return arguments, takes_any


def annotated(function: Any) -> tuple[dict[str, Any], bool]:
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError):  # its arguments are not known
        return {}, True
    named, takes_any = {}, False
    for p in signature.parameters.values():
        hint = hints.get(p.name, Any)
        if p.kind is p.VAR_KEYWORD and get_origin(hint) is Unpack:
            # A TypedDict names all of them.
            named |= typing.get_type_hints(*get_args(hint))
        elif p.kind is p.VAR_KEYWORD:
            takes_any = True
        elif p.kind is not p.VAR_POSITIONAL and p.name != "self":
            named[p.name] = hint
    return named, takes_any


# -- values and annotations ------------------------------------------------------------------------


def fits(value: Any, hint: Any) -> bool:
    """Whether a config's value is one of an argument with this annotation; True where unclear."""
    if isinstance(hint, typing.TypeVar) or hint in (Any, object, inspect.Parameter.empty):
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, arguments[0]) and all(holds(bound, value) for bound in bounds_of(hint))
    if origin in (Union, types.UnionType):
        return any(fits(value, inner) for inner in arguments)
    if origin is Literal:
        return value in arguments and type(value) in {type(inner) for inner in arguments}
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
    if origin is tuple and arguments and arguments[-1] is not ...:
        if not isinstance(value, list) or len(value) != len(arguments):
            return False
        return all(map(fits, value, arguments))
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, dict)
    if is_list(kind):
        item_hint = arguments[0] if arguments else Any
        return isinstance(value, list) and all(fits(item, item_hint) for item in value)
    # A function or an object, which can only be given by a part with a _target_.
    return False


def holds(bound: Bound, value: Any) -> bool:
    try:
        return bool(bound.holds(value))
    except Exception:  # a bound of somebody's own, for which the value is no number it can take
        return False


def bounds_of(hint: Any) -> list[Bound]:
    return [note for note in hint.__metadata__ if isinstance(note, Bound)]


def is_list(kind: Any) -> bool:
    from torch import Tensor  # what only reads runs need not wait for it

    if not isinstance(kind, type) or issubclass(kind, Mapping | Tensor | str):
        return False
    return issubclass(kind, Iterable)


def description_of(hint: Any) -> str:
    """What a value must be, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        texts = [bound.text for bound in bounds_of(hint)]
        return ", and ".join(texts) or description_of(arguments[0])
    if origin in (Union, types.UnionType):
        from torch import Tensor

        return ", or ".join(
            dict.fromkeys(description_of(inner) for inner in arguments if inner is not Tensor)
        )
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if hint in DESCRIPTIONS:
        return DESCRIPTIONS[hint]
    if origin is tuple and arguments and arguments[-1] is not ...:
        return f"a list of {len(arguments)} values: {', '.join(map(description_of, arguments))}"
    if is_list(origin or hint):
        return "a list" + (f", of each item {description_of(arguments[0])}" if arguments else "")
    return "KEY: VALUE pairs"
