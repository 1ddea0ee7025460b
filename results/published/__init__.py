"""The numbers that the papers print, as they print them."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from results.study import Loader


@lru_cache
def published(paper: str) -> dict[str, Any]:
    """What `results/published/<paper>.yaml` says: title, authors, tables."""
    return yaml.load((Path(__file__).parent / f"{paper}.yaml").read_text(), Loader)


def printed(paper: str, table: str, row: str, column: str) -> float | None:
    """The number in print, or None where the paper prints none."""
    return published(paper)["tables"][table]["rows"].get(row, {}).get(column)
