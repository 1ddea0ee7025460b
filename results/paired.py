"""Rows against a study's reference row, seed by seed: a table beside the study's own.

With one seed, two optimizers begin with the same weights and see the same batches.
"""

from engine.metrics import metric_named
from results.analysis import Result, Row
from results.differences import Comparison, compare, detectable, holm
from results.study import Study
from results.table import Table, interval, number, title

# Of a row, by column and row.
Comparisons = dict[tuple[str, str], Comparison]


def against_reference(result: Result) -> list[Table]:
    """The table; none where the study names no reference row, or nothing is to compare yet."""
    study = result.study
    rows = [
        texts
        for metric in study.report
        if metric_named(metric).better
        for texts in texts_of(comparisons(result, metric), metric, study)
    ]
    if not rows:
        return []
    columns = ["column"] if len(study.columns) > 1 else []
    chosen = any(len(row.points) > 1 for row in result.rows)
    table = Table(
        f"Against {study.reference}: {title(result)}",
        [
            *("method", *columns, "metric", "difference", "95% interval"),
            *("probability of improvement", "p (Holm)", "detectable difference", "pairs"),
        ],
        rows,
        [
            f"Difference: the method's value minus that of {study.reference}, mean over the pairs "
            "of runs with the same seed that both finished, with Student's 95% interval.",
            "Probability of improvement: that a run of the method is better than one of "
            f"{study.reference}.",
            "p: of the paired t-test, two-sided, corrected by Holm for all comparisons of a metric "
            f"in this table.{' Each row is at the grid point chosen on these seeds.' * chosen}",
            "Detectable difference: the smallest true one that as many pairs, spread as these are, "
            "show with a probability of 80% by a corrected p of 0.05 at most.",
        ],
    )
    return [table]


def comparisons(result: Result, metric: str) -> Comparisons:
    """Each row with the reference row of its column, as far as they share seeds."""
    references = {row.column: row for row in result.rows if row.row == result.study.reference}
    lower_is_better = metric_named(metric).better == "min"
    found = {}
    for row in result.rows:
        reference = references.get(row.column)
        if reference is None or row is reference:
            continue
        ours, theirs = shared_values(row, reference, metric, result.study)
        if ours:
            found[row.column, row.row] = compare(ours, theirs, lower_is_better)
    return found


def shared_values(
    row: Row, reference: Row, metric: str, study: Study
) -> tuple[list[float], list[float]]:
    """The values of both rows, at the best grid point of each, of seeds that both finished."""
    if row.shown is None or reference.shown is None:
        return [], []
    ours, theirs = (point.values_by_seed(metric, study) for point in (row.shown, reference.shown))
    pairs = [
        pair
        for seed, values in ours.items()
        for pair in zip(values, theirs.get(seed, []), strict=False)
    ]
    return [one for one, _ in pairs], [other for _, other in pairs]


def texts_of(found: Comparisons, metric: str, study: Study) -> list[list[str]]:
    tested = {key: one.p for key, one in found.items() if one.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        [
            row,
            *([column] if len(study.columns) > 1 else []),
            metric_named(metric).label,
            f"{one.difference.center:+.4g}",
            interval(one.difference),
            f"{one.improves:.0%}",
            p_text(corrected.get((column, row))),
            detectable_text(one, len(tested)),
            str(one.n),
        ]
        for (column, row), one in found.items()
    ]


def p_text(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def detectable_text(comparison: Comparison, tested: int) -> str:
    if comparison.deviation is None:
        return "–"
    return number(float(f"{detectable(comparison.deviation, comparison.n, tested):.2g}"))
