"""What can be typed, for people and for programs."""

import json

import pytest
import yaml
from running import ROOT, run_here


def test_tasks_for_programs(capsys):
    done = run_here(capsys, "list", "tasks", "--json")
    assert done.code == 0
    tasks = {entry["name"]: entry for entry in json.loads(done.out)}
    fc2 = tasks["mnist_fc2"]
    # 784·1000 + 1000 + 1000·1000 + 1000 + 1000·10 + 10
    assert fc2["parameters"] == 1_796_010
    # 100 epochs of whole batches of 128 images.
    assert fc2["steps"] == {"full": 100 * (60_000 // 128), "sample": 100 * (4_000 // 128)}


def test_optims_for_programs(capsys):
    done = run_here(capsys, "list", "optims", "--json")
    listed = {entry["name"]: entry for entry in json.loads(done.out)}
    assert listed.keys() == {path.stem for path in (ROOT / "conf/optim").glob("*.yaml")}
    assert listed["adam"]["class"] == "torch.optim.Adam"
    written = yaml.safe_load((ROOT / "conf/optim/adam.yaml").read_text())
    assert listed["adam"]["settings"].items() <= written.items()
    assert listed["adam"]["settings"]["lr"] == 1e-3


def test_studies_for_programs(capsys, study):
    study(seeds=3)
    done = run_here(capsys, "list", "studies", "--json")
    listed = {entry["name"]: entry for entry in json.loads(done.out)}
    assert listed["lp_adam/tiny"]["runs"] == {"paper": 12, "smoke": 12}
    assert "lp_adam/fc2" in listed


def test_everything_for_people(capsys):
    done = run_here(capsys, "list")
    assert done.code == 0
    for word in ("mnist_fc2", "1,796,010", "adamax", "lp_adam/fc2", "tasks", "optims", "studies"):
        assert word in done.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.out)


def test_all_in_one_for_programs(capsys):
    listed = json.loads(run_here(capsys, "list", "--json").out)
    assert listed.keys() == {"tasks", "optims", "studies"}


def test_what_cannot_be_listed(capsys):
    done = run_here(capsys, "list", "papers")
    assert done.code == 2
    for word in ("papers", "tasks", "optims", "studies"):
        assert word in done.err


def test_help(capsys):
    done = run_here(capsys, "list", "--help")
    assert done.code == 0 and "python -m scripts.list studies --json" in done.out
