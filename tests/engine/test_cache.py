"""A kept value is the one that would be made anew, whatever has become of its file."""

import json

import pytest

from engine import cache


@pytest.fixture
def made():
    """How often a value was made."""
    return []


@pytest.fixture
def recall(made):
    def recall(source="a", value=1, lasting=True):
        def make():
            made.append(source)
            return {"value": value}, lasting

        return cache.recall("toy", source, make)["value"]

    return recall


def test_made_once(recall, made):
    assert [recall(value=1), recall(value=2)] == [1, 1]
    assert made == ["a"]


def test_made_anew_from_something_else(recall, made):
    assert [recall("a", 1), recall("b", 2), recall("b", 3), recall("a", 4)] == [1, 2, 2, 4]
    assert made == ["a", "b", "a"]


def test_not_kept(recall):
    assert [recall(value=1, lasting=False), recall(value=2)] == [1, 2]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"source": "a"}', "\xff"])
def test_damaged(recall, damage):
    recall(value=1)
    (cache.folder() / "toy.json").write_bytes(damage.encode("latin-1"))
    assert recall(value=2) == 2
    assert recall(value=3) == 2


def test_changed(recall):
    recall(value=1)
    path = cache.folder() / "toy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"value": {"value": 9}}))
    assert recall(value=2) == 2


def test_nowhere_to_write(recall, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "file" / "inside")
    assert [recall(value=1), recall(value=2)] == [1, 2]


def test_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "adamily"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "adamily"
