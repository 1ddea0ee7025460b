"""Runs in one file, and back into a folder where they count as ended."""

import json
import shutil
from dataclasses import replace

import pytest

from engine.records import read
from engine.yaml_files import dump_yaml
from results import baselines
from results.baselines import file_name, pack, read_packed, unpack, write_packed
from results.plan import find, plan
from results.searching import pause_name

STEPS = 40
ENVIRONMENT = {"started": "2026-01-02", "device": "cpu", "gpu": None, "cpu": "Zwei Kerne ½"}


@pytest.fixture(scope="module")
def shelf():
    """What one test has composed, for the others."""
    return {}


@pytest.fixture
def planned(tmp_path, shelf):
    """`planned("a")`: the runs of a study of a suite in the folder a, of its reference alone."""
    study = find("laptop/digits")
    alone = replace(study, rows={"adamw": study.rows["adamw"]})
    return lambda name: plan(
        alone, "smoke", "sample", [f"paths.runs={tmp_path / name}"], None, shelf
    )


def carry_out(study_plan):
    """Write what the search asks for, until it asks for nothing; the best rate is the middle."""
    while due := study_plan.due()[0]:
        for one in due:
            write(one.run.folder, one.config)
    return [
        record for row in study_plan.read().rows for p in row.all_points for record in p.records
    ]


def write(folder, config):
    """A run as it lies on disk at its pause or at its end."""
    part = config["train"]["pause_at"]
    until = int(STEPS * (part or 1))
    accuracy = 1 / (1 + abs(config["optim"]["lr"] - 0.01))
    lines = [
        {"step": s, "time/train_seconds": s / 2, "valid/accuracy": accuracy, "test/accuracy": 0.5}
        for s in range(0, until + 1, 10)
    ]
    final = {key: value for key, value in lines[-1].items() if key != "step"}
    best = {"valid/accuracy": {"value": accuracy, "step": 0}}
    folder.mkdir(parents=True, exist_ok=True)
    whole = config | {"train": config["train"] | {"pause_at": None}}
    (folder / "config.yaml").write_text(dump_yaml(whole))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT, ensure_ascii=False), "utf-8")
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if part:
        path = folder / "pauses.json"
        pauses = json.loads(path.read_text()) if path.exists() else {}
        worth = {"step": until, "steps": STEPS, "final": final, "best": best}
        path.write_text(json.dumps(pauses | {pause_name(part): worth}))
        (folder / "checkpoint.pt").write_bytes(b"large")
        return
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    summary = {"status": "finished", "step": STEPS, "steps": STEPS, "final": final, "best": best}
    summary |= {"trials": {}, "wall_seconds": 1.0, "step_seconds": 0.5, "diverged_at": None}
    (folder / "summary.json").write_text(json.dumps(summary))


