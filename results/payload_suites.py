"""Verdicts of suites as the page reads them, from their files in the folder of reports."""

from pathlib import Path
from typing import Any

from engine.files import Unreadable, read_json
from results.payload import Files, looks_payload
from results.style import looks

# A verdict's files are those that have both.
NUMBERS, RECORDS = ".json", ".jsonl.xz"


def suites_payload(reports: Path, files: Files) -> list[dict[str, Any]]:
    """The verdicts that lie in the folder of reports, whichever command has written them.

    Args:
        reports: the folder.
        files: its files, by what they were rendered as.
    """
    names = [
        name
        for name, paths in files.items()
        if {f"{name}{NUMBERS}", f"{name}{RECORDS}"} <= set(paths)
    ]
    found = [(name, verdict_in(reports / f"{name}{NUMBERS}")) for name in sorted(names)]
    return [
        verdict | {"name": name, "files": list(files[name]), "looks": looks_of(verdict)}
        for name, verdict in found
        if verdict
    ]


def verdict_in(path: Path) -> dict[str, Any] | None:
    """None where there is none any more, or an older version wrote it without what it is of."""
    try:
        verdict = read_json(path)
    except (FileNotFoundError, Unreadable):
        return None
    return verdict if isinstance(verdict, dict) and "made_with" in verdict else None


def looks_of(verdict: dict[str, Any]) -> dict[str, list[str]]:
    """As in the pictures beside it, `verdict_figures.looks_of`."""
    labels = [verdict["optim"], verdict["against"], *verdict["others"]]
    return looks_payload(
        looks({label: {"optim": label} for label in labels} | verdict.get("rows", {}))
    )
