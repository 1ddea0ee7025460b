"""`scripts.export` on a suite of two small tasks, whose runs are written as if they had ended."""

import json
import math
import shutil

import pytest
import yaml
from running import nothing_written, run_here, sentence

from results import baselines
from results.plan import find, plan

STUDY = {
    "title": "Tiny runs",
    "reproduces": [],
    "notes": [],
    "columns": {
        "wide": {
            "task": "mnist_fc2",
            "task.model.widths": [784, 16, 10],
            "task.steps": 40,
            "task.eval_every": 10,
            "task.valid": 0.2,
            "eval_first": True,
        }
    },
    "rows": {"adamw": {"optim": "adamw"}, "sgd": {"optim": "sgd"}, "yogi": {"optim": "yogi"}},
    "grid": {"optim.lr": [0.01, 0.1]},
    "seeds": 1,
    "confirm": 2,
    "select": {"metric": "test/accuracy", "at": "last", "mode": "max", "split": "valid"},
    "target": 0.5,
    "report": ["test/accuracy"],
    "statistic": "mean",
    "published": [],
    "figures": {},
    "profiles": {"short": {}, "smoke": {"task.steps": 20}},
}


@pytest.fixture
def suite(conf):
    """A suite of two tasks, of a network of 16 units and of one of 8; the names of its studies."""
    narrow = {"narrow": STUDY["columns"]["wide"] | {"task.model.widths": [784, 8, 10]}}
    # Of a row, not every task has to be there.
    rows = {label: row for label, row in STUDY["rows"].items() if label != "yogi"}
    (conf / "study" / "toys").mkdir()
    for name, study in (("wide", STUDY), ("narrow", STUDY | {"columns": narrow, "rows": rows})):
        (conf / "study" / "toys" / f"{name}.yaml").write_text(yaml.safe_dump(study))
    said = {"title": "Toys", "data": "sample", "against": "adamw"}
    said["studies"] = ["toys/wide", "toys/narrow"]
    (conf / "suite" / "toys.yaml").write_text(yaml.safe_dump(said))
    return said["studies"]


@pytest.fixture
def end(runs, write_run):
    """`end("toys/wide", "sgd")`: the runs of a row end, and nothing is trained.

    With `fresh=False`, those of its search alone.
    """

    def accuracy(planned, step):
        worth = (0.9 if planned.cell.row == "adamw" else 0.7) + 0.01 * planned.cell.seed
        return 0.1 + (worth - 0.1) * (1 - math.exp(-step * planned.config["optim"]["lr"]))

    def one(planned):
        lines = [
            {
                "step": step,
                "test/accuracy": accuracy(planned, step),
                "valid/accuracy": accuracy(planned, step),
                "time/train_seconds": step / 100,
            }
            for step in range(0, 41, 10)
        ]
        final = {name: value for name, value in lines[-1].items() if name != "step"}
        summary = {"status": "finished", "step": 40, "steps": 40, "final": final}
        summary |= {"best": {}, "wall_seconds": 0.4, "step_seconds": 0.01, "error": None}
        write_run(runs, planned.config, summary, lines)

    def end_row(study, label, fresh=True):
        planned = plan(find(study), "short", "sample", [f"paths.runs={runs}"])
        while due := [
            one
            for one in planned.due()[0]
            if one.cell.row == label and (fresh or not one.cell.confirms)
        ]:
            for each in due:
                one(each)

    return end_row


@pytest.fixture
def export(capsys, runs, tmp_path):
    def command(form, *more):
        typed = [f"format={form}", "suite=toys", f"out={tmp_path / 'out'}", f"paths.runs={runs}"]
        return run_here(capsys, "export", *typed, *more)

    return command


@pytest.fixture
def ended(suite, end):
    for study in suite:
        end(study, "adamw")
        end(study, "sgd")
    end("toys/wide", "yogi")


@pytest.mark.usefixtures("ended")
def test_rows_that_have_ended_all_tasks(export, tmp_path):
    done = export("rliable")
    path = tmp_path / "out" / "toys" / "rliable.short.sample.json"
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "Left out: yogi lacks narrow (which it cannot train).",
        f"adamw, sgd on 2 tasks: {path}",
    ]
    content = json.loads(path.read_text())
    assert (content["tasks"], content["seeds"]) == (["wide", "narrow"], [1, 2])
    # Of the gains above 0.1: 0.61 and 0.62, where adamw has 0.81 and 0.82.
    assert content["scores"]["sgd"][0] == pytest.approx([0.61 / 0.815] * 2)
    assert content["scores"]["adamw"][1] == pytest.approx([0.82 / 0.815] * 2)


@pytest.mark.usefixtures("ended")
def test_times_to_targets(export, tmp_path):
    done = export("algoperf")
    folder = tmp_path / "out" / "toys" / "algoperf.short.sample"
    assert (done.code, done.err) == (0, "")
    assert done.last == f"adamw, sgd on 2 tasks: {folder / 'workload_targets.json'}"
    assert len(list((folder / "submissions").glob("*/study_*/*_pytorch/trial_1/*.csv"))) == 8
    path = folder / "submissions/sgd/study_2/wide_pytorch/trial_1/eval_measurements.csv"
    assert path.read_text().splitlines()[:2] == [
        "global_step,accumulated_submission_time,score,validation/accuracy",
        "0,0.0,0.0,0.1",
    ]


@pytest.mark.usefixtures("ended")
def test_committed_runs_count(export, suite, runs, tmp_path, monkeypatch):
    export("rliable")
    path = tmp_path / "out" / "toys" / "rliable.short.sample.json"
    before = path.read_text()
    monkeypatch.setattr(baselines, "HERE", tmp_path / "committed")
    for label in ("adamw", "sgd"):
        results = [
            plan(find(study), "short", "sample", [f"paths.runs={runs}"]).read() for study in suite
        ]
        rows = [row for result in results for row in result.rows if row.row == label]
        records = [r for row in rows for point in row.all_points for r in point.records]
        name = baselines.file_name(label, "short", "sample")
        (tmp_path / "committed" / "toys").mkdir(parents=True, exist_ok=True)
        (tmp_path / "committed" / "toys" / name).write_bytes(baselines.pack(records, {}))
    shutil.rmtree(runs)
    path.unlink()
    done = export("rliable")
    assert done.out == f"adamw, sgd on 2 tasks: {path}\n"
    assert path.read_text() == before
    # Of another profile, nothing is committed.
    assert "nothing has been measured in profile smoke" in sentence(
        export("rliable", "profile=smoke")
    )


@pytest.mark.usefixtures("suite")
def test_no_optimizer_has_ended_all_tasks(export, end, tmp_path):
    end("toys/wide", "sgd")
    end("toys/narrow", "sgd", fresh=False)
    end("toys/narrow", "adamw")
    assert sentence(export("algoperf")) == (
        "error: suite toys, profile short: no optimizer has ended all tasks: "
        "sgd lacks narrow; adamw lacks wide"
    )
    assert not (tmp_path / "out").exists()


def test_the_reference_has_not_ended(export, suite, end, tmp_path):
    for study in suite:
        end(study, "sgd")
    assert sentence(export("rliable")) == (
        "error: suite toys: adamw, by which scores are measured, lacks wide, narrow; "
        "python -m scripts.compare optim=adamw suite=toys profile=short runs what is missing"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("suite")
def test_nothing_has_been_measured(export, runs, tmp_path):
    assert sentence(export("rliable")) == (
        "error: suite toys: nothing has been measured in profile short; "
        "python -m scripts.compare optim=NAME suite=toys profile=short does that"
    )
    assert nothing_written(runs) and not (tmp_path / "out").exists()
