"""Kept runs: what a file of them holds, and the reports on a folder of such files."""

import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from browsing import embedded
from running import run_here, sentence

from engine.checks import BadInput
from engine.identity import identity
from results import kept, table
from results.figures import pictures
from results.kept import MOST_POINTS, is_kept, pack, read_all, thinned
from results.markup import markdown
from results.plan import find, plan
from results.report import tables_of
from results.write_kept import write_kept

LOSS = {"title": "Losses", "rows": ["Adam"], "metric": "train/loss"}
FIGURES = {"loss": LOSS, "each": LOSS | {"x": "trial", "across": 10}}


@pytest.fixture
def result(study, runs, write_run):
    """Of four tiny runs, each with 1,000 evaluations, values of 30 trials, and a pause."""
    study(figures=FIGURES)
    planned = plan(find("lp_adam/tiny"), "smoke", "sample", [f"paths.runs={runs}"])
    for place, run in enumerate(planned.runs):
        lines = [{"step": s, "train/loss": 1 / s + place / 7} for s in range(1, 1001)]
        last = lines[-1]["train/loss"]
        trials = {"train/loss": [last + i / 9999 for i in range(30)]}
        summary = {
            "status": "finished",
            "step": 1000,
            "steps": 1000,
            "step_seconds": 0.1,
            "final": {"train/loss": last},
            "best": {"train/loss": {"value": lines[777]["train/loss"], "step": 778}},
            "trials": trials,
        }
        made = write_run(runs, run.config, summary, lines)
        pause = {"step": 100, "steps": 1000, "final": {}, "best": {}}
        (made.folder / "pauses.json").write_text(json.dumps({"0.1": pause}))
    return planned.read()


@pytest.fixture
def folder(result, tmp_path):
    """A folder with the file of these runs."""
    place = tmp_path / "kept" / "lp_adam"
    place.mkdir(parents=True)
    (place / f"{result.name}.jsonl.xz").write_bytes(pack(result))
    return tmp_path / "kept"


def text_of(result):
    return "\n".join(map(markdown, tables_of(result)))


