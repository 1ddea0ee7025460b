"""`scripts.export to=…` on runs that are written as if they had ended."""

import json
import sqlite3
import struct
import subprocess
import sys

import pytest
import yaml
from running import child_environment, run_here, sentence

from engine.identity import run_path
from results.dashboards import of_study, with_names
from results.plan import find, plan
from results.wandb_report import report_of

STUDY = {
    "title": "Tiny runs",
    "reproduces": [],
    "notes": [],
    "columns": {"tiny": {"task": "mnist_fc2", "task.steps": 40, "task.eval_every": 20}},
    "rows": {"Adam": {"optim": "adam"}, "SGD (plain)": {"optim": "sgd"}},
    "grid": {"optim.lr": [0.01, 0.1]},
    "seeds": 1,
    "select": {"metric": "test/accuracy", "at": "last", "mode": "max"},
    "report": ["test/accuracy"],
    "statistic": "mean",
    "published": [],
    "figures": {},
    "profiles": {"smoke": {}},
}
NAMES = ["adam lr=0.01", "adam lr=0.1", "sgd lr=0.01", "sgd lr=0.1"]


@pytest.fixture
def study(conf, runs, write_run):
    """A study of four runs that have ended, one of which has diverged, and a run that has not."""
    (conf / "study" / "toys").mkdir()
    (conf / "study" / "toys" / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    planned = plan(find("toys/tiny"), "smoke", "sample", [f"paths.runs={runs}"]).runs
    for one in planned:
        diverged = one.config["optim"]["lr"] == 0.1 and one.cell.row == "Adam"
        lines = [] if diverged else [line(20, 0.5), line(40, 0.75)]
        final = {name: value for name, value in line(40, 0.75).items() if name != "step"}
        write_run(
            runs,
            one.config,
            {
                "status": "diverged" if diverged else "finished",
                "diverged_at": 3 if diverged else None,
                "step": 40,
                "steps": 40,
                "final": {} if diverged else final,
                "best": {} if diverged else {"test/accuracy": {"value": 0.75, "step": 40}},
                "wall_seconds": 0.4,
                "step_seconds": 0.01,
                "error": None,
            },
            lines,
        )
    unfinished = planned[0].config | {"seed": 7}
    folder = runs / run_path(unfinished)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(unfinished))
    return planned


def line(step, accuracy):
    return {"step": step, "test/accuracy": accuracy, "epoch": step / 31, "time/train_seconds": 0.2}


@pytest.fixture
def export(capsys, runs):
    return lambda *typed: run_here(capsys, "export", *typed, f"paths.runs={runs}")


