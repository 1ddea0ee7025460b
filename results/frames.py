"""Runs as pandas data frames, for notebooks and further work."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.identity import identity
from engine.records import Record, read_all

if TYPE_CHECKING:
    import pandas as pd

# The part of a run's environment that its numbers depend on.
MADE_ON = ("git_commit", "git_dirty", "device", "gpu", "cpu", "threads")


def load(folder: str | Path = "runs") -> "pd.DataFrame":
    """A row for each run in a folder of runs.

    Args:
        folder: of all runs, as `paths.runs` names it.

    Returns:
        Columns: `id`, `status`, the names of `task`, `optim` and `schedule`, `data`, `profile`,
        `seed`; all keys of the config that decide the outcome, by their dotted names (`optim.lr`);
        metrics of the last evaluation by their names (`test/accuracy`) and the best ones
        (`best test/accuracy`); `step`, `steps`, seconds; and what the run was made on.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    import pandas as pd

    return pd.DataFrame([run_row(record) for record in records_in(folder)])


def curves(folder: str | Path = "runs") -> "pd.DataFrame":
    """A row for each evaluation of each run in a folder of runs, in the order of its steps.

    Args:
        folder: of all runs, as `paths.runs` names it.

    Returns:
        Columns: what identifies the run (`id` to `seed`, as in `load`), `step`, and the metrics by
        their names.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    import pandas as pd

    rows = [
        identifying_columns(record) | line for record in records_in(folder) for line in record.lines
    ]
    return pd.DataFrame(rows)


def records_in(folder: str | Path) -> Iterable[Record]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    return read_all(Path(folder)).values()


def run_row(record: Record) -> dict[str, Any]:
    config, summary = record.config, record.summary
    identity_config = {key: value for key, value in identity(config).items() if key != "names"}
    best = {name: entry["value"] for name, entry in summary.get("best", {}).items()}
    summary_keys = ("step", "steps", "diverged_at", "wall_seconds", "step_seconds", "parameters")
    return (
        identifying_columns(record)
        | dict(leaves(identity_config))
        | summary.get("final", {})
        | {f"best {name}": value for name, value in best.items()}
        | {key: summary[key] for key in summary_keys if key in summary}
        | {key: record.environment.get(key) for key in MADE_ON}
    )


def identifying_columns(record: Record) -> dict[str, Any]:
    """What identifies a run, and its status."""
    config = record.config
    columns = {"id": record.id, "status": record.status} | config["names"]
    return columns | {key: config[key] for key in ("data", "profile", "group", "seed")}


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All values by their dotted keys, without `_partial_`, which only Hydra needs."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        elif key != "_partial_":
            yield f"{prefix}{key}", value
