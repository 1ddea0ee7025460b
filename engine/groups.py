"""`groups` in an optimizer's YAML: parameters with hyperparameters, or an optimizer, of their own.

    groups:
      norms: {dims: [0, 1], weight_decay: 0}
      muon: {dims: 2, layers: hidden, _target_: torch.optim.Muon, lr: 0.02}

A group takes the parameters that meet all of its conditions: `names` (shell patterns for whole
names), `modules` (names of classes: parameters inside a module of one), `layers` and `dims`; each
is one value or a list, of which one has to match. A parameter belongs to the first group that it
matches, and if it matches none, to the optimizer that the YAML names at its top.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.checks import BadInput, check_optimizer_values, is_name, is_seed
from engine.texts import spell

LAYERS = ("hidden", "embedding", "output")

# The conditions of a group: a check of each value, and a description of what passes it.
CONDITIONS = {
    "names": (is_name, "a pattern of names, or a list of such"),
    "modules": (is_name, "the name of a class, or a list of such"),
    "layers": (LAYERS.__contains__, f"one of {', '.join(LAYERS)}, or a list of such"),
    "dims": (is_seed, "a whole number, 0 or above, or a list of such"),
}


class Group(NamedTuple):
    """A group as in its YAML: its conditions, each a list of values, and all other keys."""

    conditions: dict[str, list[Any]]
    settings: dict[str, Any]


def groups_of(optim: Mapping[str, Any]) -> dict[str, Group]:
    """The groups by name.

    Raises:
        BadInput: they are not what groups must be.
    """
    groups = optim.get("groups", {})
    if not isinstance(groups, dict):
        raise BadInput(f"optim.groups={spell(groups)}: must hold groups, as in NAME: {{dims: 1}}")
    return {name: read_group(f"optim.groups.{name}", group) for name, group in groups.items()}


def read_group(key: str, group: Any) -> Group:
    if not isinstance(group, dict):
        raise BadInput(f"{key}={spell(group)}: must hold keys, as in dims: 1")
    conditions = {name: as_list(value) for name, value in group.items() if name in CONDITIONS}
    if not conditions:
        raise BadInput(f"{key}: must say which parameters, by one of {', '.join(CONDITIONS)}")
    for name, values in conditions.items():
        is_allowed, allowed = CONDITIONS[name]
        if not values or not all(map(is_allowed, values)):
            raise BadInput(f"{key}.{name}={spell(group[name])}: must be {allowed}")
    settings = {name: value for name, value in group.items() if name not in CONDITIONS}
    return Group(conditions, settings)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def without_groups(optim: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optim.items() if key != "groups"}


def optimizer_parts(optim: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The settings that an optimizer's YAML passes to classes: its own and each group's, by key."""
    yield "optim", without_groups(optim)
    for name, group in groups_of(optim).items():
        target = {"_target_": optim.get("_target_")}
        yield f"optim.groups.{name}", target | group.settings


def check_groups(optim: Mapping[str, Any]) -> None:
    """Raise BadInput for malformed groups and for invalid values of their hyperparameters."""
    for key, settings in list(optimizer_parts(optim))[1:]:
        check_optimizer_values(key, settings)
