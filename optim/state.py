"""State of a parameter: how it is kept, and what of a state dict becomes it.

`read` looks at all of a state dict before anything of the optimizer changes. State is taken from
the same rule (the group's `rule`, by the name of its class; older state dicts have none and are
known by their options), and from torch.optim.Adam and AdamW where `FROM_ADAM` says how.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from optim.operands import is_dtensor, wide

if TYPE_CHECKING:
    from optim.base import ElementwiseOptimizer

Group = dict[str, Any]
State = dict[str, Any]

# How a step is run: a choice of this optimizer, not of a state dict that is loaded into it.
EXECUTOR = ("foreach", "compile")

# Options that a state dict without `rule` may lack, since classes have not had them from the start.
ADDED = {*EXECUTOR, "maximize", "decoupled", "variant", "form"}


class Conversion(NamedTuple):
    """What a rule keeps under other names than torch.optim.Adam.

    Attributes:
        amsgrad: the value of Adam's option.
        options: values of the rule's options.
        names: Adam's names of state tensors → the rule's.
    """

    amsgrad: bool
    options: dict[str, Any]
    names: dict[str, str]


MOMENTS = {"exp_avg": "m", "exp_avg_sq": "v"}

# The rules whose state is, for the same gradients, Adam's, and whose options mean the same. Others
# keep what Adam's state does not tell: LaProp and LaMAdam average gradients already divided, MAdam
# averages g by the weights of g², AdamAL puts v back into its own average, AdaBelief squares
# distances from m, Yogi adds, SignSGDM averages signs,
# Signum has no v.
FROM_ADAM = {
    "LpAdam": Conversion(False, {"p": 2}, MOMENTS),
    "AdaBound": Conversion(False, {}, MOMENTS),
    # A smaller `partial` needs another learning rate.
    "Padam": Conversion(True, {"partial": 0.5}, MOMENTS | {"max_exp_avg_sq": "v_max"}),
}

# Of whole numbers beyond it, which Python has, no power can be taken.
LARGEST = sys.float_info.max

ADAM_OPTIONS = frozenset(inspect.signature(torch.optim.Adam).parameters) - {"params"}


class Entry(NamedTuple):
    """A parameter, in words `who`, and its key and state in a state dict."""

    p: Tensor
    who: str
    key: Any
    state: State


def zeros_for(p: Tensor) -> Tensor:
    """State for a parameter: its shape, layout and device, its dtype or float32 where wider."""
    return torch.zeros_like(p, dtype=wide(p.dtype))


def read(
    optimizer: "ElementwiseOptimizer", loaded: Any
) -> tuple[dict[str, Any], dict[Tensor, State]]:
    """What torch may load of a state dict, and the states in it by their parameters.

    States are copies on the parameters' devices and in the dtype of `zeros_for`.

    Raises:
        ValueError: something in it is not what this optimizer keeps.
    """
    groups, by_key, by_parameter = [], {}, {}
    for group, saved, entries in grouped(optimizer, loaded):
        who = entries[0].who if entries else f"group {len(groups)}"
        options, names = read_group(optimizer, group, saved, who)
        groups.append(options)
        for entry in entries:
            if entry.state:
                state = read_state(optimizer, options, names, entry)
                by_key[entry.key] = by_parameter[entry.p] = state
    return loaded | {"state": by_key, "param_groups": groups}, by_parameter


# -- groups ----------------------------------------------------------------------------------------


def read_group(
    optimizer: "ElementwiseOptimizer", group: Group, saved: Group, who: str
) -> tuple[Group, dict[str, str]]:
    """The saved options in this optimizer's terms; names of saved state tensors → this rule's."""
    options, names = saved, {}
    if "rule" not in saved and saved.keys() >= ADAM_OPTIONS - {"decoupled_weight_decay"}:
        options, names = from_adam(optimizer, group, saved, who)
    else:
        check_rule(optimizer, saved, who)
    # What an older state dict lacks is as this optimizer has it.
    present = {name: group[name] for name in optimizer.defaults if name in group}
    executor = {name: group[name] for name in EXECUTOR}
    options = present | options | executor | {"rule": optimizer.rule_name}
    try:
        optimizer.check(options)
    except ValueError as error:
        raise ValueError(f"cannot load: options of {who}: {error}") from None
    return options, names or {name: name for name in optimizer.state_names(options)}


def check_rule(optimizer: "ElementwiseOptimizer", saved: Group, who: str) -> None:
    """Raise ValueError where the group is another optimizer's."""
    saved_rule, rule = saved.get("rule"), optimizer.rule_name
    if saved_rule is not None:
        require(saved_rule == rule, f"state of {who} is of {saved_rule}, this is {rule}")
        return
    others = (saved.keys() & other_options()) - optimizer.defaults.keys()
    require(not others, f"options of {who} have {listed(others)}, which {rule} has not")
    lacking = optimizer.defaults.keys() - ADDED - saved.keys()
    require(not lacking, f"options of {who} lack {listed(lacking)}, which {rule} has")


@cache
def other_options() -> frozenset[str]:
    """Names of the options of all optimizers of torch and of this room."""
    names, classes = set(), [Optimizer]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.__module__.partition(".")[0] in ("torch", __package__):
            names |= inspect.signature(kind).parameters.keys()
    # A pickle adds `differentiable` to any optimizer.
    return frozenset(names) - {"params", "differentiable"}


