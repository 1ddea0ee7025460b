"""The optimizer that a YAML with `groups` says, for a model's parameters."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from engine.checks import BadInput, check_kind, refusal
from engine.groups import Group, groups_of, without_groups
from engine.optimizers import OptimizerGroup, needs_closure
from engine.texts import shorten, some_of


def make(config: Mapping[str, Any], model: nn.Module) -> Optimizer:
    """The optimizer of a YAML with groups, which are several where one has a `_target_`.

    Raises:
        BadInput: as `choose` does, or a group asks for what no group can have of its own.
    """
    from hydra.utils import instantiate

    chosen, groups = choose(config, model), groups_of(config["optim"])
    others = {name: group for name, group in groups.items() if "_target_" in group.settings}
    alike = {name: group for name, group in groups.items() if name not in others}
    first = instantiate(without_groups(config["optim"]), _convert_="all")(
        [
            {"params": chosen[""]},
            *({"params": chosen[name], **group.settings} for name, group in alike.items()),
        ]
    )
    for name, group in alike.items():
        check_own(f"optim.groups.{name}", group.settings, first)
    if not others:
        return first
    made = [
        make_one(f"optim.groups.{name}", group.settings, chosen[name])
        for name, group in others.items()
    ]
    if asking := next(filter(needs_closure, [first, *made]), None):
        raise BadInput(
            f"optim.groups: {type(asking).__name__} calls the loss several times in a step, which "
            "it cannot do beside another optimizer: give no group a _target_"
        )
    return OptimizerGroup([first, *made])


def make_one(key: str, settings: dict[str, Any], parameters: list[Parameter]) -> Optimizer:
    from hydra.utils import instantiate

    try:
        made = instantiate(settings | {"_partial_": True}, _convert_="all")(parameters)
    except Exception as error:
        raise refusal(key, error) from error
    check_kind(made, Optimizer, key)
    return made


def check_own(key: str, settings: Mapping[str, Any], optimizer: Optimizer) -> None:
    """Refuse what an optimizer would not look for in one of its groups."""
    for name in settings.keys() - optimizer.defaults.keys():
        kind = type(optimizer).__name__
        raise BadInput(
            f"{key}.{name}: {kind} has one for all of its parameters; give the group a _target_"
        )


# -- which parameters ------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a parameter is in its model.

    Attributes:
        names: usually one; several where it is tied.
        inside: names of the classes of all modules that it is inside of, their bases included.
        layer: one of LAYERS.
    """

    parameter: Parameter
    names: list[str]
    inside: set[str]
    layer: str


def choose(config: Mapping[str, Any], model: nn.Module) -> dict[str, list[Parameter]]:
    """The trainable parameters of each group, by its name, and by "" those that no group takes.

    Raises:
        BadInput: nothing in the model has a name or a type that a group asks for, or there is no
            parameter left for a group, or beside the groups.
    """
    groups, places = groups_of(config["optim"]), places_of(model)
    chosen: dict[str, list[Parameter]] = {name: [] for name in ["", *groups]}
    for name, group in groups.items():
        check_conditions(f"optim.groups.{name}", group, places, model)
    for place in places:
        takers = (name for name, group in groups.items() if takes(group, place))
        chosen[next(takers, "")].append(place.parameter)
    for name, taken in chosen.items():
        if not taken:
            key = f"optim.groups.{name}" if name else f"optim={config['names']['optim']}"
            left = "there is no such parameter, or an earlier group has it"
            why = left if name else "the groups leave none for the optimizer beside them"
            raise BadInput(f"{key}: takes no parameter of task={config['names']['task']}: {why}")
    return chosen


def takes(group: Group, place: Place) -> bool:
    found = {
        "names": lambda pattern: any(fnmatchcase(name, pattern) for name in place.names),
        "modules": place.inside.__contains__,
        "layers": place.layer.__eq__,
        "dims": place.parameter.ndim.__eq__,
    }
    return all(any(map(found[name], values)) for name, values in group.conditions.items())


def check_conditions(key: str, group: Group, places: list[Place], model: nn.Module) -> None:
    """Refuse what is most likely a slip: a name that nothing has."""
    names = [name for place in places for name in place.names]
    for pattern in group.conditions.get("names", ()):
        if not any(fnmatchcase(name, pattern) for name in names):
            there = some_of(names, pattern)
            raise BadInput(f"{key}.names={shorten(pattern)}: fits no parameter; there are {there}")
    for kind in group.conditions.get("modules", ()):
        if not any(kind in place.inside for place in places):
            there = some_of({type(module).__name__ for module in model.modules()}, kind)
            raise BadInput(f"{key}.modules={shorten(kind)}: no such module; there are {there}")


def places_of(model: nn.Module) -> list[Place]:
    """Of each trainable parameter, in the model's order."""
    modules = list(model.modules())
    matrices = [m for m in modules if any(p.ndim > 1 for p in m.parameters(recurse=False))]
    places = {p: Place(p, [], set(), "hidden") for p in model.parameters() if p.requires_grad}
    for name, p in model.named_parameters(remove_duplicate=False):
        if p in places:
            places[p].names.append(name)
    for module in modules:
        kinds = {kind.__name__ for kind in type(module).__mro__}
        for p in filter(places.__contains__, module.parameters()):
            places[p].inside.update(kinds)
    for layer, owners in (("output", matrices[-1:]), ("embedding", filter(is_embedding, modules))):
        for owner in owners:
            for p in filter(places.__contains__, owner.parameters(recurse=False)):
                places[p] = places[p]._replace(layer=layer)
    return list(places.values())


def is_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag)
