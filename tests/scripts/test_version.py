"""`--version`, of every command."""

import re

import pytest
from running import run_here

from engine import environment
from scripts import cli


@pytest.fixture
def commit(monkeypatch):
    """Say which commit this is, and whether files have changed since."""

    def found(git_commit, git_dirty):
        commit = {"git_commit": git_commit, "git_dirty": git_dirty}
        monkeypatch.setattr(environment, "commit", lambda: commit)

    return found


@pytest.mark.parametrize("command", ["cli", *cli.COMMANDS])
def test_every_command_says_its_version(capsys, commit, command):
    commit("0123abcd", False)
    done = run_here(capsys, command, "--version")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"adamily \d+\.\d+\.\d+, commit 0123abcd\n", done.out)


@pytest.mark.parametrize(
    ("found", "ends"),
    [(("0123abcd", True), ", commit 0123abcd, with changes\n"), ((None, None), ".0\n")],
)
def test_what_there_is_to_say(capsys, commit, monkeypatch, found, ends):
    monkeypatch.setattr(environment, "version", {"adamily": "1.2.0"}.get)
    commit(*found)
    assert run_here(capsys, "cli", "--version").out == f"adamily 1.2.0{ends.removeprefix('.0')}"


def test_it_is_no_error_where_it_is_not_installed(capsys, commit, monkeypatch):
    monkeypatch.setattr(environment, "version", {}.get)
    commit(None, None)
    assert run_here(capsys, "train", "--version").out == (
        "adamily of no version: it is not installed\n"
    )


def test_behind_other_words_it_is_still_answered(capsys, commit):
    commit(None, None)
    assert run_here(capsys, "train", "task=zzz", "--version").out.startswith("adamily ")
