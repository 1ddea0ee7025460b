"""A study's table beside the paper's, as text, and its grid points as CSV."""

from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from engine.metrics import is_binary, metric_named, reached_of
from results.analysis import Point, Result, Row, printed_quantities, steps_spent, warnings
from results.differences import Difference, to_print
from results.published import Printed, published
from results.search import Search
from results.statistics import Estimate, selection_bias
from results.study import STATISTICS, Select, Statistic, Study
from results.symbols import short


@dataclass(frozen=True)
class Table:
    """Headers and rows as text, under a title that names profile and data source."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    notes: list[str]


def tabulate(result: Result) -> Table:
    study = result.study
    printed = printed_quantities(study)
    keys = study.keys
    headers = ["method"]
    if len(study.columns) > 1:
        headers.append("column")
    for key in keys:
        headers.append(f"{'worst' if study.select.worst else 'best'} {short(key)}")
        if key in printed:
            headers += ["in print", "ratio"]
    for metric in study.report:
        headers += [metric_named(metric).label, "95% interval"]
        if metric in printed:
            headers += ["in print", "difference", "its 95% interval", "inside"]
        if shows_best_seed(metric, study):
            headers.append(f"{metric_named(metric).label}, best seed")
        if study.select.at == "best":
            headers.append(f"{metric_named(metric).label}, last")
    headers += ["runs", "diverged"]
    rows = [row_texts(row, result) for row in result.rows]
    notes = study.notes_on(dict.fromkeys(row.column for row in result.rows))
    return Table(title(result), headers, rows, [*notes, *provenance(result), *warnings(result)])


def row_texts(row: Row, result: Result) -> list[str]:
    study = result.study
    printed = printed_quantities(study)
    texts = [row.row]
    if len(study.columns) > 1:
        texts.append(row.column)
    for key in study.keys:
        value = row.best.values.get(key) if row.best else None
        texts.append(number(value))
        if key in printed:
            in_print = row.printed.get(key)
            texts += [printed_text(in_print), ratio(value, in_print)]
    for metric in study.report:
        estimate = row.estimates.get(metric)
        texts += [center_and_spread(estimate), interval(estimate)]
        if metric in printed:
            in_print = row.printed.get(metric)
            texts += [printed_text(in_print), *beside_print(estimate, in_print, study.statistic)]
        if shows_best_seed(metric, study):
            texts.append(number(row.shown.best_seed(metric, study) if row.shown else None))
        if study.select.at == "best":
            last = row.shown.estimate(metric, study, at="last") if row.shown else None
            texts.append(center_and_spread(last))
    ended = row.count("finished") + row.count("diverged")
    cut = f", {row.cut} cut" if row.cut else ""
    return [*texts, f"{ended}/{row.planned}{cut}", str(row.count("diverged"))]


def shows_best_seed(metric: str, study: Study) -> bool:
    return study.best_seed and metric_named(metric).better is not None


def title(result: Result) -> str:
    study = result.study
    reproduces = f" ({', '.join(study.reproduces)})" if study.reproduces else ""
    return f"{study.name}: {study.title}{reproduces}. Made with {result.made_with}."


def provenance(result: Result) -> list[str]:
    """Notes: how values were chosen, where the paper prints them, what they were made with."""
    study = result.study
    seeds = max((point.planned for row in result.rows for point in row.points), default=0)
    trial_count = result.trials(study.select.metric)
    trials = f", each of {trial_count} trials" if trial_count > 1 else ""
    notes = [f"{how_chosen(study)} Seeds: {seeds}{trials}.", *search_notes(result)]
    if bias := bias_of_choice(result):
        notes.append(bias)
    if study.published:
        notes += in_print(study)
    if hardware := hardware_of(result):
        notes.append(f"Made on {'; '.join(hardware)}. Commit {', '.join(commits_of(result))}.")
    notes.append(f"Made by `{result.command}`.")
    return notes


def search_notes(result: Result) -> list[str]:
    """What a search other than over the whole grid has spent, and what was confirmed."""
    study = result.study
    notes = []
    if study.search != Search():
        spent, planned = steps_spent(result)
        share = f"{spent / planned:.0%}" if planned else "none"
        search = study.search_of(result.profile)
        notes.append(f"Search: {search}; of the steps of all points, {share} were spent.")
    if any(row.cut for row in result.rows):
        notes.append("Runs that were cut paused where others were better, and went no further.")
    if count := study.confirm_count(result.profile):
        notes.append(
            f"Values are of {count} fresh seeds of the chosen point, which had no part in the "
            "choice."
        )
    return notes


def how_chosen(study: Study) -> str:
    rule = study.select
    chosen = f"{'Worst' if rule.worst else 'Best'}: {rule.mode}imum of {rule.metric}"
    choice = f"{chosen} ({evaluated(rule)}), by the mean over seeds{without_test_data(study)}. "
    choice = choice if study.keys else ""
    interval_of = (
        "the 95% interval of order statistics, which takes 6 values"
        if study.statistic == "median"
        else "Student's 95% interval"
    )
    values = f"{STATISTICS[study.statistic]}, and {interval_of}{of_fractions(study)}"
    return f"{choice}Values ({evaluated(rule)}): {values}."


def of_fractions(study: Study) -> str:
    """What stands beside fractions of trials, where the table shows any."""
    if study.statistic == "median" or not any(map(is_binary, study.report)):
        return ""
    spread = "√(p(1 - p))" if study.statistic == "mean" else "√(p(1 - p)/n)"
    return f"; of a fraction p of n trials ± {spread}, and the exact interval"


def without_test_data(study: Study) -> str:
    """That the choice was on validation data, where the table shows metrics of test data."""
    on_valid = study.select.metric.startswith("valid/")
    shows_test = any(metric.startswith("test/") for metric in study.report)
    return ", in which test data had no part" if on_valid and shows_test else ""


def bias_of_choice(result: Result) -> str | None:
    """What choosing and showing on the same seeds does; None where nothing was chosen."""
    metric = result.study.select.metric
    if metric.startswith("valid/") and metric not in result.study.report:
        return None  # The data of the numbers that are shown had no part in the choice.
    biases = {
        len(row.points): selection_bias(len(row.points), row.estimates[metric].n)
        for row in result.rows
        if row.best and not row.confirmed and len(row.points) > 1
    }
    if not biases:
        return None
    points, bias = max(biases.items(), key=lambda item: item[1])
    extreme, too = ("worst", "bad") if result.study.select.worst else ("best", "good")
    return (
        f"Chosen on the seeds that are shown: of {points} grid points that are equally good, the "
        f"{extreme} looks too {too} by {bias:.2g} standard deviations of {metric} on average, and "
        "by less where they differ."
    )


def in_print(study: Study) -> list[str]:
    """Where the paper prints its numbers, and how ours are compared with them."""
    source = published(study.paper)
    tables = [source["tables"][name] for name in study.published]
    titles = ". ".join(table["title"] for table in tables)
    notes = [f"In print: {source['authors']}, “{source['title']}”. {titles}."]
    if compared := [table for table in tables if table["value"] in study.report]:
        spreads = dict.fromkeys(table["spread"] for table in compared if "spread" in table)
        in_trials = study.statistic != "median" and any(is_binary(t["value"]) for t in compared)
        fractions = (
            "; of fractions of trials, from the exact intervals of both" if in_trials else ""
        )
        notes.append(
            f"{''.join(f'± in print: {spread}. ' for spread in spreads)}Difference: ours minus "
            "print's, with Welch's 95% interval; runs without a spread in print are taken to have "
            f"ours{fractions}. Inside: whether it holds 0, which does not show that both are equal."
        )
    return notes


def evaluated(rule: Select) -> str:
    last = "last evaluation" if rule.evaluations == 1 else f"last {rule.evaluations} evaluations"
    return last if rule.at == "last" else "best evaluation of each run"


def hardware_of(result: Result) -> list[str]:
    environments = (record.environment for record in result.records)
    return sorted({env.get("gpu") or cpu_of(env) for env in environments if env})


def cpu_of(environment: dict[str, Any]) -> str:
    cpu, threads = (environment.get(key, "unknown") for key in ("cpu", "threads"))
    return f"{cpu}, {threads} thread{'' if threads == 1 else 's'}"


def commits_of(result: Result) -> list[str]:
    commits = {
        (env.get("git_commit"), env.get("git_dirty"))
        for record in result.records
        if (env := record.environment)
    }
    return sorted(
        f"{commit[:10]}{' (changed)' if dirty else ''}" if commit else "unknown"
        for commit, dirty in commits
    )


# -- values as text --------------------------------------------------------------------------------


def number(value: float | None) -> str:
    return (
        "–" if value is None else f"{value:.4g}" if isinstance(value, int | float) else str(value)
    )


def center_and_spread(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.missed == 1:
        return "not reached"
    bound = "≥ " if estimate.missed else ""
    if estimate.spread is None:
        return f"{bound}{number(estimate.center)}"
    uncertainty = estimate.spread or abs(estimate.center) / 1000
    return (
        f"{bound}{rounded(estimate.center, uncertainty)} ± {rounded(estimate.spread, uncertainty)}"
    )


def interval(estimate: Estimate | Difference | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    uncertainty = (estimate.high - estimate.low) / 2 or abs(estimate.center) / 1000
    return f"[{rounded(estimate.low, uncertainty)}, {rounded(estimate.high, uncertainty)}]"


def rounded(value: float, uncertainty: float) -> str:
    """A number with two digits of its uncertainty; 3.21e-07 where six decimals would show none."""
    if 0 < abs(value) < 1e-3 and 0 < uncertainty < 1e-5:
        digits = floor(log10(abs(value))) - floor(log10(uncertainty)) + 1
        return f"{value:.{max(digits, 0)}e}"
    return f"{value:.{decimals(uncertainty)}f}"


def decimals(uncertainty: float) -> int:
    """Decimals that show two digits of the uncertainty, six at most."""
    if uncertainty <= 0 or not isfinite(uncertainty):
        return 4
    return min(max(1 - floor(log10(uncertainty)), 0), 6)


def ratio(ours: float | None, in_print: Printed | None) -> str:
    if ours is None or in_print is None:
        return "–"
    return "same" if ours == in_print.value else f"× {ours / in_print.value:.3g}"


def printed_text(in_print: Printed | None) -> str:
    if in_print is None or in_print.spread is None:
        return number(in_print and in_print.value)
    return f"{number(in_print.value)} ± {number(in_print.spread)}"


def beside_print(
    estimate: Estimate | None, in_print: Printed | None, statistic: Statistic
) -> list[str]:
    """The difference to print, its interval, and whether that holds 0."""
    if estimate is None or estimate.missed or in_print is None:
        return ["–"] * 3
    difference = to_print(estimate, in_print, statistic)
    inside = {None: "–", True: "yes", False: "no"}[difference.holds_zero]
    return [f"{difference.center:+.4g}", interval(difference), inside]


# -- grid points -----------------------------------------------------------------------------------


def known(estimate: Estimate | None) -> Estimate | None:
    """None also where no value is known, as nothing was reached."""
    return None if estimate is None or estimate.missed == 1 else estimate


def comma_separated(result: Result) -> str:
    """Every grid point with its numbers unrounded, for further work."""
    import pandas as pd

    rows = [grid_point(row, point, result) for row in result.rows for point in row.all_points]
    # As objects: in a column of numbers, a count beside one that is missing would be a fraction.
    return pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\r\n")


def grid_point(row: Row, point: Point, result: Result) -> dict[str, Any]:
    study = result.study
    columns = {
        "study": study.name,
        "profile": " ".join([result.profile, *result.changes]),
        "data": result.data,
        "method": row.row,
        "column": row.column,
        **point.values,
        "best": point is row.best,
        "planned": point.planned,
        **{status: point.count(status) for status in ("finished", "diverged", "failed")},
    }
    if study.search.halving:
        columns["cut"] = point.cut
    if study.confirm_count(result.profile):
        columns["confirmed"] = point is row.confirmed
    for metric in dict.fromkeys([study.select.metric, *study.report]):
        estimate = known(point.estimate(metric, study))
        for name in ("center", "spread", "low", "high", "n"):
            columns[f"{metric} {name}"] = getattr(estimate, name) if estimate else None
        if shows_best_seed(metric, study):
            columns[f"{metric} best seed"] = point.best_seed(metric, study)
        if reached_of(metric):
            columns[f"{metric} missed"] = point.missed(metric, study)
        if metric_named(metric).better:
            other = "last" if study.select.at == "best" else "best"
            estimate = known(point.estimate(metric, study, at=other))
            columns[f"{metric} {other} center"] = estimate.center if estimate else None
    for quantity in printed_quantities(study):
        in_print = row.printed.get(quantity)
        columns[f"in print: {quantity}"] = in_print and in_print.value
        if quantity in study.report:
            columns[f"in print: {quantity} spread"] = in_print and in_print.spread
    return columns
