"""Folders of any name, typed as they are; commands that are printed for a shell."""

import shlex
import shutil
from pathlib import Path

import pytest
from running import ROOT, folders, run_here

from engine.overrides import quoted, read_override
from results.analysis import analyse
from results.searching import SearchState
from results.study_file import load

ODD = 'it\'s a=b,c#d%20e&ü "q" (1) [x] {y};$z'


@pytest.mark.parametrize("name", [ODD, "a,b", "a=b", "a#b", "ü", "'", "[a]", "~", "a b", "%"])
def test_a_folder_of_any_name_is_read_as_it_is_typed(name):
    read = read_override(quoted(f"paths.runs=/here/{name}"))
    assert read.value() == f"/here/{name}"
    assert read_override(quoted(f"paths.runs={name}")).value() == name


@pytest.mark.parametrize(
    "typed", ["paths.runs='a b'", 'paths.runs="a,b"', "paths.runs=${oc.env:HOME}/a", "paths.runs="]
)
def test_what_is_quoted_or_refers_to_something_stays(typed):
    assert quoted(typed) == typed


def test_other_keys_stay():
    assert quoted("optim.lr=1e-3,1e-2") == "optim.lr=1e-3,1e-2"
    assert quoted("--config-dir=a,b") == "--config-dir=a,b"


def test_all_folders_at_once(train, sweep, study, capsys, tmp_path, monkeypatch, sample_root):
    """Of files to add to conf/, of runs, data and reports, and the one that commands start in."""
    here = tmp_path / ODD
    (here / "more" / "optim").mkdir(parents=True)
    shutil.copy(ROOT / "conf" / "optim" / "sgd.yaml", here / "more" / "optim" / "mine.yaml")
    (here / "data").symlink_to(sample_root)
    monkeypatch.chdir(here)
    own = ["paths.runs=runs", f"paths.data={here}/data", f"paths.reports={here}/reports, all"]
    done = train("-m", *own, "optim=mine,adam", "hydra/launcher=basic", f"--config-dir={here}/more")
    assert done.code == 0, done
    assert len(folders("runs")) == 2
    assert sweep(*study(), *own, "dry_run=true").code == 0
    done = run_here(capsys, "report", own[0], own[2])
    assert done.code == 0, done
    assert Path(done.last.removeprefix("Page: ")) == here / "reports, all" / "index.html"
    assert run_here(capsys, "data", "prepare", "task=mnist_fc2", "data=sample", own[1]).code == 0


def test_a_sweep_needs_nothing_of_the_folder_that_it_starts_in(
    train, monkeypatch, tmp_path, sample_root
):
    """It may be one that cannot be written to, where the runs lie elsewhere."""
    bare = tmp_path / "bare"
    bare.mkdir()
    monkeypatch.chdir(bare)
    own = [f"paths.runs={tmp_path / ODD}", f"paths.data={sample_root}"]
    done = train("-m", *own, "seed=1,2", "hydra/launcher=joblib")
    assert done.code == 0, done
    assert len(folders(tmp_path / ODD)) == 2
    assert not list(bare.iterdir())


def test_the_command_in_a_report_can_be_pasted():
    study = load("lp_adam/fc2", [ROOT / "conf" / "study"])
    changes = ("optim.betas=[0.9,0.99]", "task.model.widths='a b'")
    command = analyse(study, "smoke", "sample", SearchState(), lambda cell: None, changes).command
    assert shlex.split(command)[-2:] == list(changes)