def files(root):
    """Those of records, by their paths."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "checkpoint.pt"
    }


@pytest.fixture
def packed(planned, tmp_path):
    """The path of a file with the runs of the folder `runs`."""
    path = tmp_path / "committed" / file_name("adamw", "smoke", "sample")
    write_packed(path, carry_out(planned("runs")))
    return path


def test_what_is_unpacked_is_what_was_packed_and_counts_as_ended(planned, packed, tmp_path):
    before = files(tmp_path / "runs")
    # Four rates, of which two pause for good, and two fresh seeds.
    assert len([path for path in before if path.endswith("config.yaml")]) == 4 + 2
    assert len([path for path in before if path.endswith("summary.json")]) == 1 + 2
    table = planned("runs").read()
    shutil.rmtree(tmp_path / "runs")

    unpack(read_packed(packed), planned("runs"))
    assert files(tmp_path / "runs") == before
    found = planned("runs")
    assert found.due()[0] == []
    assert found.read().rows[0].estimates == table.rows[0].estimates
    assert found.read().rows[0].complete


def test_in_another_folder_they_count_as_well(planned, packed, tmp_path):
    unpack(read_packed(packed), planned("elsewhere"))
    assert planned("elsewhere").due()[0] == []
    assert files(tmp_path / "elsewhere").keys() == files(tmp_path / "runs").keys()
    [row] = planned("elsewhere").read().rows
    assert {record.folder.parents[2] for record in row.points[0].records} == {
        tmp_path / "elsewhere"
    }
    # What was measured elsewhere says where.
    assert row.points[0].records[0].environment["cpu"] == "Zwei Kerne ½"


def test_a_run_for_which_no_study_asks_is_left_aside(planned, packed, tmp_path):
    texts = read_packed(packed)
    [kept, *_] = texts
    old = {"0" * 12: texts[kept]} | texts
    unpack(old, planned("elsewhere"))
    assert files(tmp_path / "elsewhere").keys() == files(tmp_path / "runs").keys()


def test_what_is_missing_is_asked_for(planned, packed):
    texts = read_packed(packed)
    ended = [key for key, of in texts.items() if "summary.json" in of]
    unpack({key: of for key, of in texts.items() if key not in ended}, planned("elsewhere"))
    # The best of the four rates, from its beginning on.
    [due] = planned("elsewhere").due()[0]
    assert due.run.id in ended and due.config["train"]["pause_at"] == 0.25


def test_what_is_there_is_never_written_over(planned, packed, tmp_path):
    texts = read_packed(packed)
    first = planned("elsewhere").due()[0][0]
    write(first.run.folder, first.config)
    (first.run.folder / "log.txt").write_text("mine")
    mine = first.run.folder / "metrics.jsonl"
    mine.write_text(mine.read_text().replace("0.5}", "0.25}"))
    before = files(tmp_path / "elsewhere")
    times = {path: (tmp_path / "elsewhere" / path).stat().st_mtime_ns for path in before}

    unpack(texts, planned("elsewhere"))
    after = files(tmp_path / "elsewhere")
    assert len(after) > len(before) and before.items() <= after.items()
    assert times == {path: (tmp_path / "elsewhere" / path).stat().st_mtime_ns for path in times}


def test_a_run_that_was_damaged_is_run_anew(planned, packed, heard):
    texts = read_packed(packed)
    for of in texts.values():
        if "summary.json" in of:
            of["summary.json"] = "{"
    # It is written once, and not again and again.
    unpack(texts, planned("elsewhere"))
    [due] = planned("elsewhere").due()[0]
    assert due.run.id in texts and (due.run.folder / "summary.json").read_text() == "{"
    assert f"{due.run.folder} is left out: its summary.json cannot be read" in heard.text


def test_the_same_runs_have_the_same_bytes(planned, packed):
    records = carry_out(planned("runs"))
    assert packed.read_bytes() == pack(records) == pack(reversed(records))
    assert pack(records[1:]) != pack(records)
    unpack(read_packed(packed), planned("elsewhere"))
    assert pack(carry_out(planned("elsewhere"))) == packed.read_bytes()


def test_only_what_a_record_is_read_from_is_packed(packed):
    texts = read_packed(packed)
    names = {name for of in texts.values() for name in of}
    assert names == {"environment.json", "metrics.jsonl", "summary.json", "pauses.json"}
    # A small part of what lies in the folder.
    assert packed.stat().st_size < 2_500


def test_of_no_file_nothing_is_read(tmp_path):
    assert read_packed(tmp_path / "none.jsonl.xz") == {}


@pytest.mark.parametrize(
    ("optim", "name"),
    [
        ("adamw", "adamw.short.sample.jsonl.xz"),
        ("lp_adam (p = 3)", "lp-adam-p-3.short.sample.jsonl.xz"),
    ],
)
def test_files_are_named_by_the_row(optim, name):
    assert file_name(optim, "short", "sample") == name


def test_a_folder_with_its_files_but_no_config_is_of_no_run(planned, packed):
    # So that a process that ends while it unpacks leaves nothing that is taken for a run.
    texts = read_packed(packed)
    first = planned("elsewhere").due()[0][0]
    first.run.folder.mkdir(parents=True)
    (first.run.folder / "environment.json").write_text(texts[first.run.id]["environment.json"])
    assert read(first.run.folder) is None
    unpack(texts, planned("elsewhere"))
    assert planned("elsewhere").due()[0] == []
    assert "config.yaml" not in baselines.FILES
