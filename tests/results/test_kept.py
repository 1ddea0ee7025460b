"""What is kept in results/reproduced: of the runs that its study asks for, and drawn from them."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from results import table
from results.drawing import PLOTTED, plotted
from results.figures import pictures
from results.kept import (
    paths_in,
    read_all,
    stem_of,
)
from results.markup import markdown
from results.report import tables_of

KEPT = Path(__file__).parents[2] / "results" / "reproduced"

# From before their studies changed; results/reproduced/README.md says so of each.
OLDER = {"madam/table3.short.sample"}

FILES = {f"{path.parent.name}/{stem_of(path)}": path for path in paths_in(KEPT)}


@pytest.fixture(scope="module")
def everything():
    return {f"{kept.path.parent.name}/{kept.stem}": kept for kept in read_all(KEPT)}


@pytest.mark.parametrize("name", FILES)
def test_what_is_kept_is_what_its_records_say_today(name, everything):
    """The runs, the table, the grid points and the pictures: all but what the file does not hold.

    Pictures are compared by what is plotted in them, which each PNG says: its bytes, and where
    letters and lines lie, differ from one version of matplotlib to the next.
    """
    kept = everything[name]
    planned = kept.plan()
    ids = {run.run.id for run in planned.runs}
    # A search may have gone on from there.
    as_planned = ids <= kept.records.keys() if planned.search else ids == kept.records.keys()
    assert as_planned is (name not in OLDER)
    if name in OLDER or (planned.study.select.evaluations > 1 and not kept.whole):
        return
    result = planned.result(kept.records)
    rendered = read_rows(table.comma_separated(result))
    written = read_rows((KEPT / f"{name}.csv").read_text("utf-8"))
    without_trials = not kept.whole and has_trials(written)
    assert rendered and same_rows(rendered, written, centers_only=without_trials)
    if without_trials:
        return
    text = "\n".join(map(markdown, tables_of(result)))
    assert same_text(text, (KEPT / f"{name}.md").read_text("utf-8"))
    drawn = {picture: plotted(drawing) for picture, drawing in pictures(result).items()}
    files = {path.name[len(kept.stem) + 1 : -4]: path for path in KEPT.glob(f"{name}.*.png")}
    known = {picture: json.loads(said) for picture, path in files.items() if (said := says(path))}
    smoothed = {key for key, figure in planned.study.figures.items() if figure.smooth}
    assert drawn.keys() - smoothed == known.keys(), "remake it: make reproduced, and copy the PNG"
    for picture, panels in known.items():
        assert alike(drawn[picture], panels), picture


def read_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def has_trials(rows):
    """Whether some number is one of more trials than there are runs."""
    return any(
        int(value) > int(row["finished"])
        for row in rows
        for key, value in row.items()
        if key.endswith(" n") and value
    )


def same_rows(rendered, written, centers_only):
    keys = [key for key in written[0] if key.endswith(" center") or not centers_only]
    keys = [key for key in keys if not (centers_only and key not in rendered[0])]
    return len(rendered) == len(written) and all(
        alike_texts(one[key], other[key])
        for one, other in zip(rendered, written, strict=True)
        for key in keys
    )


def alike_texts(one, other):
    try:
        return float(one) == pytest.approx(float(other), rel=1e-4, abs=1e-12)
    except ValueError:
        return one == other


def same_text(one, other):
    """Whether texts are the same, but for the last digits of numbers."""
    number = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
    numbers = [[float(found) for found in number.findall(text)] for text in (one, other)]
    return number.sub("#", one) == number.sub("#", other) and numbers[0] == pytest.approx(
        numbers[1], rel=2e-2
    )


def says(path):
    """What a PNG says is plotted in it; nothing where it is older."""
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get(PLOTTED, "")


def alike(one, other):
    """Whether nested values are the same, numbers up to the fourth digit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == pytest.approx(other, rel=1e-3, abs=1e-12)
    return one == other


def test_what_is_older_is_said_to_be():
    text = (KEPT / "README.md").read_text("utf-8")
    for name in OLDER:
        study = name.partition(".")[0]
        paragraph = next(p for p in text.split("\n- ") if f"`{study}`" in p.partition("**")[2])
        assert re.search(r"\(Kept\s+here from before", paragraph), study
