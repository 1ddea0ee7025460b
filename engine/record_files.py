"""Reading the files of a run's record, each checked against its schema and the others."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import schema
from engine.files import Unreadable, parse_json, read_bytes
from engine.identity import run_id
from engine.yaml_files import YamlError, read_yaml

# The files that a record is read from.
RECORD = ("config.yaml", "environment.json", "metrics.jsonl", "losses.jsonl", "summary.json")

# A failed run is to be tried again.
ENDED = ("finished", "diverged")


class Damaged(ValueError):
    """A file of a run is not what a run has written.

    Args:
        folder: the run's folder.
        file: its name.
        fault: what is wrong with it, in words that follow the name.
        remedy: what to do.
    """

    def __init__(self, folder: Path, file: str, fault: str, remedy: str = ""):
        super().__init__(folder, file, fault, remedy or REMEDY)

    def __str__(self) -> str:
        folder, file, fault, remedy = self.args
        return f"{folder / file} {fault}: {remedy}"


REMEDY = "put it back, or remove the folder to train the run again"
ENVIRONMENT_REMEDY = "put it back, or remove it"
PAUSES_REMEDY = "put it back, or remove it to let the search compare the run anew"


def read_config(folder: Path) -> dict[str, Any] | None:
    """config.yaml; None where there is none.

    Raises:
        Damaged: it is not the config of the run whose id is the folder's name.
    """
    path = folder / "config.yaml"
    try:
        config = read_yaml(path)
    except FileNotFoundError:
        return None
    except YamlError as error:
        raise unreadable(path, error, REMEDY) from error
    if fault := schema.config_fault(config):
        raise Damaged(folder, path.name, fault)
    for version in (config, from_older_form(config)):
        if described_id(version) == folder.name:
            return version
    raise Damaged(folder, path.name, f"was changed: it describes {described_id(config)}")


def described_id(config: dict[str, Any]) -> str:
    """The id of the run that a config describes, which may be none."""
    try:
        return run_id(config)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return "nothing"


def from_older_form(config: dict[str, Any]) -> dict[str, Any]:
    """A config as it was written when agents had `task.video`, which no identity held."""
    task = {key: value for key, value in config["task"].items() if key != "video"}
    train = {"artifacts": config["task"].get("video", False)} | config.get("train", {})
    return config | {"task": task, "train": train}


def read_summary(folder: Path) -> dict[str, Any] | None:
    """summary.json; None while there is none.

    Raises:
        Damaged: it is not what the run of this folder has written.
    """
    path = folder / "summary.json"
    summary = read_json_value(path, REMEDY)
    if summary is None:
        return None
    if fault := schema.summary_fault(summary):
        raise Damaged(folder, path.name, fault)
    if summary.get("id", folder.name) != folder.name:
        raise Damaged(folder, path.name, f"is that of run {summary['id']}")
    if hash_in(summary, path.name) not in (None, summary_hash(summary)):
        raise Damaged(folder, path.name, "was changed since the run has ended")
    return summary


def read_pauses(folder: Path) -> dict[str, Any]:
    """pauses.json: what the run was worth, by `pause_name`; empty where there is none.

    Raises:
        Damaged: it is not what a run has written.
    """
    path = folder / "pauses.json"
    pauses = read_json_value(path, PAUSES_REMEDY)
    if pauses is None:
        return {}
    if not isinstance(pauses, dict) or not all(map(is_worth, pauses.values())):
        raise Damaged(folder, path.name, "is not what a run writes", PAUSES_REMEDY)
    return pauses


def pause_name(pause_at: float) -> str:
    """The key of a pause after that part of a run's steps."""
    return f"{pause_at:.6g}"


def is_worth(value: Any) -> bool:
    kinds = {"step": int, "steps": int, "final": dict, "best": dict}
    return (
        isinstance(value, dict)
        and value.keys() == kinds.keys()
        and all(isinstance(value[key], kind) for key, kind in kinds.items())
        and schema.is_plain(value)
    )


