"""A study's table beside the paper's, as Markdown, LaTeX and CSV."""

from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from engine.metrics import metric_named
from results.analysis import Point, Result, Row, printed_quantities, warnings
from results.published import published
from results.statistics import Estimate
from results.study import STATISTICS, Select, Study


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
    keys = list(study.grid)
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
            headers += ["in print", "difference", "inside"]
        if study.select.at == "best":
            headers.append(f"{metric_named(metric).label}, last")
    headers += ["runs", "diverged"]
    rows = [row_texts(row, result) for row in result.rows]
    return Table(
        title(result), headers, rows, [*study.notes, *provenance(result), *warnings(result)]
    )


def row_texts(row: Row, result: Result) -> list[str]:
    study = result.study
    printed = printed_quantities(study)
    texts = [row.row]
    if len(study.columns) > 1:
        texts.append(row.column)
    for key in study.grid:
        value = row.best.values[key] if row.best else None
        texts.append(number(value))
        if key in printed:
            in_print = row.printed.get(key)
            texts += [number(in_print), ratio(value, in_print)]
    for metric in study.report:
        estimate = row.estimates.get(metric)
        texts += [center_and_spread(estimate, study.statistic), interval(estimate)]
        if metric in printed:
            in_print = row.printed.get(metric)
            texts += [number(in_print), difference(estimate, in_print), inside(estimate, in_print)]
        if study.select.at == "best":
            last = row.best.estimate(metric, study, at="last") if row.best else None
            texts.append(center_and_spread(last, study.statistic))
    ended = row.count("finished") + row.count("diverged")
    return [*texts, f"{ended}/{row.planned}", str(row.count("diverged"))]


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
    notes = [f"{how_chosen(study)} Seeds: {seeds}{trials}."]
    if study.published:
        source = published(study.paper)
        printed_in = ". ".join(source["tables"][name]["title"] for name in study.published)
        notes.append(f"In print: {source['authors']}, “{source['title']}”. {printed_in}.")
    if hardware := hardware_of(result):
        notes.append(f"Made on {'; '.join(hardware)}. Commit {', '.join(commits_of(result))}.")
    notes.append(f"Made by `{result.command}`.")
    return notes


def how_chosen(study: Study) -> str:
    rule = study.select
    chosen = f"{'Worst' if rule.worst else 'Best'}: {rule.mode}imum of {rule.metric}"
    choice = f"{chosen} ({evaluated(rule)}), by the mean over seeds. " if study.grid else ""
    return (
        f"{choice}Values ({evaluated(rule)}): {STATISTICS[study.statistic]}, and the 95% bootstrap "
        "interval over seeds."
    )


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


def short(key: str) -> str:
    """The last part of a key: "lr" for "optim.lr", "betas.1" for "optim.betas.1"."""
    whole, _, last = key.rpartition(".")
    return f"{short(whole)}.{last}" if last.isdigit() else last


def number(value: float | None) -> str:
    return (
        "–" if value is None else f"{value:.4g}" if isinstance(value, int | float) else str(value)
    )


def center_and_spread(estimate: Estimate | None, statistic: str) -> str:
    if estimate is None:
        return "–"
    if estimate.n == 1:  # which has no spread
        return number(estimate.center)
    uncertainty = estimate.spread or abs(estimate.center) / 1000
    return f"{rounded(estimate.center, uncertainty)} ± {rounded(estimate.spread, uncertainty)}"


def interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.n == 1:
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


def ratio(ours: float | None, in_print: float | None) -> str:
    if ours is None or in_print is None:
        return "–"
    return "same" if ours == in_print else f"× {ours / in_print:.3g}"


def difference(estimate: Estimate | None, in_print: float | None) -> str:
    return "–" if estimate is None or in_print is None else f"{estimate.center - in_print:+.4g}"


def inside(estimate: Estimate | None, in_print: float | None) -> str:
    if estimate is None or estimate.n == 1 or in_print is None:
        return "–"
    return "yes" if estimate.contains(in_print) else "no"


# -- formats ---------------------------------------------------------------------------------------


def markdown(table: Table) -> str:
    lines = [
        f"# {table.title}",
        "",
        markdown_row(table.headers),
        markdown_row(["---"] * len(table.headers)),
    ]
    lines += [markdown_row(texts) for texts in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def latex(table: Table) -> str:
    r"""A booktabs table; needs \usepackage{booktabs}."""
    columns = "l" + "r" * (len(table.headers) - 1)
    body = [" & ".join(map(escape, texts)) + r" \\" for texts in table.rows]
    notes = [f"% {line}" for note in table.notes for line in note.splitlines()]
    lines = [
        *notes,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escape, table.headers)) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
        "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "±": r"$\pm$", "–": "--", "×": r"$\times$", "“": "``", "”": "''", "≤": r"$\le$",
        "∞": r"$\infty$", "→": r"$\to$", "β": r"$\beta$", "₁": r"$_1$", "₂": r"$_2$",
    }
)  # fmt: skip


def escape(text: str) -> str:
    return text.translate(LATEX)


def comma_separated(result: Result) -> str:
    """Every grid point with its numbers unrounded, for further work."""
    import pandas as pd

    rows = [grid_point(row, point, result) for row in result.rows for point in row.points]
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
    for metric in dict.fromkeys([study.select.metric, *study.report]):
        estimate = point.estimate(metric, study)
        for name in ("center", "spread", "low", "high", "n"):
            columns[f"{metric} {name}"] = getattr(estimate, name) if estimate else None
        if metric_named(metric).better:
            other = "last" if study.select.at == "best" else "best"
            estimate = point.estimate(metric, study, at=other)
            columns[f"{metric} {other} center"] = estimate.center if estimate else None
    for quantity in printed_quantities(study):
        columns[f"in print: {quantity}"] = row.printed.get(quantity)
    return columns