def twice(runs, conf, *typed):
    """The command two times in another process: trackio writes to one folder in each."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import running; from pathlib import Path\n"
        "running.read_conf_from(Path(sys.argv[2]), setattr)\n"
        "sys.argv = ['scripts.export', *sys.argv[3:]]\n"
        "import scripts.export; scripts.export.main(); scripts.export.main()"
    )
    commands = str(__file__).replace("scripts/test_sending.py", "commands")
    done = subprocess.run(
        [sys.executable, "-c", code, commands, str(conf), *typed, f"paths.runs={runs}"],
        env=child_environment(WANDB_MODE="offline"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.usefixtures("study")
def test_tensorboard(export, runs):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import api_pb2, metadata

    done = export("to=tensorboard", "study=toys/tiny")
    assert done.out.splitlines() == [
        "tensorboard: 4 sent, 0 there before, 1 not ended",
        f"To look at them: tensorboard --logdir {runs}/.tensorboard",
    ]
    folder = runs / ".tensorboard/toys/tiny"
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    ends = {}
    for path in folder.iterdir():
        events = EventAccumulator(str(path)).Reload()
        begin, end = (
            events.SummaryMetadata(tag).plugin_data.content
            for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
        )
        settings = metadata.parse_session_start_info_plugin_data(begin).hparams
        assert settings["row"].string_value in STUDY["rows"]
        ends[path.name] = metadata.parse_session_end_info_plugin_data(end).status
    assert {name for name, end in ends.items() if end == api_pb2.STATUS_FAILURE} == {NAMES[1]}
    events = EventAccumulator(str(folder / NAMES[2])).Reload()
    assert [(e.step, e.value) for e in events.Scalars("test/accuracy")] == [(20, 0.5), (40, 0.75)]
    # All runs of the folder are these, and one that has not ended.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("events.*")}
    assert export("to=tensorboard").out.splitlines()[0] == (
        "tensorboard: 0 sent, 4 there before, 1 not ended"
    )
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("events.*")}


@pytest.mark.usefixtures("study")
def test_trackio(runs, conf):
    pytest.importorskip("trackio")
    first, _, second, _ = twice(runs, conf, "to=trackio", "study=toys/tiny")
    assert first == "trackio: 4 sent, 0 there before, 1 not ended"
    assert second == "trackio: 0 sent, 4 there before, 1 not ended"
    with sqlite3.connect(runs / ".trackio/adamily.db") as connection:
        rows = connection.execute("SELECT run_name, config FROM configs").fetchall()
        steps = connection.execute("SELECT run_name, step FROM metrics ORDER BY id").fetchall()
    configs = {name: json.loads(config) for name, config in rows}
    assert sorted(configs) == NAMES
    told = {key: configs[NAMES[1]][key] for key in ("optim", "lr", "task", "row", "status")}
    expected = {"optim": "adam", "lr": 0.1, "task": "mnist_fc2", "row": "Adam"}
    assert told == expected | {"status": "diverged"}
    assert not any(isinstance(value, dict) for value in configs[NAMES[1]].values())
    assert [step for name, step in steps if name == NAMES[2]] == [20, 40, 40]


@pytest.mark.usefixtures("study")
def test_wandb_offline(runs, conf):
    pytest.importorskip("wandb")
    said = twice(runs, conf, "to=wandb", "study=toys/tiny")
    assert said[:3] == [
        "wandb: 4 sent, 0 there before, 1 not ended",
        f"W&B is offline; to upload them: wandb sync {runs}/*/*/*/wandb/offline-run-*",
        "A report of the study is made by the same command where W&B is online.",
    ]
    assert said[3:] == ["wandb: 0 sent, 4 there before, 1 not ended", *said[1:3]]
    files = sorted(runs.glob("*/*/*/wandb/offline-run-*/*.wandb"))
    assert len(files) == 4
    found = {run["name"]: run for run in map(read_wandb, files)}
    assert sorted(found) == NAMES
    assert "diverged" in found[NAMES[1]]["tags"]
    one = found[NAMES[2]]
    assert (one["group"], one["steps"]) == ("toys/tiny", [20, 40])
    assert one["config"]["row"] == "SGD (plain)"
    assert one["config"]["optim"] == "sgd"
    assert "hardware" in one["config"]
    assert one["summary"]["headline"] == 0.75
    assert one["step_metric"] == "epoch"


def read_wandb(path):
    """A run as the file has it that `wandb sync` uploads."""
    from wandb.proto import wandb_internal_pb2

    run = {"steps": [], "summary": {}, "config": {}, "tags": [], "step_metric": None}
    for data in read_log(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {"name": record.run.display_name, "group": record.run.run_group}
            run["tags"] = list(record.run.tags)
            run["config"] |= read_items(record.run.config.update)
        elif kind == "history":
            run["steps"].append(record.history.step.num)
        elif kind == "summary":
            run["summary"] |= read_items(record.summary.update)
        elif kind == "metric" and record.metric.glob_name == "*":
            run["step_metric"] = record.metric.step_metric
    return run


def read_log(content):
    """The records of a log as LevelDB has it: blocks of 32 kB, in which records have parts."""
    assert content[:4] == b":W&B"
    at, parts = 7, []
    while at + 7 <= len(content):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        parts.append(content[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # a whole one, or the last part of one
            yield b"".join(parts)
            parts = []


def read_items(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.mark.usefixtures("study")
def test_a_report_of_a_study_has_its_rows_and_their_best_runs(runs):
    pytest.importorskip("wandb_workspaces")
    _, _, [result] = of_study(find("toys/tiny"), runs)
    report = report_of(result, "adamily", "me")
    grids = [block for block in report.blocks if type(block).__name__ == "PanelGrid"]
    assert [[one.name for one in grid.runsets] for grid in grids] == [[*STUDY["rows"]]] * 2
    assert grids[0].panels[0].x.name == "lr"
    assert grids[0].panels[0].log_x
    text = report._to_model().model_dump_json()
    best = [row.shown.records[0].id for row in result.rows]
    assert all(run in text for run in best)


def test_a_sweep_names_its_runs_as_an_export_does(study):
    due = [one for one in study if one.cell.row == "SGD (plain)"]
    for (run, overrides), name in zip(with_names(due, study), NAMES[2:], strict=True):
        assert run in [one.run for one in due]
        assert overrides[-2:] == ["row='SGD (plain)'", f"label='{name}'"]


@pytest.mark.usefixtures("study")
def test_a_sweep_says_what_a_dashboard_does_not_have(sweep, export, runs):
    pytest.importorskip("tensorboard")
    typed = ("study=toys/tiny", "profile=smoke", "data=sample", "logger=tensorboard")
    done = sweep(*typed)
    assert done.out.splitlines()[1] == (
        "tensorboard: 4 not logged, finished before; python -m scripts.export to=tensorboard "
        f"study=toys/tiny paths.runs={runs} sends them"
    )
    export("to=tensorboard", "study=toys/tiny")
    assert "not logged" not in sweep(*typed).out


@pytest.mark.usefixtures("study")
def test_a_dashboard_that_cannot_say_what_it_has_stops_nothing(sweep, export, monkeypatch):
    pytest.importorskip("tensorboard")

    def logged(logger, folders):
        raise RuntimeError("the database is locked")

    monkeypatch.setattr("engine.loggers.TensorBoardLogger.logged", logged)
    done = sweep("study=toys/tiny", "profile=smoke", "data=sample", "logger=tensorboard")
    assert done.code == 0
    assert "tensorboard cannot say which runs it has: RuntimeError: the database" in done.err
    said = sentence(export("to=tensorboard", "study=toys/tiny"))
    assert "to=tensorboard: RuntimeError: the database is locked" in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["to=tensorbord"], "to=tensorbord (did you mean tensorboard?): must be one of"),
        (["to=none"], "must be one of tensorboard, trackio, wandb"),
        (["to=wandb", "format=rliable"], "to=, format=: cannot both be given: to=NAME sends runs"),
        (["format=rliabel"], "format=rliabel (did you mean rliable?): must be one of"),
        ([], "to= or format= is missing: to=NAME sends runs"),
        (["to=wandb", "study=lp_adam/fc3"], "there is no such study (did you mean lp_adam/fc2?)"),
        (["to=wandb", "suite=laptop"], "suite=laptop: must be one of to, study, paths.runs"),
        (["to=wandb", "logger.wandb.projet=mine"], "did you mean"),
        (["to=wandb", "study=lp_adam/fc2"], "study lp_adam/fc2: none has ended in"),
        (["to=wandb"], "all runs: none has ended in"),
    ],
)
def test_bad_input(typed, said, export, runs):
    runs.mkdir()
    assert said in sentence(export(*typed))


def test_no_folder_of_runs(export):
    assert "there is no such folder" in sentence(export("to=tensorboard"))


@pytest.mark.usefixtures("study")
def test_a_missing_package_is_a_sentence(export, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    said = sentence(export("to=tensorboard", "study=toys/tiny"))
    assert "to=tensorboard: 0 sent, then run" in said
    assert "pip install 'adamily[track]'" in said
