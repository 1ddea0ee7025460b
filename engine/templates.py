"""The configs of many runs that differ in values alone: each value set where nothing refers to it.

Resolving takes milliseconds; setting a value in what was resolved takes none. What is set so gives
the same config, since no interpolation can see the key: tests hold every study against composing.
"""

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from engine.config import Composed, check_resolved, resolve

# A path in an interpolation: `.lr` and `...lr` are relative, `optim.` goes on with another one.
REFERENCE = re.compile(r"\.*[\w@-]+(?:\.[\w@-]+)*")

Values = Mapping[str, Any]


class Template:
    """What Hydra composed, from which configs with some dotted keys set are made."""

    def __init__(self, composed: Composed):
        self.composed = composed
        self._tree = OmegaConf.to_container(pickle.loads(composed.pickled), resolve=False)
        texts = [text for text in leaves(self._tree) if isinstance(text, str) and "${" in text]
        self._references = {found for text in texts for found in REFERENCE.findall(text)}
        self._free: dict[str, bool] = {}
        self._resolved: dict[str, bytes] = {}

    def config(self, values: Values, overrides: Sequence[str]) -> dict[str, Any]:
        """The resolved config with these values, of which each key is there already.

        Raises:
            BadInput: as `engine.config.resolve_and_check`, but for what classes take.
        """
        others = {key: value for key, value in values.items() if not self._is_plain(key, value)}
        if "${" in repr(others):
            others = values
        plain = {
            key: value
            for key, value in values.items()
            if key not in others and not any(may_see(other, key) for other in others)
        }
        others = {key: value for key, value in values.items() if key not in plain}
        known = repr(others)
        if known not in self._resolved:
            resolved = resolve(self.composed, others, overrides)
            self._resolved[known] = pickle.dumps(resolved)
        config = pickle.loads(self._resolved[known])
        for key, value in plain.items():
            *parents, last = key.split(".")
            place = descend(config, parents)
            place[int(last) if isinstance(place, list) else last] = value
        check_resolved(config)
        return config

    def _is_plain(self, key: str, value: Any) -> bool:
        """Whether the value can be set after everything else was resolved."""
        if key not in self._free:
            self._free[key] = self._is_free(key)
        return self._free[key] and is_scalar(value)

    def _is_free(self, key: str) -> bool:
        """Whether the key holds a single value that no interpolation refers to."""
        try:
            value = descend(self._tree, key.split("."))
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        if isinstance(value, dict | list):
            return False
        return not any(may_see(reference, key) for reference in self._references)


def may_see(reference: str, key: str) -> bool:
    """Whether a path in an interpolation may lead to a key, or to what holds it."""
    path = reference.lstrip(".")
    if path != reference:  # relative: to whatever has a part of this name
        return bool({*path.split(".")} & {*key.split(".")})
    return f"{key}.".startswith(f"{path}.") or f"{path}.".startswith(f"{key}.")


def is_scalar(value: Any) -> bool:
    """Whether it is a single value, without an interpolation."""
    if isinstance(value, str):
        return "${" not in value
    return value is None or isinstance(value, bool | int | float)


def descend(tree: Any, keys: Sequence[str]) -> Any:
    """The part of nested mappings and lists that some keys lead to."""
    for key in keys:
        if not isinstance(tree, dict | list):
            raise TypeError(f"{key}: lies in a single value")
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def leaves(tree: Any) -> Iterator[Any]:
    """The single values of nested mappings and lists."""
    if isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(inner)
    else:
        yield tree
