"""Commands that are started in a folder which has packages of the same names."""

import os
import subprocess
import sys

import pytest
from running import ROOT, child_environment, folders, summary

from engine import packages


@pytest.fixture
def elsewhere(tmp_path):
    """Somebody's project: its own packages, and a module that only it has."""
    place = tmp_path / "theirs"
    for name in packages.PACKAGES:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text("raise SystemExit('theirs')\n")
    (place / "mine.py").write_text("import torch\n\n\nclass Mine(torch.optim.SGD):\n    pass\n")
    return place


def python(place, *arguments, **more):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=place, capture_output=True, text=True, **more
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_packages_come_before_theirs_and_theirs_are_found(elsewhere):
    (elsewhere / "scripts" / "__init__.py").unlink()  # a plain folder hides no package
    said = python(
        elsewhere,
        "-c",
        "import scripts, tasks, results, mine; print(tasks.__file__, results.__file__)",
        env=child_environment(),
    )
    assert said.split() == [str(ROOT / name / "__init__.py") for name in ("tasks", "results")]


def test_children_find_our_scripts(elsewhere, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with packages.project_found_by_children():
        said = python(elsewhere, "-c", "import scripts; print(scripts.__file__)")
    assert said.strip() == str(ROOT / "scripts" / "__init__.py")
    assert "PYTHONPATH" not in os.environ and "PYTHONSAFEPATH" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize(
    "launched",
    [
        ["sweep.jobs_per_device=2"],
        ["sweep.jobs_per_device=2", "sweep.devices_per_run=2"],
        ["hydra/launcher=submitit_local"],
    ],
)
def test_runs_are_ours_whoever_launches_them(elsewhere, runs, tiny, launched):
    """Started as the command `adamily` starts, whose path has no working folder."""
    code = f"import sys; sys.path[0] = {str(ROOT)!r}; import scripts.cli; scripts.cli.main()"
    own = ["optim=sgd", "optim._target_=mine.Mine", "seed=0,1"]
    python(elsewhere, "-c", code, "train", "-m", *tiny(), *own, *launched)
    assert [summary(where)["status"] for where in folders(runs)] == ["finished"] * 2
