"""README's own examples, run as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import embedded

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text under one heading."""
    return re.split(r"^## ", README.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def empty(tmp_path, sample_root) -> Path:
    """A folder with nothing in it but the sample data, where they would be fetched to."""
    (tmp_path / "data").symlink_to(sample_root)
    return tmp_path


def python(folder, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_ones_own_runs_as_printed(empty):
    commands = []
    for language, content in blocks(section("Your own optimizers, tasks and studies")):
        if language == "sh":
            commands += content.strip().splitlines()
            continue
        path = empty / re.match(r"# (\S+)\n", content)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    train, grouped, task, sweep = (shlex.split(command) for command in commands)
    for words in (train, grouped, task, [*sweep, "task.steps=2"]):
        assert words[0] == "python"
        assert "finished" in python(empty, *words[1:], "logger=none")
    table = next((empty / "reports" / "mine").glob("first.smoke-custom-*.sample.md")).read_text()
    assert "| Adam (p = 2) |" in table and "| SignSGD |" in table
    assert "data=sample --config-dir=mine task.steps=2`" in table
    assert "sign_sgd" in python(empty, "-m", "scripts.list", "--config-dir", "mine", "optims")
    assert "mine/first" in python(empty, "-m", "scripts.list", "--config-dir=mine", "studies")
    python(empty, "-m", "scripts.report", "--config-dir=mine")
    assert b"mine/first" in embedded((empty / "reports" / "index.html").read_text())


def test_the_library_runs_as_printed(empty):
    first, driven = (code for _, code in blocks(section("From Python")))
    said = python(empty, "-c", first)
    assert "finished" in said and "0.001" in said
    pytest.importorskip("optuna")
    assert "'lr':" in python(empty, "-c", driven)


def test_commands_of_readme_exist():
    named = set(re.findall(r"python -m (scripts\.\w+)", README))
    assert named == {
        f"scripts.{name}"
        for name in ("train", "sweep", "compare", "report", "list", "data", "bench", "export")
    }
    targets = set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in targets)
