"""Every study of a paper's table or figure trains: two steps of it here, and its smoke profile."""

import math
import re
import subprocess
import sys

import pytest
import torch
import yaml
from running import ROOT

from engine.config import names
from engine.loop import backward
from engine.session import Session
from results.plan import find, plan

# Those that need neither data nor games run in test_claims.py.
FAMILIES = "mnist cifar imagenet ptb imdb glue roberta_pretrain iwslt wmt atari"
DATA = tuple(FAMILIES.split())


def needs_data(study):
    return any(settings["task"].startswith(DATA) for settings in study.columns.values())


def is_like_another(name):
    """Its runs are then those of the other."""
    return "like" in yaml.safe_load((ROOT / "conf" / "study" / f"{name}.yaml").read_text())


STUDIES = [name for name in names("study") if needs_data(find(name))]
OWN = [name for name in STUDIES if not is_like_another(name)]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.usefixtures("images_root")
def test_two_steps_of_a_row_in_every_column(name, sample_root, movie_reviews, glue_source):
    study = find(name)
    runs = plan(study, "smoke", "sample", [f"paths.data={sample_root}"]).runs
    rows = list(study.rows)
    for index, column in enumerate(dict.fromkeys(planned.cell.column for planned in runs)):
        # Other rows in other columns, so that most of them are tried.
        wanted = {(rows[place % len(rows)], column) for place in (index, -1 - index)}
        first = {(p.cell.row, p.cell.column): p for p in reversed(runs)}
        for planned in (first[key] for key in sorted(wanted)):
            walk(two_steps(planned.config, movie_reviews, glue_source))


def two_steps(config, movie_reviews, glue_source):
    task = config["task"]
    size = {"batch_size": 2} if "batch_size" in task else {"max_tokens": 64}
    task |= {"steps": 2, "eval_every": 2, **size}
    if task["_target_"] == "tasks.Imdb":
        task["data"], task["sources"]["full"] = "full", movie_reviews
        task["model"] |= {"words": 8, "dimensions": 4}
    if task["_target_"] == "tasks.Glue":
        task["data"], task["sources"]["full"] = "full", glue_source
    return config


def walk(config):
    session = Session(config, torch.device("cpu"))
    for step in range(2):
        loss = backward(session, session.task.batch(step))
        assert math.isfinite(loss)
        session.optimizer.step()
        session.optimizer.zero_grad()
        session.schedule.step()
    assert all(p.isfinite().all() for p in session.parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_smoke_profile_ends_in_a_table(name, sample_root, tmp_path):
    command = [sys.executable, "-m", "scripts.sweep", f"study={name}", "profile=smoke"]
    paths = [f"paths.{kind}={tmp_path / kind}" for kind in ("runs", "reports")]
    options = ["data=sample", "logger=none", f"paths.data={sample_root}", *paths]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    study = find(name)
    written = (tmp_path / "reports" / f"{name}.smoke.sample.md").read_text()
    lines = [line for line in written.splitlines() if line.startswith("| ")][2:]
    counts = [re.fullmatch(r" (\d+)/(\d+)(?:, (\d+) cut)? ", line.split("|")[-3]) for line in lines]
    ended, planned, cut = zip(*[map(int, count.groups("0")) for count in counts], strict=True)
    assert sum(ended) + sum(cut) == sum(planned)
    fresh = study.confirm_count("smoke") * len(lines)
    assert sum(planned) == len(study.cells("smoke", "sample")) + fresh
    for figure in study.figures:
        assert (tmp_path / "reports" / f"{name}.smoke.sample.{figure}.png").stat().st_size


@pytest.mark.parametrize("profile", ["paper", "short"])
@pytest.mark.parametrize("name", ["fig2", "fig3", "fig4", "fig5"])
def test_a_figure_of_a_tables_runs_trains_nothing_anew(name, profile):
    def runs(study):
        return [c.settings | {"group": None} for c in find(study).cells(profile, "full")]

    figure, table = runs(f"lp_adam/{name}"), runs("lp_adam/table2")
    assert figure and all(settings in table for settings in figure)
