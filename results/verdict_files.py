"""The files of a verdict, and its page beside all runs."""

import dataclasses
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from engine import search_path
from engine.files import json_text
from engine.texts import hydra_text
from results import baselines
from results.analysis import Result, relative_path
from results.markup import latex, markdown
from results.rendered import write
from results.report import PAGE
from results.standing import Standing, profile, rate_width
from results.study import slug
from results.suite import task_of
from results.suite_comparison import SuiteComparison
from results.table import Table, commits_of, hardware_of
from results.verdict import TaskVerdict, Verdict, sentences, times
from results.verdict_figures import draw
from results.verdict_tables import tables_of
from results.write import collect, hash_of, page_of

FACTORS = 60  # of the quickest optimizer's time, from 1 to 10, at which a profile is drawn


def made_with(comparison: SuiteComparison) -> str:
    """The part that every title has, for example "Suite laptop, profile short, sample data"."""
    suite = comparison.suite
    return f"Suite {suite.name}, profile {comparison.profile}, {suite.data} data"


def said(comparison: SuiteComparison, found: Verdict) -> list[str]:
    """The verdict in words, the plainest sentence first."""
    lines = sentences(found)
    if comparison.profile == "smoke":
        lines.append("Profile smoke shows that all works, and not which optimizer is better.")
    return lines


def verdict_tables(
    comparison: SuiteComparison, found: Verdict, results: dict[str, Result]
) -> list[Table]:
    machines = dict.fromkeys(machine for one in results.values() for machine in hardware_of(one))
    commits = dict.fromkeys(commit for one in results.values() for commit in commits_of(one))
    targets = ", ".join(
        f"{task_of(study)} {study.select.metric} {study.target:g}"
        for study in comparison.suite.studies
        if study.target is not None
    )
    notes = [
        f"Targets: {targets}.",
        f"Made on {'; '.join(machines)}. Commit {', '.join(commits)}.",
        f"Made by `{command(comparison)}`.",
    ]
    return tables_of(found, made_with(comparison), notes)


def command(comparison: SuiteComparison) -> str:
    optim, against = hydra_text(comparison.optim.row), hydra_text(comparison.against.label)
    arguments = [f"optim={optim}", *comparison.optim.changes, f"suite={comparison.suite.name}"]
    arguments += [f"against={against}"]
    arguments += [f"--config-dir={relative_path(folder)}" for folder in search_path.named()]
    arguments += [f"profile={comparison.profile}"]
    return f"python -m scripts.compare {shlex.join(arguments)}"


def name_of(comparison: SuiteComparison) -> str:
    """The path in the folder of reports that the files begin with."""
    suite = comparison.suite
    label = comparison.optim.label
    name = slug(label)
    if comparison.optim.changes:
        # A file name keeps no sign and no dot: lr=1e-3 and lr=1e+3 are to be two names.
        name += f"-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
    if comparison.against.label != suite.against:
        name += f"-against-{slug(comparison.against.label)}"
    return f"{suite.name}/{name}.{comparison.profile}.{suite.data}"


def write_verdict(
    comparison: SuiteComparison,
    found: Verdict,
    results: dict[str, Result],
    others: Sequence[Result],
) -> tuple[list[Path], Path]:
    """Write tables, pictures, numbers and the packed records, and the page over all runs.

    Args:
        comparison: that was carried out.
        found: its verdict.
        results: what it was made from.
        others: of the same studies, with the rows that were ranked beside.

    Returns:
        The paths of the verdict's files, and the path of the page.

    Raises:
        OSError: a file could not be written.
    """
    reports, runs = (Path(comparison.paths[key]) for key in ("reports", "runs"))
    name = name_of(comparison)
    tables = verdict_tables(comparison, found, results)
    source = f"{hash_of(runs)} {command(comparison)}"
    words = "".join(f"{sentence}\n\n" for sentence in said(comparison, found))
    files = {
        f"{name}.md": (words + "\n".join(map(markdown, tables))).encode(),
        f"{name}.tex": "\n".join(map(latex, tables)).encode(),
        f"{name}.json": json_text(numbers(found) | about(comparison)).encode(),
        f"{name}.jsonl.xz": baselines.pack(
            (
                record
                for result in results.values()
                for row in result.rows
                if row.row == comparison.optim.label
                for point in row.all_points
                for record in point.records
            ),
            comparison.baselines.packed,
        ),
    }
    drawn = draw(found, comparison.suite.studies, made_with(comparison))
    files |= {f"{name}.{ending}": picture for ending, picture in drawn.items()}
    paths = write(reports, name, source, files)
    return paths, write_page(comparison, [*results.values(), *others], source)


