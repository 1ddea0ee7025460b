"""What a report was made from: every change of it shows, and what is current is left alone."""

import json
import os

import pytest

from results.rendered import MADE, current, hash_source, write

FINAL = {"status": "finished", "final": {"train/loss": 0.5}, "best": {}}


@pytest.fixture
def runs(tmp_path, make_config, write_run):
    for seed in range(2):
        write_run(tmp_path / "runs", make_config({"seed": seed}), FINAL, [{"step": 1}])
    return tmp_path / "runs"


@pytest.fixture
def code(tmp_path):
    (tmp_path / "code" / "page").mkdir(parents=True)
    for name in ("a.py", "b.yaml", "page/c.js", "page/d.css", "page/e.html"):
        (tmp_path / "code" / name).write_text(name)
    return tmp_path / "code"


@pytest.mark.parametrize(
    "name", ["config.yaml", "summary.json", "metrics.jsonl", "environment.json"]
)
def test_a_change_in_a_run_shows_whatever_its_time(runs, code, name):
    before = hash_source(runs, [code])
    assert hash_source(runs, [code]) == before
    path = next(runs.glob(f"*/*/*/{name}"))
    content, time = path.read_bytes(), path.stat()
    path.write_bytes(content + b" ")
    os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))
    changed = hash_source(runs, [code])
    path.unlink()
    gone = hash_source(runs, [code])
    assert len({before, changed, gone}) == 3
    path.write_bytes(content)
    assert hash_source(runs, [code]) == before


@pytest.mark.parametrize("name", ["a.py", "b.yaml", "page/c.js", "page/d.css", "page/e.html"])
def test_a_change_in_what_renders_shows(runs, code, name):
    before = hash_source(runs, [code])
    (code / name).write_text("other")
    assert hash_source(runs, [code]) != before


def test_other_libraries_and_another_place_show(runs, code, monkeypatch):
    before = hash_source(runs, [code])
    monkeypatch.setattr("results.rendered.version", lambda name: "999")
    assert hash_source(runs, [code]) != before
    monkeypatch.undo()
    runs.rename(runs.parent / "others")
    assert hash_source(runs.parent / "others", [code]) != before


def test_what_is_no_part_of_a_record_or_cannot_be_read_does_no_harm(runs, code):
    before = hash_source(runs, [code])
    run = next(runs.glob("*/*/*"))
    (run / "log.txt").write_text("said")
    (code / "a.pyc").write_text("compiled")
    assert hash_source(runs, [code]) == before
    (run / "summary.json").unlink()
    (run / "summary.json").mkdir()
    assert hash_source(runs, [code]) != before
    assert hash_source(runs / "none", []) == hash_source(runs / "none", [])


FILES = {"paper/x.smoke.md": b"table", "paper/x.smoke.fig.png": b"picture"}


def test_files_are_current_until_the_source_or_one_of_them_changes(tmp_path):
    assert current(tmp_path, "paper/x.smoke", "one") == []
    paths = write(tmp_path, "paper/x.smoke", "one", FILES)
    assert paths == [tmp_path / name for name in FILES]
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    write(tmp_path, "index.html", "two", {"index.html": b"page"})
    assert current(tmp_path, "paper/x.smoke", "one") == paths
    assert current(tmp_path, "index.html", "two") == [tmp_path / "index.html"]
    assert current(tmp_path, "paper/x.smoke", "two") == []
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(b"another")
        assert current(tmp_path, "paper/x.smoke", "one") == []
        path.unlink()
        assert current(tmp_path, "paper/x.smoke", "one") == []
        path.write_bytes(content)
        assert current(tmp_path, "paper/x.smoke", "one") == paths
    assert sorted(path.name for path in tmp_path.iterdir()) == [MADE, "index.html", "paper"]


def test_what_has_the_same_bytes_is_not_written_again(tmp_path):
    paths = write(tmp_path, "paper/x.smoke", "one", FILES)
    times = [path.stat().st_mtime_ns for path in paths]
    paths[0].write_bytes(b"damaged")
    os.utime(paths[1], ns=(1, 1))
    write(tmp_path, "paper/x.smoke", "two", FILES)
    assert paths[0].read_bytes() == b"table" and paths[0].stat().st_mtime_ns > times[0]
    assert paths[1].stat().st_mtime_ns == 1
    assert current(tmp_path, "paper/x.smoke", "two") == paths


def test_a_file_that_is_made_no_more_goes_and_others_stay(tmp_path):
    write(tmp_path, "paper/x.smoke", "one", FILES)
    (tmp_path / "paper" / "x.smoke.mine.png").write_bytes(b"mine")
    [table] = write(tmp_path, "paper/x.smoke", "two", {"paper/x.smoke.md": b"table"})
    assert current(tmp_path, "paper/x.smoke", "two") == [table]
    left = {path.name for path in (tmp_path / "paper").iterdir()}
    assert left == {"x.smoke.md", "x.smoke.mine.png"}


OTHER = {"source": "one", "files": {"../outside": "0"}}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b"null", b'{"paper/x.smoke": 1}', b'{"paper/x.smoke": {"a": 1}}']
    + [
        json.dumps({"paper/x.smoke": made}).encode()
        for made in (OTHER, {"source": 1, "files": {}}, {"source": "one", "files": []})
    ],
)
def test_a_damaged_memory_makes_everything_anew_and_touches_nothing_else(tmp_path, content):
    (tmp_path / "outside").write_text("precious")
    reports = tmp_path / "reports"
    paths = write(reports, "paper/x.smoke", "one", FILES)
    (reports / MADE).write_bytes(content)
    assert current(reports, "paper/x.smoke", "one") == []
    assert write(reports, "paper/x.smoke", "one", FILES) == paths
    assert current(reports, "paper/x.smoke", "one") == paths
    assert (tmp_path / "outside").read_text() == "precious"


def test_what_could_not_be_written_is_not_current(tmp_path, monkeypatch):
    write(tmp_path, "paper/x.smoke", "one", FILES)

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr("engine.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path, "paper/x.smoke", "two", FILES | {"paper/x.smoke.md": b"new"})
    monkeypatch.undo()
    assert current(tmp_path, "paper/x.smoke", "two") == []
    assert (tmp_path / "paper" / "x.smoke.md").read_bytes() == b"table"
    assert not list(tmp_path.rglob(".*.tmp"))
