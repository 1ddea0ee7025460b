"""`groups` in an optimizer's YAML: parameters with hyperparameters, or an optimizer, of their own.

    groups:
      norms: {dims: [0, 1], weight_decay: 0}
      muon: {dims: 2, layers: hidden, _target_: torch.optim.Muon, lr: 0.02}

A group takes the parameters that all of its conditions hold for: `names` (patterns as in a shell,
of whole names), `modules` (names of classes: what is inside a module of one), `layers` and `dims`;
each is one value or a list, of which one has to hold. Groups choose in their order, and what none
takes is for the optimizer that the YAML names at its top.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.checks import BadInput, check_optimizer_values, is_name, is_seed
from engine.texts import spell

LAYERS = ("hidden", "embedding", "output")

# Conditions of a group, what each value of one must be, and how a sentence says it.
CONDITIONS = {
    "names": (is_name, "a pattern of names, or a list of such"),
    "modules": (is_name, "the name of a class, or a list of such"),
    "layers": (LAYERS.__contains__, f"one of {', '.join(LAYERS)}, or a list of such"),
    "dims": (is_seed, "a whole number, 0 or above, or a list of such"),
}


class Group(NamedTuple):
    """A group as its YAML says it: conditions, each a list of values, and all else."""

    conditions: dict[str, list[Any]]
    settings: dict[str, Any]


def groups_of(optim: Mapping[str, Any]) -> dict[str, Group]:
    """The groups by name.

    Raises:
        BadInput: they are not what groups must be.
    """
    said = optim.get("groups", {})
    if not isinstance(said, dict):
        raise BadInput(f"optim.groups={spell(said)}: must hold groups, as in NAME: {{dims: 1}}")
    return {name: read(f"optim.groups.{name}", group) for name, group in said.items()}


def read(key: str, said: Any) -> Group:
    if not isinstance(said, dict):
        raise BadInput(f"{key}={spell(said)}: must hold keys, as in dims: 1")
    conditions = {name: listed(value) for name, value in said.items() if name in CONDITIONS}
    if not conditions:
        raise BadInput(f"{key}: must say which parameters, by one of {', '.join(CONDITIONS)}")
    for name, values in conditions.items():
        holds, allowed = CONDITIONS[name]
        if not values or not all(map(holds, values)):
            raise BadInput(f"{key}.{name}={spell(said[name])}: must be {allowed}")
    settings = {name: value for name, value in said.items() if name not in CONDITIONS}
    return Group(conditions, settings)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def without_groups(optim: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optim.items() if key != "groups"}


def parts(optim: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an optimizer's YAML gives to classes, part by part, each with its key."""
    yield "optim", without_groups(optim)
    for name, group in groups_of(optim).items():
        target = {"_target_": optim.get("_target_")}
        yield f"optim.groups.{name}", target | group.settings


def check_groups(optim: Mapping[str, Any]) -> None:
    """Raise BadInput for groups that are none, and for a hyperparameter that cannot be."""
    for key, settings in list(parts(optim))[1:]:
        check_optimizer_values(key, settings)