def from_adam(
    optimizer: "ElementwiseOptimizer", group: Group, saved: Group, who: str
) -> tuple[Group, dict[str, str]]:
    """The group of a torch.optim.Adam or AdamW in this optimizer's terms."""
    rule = optimizer.rule_name
    what = f"state of {who} is of torch.optim.Adam with amsgrad={saved['amsgrad']}"
    require(rule in FROM_ADAM, f"{what}, which {rule} cannot go on from")
    conversion = FROM_ADAM[rule]
    needed = ", ".join(f"{name}={value}" for name, value in conversion.options.items())
    require(
        saved["amsgrad"] == conversion.amsgrad
        and all(group[name] == value for name, value in conversion.options.items()),
        f"{what}; {rule}{f' with {needed}' * bool(needed)} goes on from amsgrad="
        f"{conversion.amsgrad}",
    )
    options = {name: value for name, value in saved.items() if name not in ADAM_OPTIONS}
    options |= {name: saved[name] for name in ("lr", "betas", "eps", "weight_decay", "maximize")}
    # Before torch 2.7 only the class told Adam from AdamW.
    options["decoupled"] = saved.get("decoupled_weight_decay", group["decoupled"])
    return options, conversion.names


# -- states ----------------------------------------------------------------------------------------


def read_state(
    optimizer: "ElementwiseOptimizer", group: Group, names: dict[str, str], entry: Entry
) -> State:
    """A copy of a parameter's state."""
    counters = optimizer.counters(group)
    check_names(entry, {*counters, *names}, optimizer.rule_name)
    state = {name: read_number(entry, name, type(value)) for name, value in counters.items()}
    for saved_name, name in names.items():
        check_tensor(entry, saved_name, entry.p.shape)
        state[name] = zeros_for(entry.p).copy_(entry.state[saved_name].detach())
    return state


def read_number(entry: Entry, name: str, kind: type) -> Any:
    """The number, which torch's own optimizers keep in a tensor."""
    value = entry.state[name]
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    require(
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= LARGEST
        and kind(value) == value,
        f"state of {entry.who} has {name} {value!r}, it must be "
        + ("a whole number from 0 on" if kind is int else "a number from 0 on"),
    )
    return kind(value)


def check_names(entry: Entry, names: set[str], keeper: str) -> None:
    """Raise ValueError unless the parameter has all of this state, and no other."""
    require(
        entry.state.keys() == names,
        f"state of {entry.who} has {listed(entry.state)}; {keeper} keeps {listed(names)}",
    )


def check_tensor(entry: Entry, name: str, shape: torch.Size, whose: str = "the parameter") -> None:
    """Raise ValueError unless it can be state of the parameter, of the shape of `whose`."""
    value, p = entry.state[name], entry.p
    what = f"state of {entry.who} has {name}"
    require(isinstance(value, Tensor), f"{what} that is no tensor")
    require(
        value.shape == shape,
        f"{what} of shape {list(value.shape)}, {whose} has {list(shape)}",
    )
    require(value.layout == torch.strided, f"{what} in the layout {value.layout}")
    require(
        value.is_floating_point() or value.is_complex(),
        f"{what} of {value.dtype}, which holds no fractions",
    )
    require(
        value.is_complex() == p.is_complex(), f"{what} of {value.dtype}, the parameter is {p.dtype}"
    )
    require(
        is_dtensor(value) == is_dtensor(p),
        f"{what} in a {type(value).__name__} for a parameter in a {type(p.data).__name__}; "
        "torch.distributed.checkpoint.state_dict.set_optimizer_state_dict distributes it",
    )


# -- any state dict --------------------------------------------------------------------------------


def grouped(optimizer: Optimizer, loaded: Any) -> Iterator[tuple[Group, Group, list[Entry]]]:
    """Each of the optimizer's groups, what a state dict has in its place, and its parameters.

    Raises:
        ValueError: it is no state dict of an optimizer with as many groups and parameters.
    """
    check_form(optimizer, loaded)
    states, start = loaded["state"], 0
    for group, saved in zip(optimizer.param_groups, loaded["param_groups"], strict=True):
        names = group.get("param_names") or saved.get("param_names") or []
        entries = []
        for index, (p, key) in enumerate(zip(group["params"], saved["params"], strict=True)):
            who = name_of(start, index, names)
            state = states.get(key, {})
            require(isinstance(state, dict), f"state of {who} is no dict")
            entries.append(Entry(p, who, key, state))
        start += len(entries)
        yield group, saved, entries


def name_of(start: int, index: int, names: Sequence[str]) -> str:
    """A parameter for a message: the index-th of a group that begins at `start` and has names."""
    return f"parameter {start + index}" + (f" ({names[index]!r})" if index < len(names) else "")


def check_form(optimizer: Optimizer, loaded: Any) -> None:
    require(
        isinstance(loaded, dict)
        and isinstance(loaded.get("state"), dict)
        and isinstance(loaded.get("param_groups"), list),
        "a state dict of an optimizer has a dict `state` and a list `param_groups`",
    )
    groups, saved_groups = optimizer.param_groups, loaded["param_groups"]
    require(
        len(groups) == len(saved_groups),
        "loaded state dict has a different number of parameter groups: "
        f"{len(saved_groups)}, the optimizer has {len(groups)}",
    )
    for index, (group, saved) in enumerate(zip(groups, saved_groups, strict=True)):
        require(
            isinstance(saved, dict) and isinstance(saved.get("params"), list),
            f"group {index} is no dict with a list `params`",
        )
        require(
            len(group["params"]) == len(saved["params"]),
            "loaded state dict contains a parameter group that doesn't match the size of "
            f"optimizer's group: group {index} has {len(saved['params'])} parameters, the "
            f"optimizer's has {len(group['params'])}",
        )
    known = {key for saved in saved_groups for key in saved["params"]}
    strays = {key for key, state in loaded["state"].items() if state and key not in known}
    require(not strays, f"it has state of {listed(strays)}, which is in none of its groups")


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise ValueError(f"cannot load: {reason}")


def listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
