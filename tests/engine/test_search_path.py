"""Folders of YAML files beside conf/: named ones, and those of installed packages."""

from importlib.metadata import EntryPoint

import pytest

from engine import search_path
from engine.checks import BadInput
from engine.config import compose, names

SGD = "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\n"


@pytest.fixture
def mine(tmp_path):
    """A folder with an optimizer of its own."""
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    (tmp_path / "mine" / "optim" / "plain.yaml").write_text(SGD)
    return tmp_path / "mine"


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """`offered({"mine": "package.conf"})`: entry points of installed packages in this folder."""
    monkeypatch.syspath_prepend(str(tmp_path))
    search_path.installed.cache_clear()

    def offer(entries):
        found = [
            EntryPoint(name, value, search_path.ENTRY_POINT_GROUP)
            for name, value in entries.items()
        ]
        monkeypatch.setattr(search_path, "entry_points", lambda group: found)

    yield offer
    search_path.installed.cache_clear()


def test_folders_are_read_in_the_block_alone(mine):
    with search_path.added([mine]):
        assert "plain" in names("optim") and "adam" in names("optim")
        assert compose(["optim=plain"])["optim"]["lr"] == 0.01
        with search_path.added([mine]):  # a second time is no other folder
            assert names("optim").count("plain") == 1
    assert "plain" not in names("optim")
    with pytest.raises(BadInput, match="optim=plain: there is no such optim"):
        compose(["optim=plain"])


def test_two_files_of_one_name_are_refused(mine, tmp_path):
    (mine / "optim" / "adam.yaml").write_text(SGD)
    with pytest.raises(BadInput, match=r"mine/optim/adam\.yaml: .*conf/optim has one of this name"):
        search_path.use([mine])
    (mine / "optim" / "adam.yaml").unlink()
    (tmp_path / "more" / "optim").mkdir(parents=True)
    (tmp_path / "more" / "optim" / "plain.yaml").write_text(SGD)
    with pytest.raises(BadInput, match=r"more/optim/plain\.yaml: .*mine/optim has one of this"):
        search_path.use([mine, tmp_path / "more"])


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"--config-dir=.*none: there is no such folder"):
        search_path.use([tmp_path / "none"])


def test_an_installed_package_offers_its_folder(mine, offered):
    offered({"mine": "mine", "gone": "gone.conf", "module": "json.decoder"})
    assert compose(["optim=plain"])["optim"]["lr"] == 0.01
    assert search_path.others() == (mine,)
    search_path.use([mine])  # naming it, too, changes nothing
    assert search_path.others() == (mine,)


def test_one_that_cannot_be_had_is_warned_of_and_left_out(mine, offered, caplog):
    (mine / "optim" / "adam.yaml").write_text(SGD)
    offered({"mine": "mine", "gone": "gone.conf"})
    assert search_path.others() == ()
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2 and "gone" in warned[0] and "adam.yaml" in warned[1]
    assert "plain" not in names("optim")