def edit(path, change):
    """Rewrite a file with its lines changed by `change(line)`."""
    lines = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
    for line in lines:
        change(line)
    path.write_bytes(lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


def test_table_and_figures_come_from_the_records_alone(result, folder):
    [one] = read_all(folder)
    again = one.plan().result(one.records)
    assert text_of(again) == text_of(result)
    assert len(table.comma_separated(again)) > 200
    assert pictures(again).keys() == pictures(result).keys() == {"loss", "each", "optim-lr"}
    record, original = again.records[0], result.records[0]
    assert record.pauses == original.pauses and record.environment == original.environment
    assert identity(record.config) == identity(original.config)
    assert one.stem == "tiny.smoke.sample" and one.whole


def test_the_same_runs_are_the_same_file(result):
    assert pack(result) == pack(result)
    assert len(pack(result)) < 20_000


def test_a_curve_keeps_what_a_table_is_made_from():
    steps = [*range(1, 10_001)]
    curve = (steps, [1 / step for step in steps])
    kept_steps, values = thinned(curve, 60, 3, 7777)
    assert kept_steps[:1] == [1] and kept_steps[-3:] == [9998, 9999, 10_000]
    assert 7777 in kept_steps and 60 <= len(kept_steps) <= 64
    assert values[-1] == 1e-4 and values[1] == float(f"{1 / kept_steps[1]:.5g}")
    assert thinned(([5, 9], [None, 0.123456]), 60, 1, None) == [[5, 9], [None, 0.123456]]
    assert thinned(([1], [3.0]), 60, 5, 1) == [[1], [3.0]]


def test_few_curves_have_more_points(result, monkeypatch):
    def points():
        first = lzma.decompress(pack(result)).splitlines()[0]
        return len(json.loads(first)["curves"]["train/loss"][0])

    assert MOST_POINTS <= points() <= MOST_POINTS + 2
    monkeypatch.setattr(kept, "VALUES", 100)
    assert 60 <= points() <= 62


def test_of_very_many_trials_only_their_mean_is_kept(result, folder, monkeypatch):
    [record, *_] = read_all(folder)[0].records.values()
    assert len(record.summary["trials"]["train/loss"]) == 30
    monkeypatch.setattr(kept, "MOST_TRIALS", 119)
    (folder / "lp_adam" / f"{result.name}.jsonl.xz").write_bytes(pack(result))
    [record, *_] = read_all(folder)[0].records.values()
    assert record.summary["trials"] == {} and "train/loss" in record.summary["final"]


@pytest.mark.parametrize(
    ("search", "changes"),
    [("extend", ()), ("", ("task.batch_size=64",)), ('{"halving": {"eta": 2}}', ())],
)
def test_a_search_and_changes_are_those_that_were_typed(result, folder, search, changes):
    typed = replace(result, search=search, changes=changes)
    (folder / "lp_adam" / f"{result.name}.jsonl.xz").write_bytes(pack(typed))
    [one] = read_all(folder)
    planned = one.plan()
    assert (planned.search, planned.changes) == (search, changes)


def test_parameter_groups_have_the_identity_of_their_run():
    line = {
        "id": "a",
        "identity": {
            "names": {"task": "toy", "optim": "muon"},
            "task": {"data": "sample"},
            "optim": {"_target_": "x", "groups": [["w", {"lr": 1}], ["b", {"lr": 2}]]},
        },
        "summary": {},
        "environment": {},
    }
    record = kept.recall(Path("here"), line, "sample")
    assert record.config["optim"]["groups"] == {"w": {"lr": 1}, "b": {"lr": 2}}
    assert identity(record.config)["optim"]["groups"] == [("w", {"lr": 1}), ("b", {"lr": 2})]
    assert record.id == "a" and record.curves == {} and record.pauses == {}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no xz", "is damaged: Input format not supported by decoder"),
        (lzma.compress(b"{"), "is damaged: Expecting property name"),
        (lzma.compress(b"[]\n"), "is damaged: a line is no run"),
        (lzma.compress(b'{"id": "a"}\n'), "name must be as in fc2.short.sample.jsonl"),
        (lzma.compress(b'{"id": "a", "study": {"data": "full"}}\n'), "is damaged: KeyError"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, fault):
    (tmp_path / "paper").mkdir()
    path = tmp_path / "paper" / "study.jsonl.xz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=fault) as told:
        read_all(tmp_path)
    assert str(path) in str(told.value)


def test_older_files_are_read_by_their_names_and_newer_ones_go_before_them(folder, result):
    place = folder / "lp_adam"
    new = place / f"{result.name}.jsonl.xz"
    lines = [json.loads(line) for line in lzma.decompress(new.read_bytes()).splitlines()]
    older = [{k: line[k] for k in ("id", "identity", "summary", "environment")} for line in lines]
    old = place / f"{result.name}.jsonl"
    old.write_text("".join(f"{json.dumps(line)}\n" for line in older))
    assert [one.path for one in read_all(folder)] == [new]
    new.unlink()
    [one] = read_all(folder)
    assert one.path == old and not one.whole
    assert one.asked == {
        "name": "lp_adam/tiny",
        "profile": "smoke",
        "data": "sample",
        "search": None,
        "changes": [],
    }
    assert one.plan().result(one.records).count("finished") == 4
    # Runs of a suite's row lie beside a verdict, in a file of another kind.
    old.write_text('{"id": "a", "files": {}}\n')
    assert read_all(folder) == []


@pytest.mark.usefixtures("result")
def test_a_folder_of_runs_is_none_of_kept_results(folder, runs):
    assert is_kept(folder) and not is_kept(runs)


def test_the_page_of_a_folder_of_kept_results(folder, result, tmp_path, caplog):
    picture = folder / "lp_adam" / f"{result.name}.image-adam.png"
    picture.write_bytes(b"a picture")
    page = write_kept(folder, tmp_path / "out")
    assert page == tmp_path / "out" / "index.html" and b"lp_adam/tiny" in embedded(page.read_text())
    written = {path.name for path in (tmp_path / "out" / "lp_adam").iterdir()}
    assert {
        f"{result.name}.{end}" for end in ("md", "csv", "loss.pdf", "image-adam.png")
    } <= written
    assert (tmp_path / "out" / "lp_adam" / picture.name).read_bytes() == b"a picture"
    edit(next(folder.glob("*/*.xz")), lambda line: line["study"].update(name="lp_adam/gone"))
    write_kept(folder, tmp_path / "out")
    assert "is left out: study=lp_adam/gone" in caplog.text


def test_an_older_file_comes_as_it_was_kept(folder, result, tmp_path):
    place = folder / "lp_adam"
    [one] = read_all(folder)
    edit(one.path, lambda line: [line["summary"].pop("trials"), line.pop("curves")])
    lines = lzma.decompress(one.path.read_bytes())
    one.path.unlink()
    (place / f"{result.name}.jsonl").write_bytes(lines)
    (place / f"{result.name}.md").write_text("the table as it was\n")
    write_kept(folder, tmp_path / "out")
    copies = {path.name for path in (tmp_path / "out" / "lp_adam").iterdir()}
    assert copies == {f"{result.name}.{end}" for end in ("jsonl", "md")}
    assert (
        tmp_path / "out" / "lp_adam" / f"{result.name}.md"
    ).read_text() == "the table as it was\n"


def test_the_command_makes_the_page_of_kept_results(folder, tmp_path, capsys):
    out = tmp_path / "out"
    done = run_here(capsys, "report", f"paths.runs={folder}", f"paths.reports={out}")
    assert done.out == f"Page: {out / 'index.html'}\n"
    titled = next(out.glob("*/*.loss.png")).read_bytes()
    ready = ["figures=camera_ready", f"paths.runs={folder}", f"paths.reports={out}"]
    assert run_here(capsys, "report", *ready).code == 0
    assert next(out.glob("*/*.loss.png")).read_bytes() != titled


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["figures=camera"],
            "figures=camera (did you mean camera_ready?): must be one of report, ",
        ),
        (["paths.reports={folder}"], "is the folder of kept results: give another one"),
    ],
)
def test_what_the_command_refuses(folder, capsys, typed, said):
    typed = [text.format(folder=folder) for text in typed]
    assert said in sentence(run_here(capsys, "report", f"paths.runs={folder}", *typed))
