"""Fixtures of tests that run commands, in this process or in others."""

import copy
import logging
import multiprocessing.util
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest
import torch
import yaml
from gates import Gate
from hydra.core.global_hydra import GlobalHydra
from running import (
    ROOT,
    TINY,
    child_environment,
    fork,
    read_conf_from,
    run_here,
    server,
    shared,
    typed,
)

from engine import interrupt, search_path

# Rooms whose tests run commands.
ROOMS = ("engine", "results", "scripts", "tests")


@pytest.fixture(autouse=True)
def leave_no_trace(request):
    """Put back what a command changes in its process, which here is that of all tests."""
    if request.path.parent.name in ROOMS:
        request.getfixturevalue("of_its_own")


@pytest.fixture
def of_its_own(monkeypatch, tmp_path, tmp_path_factory):
    """A working folder, a folder for temporary files, and the process as it was afterwards."""
    loggers = (logging.getLogger(), logging.getLogger("adamily"))
    logs = [(log, log.handlers[:], log.level, log.propagate) for log in loggers]
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(interrupt, "_received", None)
    monkeypatch.setattr(search_path, "_named", ())
    kept = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr("engine.cache.folder", lambda: kept)
    # It keeps the first folder that it was given, and names sockets there, of 107 letters at most.
    multiprocessing.util.get_temp_dir()
    # The locks of devices lie in the folder for temporary files: neither tests nor the processes
    # that they start wait for anybody else's.
    temporary = str(tmp_path_factory.mktemp("tmp"))
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    monkeypatch.chdir(tmp_path)
    yield Path(tempfile.gettempdir())
    GlobalHydra.instance().clear()
    for log, handlers, level, propagate in logs:
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
    for number, handler in signals.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def tiny(runs, tmp_path, sample_root):
    """Overrides of a run that takes a second, as a function of what is to be different."""

    def overrides(**changes):
        paths = {
            "paths.runs": runs,
            "paths.data": sample_root,
            "paths.reports": tmp_path / "reports",
        }
        return typed(TINY | paths | {key.replace("__", "."): v for key, v in changes.items()})

    return overrides


@pytest.fixture
def train(capsys, tiny):
    """`scripts.train` in this process: `train("optim=sgd", task__steps=3)`."""

    def command(*arguments, **changes):
        flags = [a for a in arguments if a.startswith("-")]
        others = [a for a in arguments if a not in flags]
        # Of two values for a key, the last one holds.
        return run_here(capsys, "train", *flags, *tiny(**changes), *others)

    return command


@pytest.fixture
def sweep(capsys, tiny):
    """`scripts.sweep` in this process, of a study that says how large its runs are."""

    def command(*arguments, **changes):
        return run_here(capsys, "sweep", *shared(tiny(**changes)), *arguments)

    return command


@pytest.fixture(scope="session")
def fork_server():
    before = dict(os.environ)
    os.environ.update(child_environment())
    try:
        context = server()
        # It starts with the first process.
        process = context.Process(target=int)
        process.start()
        process.join()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


@pytest.fixture
def start(fork_server, of_its_own):
    """Start a command in a process of its own: `start("train", *tiny())`."""
    children = []

    def command(name, *arguments, **how):
        children.append(fork(fork_server, of_its_own, name, arguments, **how))
        return children[-1]

    yield command
    for child in children:
        # Its workers, too: they are in its process group.
        try:
            os.killpg(child.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            if child.running:
                child.kill()
        child.process.join()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def gate(tmp_path):
    """The gate at which runs of `waits` wait."""
    folder = tmp_path / "gate"
    folder.mkdir()
    return Gate(folder)


@pytest.fixture
def waits(gate):
    """The optimizer of runs that wait in a step, as settings: `waits(at=5)`.

    With `room=2`, until two of them do.
    """

    def settings(at, **room):
        own = {"at": at, "gate": str(gate.folder), **room}
        chosen = {"optim": "sgd", "optim._target_": "odd.Waits"}
        return chosen | {f"+optim.{key}": value for key, value in own.items()}

    return settings


@pytest.fixture
def start_all(start):
    """Start a run's processes as torchrun does, without the seconds that their imports take."""

    def command(count, *arguments, **how):
        common = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        ranks = [common | {"RANK": rank, "LOCAL_RANK": rank} for rank in range(count)]
        texts = [{name: str(value) for name, value in rank.items()} for rank in ranks]
        return [start("train", *arguments, environment=text, **how) for text in texts]

    return command


@pytest.fixture
def as_first_of(monkeypatch):
    """Let this process take itself for the first of some, which refuses before it meets others."""

    def pretend(count):
        world = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "RANK": 0, "LOCAL_RANK": 0}
        for name, value in (world | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 9}).items():
            monkeypatch.setenv(name, str(value))

    return pretend


@pytest.fixture
def train_by(start_all):
    """Train to the end: `train_by(2, *tiny())`; what the first process said."""

    def command(count, *arguments):
        children = start_all(count, *arguments)
        assert [child.wait() for child in children] == [0] * count, [c.output for c in children]
        assert [child.output for child in children[1:]] == [""] * (count - 1)
        return children[0].output

    return command


STUDY = {
    "title": "Tiny runs",
    "reproduces": [],
    "notes": [],
    "columns": {
        "FC": {
            "task": "mnist_fc2",
            "task.model.widths": [784, 16, 10],
            "task.steps": 6,
            "task.eval_every": 2,
        }
    },
    "rows": {"Adam": {"optim": "adam"}, "SGD": {"optim": "sgd"}},
    "grid": {"optim.lr": [0.001, 0.01]},
    "seeds": 1,
    "select": {"metric": "train/loss", "at": "last", "mode": "min"},
    "report": ["train/loss", "test/accuracy"],
    "statistic": "mean",
    "published": [],
    "figures": {},
    "profiles": {"paper": {}, "smoke": {}},
}


@pytest.fixture
def study(conf):
    """Write the only study, of tiny runs, other in what is given: `study(seeds=2, steps=100)`.

    All that has such runs is planned for the page, which takes seconds where studies are large.
    """
    for path in (conf / "study").glob("*/*.yaml"):
        path.unlink()

    def add(steps=6, eval_every=2, **changes):
        text = copy.deepcopy(STUDY | changes)
        text["columns"]["FC"] |= {"task.steps": steps, "task.eval_every": eval_every}
        path = conf / "study" / "lp_adam" / "tiny.yaml"
        path.write_text(yaml.safe_dump(text, sort_keys=False))
        return ["study=lp_adam/tiny", "profile=smoke", "data=sample"]

    return add


@pytest.fixture
def conf(monkeypatch, tmp_path):
    """A copy of conf/ to add studies and optimizers to, which commands in this process read."""
    folder = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", folder)
    read_conf_from(folder, monkeypatch.setattr)
    return folder
