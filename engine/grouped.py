"""The optimizer of a YAML with `groups`, for a model's parameters."""

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
    """The optimizer of a YAML with groups; an OptimizerGroup where groups have a `_target_`.

    Raises:
        BadInput: as `choose` does, or a group sets what it cannot have separately.
    """
    from hydra.utils import instantiate

    parameters, groups = choose(config, model), groups_of(config["optim"])
    settings = {name: group.settings for name, group in groups.items()}
    # Groups with an optimizer of their own; the others are parameter groups of the main one.
    with_target = {name: values for name, values in settings.items() if "_target_" in values}
    without_target = {name: values for name, values in settings.items() if name not in with_target}
    main_optimizer = instantiate(without_groups(config["optim"]), _convert_="all")(
        [
            {"params": parameters[""]},
            *({"params": parameters[name], **values} for name, values in without_target.items()),
        ]
    )
    for name, values in without_target.items():
        check_hyperparameters(f"optim.groups.{name}", values, main_optimizer)
    if not with_target:
        return main_optimizer
    optimizers = [
        main_optimizer,
        *(
            make_optimizer(f"optim.groups.{name}", values, parameters[name])
            for name, values in with_target.items()
        ),
    ]
    if with_closure := next(filter(needs_closure, optimizers), None):
        raise BadInput(
            f"optim.groups: {type(with_closure).__name__} calls the loss several times in a step, "
            "which it cannot do beside another optimizer: give no group a _target_"
        )
    return OptimizerGroup(optimizers)


def make_optimizer(key: str, settings: dict[str, Any], parameters: list[Parameter]) -> Optimizer:
    """The optimizer of a group with a `_target_`."""
    from hydra.utils import instantiate

    try:
        optimizer = instantiate(settings | {"_partial_": True}, _convert_="all")(parameters)
    except Exception as error:
        raise refusal(key, error) from error
    check_kind(optimizer, Optimizer, key)
    return optimizer


def check_hyperparameters(key: str, settings: Mapping[str, Any], optimizer: Optimizer) -> None:
    """Refuse hyperparameters that an optimizer does not have for each parameter group."""
    for name in settings.keys() - optimizer.defaults.keys():
        cls = type(optimizer).__name__
        raise BadInput(
            f"{key}.{name}: {cls} has one for all of its parameters; give the group a _target_"
        )


# -- which parameters ------------------------------------------------------------------------------


class ParameterInfo(NamedTuple):
    """What the conditions of groups ask about a parameter.

    Attributes:
        names: usually one; several where it is tied.
        module_classes: names of the classes, with their bases, of all modules that contain it.
        layer: one of LAYERS.
    """

    parameter: Parameter
    names: list[str]
    module_classes: set[str]
    layer: str


def choose(config: Mapping[str, Any], model: nn.Module) -> dict[str, list[Parameter]]:
    """The trainable parameters of each group by its name, and those of no group by "".

    Raises:
        BadInput: nothing in the model has a name or a type that a group asks for, or no parameter
            is left for a group, or outside the groups.
    """
    groups, infos = groups_of(config["optim"]), parameter_infos(model)
    chosen: dict[str, list[Parameter]] = {name: [] for name in ["", *groups]}
    for name, group in groups.items():
        check_conditions(f"optim.groups.{name}", group, infos, model)
    for info in infos:
        taking_groups = (name for name, group in groups.items() if matches(group, info))
        chosen[next(taking_groups, "")].append(info.parameter)
    for name, parameters in chosen.items():
        if not parameters:
            key = f"optim.groups.{name}" if name else f"optim={config['names']['optim']}"
            no_match = "there is no such parameter, or an earlier group has it"
            reason = no_match if name else "the groups leave none for the optimizer beside them"
            raise BadInput(f"{key}: takes no parameter of task={config['names']['task']}: {reason}")
    return chosen


def matches(group: Group, info: ParameterInfo) -> bool:
    tests = {
        "names": lambda pattern: any(fnmatchcase(name, pattern) for name in info.names),
        "modules": info.module_classes.__contains__,
        "layers": info.layer.__eq__,
        "dims": info.parameter.ndim.__eq__,
    }
    return all(any(map(tests[name], values)) for name, values in group.conditions.items())


def check_conditions(key: str, group: Group, infos: list[ParameterInfo], model: nn.Module) -> None:
    """Refuse what is most likely a typing error: a name that nothing in the model has."""
    names = [name for info in infos for name in info.names]
    for pattern in group.conditions.get("names", ()):
        if not any(fnmatchcase(name, pattern) for name in names):
            known = some_of(names, pattern)
            raise BadInput(f"{key}.names={shorten(pattern)}: fits no parameter; there are {known}")
    for class_name in group.conditions.get("modules", ()):
        if not any(class_name in info.module_classes for info in infos):
            known = some_of({type(module).__name__ for module in model.modules()}, class_name)
            shown = shorten(class_name)
            raise BadInput(f"{key}.modules={shown}: no such module; there are {known}")


def parameter_infos(model: nn.Module) -> list[ParameterInfo]:
    """The info of each trainable parameter, in the model's order."""
    modules = list(model.modules())
    matrices = [m for m in modules if any(p.ndim > 1 for p in m.parameters(recurse=False))]
    trained = [p for p in model.parameters() if p.requires_grad]
    infos = {p: ParameterInfo(p, [], set(), "hidden") for p in trained}
    for name, p in model.named_parameters(remove_duplicate=False):
        if p in infos:
            infos[p].names.append(name)
    for module in modules:
        class_names = {cls.__name__ for cls in type(module).__mro__}
        for p in filter(infos.__contains__, module.parameters()):
            infos[p].module_classes.update(class_names)
    for layer, owners in (("output", matrices[-1:]), ("embedding", filter(is_embedding, modules))):
        for owner in owners:
            for p in filter(infos.__contains__, owner.parameters(recurse=False)):
                infos[p] = infos[p]._replace(layer=layer)
    return list(infos.values())


def is_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag)
