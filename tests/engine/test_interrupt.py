"""Who hears of a signal: a sweep's workers of the sweep's, and nobody of a worker's."""

import multiprocessing
import os
import signal
import threading

import pytest

from engine import interrupt


def test_a_sweep_tells_its_workers(monkeypatch):
    with interrupt.forwarding_to_workers():
        interrupt.check_sweep_stopped()
        assert interrupt.received() is None
        os.kill(os.getpid(), signal.SIGTERM)
        # A worker shares the name of the file, not the memory.
        monkeypatch.setattr(interrupt, "_received", None)
        monkeypatch.setattr(interrupt, "_stop_file", None)
        interrupt.check_sweep_stopped()
        assert interrupt.received() == signal.SIGTERM


def test_a_sweep_knows_which_signal_it_got_itself():
    with interrupt.forwarding_to_workers():
        os.kill(os.getpid(), signal.SIGINT)
        interrupt.check_sweep_stopped()
        assert interrupt.received() == signal.SIGINT


def test_a_signal_to_one_worker_stops_no_other(monkeypatch, tmp_path):
    monkeypatch.setenv(interrupt.STOP_FILE, str(tmp_path / "stop"))
    interrupt.install_handlers()
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupt.received() == signal.SIGTERM
    assert not (tmp_path / "stop").exists()


@pytest.mark.parametrize(("name", "watched"), [("LokyProcess-2", True), ("SpawnProcess-2", False)])
def test_a_worker_ends_with_its_sweep_and_its_own_children_with_it(monkeypatch, name, watched):
    # A process that loads data for a worker has that one for a parent, or none that it knows.
    threads = []
    monkeypatch.setattr(interrupt.threading, "Thread", lambda **how: threads.append(how) or Idle())
    monkeypatch.setattr(multiprocessing.current_process(), "name", name)
    monkeypatch.setenv(interrupt.PARENT, "4711")
    monkeypatch.setattr(interrupt, "_idle", threading.Event())
    interrupt.end_with_sweep()
    assert [how["args"] for how in threads] == ([(4711,)] if watched else [])


class Idle:
    def start(self):
        pass
