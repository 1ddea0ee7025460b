"""What planning, and asking for what is there, does not do: import PyTorch, train, render anew."""

import subprocess
import sys

import pytest
from running import run_here

from engine import search_path
from engine.records import is_as_written
from results.plan import find, plan
from results.planner import Planner
from scripts.bench import planning

MODULES = ("torch", "scipy", "matplotlib", "plotly", "joblib")
PROGRAM = f"""
import sys
try:
    sys.argv = sys.argv[1:]
    __import__("importlib").import_module(sys.argv[0]).main()
finally:
    print(*[name for name in {MODULES} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture
def ended(study, tmp_path):
    """A study of which nothing is missing, and what its sweep is given."""
    study(seeds=1)
    paths = planning.paths(tmp_path)
    for planned in plan(find("lp_adam/tiny"), "smoke", "sample", paths).runs:
        planning.write_record(planned.run)
    return ["study=lp_adam/tiny", "profile=smoke", "data=sample", *paths]


def test_a_record_is_as_a_run_writes_it(ended):
    for planned in plan(find("lp_adam/tiny"), "smoke", "sample", ended[3:]).runs:
        assert planned.run.ended
        assert is_as_written(planned.run.folder, planned.config)
        record = planned.run.recorded()
        assert record.status == "finished" and len(record.lines) == 8


def test_a_sweep_that_misses_nothing_shows_what_it_wrote(capsys, ended, monkeypatch):
    first = run_here(capsys, "sweep", *ended)
    assert first.code == 0 and "# lp_adam/tiny" in first.out and "Page: " in first.out

    def rendered(*arguments):
        raise AssertionError("rendered anew")

    monkeypatch.setattr("results.write.render_study", rendered)
    monkeypatch.setattr("results.write.render_page", rendered)
    monkeypatch.setattr("results.planner.check_classes", rendered)
    monkeypatch.setattr("results.planner.check_signatures", rendered)
    assert run_here(capsys, "sweep", *ended).out == first.out


def test_the_class_of_a_run_that_is_missing_is_asked(ended, monkeypatch):
    asked = []
    monkeypatch.setattr("results.planner.check_signatures", asked.append)
    study = find("lp_adam/tiny")
    cells = study.cells("smoke", "sample")
    missing = Planner(study, "smoke", ["paths.runs=elsewhere"])
    assert missing.planned(cells[0]).config in asked
    asked.clear()
    Planner(study, "smoke", ended[3:]).planned(cells[0])
    Planner(study, "smoke", ["paths.runs=elsewhere"], trains=False).planned(cells[0])
    assert asked == []


def test_commands_begin_without_pytorch():
    commands = "scripts.sweep, scripts.list, scripts.report, scripts.compare"
    program = f"import sys, {commands}; print(*[m for m in {MODULES} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=planning.os.environ | planning.packages.for_children(),
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.slow
def test_a_sweep_that_misses_nothing_ends_without_pytorch(tmp_path):
    """Of the project's own conf/, since the process reads no other."""
    shared = ["optim.lr=1e-3", *planning.paths(tmp_path)]
    sweep = [*planning.SWEEP, *shared]
    for planned in plan(find("lp_adam/fc2"), "smoke", "sample", shared).runs:
        planning.write_record(planned.run)
    variables = planning.packages.for_children()
    for _ in range(2):  # the first writes the page
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "scripts.sweep", *sweep],
            env=planning.os.environ | variables,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0 and "Page: " in done.stdout
    assert done.stderr.strip() == ""


def test_the_study_that_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "RUNS", 20)
    planning.write_study(tmp_path)
    with search_path.added([tmp_path]):
        runs = plan(find("bench/large"), "paper", "sample", planning.paths(tmp_path)).runs
    assert len(runs) == 20 and len({planned.run.id for planned in runs}) == 20


def test_locks_are_measured_beside_few_and_many(monkeypatch):
    monkeypatch.setattr(planning, "FOLDERS", (2, 4))
    monkeypatch.setattr(planning, "ASKED", 2)
    said = planning.locks().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in said[4:]] == ["2", "4"]
    assert all(int(text) > 0 for line in said[4:] for text in line.split("|")[2:4])
