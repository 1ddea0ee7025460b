"""What is kept in results/reproduced is of the runs that its study asks for today."""

import json
import re
from pathlib import Path

import pytest

from results.plan import find, plan

KEPT = Path(__file__).parents[2] / "results" / "reproduced"

# From before their studies changed; results/reproduced/README.md says so of each.
OLDER = {"madam/table3.short.sample"}

NAMES = sorted(str(path.relative_to(KEPT))[: -len(".jsonl")] for path in KEPT.glob("*/*.jsonl"))


@pytest.mark.parametrize("name", NAMES)
def test_kept_runs_are_those_that_the_study_plans(name):
    study, profile, search, data = re.fullmatch(r"(.*)\.(\w+?)(?:-(\w+))?\.(\w+)", name).groups()
    planned = {run.run.id for run in plan(find(study), profile, data, search=search).runs}
    lines = (KEPT / f"{name}.jsonl").read_text("utf-8").splitlines()
    kept = {json.loads(line)["id"] for line in lines}
    # A search may have gone on from there.
    assert (planned <= kept if search else planned == kept) is (name not in OLDER)


def test_what_is_older_is_said_to_be():
    text = (KEPT / "README.md").read_text("utf-8")
    for name in OLDER:
        study = name.partition(".")[0]
        paragraph = next(p for p in text.split("\n- ") if f"`{study}`" in p.partition("**")[2])
        assert re.search(r"\(Kept\s+here from before", paragraph), study
