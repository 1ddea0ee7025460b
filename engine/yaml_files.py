"""Strict reading and writing of YAML: in UTF-8, and of bounded size and depth."""

import re
from pathlib import Path
from typing import Any

import yaml

from engine.files import Unreadable, read_bytes

LARGEST_FILE = 1 << 20  # bytes
LARGEST_VALUE = 100_000  # keys, items and values, with what aliases repeat
DEEPEST = 32

# libyaml's parser is much faster than Python's; a report reads thousands of configs.
Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TIMESTAMP = "tag:yaml.org,2002:timestamp"


class YamlError(Unreadable):
    """A file does not hold YAML as it is read here; the message names the file and the reason."""


class Loader(Parser):
    """Reads 1e-3 as a number and a date as text, as Hydra does."""


class Dumper(yaml.SafeDumper):
    """Quotes text that Loader would read as a number, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for kind in (Loader, Dumper):
    kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
        list("-+0123456789."),
    )
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


def dump_yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> Any:
    """The value in a file: None, booleans, numbers, text, lists and dictionaries.

    Raises:
        YamlError: it cannot be read, is not YAML in UTF-8, has a key twice or a tag, or exceeds
            LARGEST_FILE, LARGEST_VALUE or DEEPEST.
        FileNotFoundError: there is nothing of this name.
    """
    try:
        text = read_bytes(path, LARGEST_FILE).decode("utf-8-sig")
        check_depth(text)
        loader = Loader(text)
        node = loader.get_single_node()
        measure(loader, node, {})
        return None if node is None else loader.construct_document(node)
    except Unreadable as error:
        raise YamlError(str(error)) from error
    except UnicodeDecodeError as error:
        raise YamlError(f"{path}: is no text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(f"{path}: {line}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(f"{path}: {' '.join(str(error).split())}") from error


def check_depth(text: str) -> None:
    """Refuse tags, and a nesting too deep for the parser's recursion."""
    depth = 0
    for event in yaml.parse(text, Loader):
        if getattr(event, "tag", None) is not None:
            raise refused(event, f"tags such as {event.tag} are not read")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise refused(event, f"values lie in each other more than {DEEPEST} deep")


def measure(loader: Any, node: Any, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """The number of values in a node and its depth, with its aliases expanded.

    An alias comes after the value that it repeats, whose measure is `known` by then: the recursion
    goes no deeper than the text does.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise refused(node, "a value contains itself")
        return measured
    known[id(node)] = None
    children: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        check_keys(loader, node)
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    measures = [measure(loader, child, known) for child in children]
    value_count = 1 + sum(count for count, _ in measures)
    depth = 1 + max((depth for _, depth in measures), default=0)
    if value_count > LARGEST_VALUE or depth > DEEPEST:
        raise refused(node, f"holds more than {LARGEST_VALUE:,} values, or aliases too deep")
    known[id(node)] = value_count, depth
    return value_count, depth


def check_keys(loader: Any, node: yaml.MappingNode) -> None:
    """Refuse a key that is there twice, of which a dictionary would silently keep the last."""
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise refused(key, "a key must be one word, number or text in quotes")
        value = key.value if key.value == "<<" else loader.construct_object(key)
        if value in seen:
            raise refused(key, f"the key {key.value} is there twice")
        seen.add(value)


def refused(node_or_event: Any, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=node_or_event.start_mark)
