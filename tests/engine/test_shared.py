"""One folder of runs for a group of people, whatever their umasks."""

import os
import shutil
import stat
import tempfile
import warnings
from pathlib import Path

import pytest

from engine.files import write_json
from engine.run import Busy, Run
from engine.shared import locked, make_folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_folders_in_a_groups_folder_are_the_groups(tmp_path):
    tmp_path.chmod(0o770)
    path = tmp_path / "task" / "optim" / "id"
    make_folder(path)
    make_folder(path)
    for folder in (path, *path.parents[:2]):
        assert mode(folder) & 0o2070 == 0o2070
        assert folder.stat().st_gid == tmp_path.stat().st_gid
        assert mode(folder) & stat.S_IWOTH == 0


@pytest.mark.parametrize("above", [0o755, 0o700, 0o1777])
def test_other_folders_are_as_the_umask_says(tmp_path, umask, above):
    # One with the sticky bit, as /tmp, is everybody's, and no group's.
    tmp_path.chmod(above)
    make_folder(tmp_path / "runs" / "task")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "task"):
        assert mode(folder) & 0o777 == 0o777 & ~umask


@pytest.mark.usefixtures("umask")
def test_a_lock_is_for_all_who_may_write_its_folder(tmp_path):
    for open_to, wanted in ((0o2770, 0o660), (0o755, 0o644), (0o700, 0o600)):
        folder = tmp_path / f"{open_to:o}"
        folder.mkdir()
        folder.chmod(open_to)
        with locked(folder / "a.lock"):
            pass
        assert mode(folder / "a.lock") == wanted


def test_a_lock_that_cannot_be_opened_says_what_to_do(tmp_path, make_config, monkeypatch):
    run = Run(tmp_path / "the runs", make_config())

    def denied(lock):
        raise PermissionError(13, "Permission denied", str(lock))

    monkeypatch.setattr("engine.shared.FileLock.acquire", denied)
    with pytest.raises(PermissionError) as refused, run.locked():
        pass
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/the runs/.locks/{run.id}.lock: cannot be opened (Permis")
    assert said.endswith(f"as by chmod -R g+w '{tmp_path}/the runs/.locks'")
    assert not run.busy, "whoever wants to train it hears of it"


# -- another user ----------------------------------------------------------------------------------

GROUP = 54321


@pytest.fixture
def group_folder():
    """A folder of a group's, which users other than this one can reach."""
    if os.getuid() != 0:
        pytest.skip("only root can become other users")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)


def as_user(number, umask, call):
    """What `call` returns, as text, in a process of that user, who is in the group."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it execs nothing and starts no thread
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(number)
            os.setuid(number)
            os.umask(umask)
            said = str(call())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def finish(run):
    with run.locked():
        make_folder(run.folder)
        write_json(run.folder / "summary.json", {"status": "finished"})
    return run.status


@pytest.mark.parametrize("umasks", [(0o022, 0o002), (0o002, 0o022), (0o022, 0o022)])
def test_two_users_share_a_folder_of_runs(group_folder, make_config, umasks):
    first, second = (Run(group_folder / "runs", make_config({"seed": seed})) for seed in (1, 2))
    assert as_user(54331, umasks[0], lambda: finish(first)) == "finished"
    # The other may look at that run, take its lock, and add one of their own.
    assert as_user(54332, umasks[1], lambda: (first.ended, first.busy)) == "(True, False)"
    assert as_user(54332, umasks[1], lambda: finish(first)) == "finished"
    assert as_user(54332, umasks[1], lambda: finish(second)) == "finished"
    assert {run.folder.stat().st_uid for run in (first, second)} == {54331, 54332}
    with first.locked():
        assert as_user(54332, umasks[1], lambda: first.busy) == "True"
        held = as_user(54332, umasks[1], lambda: finish(first))
    assert held.startswith(Busy.__name__)


def test_a_lock_of_another_user_alone_is_refused_in_a_sentence(group_folder, make_config):
    run = Run(group_folder / "runs", make_config())
    as_user(54331, 0o022, lambda: finish(run))
    (lock,) = group_folder.rglob("*.lock")
    lock.chmod(0o644)  # as of a version that went by the umask
    said = as_user(54332, 0o002, lambda: finish(run))
    assert said.startswith(f"PermissionError: {lock}: cannot be opened") and "chmod -R g+w" in said
    assert as_user(54332, 0o002, lambda: (run.ended, run.busy)) == "(True, False)"
