"""Runs in one file, which count as ended where they are not in the folder of runs."""

import json
import lzma
from dataclasses import replace

import pytest

from engine.checks import BadInput
from engine.yaml_files import dump_yaml
from results.baselines import Baselines, file_name, pack, read_packed
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


def beside(study_plan, packed):
    """The same plan where packed runs count."""
    return replace(study_plan, baselines=Baselines(packed))


@pytest.fixture
def packed(planned, tmp_path):
    """The path of a file with the runs of the folder `runs`."""
    path = tmp_path / "committed" / file_name("adamw", "smoke", "sample")
    path.parent.mkdir()
    path.write_bytes(pack(carry_out(planned("runs")), {}))
    return path


def test_packed_runs_count_as_ended_and_nothing_is_written(planned, packed, tmp_path):
    before = files(tmp_path / "runs")
    # Four rates, of which two pause for good, and two fresh seeds.
    assert len([path for path in before if path.endswith("config.yaml")]) == 4 + 2
    assert len([path for path in before if path.endswith("summary.json")]) == 1 + 2
    table = planned("runs").read()

    found = beside(planned("elsewhere"), read_packed(packed))
    assert found.due()[0] == []
    [row] = found.read().rows
    assert row.estimates == table.rows[0].estimates and row.complete
    for ours, theirs in zip(row.all_points, table.rows[0].all_points, strict=True):
        for one, other in zip(ours.records, theirs.records, strict=True):
            assert (one.id, one.status, one.lines) == (other.id, other.status, other.lines)
            assert (one.pauses, one.curves) == (other.pauses, other.curves)
    # What was measured elsewhere says where.
    assert row.points[0].records[0].environment["cpu"] == "Zwei Kerne ½"
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_for_which_no_study_asks_is_left_aside(planned, packed):
    texts = read_packed(packed)
    [kept, *_] = texts
    found = beside(planned("elsewhere"), {"0" * 12: texts[kept]} | texts)
    assert "0" * 12 not in {record.id for record in found.read().records}


def test_what_is_missing_is_asked_for(planned, packed):
    texts = read_packed(packed)
    ended = [key for key, of in texts.items() if "summary.json" in of]
    others = {key: of for key, of in texts.items() if key not in ended}
    # The best of the four rates, from its beginning on.
    [due] = beside(planned("elsewhere"), others).due()[0]
    assert due.run.id in ended and due.config["train"]["pause_at"] == 0.25


def test_a_run_that_is_there_counts_before_one_that_is_packed(planned, packed):
    first = planned("elsewhere").due()[0][0]
    write(first.run.folder, first.config)
    mine = first.run.folder / "metrics.jsonl"
    mine.write_text(mine.read_text().replace("0.5}", "0.25}"))
    found = beside(planned("elsewhere"), read_packed(packed))
    records = {record.id: record for record in found.read().records}
    assert records[first.run.id].lines[-1]["test/accuracy"] == 0.25
    assert {r.lines[-1]["test/accuracy"] for key, r in records.items() if key != first.run.id} == {
        0.5
    }


def test_the_same_runs_have_the_same_bytes(planned, packed):
    records = carry_out(planned("runs"))
    assert packed.read_bytes() == pack(records, {}) == pack(reversed(records), {})
    assert pack(records[1:], {}) != pack(records, {})
    # Also where they came from such a file, and have no folder.
    texts = read_packed(packed)
    found = beside(planned("elsewhere"), texts)
    assert pack(found.read().records, texts) == packed.read_bytes()


def test_only_what_a_record_is_read_from_is_packed(packed):
    texts = read_packed(packed)
    names = {name for of in texts.values() for name in of}
    assert names == {"environment.json", "metrics.jsonl", "summary.json", "pauses.json"}
    # A small part of what lies in the folder.
    assert packed.stat().st_size < 2_500


def test_of_no_file_nothing_is_read(tmp_path):
    assert read_packed(tmp_path / "none.jsonl.xz") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        lzma.compress(b"{"),
        lzma.compress(b"[]"),
        lzma.compress(b'{"id": "a", "files": {"summary.json": "{"}}'),
        lzma.compress(b'{"id": "a"}'),
        lzma.compress(b"x" * 100_000)[:-20],
    ],
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "adamw.short.sample.jsonl.xz"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_packed(path)
    assert str(caught.value) == f"{path}: is damaged: fetch it again, or give rerun=true"


@pytest.mark.parametrize(
    ("optim", "name"),
    [
        ("adamw", "adamw.short.sample.jsonl.xz"),
        ("lp_adam (p = 3)", "lp-adam-p-3.short.sample.jsonl.xz"),
    ],
)
def test_files_are_named_by_the_row(optim, name):
    assert file_name(optim, "short", "sample") == name
