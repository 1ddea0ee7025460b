"""README's own examples, run as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ROOMS = ("conf", "optim", "models", "tasks", "results", "scripts")


def section(title: str) -> str:
    """The text under one heading."""
    return re.split(r"^## ", README.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def house(tmp_path, sample_root) -> Path:
    """A copy of the project to write into, with the sample data at hand."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").symlink_to(sample_root)
    return tmp_path


@pytest.mark.parametrize("title", ["Adding an optimizer", "Adding a task"])
def test_examples_run_as_printed(title, house):
    commands = []
    for language, content in blocks(section(title)):
        if language == "sh":
            commands += content.strip().splitlines()
            continue
        path = re.match(r"# (\S+)\n", content)[1]
        assert not (house / path).exists()
        (house / path).write_text(content)
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "python"
        done = subprocess.run(
            [sys.executable, *words[1:], "logger=none"],
            cwd=house,
            env={**os.environ, "PYTHONPATH": str(house)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "finished" in done.stdout
    assert list(house.glob("runs/*/*/*/summary.json"))


def test_commands_of_readme_exist():
    named = set(re.findall(r"python -m (scripts\.\w+)", README))
    assert named == {
        f"scripts.{name}" for name in ("train", "sweep", "report", "list", "data", "bench")
    }
    targets = set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in targets)
