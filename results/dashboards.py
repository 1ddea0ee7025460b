"""The runs of a study, or of a folder, as dashboards show them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.dashboards import names_of, shown_as
from engine.record_files import ENDED
from engine.records import Record, read_all
from engine.run import Run
from engine.texts import hydra_text
from results.analysis import Result
from results.plan import Planned, result_of
from results.study import Study
from results.write import variants


def with_names(due: Sequence[Planned], beside: Iterable[Planned]) -> list[tuple[Run, list[str]]]:
    """Runs and their overrides, with those of their rows, and of their names among others."""
    configs = {one.run.id: one.config for one in (*beside, *due)}
    names = dict(zip(configs, names_of([*configs.values()]), strict=True))
    return [(one.run, [*one.overrides, *shown_as(names[one.run.id], one.cell.row)]) for one in due]


def of_folder(runs: Path) -> tuple[list[Record], int]:
    """The runs in a folder that have ended, named; and how many have not."""
    return ended_and_named(read_all(runs).values())


def of_study(study: Study, runs: Path) -> tuple[list[Record], int, list[Result]]:
    """As `of_folder` a study's runs, each with its row there, and the study's results.

    Among them are those that other studies made, and those of its own sweeps with other settings.

    Raises:
        BadInput: a config of the study is wrong.
    """
    records = read_all(runs)
    shared = [f"paths.runs={hydra_text(str(runs))}"]
    results = [
        result_of(study, profile, data, records, shared)
        for profile, data in variants(study, records)
    ]
    found = {run: one for run, one in records.items() if one.config.get("group") == study.name}
    for row in (row for result in results for row in result.rows):
        for record in (record for point in row.all_points for record in point.records):
            found[record.id] = with_config(record, group=study.name, row=row.row)
    return *ended_and_named(found.values()), results


def ended_and_named(records: Iterable[Record]) -> tuple[list[Record], int]:
    records = list(records)
    ended = [record for record in records if record.status in ENDED]
    names = names_of([record.config for record in ended])
    named = [with_config(record, label=name) for record, name in zip(ended, names, strict=True)]
    return named, len(records) - len(ended)


def with_config(record: Record, **changes: str) -> Record:
    """The record as it was read, with other values in its config."""
    changed = Record(record.folder, record.config | changes)
    known = {name: value for name, value in vars(record).items() if name not in vars(changed)}
    vars(changed).update(known)
    return changed
