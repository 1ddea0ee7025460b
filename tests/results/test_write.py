"""Reports follow what they show: runs, studies and the files themselves, whatever their times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from browsing import payload_of
from running import ROOT, child_environment, files, run_here

import results.planner
import results.write
from engine.records import read_all
from results.plan import find, plan, result_of
from results.write import hash_of, write_swept

SUMMARY = {"status": "finished", "best": {}, "step": 6, "steps": 6, "step_seconds": 0.1}


@pytest.fixture
def planned(study, runs):
    """`planned()`: the plan of a study of four tiny runs, as its file says now."""
    study(figures={"loss": {"title": "Losses", "rows": ["Adam"], "metric": "train/loss"}})
    where = [f"paths.runs={runs}", f"paths.reports={runs.parent / 'reports'}"]
    return lambda *more: plan(find("lp_adam/tiny"), "smoke", "sample", [*where, *more])


@pytest.fixture
def written(planned, runs, write_run):
    """`written(places)`: some of the study's runs on disk, in the order of its plan."""

    def make(places, wanted=None):
        for place in places:
            config = (wanted or planned()).runs[place].config
            summary = SUMMARY | {"final": {"train/loss": 0.5 + place}}
            write_run(runs, config, summary, [{"step": 6, "train/loss": 0.5 + place}])

    return make


@pytest.fixture
def reports(runs):
    return runs.parent / "reports"


@pytest.fixture
def render(planned, runs, reports):
    """What a sweep of the study writes after its last run: the table, and the page's data."""

    def write(wanted=None):
        wanted = wanted or planned()
        source = hash_of(runs)
        result = wanted.read()
        paths, page = write_swept(wanted, result, source, runs, reports)
        assert all(path.stat().st_size for path in [*paths, page])
        text = next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8")
        return text, shown(page), paths

    return write


def shown(page):
    text = page.read_text(encoding="utf-8")
    return payload_of(text)


def edit(conf, **changes):
    path = conf / "study" / "lp_adam" / "tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def test_what_cannot_have_a_run_is_not_planned_and_its_table_is_the_same(
    planned, written, runs, monkeypatch
):
    written(range(4))
    records = {id: r for id, r in read_all(runs).items() if r.config["names"]["optim"] == "adam"}
    wanted = planned()
    composed = []
    compose = results.planner.compose_unresolved
    monkeypatch.setattr(
        "results.planner.compose_unresolved", lambda typed: composed.append(typed) or compose(typed)
    )
    found = result_of(wanted.study, "smoke", "sample", records, [f"paths.runs={runs}"])
    assert found == wanted.result(records)
    assert found.records and len(composed) == 1 and "optim=adam" in composed[0]


def test_nothing_is_written_or_planned_while_nothing_changed(written, render, reports, monkeypatch):
    written(range(4))
    first = render()
    before = files(reports)
    monkeypatch.setattr(results.write, "collect", lambda *given: pytest.fail("all is read"))
    monkeypatch.setattr(results.write, "render_study", lambda *given: pytest.fail("it is drawn"))
    assert render() == first
    assert files(reports) == before


def test_runs_that_are_merged_in_with_older_times_are_shown(written, render, runs, reports):
    written([0, 2])
    _, page, _ = render()
    assert page["runs"]["count"] == 2
    os.utime(reports / "index.html", (4e9, 4e9))  # in 2096
    written([1, 3])
    for path in runs.rglob("*"):
        os.utime(path, (1e9, 1e9))  # in 2001
    table, page, _ = render()
    assert "have not finished" not in table
    assert set(page["runs"]["id"]) == read_all(runs).keys() and page["runs"]["count"] == 4


def test_what_a_study_says_now_is_shown(written, render, conf):
    written(range(4))
    render()
    edit(conf, title="Another title")
    table, page, _ = render()
    assert "Another title" in table
    assert "Another title" in {study["title"] for study in page["studies"]}
    edit(conf, notes=["A new note"])
    _, page, _ = render()
    assert any("A new note" in study["notes"] for study in page["studies"])
    edit(conf, report=["train/loss", "test/loss"])
    table, _, _ = render()
    assert "test loss" in table
    edit(conf, rows={"Renamed": {"optim": "adam"}, "SGD": {"optim": "sgd"}}, figures={})
    table, page, paths = render()
    assert "| Renamed" in table and "| Adam" not in table
    # The picture of a figure that is no more is not left to be taken for one.
    assert not [path for path in paths if "loss" in path.name]
    assert not list(paths[0].parent.glob("*.loss.*"))


