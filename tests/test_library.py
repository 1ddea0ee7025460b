"""The project as a library, in a process that goes on with other things."""

import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from running import TINY, child_environment, folder, typed

import adamily
import optim
from engine import interrupt


@pytest.fixture
def tiny(tmp_path, sample_root):
    paths = {"paths.runs": tmp_path / "runs", "paths.data": sample_root}
    paths["paths.reports"] = tmp_path / "reports"

    def overrides(**changes):
        return typed(TINY | paths | {key.replace("__", "."): v for key, v in changes.items()})

    return overrides


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def state():
    """What a call must leave as it was."""
    return (
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        (torch.get_num_threads(), torch.get_default_dtype()),
        torch.are_deterministic_algorithms_enabled(),
        (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
    )


def test_a_run_gives_its_record_and_is_done_once(tiny, runs):
    before = state()
    record = adamily.run(tiny())
    assert state() == before
    assert record.status == "finished" and record.folder == folder(runs)
    assert record.value("test/accuracy") == record.summary["final"]["test/accuracy"]
    stamp = (record.folder / "summary.json").stat().st_mtime_ns
    assert adamily.run(tiny()).id == record.id
    assert (record.folder / "summary.json").stat().st_mtime_ns == stamp


def test_a_deterministic_run_leaves_torch_as_it_was(tiny):
    torch.set_default_dtype(torch.float64)
    before = state()
    try:
        adamily.run([*tiny(), "train.deterministic=true"])
        assert state() == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_ctrl_c_stops_what_runs_and_nothing_else(tiny, runs, tmp_path):
    own = ["optim=sgd", "optim._target_=odd.Interrupted", f"+optim.once={tmp_path / 'once'}"]
    before = state()
    with pytest.raises(KeyboardInterrupt):
        adamily.run([*tiny(), *own, "+optim.at=3"])
    assert state() == before and interrupt.received() is None
    assert (folder(runs) / "checkpoint.pt").exists()
    other = adamily.run(tiny(seed=1))
    assert other.status == "finished"
    assert adamily.run([*tiny(), *own, "+optim.at=3"]).status == "finished"


def test_what_is_wrong_is_an_exception(tiny, runs):
    with pytest.raises(adamily.BadInput, match=r"optim=ad: there is no such optim"):
        adamily.run([*tiny(), "optim=ad"])
    with pytest.raises(adamily.BadInput, match=r"study=lp_adam/none"):
        adamily.sweep("lp_adam/none", profile="smoke")
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder"):
        adamily.load("nowhere")
    with pytest.raises(adamily.BadInput, match=r"--config-dir=nowhere: there is no such folder"):
        adamily.run(tiny(), config_dir="nowhere")
    assert not runs.exists()
    with pytest.raises(adamily.RunFailed, match=r"odd on purpose"):
        adamily.run([*tiny(), "optim=sgd", "optim._target_=odd.Raises"])


def test_one_process_calls_it(tiny, runs, as_first_of):
    as_first_of(2)
    with pytest.raises(adamily.BadInput, match=r"adamily\.run: torchrun trains one run by several"):
        adamily.run(tiny())
    with pytest.raises(adamily.BadInput, match=r"adamily\.sweep: torchrun"):
        adamily.sweep("lp_adam/fc2", profile="smoke", data="sample")
    assert not runs.exists()


def test_every_optimizer_is_there():
    assert set(optim.__all__) <= set(adamily.__all__)
    assert all(getattr(adamily, name) is getattr(optim, name) for name in optim.__all__)


def test_frames_hold_every_run_and_every_evaluation(tiny, runs):
    for seed, lr in ((0, 0.001), (1, 0.01)):
        adamily.run([*tiny(seed=seed), f"optim.lr={lr}"])
    frame = adamily.load(runs).set_index("seed").sort_index()
    assert frame["optim.lr"].tolist() == [0.001, 0.01]
    assert set(frame["status"]) == {"finished"} and set(frame["profile"]) == {"custom"}
    assert frame["git_commit"].notna().all() and frame["cpu"].notna().all()
    record = adamily.run([*tiny(seed=1), "optim.lr=0.01"])
    assert not any(name.startswith("names.") for name in frame.columns)
    assert frame.loc[1, "test/accuracy"] == record.value("test/accuracy")
    assert frame.loc[1, "best train/loss"] == record.value("train/loss", "best")
    curves = adamily.curves(runs)
    mine = curves[curves["id"] == record.id]
    assert mine["step"].tolist() == [2, 4, 6]
    assert mine["train/loss"].tolist() == [line["train/loss"] for line in record.lines]


def test_a_folder_of_ones_own_counts_for_one_call(tiny, tmp_path):
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    text = "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\n"
    (tmp_path / "mine" / "optim" / "plain.yaml").write_text(text)
    record = adamily.run([*tiny(), "optim=plain"], config_dir=tmp_path / "mine")
    assert record.config["names"]["optim"] == "plain"
    with pytest.raises(adamily.BadInput, match="optim=plain: there is no such optim"):
        adamily.run([*tiny(), "optim=plain"])


def test_another_program_keeps_its_compiler(tiny):
    code = (
        f"import sys, adamily; adamily.run({tiny()!r}); "
        "print(type(sys.modules.get('torch._dynamo')).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "module"


def test_an_optimizer_needs_torch_alone():
    code = (
        "import sys, torch; before = set(sys.modules); import adamily; "
        "adamily.LaProp([torch.zeros(1, requires_grad=True)]); "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    others = {"hydra", "omegaconf", "pandas", "matplotlib", "rich", "tasks", "models", "results"}
    assert not others & set(done.stdout.split())
