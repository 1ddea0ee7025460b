"""Labels that tell runs of a group apart, by what varies among their configs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.identity import identity
from engine.texts import hydra_text

Settings = dict[str, Any]

# What else a run has depends on these: only among runs that share them does a setting tell apart.
SORT = ("task", "optim", "profile", "data")
# A reader asks for the learning rate even where the optimizer's name says it.
RATE = "lr"
MISSING = object()
# What the name of a task, an optimizer or a schedule says already.
OF_NAMES = ("_target_", "_partial_")


def labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A label for each run, such as "lp_adam lr=0.003 p=6 seed=1".

    Args:
        configs: the runs' resolved configs.

    Returns:
        In the same order: the optimizer, before it the task if there are several, and what varies
        among the runs, in the order in which configs have it, and the seed last. No two runs with
        different identities have the same label, unless one name stands for two classes.
    """
    runs = [settings(config) for config in configs]
    varying = varying_keys(runs)
    sorts = defaultdict(list)
    for run in runs:
        sorts[sort_of(run)].append(run)
    within = {sort: varying_keys(members) for sort, members in sorts.items()}
    return [label(run, varying, within[sort_of(run)]) for run in runs]


def settings(config: Mapping[str, Any]) -> Settings:
    """What decides a run's outcome, by short keys: "task", "optim", "lr", "betas.1", "seed".

    A key that two parts of a config have keeps the name of its part in all but the optimizer's:
    "lr" and "task.lr".
    """
    parts = identity(dict(config))
    names = parts.pop("names")
    found = {"task": names["task"], "optim": names["optim"]}
    found |= {"profile": parts.pop("profile"), "data": parts["task"].pop("data", None)}
    seed = parts.pop("seed")
    for part in ("optim", "schedule", "task"):
        for key, value in leaves(parts.pop(part, None) or {}):
            if key in OF_NAMES:
                continue
            found[f"{part}.{key}" if key in found else key] = value
    for name in names.keys() - {"task", "optim"}:
        found[name] = names[name]
    found |= {key: value for key, value in leaves(parts) if key not in found}
    return found | {"seed": seed}


def leaves(value: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested mapping or list by their dotted keys."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            yield from leaves(item, f"{before}.{key}" if before else str(key))
    else:
        yield before, value


def varying_keys(runs: Sequence[Settings]) -> list[str]:
    """The keys that not all runs have with the same value, in the order of their settings."""
    keys = dict.fromkeys(key for run in runs for key in run)
    varying = [key for key in keys if len({repr(run.get(key, MISSING)) for run in runs}) > 1]
    return sorted(varying, key=lambda key: key == "seed")


def sort_of(run: Settings) -> tuple[Any, ...]:
    return tuple(run[key] for key in SORT)


def label(run: Settings, varying: Sequence[str], within: Sequence[str]) -> str:
    """A run's label, given what varies among all, and among those of its sort."""
    names = [run["task"]] if "task" in varying else []
    sources = [run[key] for key in ("profile", "data") if key in varying]
    source = ", ".join(name for name in sources if name is not None)
    rate = [RATE] if RATE in varying and RATE not in within else []
    told = [f"{key}={hydra_text(run[key])}" for key in [*rate, *within] if key in run]
    return " ".join([*names, run["optim"], *([f"({source})"] if source else []), *told])