def write_page(comparison: SuiteComparison, results: Sequence[Result], source: str) -> Path:
    """Write the page over all runs, with all rows of the results in the suite's tables."""
    reports, runs = (Path(comparison.paths[key]) for key in ("reports", "runs"))
    studies, found, records = collect(runs)
    joined = [
        joint([result for result in results if result.study.name == study.name])
        for study in comparison.suite.studies
        if study.name in comparison.plans
    ]
    ours = {(one.study.name, one.profile, one.data): one for one in joined}
    found = [one for one in found if (one.study.name, one.profile, one.data) not in ours]
    by_name = {one.study.name: one.study for one in joined}
    records |= {record.id: record for one in joined for record in one.records}
    studies = [by_name.get(study.name, study) for study in studies]
    content = page_of(studies, [*found, *joined], records, reports)
    [page] = write(reports, PAGE, source, content)
    return page


def joint(results: Sequence[Result]) -> Result:
    """Results of one study with different rows as one."""
    first, *others = results
    study, rows = first.study, first.rows
    for other in others:
        study = replace(study, rows=study.rows | other.study.rows)
        rows = [*rows, *other.rows]
    return replace(first, study=study, rows=rows)


def about(comparison: SuiteComparison) -> dict[str, Any]:
    """What a reader of the numbers must know of where they come from."""
    suite = comparison.suite
    return {
        "suite": suite.name,
        "title": suite.title,
        "profile": comparison.profile,
        "data": suite.data,
        "made_with": made_with(comparison),
        "rows": {row: settings for study in suite.studies for row, settings in study.rows.items()},
        "command": command(comparison),
        "chosen_by": {task_of(study): study.select.metric for study in suite.studies},
    }


def numbers(found: Verdict) -> dict[str, Any]:
    """The verdict as JSON has it: infinities, of targets that are never reached, as null."""
    content = dataclasses.asdict(found) | {
        "tasks": [task_numbers(task) for task in found.tasks],
        "others": {optim: [*map(standing_numbers, of)] for optim, of in found.others.items()},
        "overall": overall_numbers(found) if found.others else {},
        "profiles": profile_numbers(found),
        "sentences": sentences(found),
    }
    return plain(content)


def task_numbers(task: TaskVerdict) -> dict[str, Any]:
    return dataclasses.asdict(task) | {
        "ours": standing_numbers(task.ours) if task.ours else None,
        "theirs": standing_numbers(task.theirs) if task.theirs else None,
        "judgement": task.judgement,
        "speed_judgement": task.speed_judgement,
    }


def standing_numbers(one: Standing) -> dict[str, Any]:
    return dataclasses.asdict(one) | {"rate_width": rate_width(one)}


def overall_numbers(found: Verdict) -> dict[str, Any]:
    """Of each optimizer, its place among all and what that and the profiles are made from."""
    ranks, steps, seconds = found.ranks, found.step_scores, found.second_scores or {}
    return {
        optim: {
            "rank": ranks[optim],
            "mean_score": fmean(found.scores_of(optim)),
            "iqm": dataclasses.asdict(found.iqm_of(optim)),
            "step_score": steps[optim],
            "second_score": seconds.get(optim),
        }
        for optim in found.others
    }


def profile_numbers(found: Verdict) -> dict[str, Any]:
    """Unit → optimizer → the share of tasks that it solves within each of `factors`."""
    taken = {"steps": found.others, "seconds": found.timed}
    factors = [10 ** (place / (FACTORS - 1)) for place in range(FACTORS)]
    shares = {
        unit: [profile(times(others, unit), factor) for factor in factors]
        for unit, others in taken.items()
        if others
    }
    return {
        unit: {optim: [share[optim] for share in of] for optim in of[0]}
        for unit, of in shares.items()
    } | {"factors": factors}


def plain(value: Any) -> Any:
    """Without what JSON lacks; a set in order, so that it is written the same again."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value
