"""The numbers that the papers print, as they print them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from engine.yaml_files import read_yaml


@dataclass(frozen=True)
class Printed:
    """A number in print.

    Attributes:
        n: how many runs it is of; 1 where the paper does not say.
        spread: over these runs, as printed; None where the paper prints none.
        spread_is: what `spread` is.
    """

    value: float
    n: int = 1
    spread: float | None = None
    spread_is: Literal["standard deviation", "standard error"] | None = None

    @property
    def error(self) -> float | None:
        """The standard error; None where the paper prints no spread."""
        if self.spread is None or self.spread_is == "standard error":
            return self.spread
        return self.spread / math.sqrt(self.n)


@lru_cache
def published(paper: str) -> dict[str, Any]:
    """What `results/published/<paper>.yaml` says: title, authors, tables.

    A study of no paper, such as a user's own, has no such file, and no tables.
    """
    path = Path(__file__).parent / f"{paper}.yaml"
    if not path.exists():
        return {"title": paper, "authors": None, "tables": {}}
    return read_yaml(path)


def printed(paper: str, table: str, row: str, column: str) -> Printed | None:
    """The number in print, or None where the paper prints none.

    A table has numbers in `rows`, and where the paper says so, `spreads` of the same form, what a
    `spread` is, and `runs` by column. A printed column may stand for several of a study's:
    `stands_for` lists them.
    """
    content = published(paper)["tables"][table]
    for printed_column, columns in content.get("stands_for", {}).items():
        if column in columns:
            column = printed_column
    value = content["rows"].get(row, {}).get(column)
    if value is None:
        return None
    spread = content.get("spreads", {}).get(row, {}).get(column)
    n = content.get("runs", {}).get(column, 1)
    return Printed(value, n, spread, content["spread"] if spread is not None else None)
