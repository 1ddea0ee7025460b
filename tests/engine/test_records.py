"""Reading runs from disk: whatever is half written or edited never makes a number."""

import json
import shutil

import pytest

from engine.files import write_json
from engine.identity import run_path
from engine.record_files import read_config
from engine.records import read, read_all
from engine.yaml_files import dump_yaml, read_yaml

FINAL = {"train/loss": 0.5}
SUMMARY = {
    "status": "finished",
    "final": FINAL,
    "best": {"train/loss": {"value": 0.25, "step": 1}},
}
LINES = [{"step": 1, "train/loss": 0.25}, {"step": 2, "train/loss": None, "test/loss": 3.0}]


@pytest.fixture
def folder(tmp_path, make_config, write_run):
    return write_run(tmp_path / "runs", make_config(), SUMMARY, LINES).folder


def test_a_record_is_what_was_written(folder, make_config):
    record = read(folder)
    assert record is not None
    assert (record.id, record.status, record.config) == (folder.name, "finished", make_config())
    curves = {name: tuple(map(list, curve)) for name, curve in record.curves.items()}
    assert record.lines == LINES
    assert curves == {
        "train/loss": ([1, 2], [0.25, None]),
        "test/loss": ([2], [3.0]),
    }
    assert record.value("train/loss", "last") == 0.5
    assert record.value("train/loss", "best") == 0.25
    assert record.value("test/loss", "last") is None
    assert record.value("test/loss", "best") is None


def test_a_metric_of_trials_has_a_value_for_each_at_the_last_evaluation(
    tmp_path, make_config, write_run
):
    summary = SUMMARY | {"trials": {"train/loss": [0.25, 0.75]}}
    record = read(write_run(tmp_path / "runs", make_config(), summary, LINES).folder)
    assert record.values("train/loss", "last") == [0.25, 0.75]
    assert record.value("train/loss", "last") == 0.5
    # Which evaluation was the best one differs from trial to trial, so there is only their mean.
    assert record.values("train/loss", "best") == [0.25]


def test_a_metric_without_trials_has_one_value_or_none(folder):
    record = read(folder)
    assert record.values("train/loss", "last") == [0.5]
    assert record.values("train/loss", "best") == [0.25]
    assert record.values("test/loss", "last") == []


def test_a_last_line_that_a_crash_cut_off_is_left_out_of_an_unfinished_run(folder, heard):
    path = folder / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-1])
    assert read(folder) is None and "metrics.jsonl ends within a line" in heard.text
    (folder / "summary.json").unlink()
    for cut in (1, 2, len(json.dumps(LINES[1]))):
        path.write_text(whole[:-cut])
        assert read(folder).lines == LINES[:1]
    path.write_text("")
    assert read(folder).lines == []
    path.unlink()
    assert read(folder).curves == {}


def test_a_run_without_a_summary_is_unfinished(folder):
    (folder / "summary.json").unlink()
    record = read(folder)
    assert record.status == "unfinished"
    assert record.value("train/loss", "last") is None
    assert record.value("train/loss", "best") is None


def test_a_missing_environment_is_an_empty_one(folder):
    (folder / "environment.json").unlink()
    assert read(folder).environment == {}


def test_a_run_whose_config_was_edited_is_left_out_with_a_warning(folder, heard):
    path = folder / "config.yaml"
    path.write_text(dump_yaml({**read_yaml(path), "seed": 5}))
    assert read(folder) is None
    assert f"{folder} is left out: its config.yaml was changed" in heard.text


@pytest.mark.parametrize("content", [b"", b"a: [", b"seed: 1\n", b"a: caf\xe9\n", b"\0\0"])
def test_a_run_whose_config_is_damaged_is_left_out_with_a_warning(folder, heard, content):
    (folder / "config.yaml").write_bytes(content)
    assert read(folder) is None
    assert f"{folder} is left out: its config.yaml " in heard.text


def test_a_folder_without_a_config_is_no_run(tmp_path, heard):
    assert read(tmp_path) is None
    assert heard.text == ""


@pytest.mark.usefixtures("heard")
def test_all_runs_are_found_and_a_bad_one_harms_no_other(tmp_path, make_config, write_run):
    root = tmp_path / "runs"
    runs = [write_run(root, make_config({"seed": seed}), SUMMARY, LINES) for seed in range(3)]
    (runs[1].folder / "config.yaml").write_text("a: [")
    (root / ".hydra" / "a" / "b").mkdir(parents=True)
    (root / "toy" / "adam" / "empty").mkdir()
    assert read_all(root).keys() == {runs[0].id, runs[2].id}
    assert read_all(tmp_path / "nowhere") == {}


# -- where runs lie --------------------------------------------------------------------------------


def warnings_of(heard):
    return [record.getMessage() for record in heard.records if record.levelname == "WARNING"]


def test_a_copy_counts_for_nothing_whatever_its_name(tmp_path, make_config, write_run, heard):
    root = tmp_path / "runs"
    run = write_run(root, make_config(), SUMMARY, LINES)
    for name in ("a_copy", "zz_copy"):
        shutil.copytree(root / "toy", root / name)
        write_json(root / name / "adam" / run.id / "summary.json", SUMMARY | {"final": {}})
    (root / "linked").symlink_to(root / "toy")
    shutil.copytree(run.folder, root / "toy" / "other" / run.id)
    assert {key: record.folder for key, record in read_all(root).items()} == {run.id: run.folder}
    assert warnings_of(heard) == [
        f"{root / 'a_copy' / 'adam' / run.id} and 4 more are left out: not where config.yaml says "
        "that the run belongs; move it there, or remove a copy"
    ]


def test_a_run_that_was_moved_is_named(tmp_path, make_config, write_run, heard):
    root = tmp_path / "runs"
    run = write_run(root, make_config(), SUMMARY, LINES)
    (root / "toy").rename(root / "renamed")
    assert read_all(root) == {}
    [said] = warnings_of(heard)
    assert said.startswith(f"{root / 'renamed' / 'adam' / run.id} is left out: not where ")


def test_a_run_whose_config_is_gone_is_named_with_what_to_do(folder, make_config, heard):
    (folder / "config.yaml").unlink()
    assert read_all(folder.parents[2]) == {}
    [said] = warnings_of(heard)
    assert said.startswith(f"{folder} is left out: config.yaml is gone; the sweep ")
    # Whoever knows the config has the record.
    assert read(folder) is None
    assert read(folder, make_config()).value("train/loss", "last") == 0.5
    (folder / "summary.json").unlink()
    assert read(folder, make_config()) is None
    assert len(warnings_of(heard)) == 1


def test_a_run_from_when_agents_had_a_video_is_still_one(make_config, tmp_path):
    folder = tmp_path / run_path(make_config())
    folder.mkdir(parents=True)
    written = make_config({"task.video": True})
    (folder / "config.yaml").write_text(dump_yaml(written))
    assert read_config(folder)["train"]["artifacts"] is True
    assert "video" not in read_config(folder)["task"]


def test_a_task_of_ones_own_may_have_an_option_that_an_older_one_had(make_config, tmp_path):
    config = make_config({"task.video": True})
    folder = tmp_path / run_path(config)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_yaml(config))
    assert read_config(folder) == config