def test_files_that_are_lost_or_damaged_are_written_again(written, render, reports):
    written(range(4))
    _, _, paths = render()
    before = {path: path.read_bytes() for path in paths}
    assert {path.suffix for path in paths} == {".md", ".tex", ".csv", ".xz", ".png", ".pdf"}
    for path in paths:
        path.unlink()
    (reports / "index.html").write_text("damaged")
    _, page, _ = render()
    assert {path: path.read_bytes() for path in paths} == before
    assert page["runs"]["count"] == 4


def test_a_changed_renderer_renders_anew(written, render, monkeypatch, tmp_path):
    written(range(4))
    render()
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(results.write, "HERE", tmp_path)
    drawn = []
    read = results.write.render_study
    monkeypatch.setattr(
        results.write, "render_study", lambda result: drawn.append(result) or read(result)
    )
    for _ in range(2):
        render()
    (tmp_path / "results" / "table.py").write_text("new")
    for _ in range(2):
        render()
    assert len(drawn) == 2


def test_a_changed_study_is_on_the_page_of_its_own_sweep(written, render, planned):
    written(range(4))
    custom = planned("precision=bf16")
    written(range(4), custom)
    for wanted, profiles in (
        (None, {"smoke"}),
        (custom, {"smoke", "smoke precision=bf16"}),
        (None, {"smoke"}),
    ):
        _, page, _ = render(wanted)
        [study] = [study for study in page["studies"] if study["name"] == "lp_adam/tiny"]
        assert {variant["profile"] for variant in study["variants"]} == profiles


def test_one_wrong_study_does_not_stop_the_report(capsys, written, render, runs, reports, conf):
    written(range(4))
    wrong = yaml.safe_load((conf / "study" / "lp_adam" / "tiny.yaml").read_text())
    folder = conf / "study" / "lp_adam"
    (folder / "other.yaml").write_text(
        yaml.safe_dump(wrong | {"rows": {"Adam": {"optim": "adam", "optim.lrs": 1}}})
    )
    (folder / "fc2.yaml").write_text("rows: {A: {}, A: {}}")
    (folder / ".#fc2.yaml").symlink_to("nowhere")
    done = run_here(capsys, "report", f"paths.runs={runs}", f"paths.reports={reports}")
    assert done.code == 0 and str(reports / "index.html") in done.out
    assert f"study lp_adam/fc2 is left out: {folder / 'fc2.yaml'}: line 1: the key A" in done.err
    assert "study lp_adam/other, profile smoke: its table is left out: " in done.err
    assert done.err.count("left out") == 2 and "optim.lrs" in done.err
    page = shown(reports / "index.html")
    assert {"lp_adam/tiny", "lp_adam/other"} <= {study["name"] for study in page["studies"]}
    assert (reports / "lp_adam" / "tiny.smoke.sample.csv").exists()
    # What the report wrote is current for the sweep.
    before = files(reports)
    render()
    assert files(reports) == before


def test_the_table_is_printed_even_if_it_cannot_be_written(sweep, written, monkeypatch, reports):
    written(range(4))

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("results.rendered.atomic_write", full)
    done = sweep("study=lp_adam/tiny", "profile=smoke", "data=sample")
    assert done.code == 2
    assert "| Adam" in done.out and "| SGD" in done.out
    path = reports / "lp_adam" / "tiny.smoke.sample.md"
    assert "the runs have ended, but not all can be rendered: " in done.err
    assert "No space left on device" in done.err and str(path) in done.err
    assert isinstance(path, Path) and not path.exists()


def test_a_locale_without_umlauts_changes_nothing_but_the_console(written, planned, conf, reports):
    edit(conf, rows={"Ädam": {"optim": "adam"}, "SGD": {"optim": "sgd"}}, figures={}, title="± — ν")
    written(range(4))
    said = planned().runs[0].config["paths"]
    code = (
        f"import pathlib, running; running.read_conf_from(pathlib.Path({str(conf)!r}))\n"
        "from scripts import sweep; sweep.main()"
    )
    typed = ["study=lp_adam/tiny", "profile=smoke", "data=sample", "logger=none"]
    typed += [f"paths.{key}={said[key]}" for key in ("runs", "reports")]
    done = subprocess.run(
        [sys.executable, "-c", code, *typed],
        capture_output=True,
        cwd=ROOT,
        env=child_environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
    )
    assert done.returncode == 0, done.stderr.decode()
    table = (reports / "lp_adam" / "tiny.smoke.sample.md").read_bytes().decode("utf-8")
    assert "| Ädam |" in table and "± — ν" in table
    assert table.encode("ascii", "backslashreplace") in done.stdout
