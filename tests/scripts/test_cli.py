"""`adamily COMMAND …` is `python -m scripts.COMMAND …`."""

import importlib
import tomllib

import pytest
from running import ROOT, run_here

from scripts import cli


def test_the_console_entry_is_this_function():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"adamily": "scripts.cli:main"}


def test_every_command_is_there():
    names = {"train", "sweep", "compare", "report", "export", "list", "data", "bench"}
    assert names == set(cli.COMMANDS)
    for name in cli.COMMANDS:
        assert callable(importlib.import_module(f"scripts.{name}").main)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(capsys, name):
    done = run_here(capsys, "cli", name, "--help")
    assert done.code == 0
    assert name in done.out


def test_arguments_are_handed_over(capsys):
    assert run_here(capsys, "cli", "list", "optims", "--json").out.startswith("[")
    done = run_here(capsys, "cli", "sweep", "study=lp_adam/fc2", "profile=tiny")
    assert done.code == 2 and "profile=tiny" in done.err


def test_training_by_its_short_name(capsys, tiny, runs):
    done = run_here(capsys, "cli", "train", *tiny())
    assert done.code == 0, done
    assert len(list(runs.glob("*/*/*/summary.json"))) == 1


@pytest.mark.parametrize("typed", [[], ["-h"], ["--help"]])
def test_help(capsys, typed):
    done = run_here(capsys, "cli", *typed)
    assert done.code == 0
    for name, text in cli.COMMANDS.items():
        assert name in done.out and text in done.out


def test_an_unknown_command(capsys):
    done = run_here(capsys, "cli", "tune")
    assert done.code == 2 and done.out == ""
    (said,) = done.err.splitlines()
    assert "tune" in said and "sweep" in said
