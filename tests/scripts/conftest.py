import logging
import os
import shutil
import signal
import tempfile

import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from running import ROOT, TINY, child_environment, fork, read_conf_from, run_here, server, typed

from scripts import interrupt
from tasks.sources import fetch


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """The sample data, fetched once for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    sources = yaml.safe_load((ROOT / "conf/task/sources/mnist.yaml").read_text())
    fetch(sources["sample"], base / "data" / "mnist")
    return base / "data"


@pytest.fixture(autouse=True)
def leave_no_trace(monkeypatch, tmp_path):
    """Put back what a command changes in its process, which here is that of all tests."""
    log = logging.getLogger("adamily")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(interrupt, "_received", None)
    # The locks of devices lie in the folder for temporary files: tests wait for nobody else's.
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(tmp_path)
    yield
    GlobalHydra.instance().clear()
    log.handlers[:], log.level, log.propagate = handlers, level, propagate
    for number, handler in signals.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def tiny(runs, tmp_path, data_folder):
    """Overrides of a run that takes a second, as a function of what is to be different."""

    def overrides(**changes):
        paths = {
            "paths.runs": runs,
            "paths.data": data_folder,
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
        said = {"data", "task.steps", "task.eval_every", "task.model.widths"}
        shared = [o for o in tiny(**changes) if o.partition("=")[0] not in said]
        return run_here(capsys, "sweep", *shared, *arguments)

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
def start(fork_server, tmp_path):
    """Start a command in a process of its own: `start("train", *tiny())`."""
    children = []

    def command(name, *arguments, **how):
        children.append(fork(fork_server, tmp_path / "tmp", name, arguments, **how))
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


@pytest.fixture
def conf(monkeypatch, tmp_path):
    """A copy of conf/ to add studies and optimizers to, which commands in this process read."""
    folder = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", folder)
    read_conf_from(folder, monkeypatch.setattr)
    return folder