def read_environment(folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """environment.json; empty where there is none.

    Raises:
        Damaged: it is not what a run has written, or not the one that ended with `summary`.
    """
    path = folder / "environment.json"
    environment = read_json_value(path, ENVIRONMENT_REMEDY, hash_in(summary, path.name))
    if environment is None:
        return {}
    if fault := schema.environment_fault(environment):
        raise Damaged(folder, path.name, fault, ENVIRONMENT_REMEDY)
    return environment


def read_lines(folder: Path, summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; none where there is no such file.

    Raises:
        Damaged: they are not what a run has written, or not those that end with `summary`.
    """
    return read_json_lines(folder / "metrics.jsonl", summary, schema.line_fault)


def read_losses(folder: Path, summary: dict[str, Any]) -> tuple[list[int], list[float | None]]:
    """Steps and training losses of losses.jsonl; none where there is no such file.

    Raises:
        Damaged: they are not what a run has written, or not those that end with `summary`.
    """
    steps: list[int] = []
    losses: list[float | None] = []
    for block in read_json_lines(folder / "losses.jsonl", summary, schema.block_fault):
        steps += schema.block_steps(block)
        losses += block["losses"]
    return steps, losses


def read_json_lines(
    path: Path, summary: dict[str, Any], fault_of: Callable[[Any, int], str | None]
) -> list[dict[str, Any]]:
    """The lines of a file, each with its step; `fault_of` is asked with the step before.

    Of a run that has not ended, a last line that is incomplete is left out.
    """
    folder = path.parent
    sha256 = hash_in(summary, path.name)
    text = read_bytes_of(path, REMEDY, sha256)
    if text is None and sha256 is not None:
        raise Damaged(folder, path.name, "is gone")
    *complete_lines, incomplete = (text or b"").split(b"\n")
    if incomplete and summary.get("status") in ENDED:
        raise Damaged(folder, path.name, "ends within a line")
    lines: list[dict[str, Any]] = []
    previous_step = -1
    for number, line in enumerate(parsed_at_once(complete_lines, path), 1):
        try:
            values = parse_json(line, path) if isinstance(line, bytes) else line
        except Unreadable as error:
            fault = f"cannot be read from line {number} on ({without_path(path, error)})"
            raise Damaged(folder, path.name, fault) from error
        if fault := fault_of(values, previous_step):
            raise Damaged(folder, path.name, f"has a line, number {number}, that {fault}")
        previous_step = values["step"]
        lines.append(values)
    return lines


def parsed_at_once(lines: list[bytes], path: Path) -> list[Any]:
    """The values of all lines, which is quicker than line by line; as they are where one is wrong.

    A line that is no single value, such as "1, 2", is left for the reader of lines to refuse.
    """
    try:
        values = parse_json(b"[%b]" % b",".join(lines), path)
    except Unreadable:
        return lines
    return values if len(values) == len(lines) else lines


def read_json_value(path: Path, remedy: str, sha256: str | None = None) -> Any | None:
    """The value in a file of a run; None where there is no such file."""
    text = read_bytes_of(path, remedy, sha256)
    if text is None:
        return None
    try:
        value = parse_json(text, path)
    except Unreadable as error:
        raise unreadable(path, error, remedy) from error
    if value is None:
        raise Damaged(path.parent, path.name, "holds null", remedy)
    return value


def read_bytes_of(path: Path, remedy: str, sha256: str | None) -> bytes | None:
    """What a file of a run holds; None where there is no such file."""
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        return None
    except Unreadable as error:
        raise unreadable(path, error, remedy) from error
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise Damaged(path.parent, path.name, "was changed since the run has ended", remedy)
    return content


def unreadable(path: Path, error: Exception, remedy: str) -> Damaged:
    """The error for a file that cannot be parsed, or that this user may not read."""
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    if isinstance(causes[-1], PermissionError):
        remedy = "let it be read, as by chmod -R a+rX on the folder"
    fault = without_path(path, error).removeprefix("cannot be read: ")
    return Damaged(path.parent, path.name, f"cannot be read ({fault})", remedy)


def without_path(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")


def hash_in(summary: dict[str, Any], name: str) -> str | None:
    """The SHA-256 that a file should have; None where an older version wrote the summary."""
    return summary.get("sha256", {}).get(name)


def has_hash(path: Path, summary: dict[str, Any]) -> bool:
    """Whether a file is the very one with which the run ended, as far as the summary says so."""
    expected = hash_in(summary, path.name)
    try:
        return expected is not None and hashlib.sha256(read_bytes(path)).hexdigest() == expected
    except (FileNotFoundError, Unreadable):
        return False


def summary_hash(summary: dict[str, Any]) -> str:
    """The SHA-256 of a summary without its hashes."""
    hashed = {key: value for key, value in summary.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
