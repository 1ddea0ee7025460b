"""Installed from a wheel, adamily serves one's own YAML files from any folder or package."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from browsing import embedded

ROOT = Path(__file__).parents[1]

# The metric that the task reports, and what its class says of it.
METRIC = "test/slope_error"
DECLARED = f"""metrics = {{"{METRIC}": Metric("error of the slope", "min")}}
    headline = "{METRIC}"
"""

MODULES = {
    "sign_sgd.py": """
import torch


class SignSGD(torch.optim.Optimizer):
    def __init__(self, params, lr: float = 1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad.sign())


def halved(optimizer, total_steps):
    return torch.optim.lr_scheduler.StepLR(optimizer, max(1, total_steps // 2), 0.5)
""",
    "line.py": f"""
import torch
from torch import nn

from tasks.bounds import Count
from tasks.metrics import Metric
from tasks.seeds import derive
from tasks.task import Task, build_model


class Line(Task):
    {DECLARED}
    eval_every = 5

    def __init__(self, *, steps: Count, batch_size: Count, seed: int, device: torch.device, root):
        self.steps, self.batch_size, self.seed, self.device = steps, batch_size, seed, device
        self.model = build_model(lambda: nn.Linear(1, 1), seed, device)

    def batch(self, step):
        draw = torch.Generator().manual_seed(derive(self.seed, "data", step))
        return torch.randn(self.batch_size, 1, generator=draw).to(self.device)

    def loss(self, x):
        return nn.functional.mse_loss(self.model(x), 2 * x + 1)

    def evaluate(self):
        return {{"{METRIC}": abs(self.model.weight.item() - 2)}}
""",
}

FILES = {
    "optim/sign_sgd.yaml": "_target_: {room}sign_sgd.SignSGD\n_partial_: true\nlr: 1e-3\n",
    "schedule/halved.yaml": "_target_: {room}sign_sgd.halved\n_partial_: true\n",
    "task/line.yaml": "_target_: {room}line.Line\nsteps: 10\nbatch_size: 4\n",
    "study/mine/first.yaml": """
like: lp_adam/fc2
title: SignSGD beside Adam
rows: [Adam (p = 2)]
add_rows:
  SignSGD: {{optim: sign_sgd}}
figures: {{}}
""",
    "study/mine/lines.yaml": f"""
title: Lines
reproduces: []
notes: []
columns:
  Line: {{{{task: line, schedule: halved}}}}
rows:
  SignSGD: {{{{optim: sign_sgd}}}}
grid:
  optim.lr: [0.01, 0.1]
seeds: 2
select: {{{{metric: {METRIC}, at: last, mode: min}}}}
report: [{METRIC}]
statistic: mean
published: []
figures:
  lines: {{{{title: A line, rows: [SignSGD], metric: {METRIC}}}}}
profiles:
  paper: {{{{}}}}
  short: {{{{}}}}
  smoke: {{{{seeds: 1}}}}
""",
}

PACKAGE = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "mine"
version = "1.0"

[project.entry-points."adamily.conf"]
mine = "mine_of_hers.conf"

[tool.setuptools]
packages = ["mine_of_hers"]

[tool.setuptools.package-data]
mine_of_hers = ["conf/**/*.yaml"]
"""


def write(folder, texts, **words):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**words) if words else text)


def call(*command, cwd=None):
    """What a command says, in an environment that knows nothing of this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=kept | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments):
    call(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def install(project, python, scratch):
    """Build a wheel, without the network, and install it."""
    wheels = scratch / "wheels"
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", wheels, project)
    pip("--python", python, "install", "--no-deps", "--no-index", "--no-compile", *wheels.iterdir())


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """`fresh(project)`: an environment with adamily and that project, both from their wheels.

    All that adamily needs comes from the environment of these tests.
    """
    source = tmp_path_factory.mktemp("source") / "adamily"
    left_out = (".*", "tests", "build", "data", "runs", "reports", "reproduced", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*left_out))

    def make(*projects):
        folder = tmp_path_factory.mktemp("fresh")
        venv.create(folder, with_pip=False)
        python = folder / "bin" / "python"
        [lib] = folder.glob("lib/python*/site-packages")
        # Only a path: what is installed there as a link to this checkout is not followed.
        (lib / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        for project in (source, *projects):
            install(project, python, tmp_path_factory.mktemp("scratch"))
        return folder / "bin" / "adamily"

    return make


@pytest.fixture
def empty(tmp_path, sample_root):
    """A folder with nothing in it but the sample data, where they would be fetched to."""
    here = tmp_path / "empty"
    here.mkdir()
    (here / "data").symlink_to(sample_root)
    return here


@pytest.fixture(params=["a folder", "a package"])
def adamily(request, fresh, empty, tmp_path):
    """`adamily(command, …)` with one's own files in a folder that it names, or in a package."""
    if request.param == "a folder":
        program, named = fresh(), ["--config-dir", "mine"]
        write(empty, MODULES)
        write(empty / "mine", FILES, room="")
    else:
        write(tmp_path / "hers", {"pyproject.toml": PACKAGE, "mine_of_hers/__init__.py": ""})
        write(tmp_path / "hers" / "mine_of_hers", MODULES)
        write(tmp_path / "hers" / "mine_of_hers" / "conf", FILES, room="mine_of_hers.")
        program, named = fresh(tmp_path / "hers"), []
    return lambda command, *typed: call(program, command, *named, *typed, cwd=empty)


@pytest.mark.slow
def test_what_is_ones_own_works_with_every_command(adamily, empty):
    quiet = ["logger=none", "data=sample"]
    said = adamily("train", "task=line", "optim=sign_sgd", "schedule=halved", *quiet)
    assert "finished" in said and f"{METRIC} " in said
    [summary] = empty.glob("runs/line/sign_sgd/*/summary.json")
    assert METRIC in json.loads(summary.read_text())["final"]
    environment = json.loads((summary.parent / "environment.json").read_text())
    assert environment["git_commit"] is None, "it is the checkout that ran"

    said = adamily("train", "-m", "task=line", "optim=sign_sgd,adam", "optim.lr=0.1,0.01", *quiet)
    assert len(list(empty.glob("runs/line/*/*/summary.json"))) == 5

    adamily("sweep", "study=mine/lines", "profile=smoke", *quiet)
    table = (empty / "reports/mine/lines.smoke.sample.md").read_text()
    assert "| SignSGD |" in table and "| error of the slope |" in table
    assert (empty / "reports/mine/lines.smoke.sample.lines.png").exists()

    adamily("sweep", "study=mine/first", "profile=smoke", "task.steps=2", *quiet)
    [path] = empty.glob("reports/mine/first.smoke-custom-*.sample.md")
    assert "| Adam (p = 2) |" in path.read_text() and "| SignSGD |" in path.read_text()

    listed = json.loads(adamily("list", "--json"))
    names = {what: {entry["name"] for entry in entries} for what, entries in listed.items()}
    assert {"line", "mnist_fc2"} <= names["tasks"]
    assert {"sign_sgd", "adam"} <= names["optims"]
    assert {"mine/first", "mine/lines", "lp_adam/fc2"} <= names["studies"]

    assert "line: sample data are whole" in adamily("data", "prepare", "task=line", "data=sample")

    shutil.rmtree(empty / "reports")
    adamily("report")
    page = embedded((empty / "reports/index.html").read_text()).decode()
    assert all(word in page for word in ("mine/lines", "sign_sgd", "error of the slope"))
    assert table == (empty / "reports/mine/lines.smoke.sample.md").read_text()
