"""What the files of a run may hold: one schema for each, as rules for its keys."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# Whole numbers from here on do not fit into 64 bits.
LARGEST = 1 << 63
# How deeply values may be nested where no rule says more.
DEEPEST = 8

STATUSES = ("finished", "diverged", "failed")


class Rule(NamedTuple):
    """A check of a value, and a description of what passes it."""

    holds: Callable[[Any], bool]
    text: str


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < LARGEST
    return isinstance(value, float) and math.isfinite(value)


def is_plain(value: Any, deepest: int = DEEPEST) -> bool:
    """Whether it is a JSON value of bounded depth."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, list | dict):
        items = value.values() if isinstance(value, dict) else value
        return deepest > 0 and all(is_plain(item, deepest - 1) for item in items)
    return is_number(value)


def is_session(value: Any) -> bool:
    return isinstance(value, dict) and is_count(value.get("at_step")) and is_plain(value)


def or_null(rule: Rule) -> Rule:
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.text} or null")


def list_of(rule: Rule) -> Rule:
    return Rule(
        lambda value: isinstance(value, list) and all(map(rule.holds, value)),
        f"a list of {rule.text}",
    )


def mapping_to(rule: Rule) -> Rule:
    return Rule(
        lambda value: (
            isinstance(value, dict)
            and all(map(is_text, value))
            and all(map(rule.holds, value.values()))
        ),
        f"names with {rule.text} for each",
    )


def keys(required: Mapping[str, Rule]) -> Rule:
    """A mapping that has these keys at least."""
    return Rule(
        lambda value: (
            isinstance(value, dict)
            and all(key in value and rule.holds(value[key]) for key, rule in required.items())
        ),
        f"a mapping with {', '.join(required)}",
    )


TEXT = Rule(is_text, "text")
COUNT = Rule(is_count, "a whole number, 0 or above")
NUMBER = Rule(is_number, "a number")
FLAG = Rule(lambda value: isinstance(value, bool), "true or false")
PLAIN = Rule(is_plain, f"of numbers and text, at most {DEEPEST} deep")
MAPPING = Rule(lambda value: isinstance(value, dict), "a mapping")
ANYTHING = Rule(lambda value: True, "anything")

CONFIG = {
    "names": keys({"task": TEXT, "optim": TEXT, "schedule": TEXT}),
    "task": MAPPING,
    "optim": MAPPING,
    "data": TEXT,
    "profile": TEXT,
    "seed": COUNT,
}

SUMMARY = {
    "id": TEXT,
    "task": TEXT,
    "optim": TEXT,
    "seed": COUNT,
    "profile": TEXT,
    "data": TEXT,
    "status": Rule(lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}"),
    "step": COUNT,
    "steps": COUNT,
    "diverged_at": or_null(COUNT),
    "final": mapping_to(or_null(NUMBER)),
    "best": mapping_to(keys({"value": or_null(NUMBER), "step": COUNT})),
    "trials": mapping_to(list_of(NUMBER)),
    "wall_seconds": NUMBER,
    "step_seconds": or_null(NUMBER),
    "parameters": COUNT,
    "model_sha256": or_null(TEXT),
    "error": or_null(TEXT),
    "sha256": mapping_to(TEXT),
}

ENVIRONMENT = {
    "started": TEXT,
    "device": TEXT,
    "gpu": or_null(TEXT),
    "cuda": or_null(TEXT),
    "threads": COUNT,
    "cpu": TEXT,
    "cores": or_null(COUNT),
    "platform": TEXT,
    "python": TEXT,
    "packages": mapping_to(or_null(TEXT)),
    "git_commit": or_null(TEXT),
    "git_dirty": or_null(FLAG),
    "processes": COUNT,
    "devices": list_of(TEXT),
    "resumed": list_of(Rule(is_session, "plain values with at_step")),
}

BLOCK = {
    "step": COUNT,
    "every": Rule(lambda value: is_count(value) and value > 0, "a whole number above 0"),
    "losses": Rule(
        lambda value: bool(value) and list_of(or_null(NUMBER)).holds(value), "a list of numbers"
    ),
}


def config_fault(value: Any) -> str | None:
    """What is wrong with the content of config.yaml, in words that follow the file's name."""
    problem = fault(value, CONFIG, CONFIG, ANYTHING)
    if problem is None and value["task"].get("data", value["data"]) != value["data"]:
        return f"says data: {value['data']}, and its task says {value['task']['data']}"
    return problem


def summary_fault(value: Any) -> str | None:
    return fault(value, SUMMARY, ("status",), PLAIN)


def environment_fault(value: Any) -> str | None:
    return fault(value, ENVIRONMENT, ("device",), PLAIN)


def line_fault(line: Any, previous_step: int) -> str | None:
    """What is wrong with a line of metrics.jsonl, where the line before it is of this step."""
    if not isinstance(line, dict):
        return "is no mapping"
    step = line.get("step", -1)
    if not is_count(step) or step <= previous_step:
        return "has no step behind the one before it"
    for name, value in line.items():
        # Nearly all values are such floats, of which there are millions.
        if type(value) is float and math.isfinite(value):
            continue
        if value is not None and not is_number(value):
            return f"says something of {name} that is no number"
    return None


def block_fault(block: Any, previous_step: int) -> str | None:
    """The same of a line of losses.jsonl."""
    if not isinstance(block, dict) or block.keys() != BLOCK.keys():
        return f"is no mapping with {', '.join(BLOCK)}"
    for key, rule in BLOCK.items():
        if not rule.holds(block[key]):
            return f"has {key} that is not {rule.text}"
    if block_steps(block).start <= previous_step:
        return "has steps that are not behind those before them"
    return None


def block_steps(block: Mapping[str, Any]) -> range:
    """The steps of a line of losses.jsonl: the last ones up to its step that `every` divides."""
    step, every = block["step"], block["every"]
    last = step - step % every
    return range(last - every * (len(block["losses"]) - 1), last + 1, every)


def fault(value: Any, schema: Mapping[str, Rule], required: Any, other_keys: Rule) -> str | None:
    if not isinstance(value, dict):
        return "holds no mapping"
    for key in required:
        if key not in value:
            return f"lacks {key}"
    for key, item in value.items():
        rule = schema.get(key, other_keys)
        if not rule.holds(item):
            return f"has {str(key)[:50]} that is not {rule.text}"
    return None
