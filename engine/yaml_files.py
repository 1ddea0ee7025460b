"""YAML as this project reads and writes it: strict, in UTF-8, and of bounded size and depth."""

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
    """Quotes text that the Loader would take for a number."""

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
    """What a file says: None, truth values, numbers, text, lists and dictionaries.

    Raises:
        YamlError: it is no file that can be read, no YAML in UTF-8, has a key twice or a tag, or is
            larger or deeper than LARGEST_FILE, LARGEST_VALUE and DEEPEST.
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
    """Refuse tags, and what the parser's recursion could not bear."""
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
    """How large and how deep a value is, with its aliases written out.

    An alias stands behind what it repeats, which is `known` by then: the recursion goes no deeper
    than the text does.
    """
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise refused(node, "a value contains itself")
        return found
    known[id(node)] = None
    parts: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        check_keys(loader, node)
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    measured = [measure(loader, part, known) for part in parts]
    size = 1 + sum(size for size, _ in measured)
    depth = 1 + max((depth for _, depth in measured), default=0)
    if size > LARGEST_VALUE or depth > DEEPEST:
        raise refused(node, f"holds more than {LARGEST_VALUE:,} values, or aliases too deep")
    known[id(node)] = size, depth
    return size, depth


def check_keys(loader: Any, node: yaml.MappingNode) -> None:
    """A dictionary would keep the last of two, without a word."""
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise refused(key, "a key must be one word, number or text in quotes")
        value = key.value if key.value == "<<" else loader.construct_object(key)
        if value in seen:
            raise refused(key, f"the key {key.value} is there twice")
        seen.add(value)


def refused(place: Any, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=place.start_mark)
