"""The numbers that the papers print, as they print them."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.yaml_files import read_yaml


@lru_cache
def published(paper: str) -> dict[str, Any]:
    """What `results/published/<paper>.yaml` says: title, authors, tables.

    A study of no paper, such as a user's own, has no such file, and no tables.
    """
    path = Path(__file__).parent / f"{paper}.yaml"
    if not path.exists():
        return {"title": paper, "authors": None, "tables": {}}
    return read_yaml(path)


def printed(paper: str, table: str, row: str, column: str) -> float | None:
    """The number in print, or None where the paper prints none.

    A printed column may stand for several of a study's: `stands_for` of a table lists them.
    """
    content = published(paper)["tables"][table]
    for printed_column, columns in content.get("stands_for", {}).items():
        if column in columns:
            column = printed_column
    return content["rows"].get(row, {}).get(column)
