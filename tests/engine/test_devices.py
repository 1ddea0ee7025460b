"""Places on devices: how many there are, and who has them."""

import os
import sys
from contextlib import ExitStack

import pytest
import torch

from engine import interrupt
from engine.checks import BadInput
from engine.devices import reserved, slots


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("engine.devices.identifier", lambda device: f"gpu-{device.index}")


class EnoughError(Exception):
    """Waited long enough."""


@pytest.fixture
def impatient(monkeypatch):
    """Raise EnoughError where a place would be waited for."""

    def stop(seconds):
        raise EnoughError

    monkeypatch.setattr("engine.devices.time.sleep", stop)


def test_places_of_several_devices(monkeypatch):
    assert slots("cpu", 4, 2) == 2
    monkeypatch.setattr("engine.devices.cores", lambda: 7)
    assert (slots("cpu", "auto"), slots("cpu", "auto", 2)) == (7, 3)
    with pytest.raises(BadInput, match=r"devices_per_run=8: the CPU counts as 7 .*_device=auto"):
        slots("cpu", "auto", 8)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert (slots("auto", 1, 2), slots("auto", 2, 1), slots("cuda:1", 2, 1)) == (2, 8, 2)
    assert (slots("auto", "auto"), slots("auto", "auto", 2)) == (4, 2)
    with pytest.raises(BadInput, match=r"devices_per_run=5: .* 4 GPU"):
        slots("auto", 1, 5)


@pytest.mark.usefixtures("three_gpus", "impatient")
def test_reserved_gpus_differ():
    with reserved("auto", 2, 2) as some, reserved("auto", 2, 2) as others:
        assert [device.index for device in some] == [0, 1]
        assert [device.index for device in others] == [2, 0]
        with reserved("auto", 2, 1) as (last,):
            assert last.index == 1
            # One place is left, on the GPU that has another: nothing is held while it waits.
            with pytest.raises(EnoughError), reserved("auto", 2, 2):
                pass
        with reserved("auto", 2, 2) as rest:
            assert [device.index for device in rest] == [1, 2]


@pytest.mark.usefixtures("impatient")
def test_the_cpu_has_as_many_places_as_cores(monkeypatch):
    monkeypatch.setattr("engine.devices.cores", lambda: 3)
    with ExitStack() as held:
        for _ in range(3):
            assert held.enter_context(reserved("cpu", "auto")) == [torch.device("cpu")]
        with pytest.raises(EnoughError):
            held.enter_context(reserved("cpu", "auto"))


# -- who is waited for -----------------------------------------------------------------------------


@pytest.fixture
def as_sweep(monkeypatch):
    """Let this process work for the sweep of that number."""
    return lambda number: monkeypatch.setenv(interrupt.SWEEP, f"process {number} (sweep {number})")


@pytest.mark.usefixtures("three_gpus", "impatient")
def test_a_waiting_sweep_names_the_others(as_sweep, capsys):
    with ExitStack() as held:
        for number in (7, 8, 9):
            as_sweep(number)
            held.enter_context(reserved("auto", 1))
        for _ in range(2):
            with pytest.raises(EnoughError), interrupt.forwarding_to_workers(), reserved("auto", 1):
                pass
            # A sweep does not wait for itself, which has a worker too many.
            as_sweep(9)
            with pytest.raises(EnoughError), reserved("cuda:2", 1):
                pass
    said = "waiting for a GPU: held by process 7 (sweep 7) and process 8 (sweep 8) and process 9"
    own = capsys.readouterr().out.splitlines()
    assert [line.startswith(said) for line in own] == [True, True]


@pytest.mark.usefixtures("impatient")
def test_workers_of_a_sweep_say_once_that_they_wait(as_sweep, capsys):
    as_sweep(7)
    with reserved("cpu", 1), interrupt.forwarding_to_workers():
        for _ in range(3):
            with pytest.raises(EnoughError), reserved("cpu", 1):
                pass
    said = capsys.readouterr().out
    assert said == "waiting for the CPU: held by process 7 (sweep 7)\n"


@pytest.mark.usefixtures("impatient")
def test_who_died_is_not_named(as_sweep, capsys, monkeypatch):
    as_sweep(7)
    with reserved("cpu", 2), reserved("cpu", 2):
        pass
    # It left its name behind, and another, who could not write theirs, has the first place.
    monkeypatch.setattr(
        "engine.devices.DeviceSlot.write_holder", lambda slot: slot._holder_file.unlink()
    )
    as_sweep(8)
    with reserved("cpu", 1):
        as_sweep(9)
        with pytest.raises(EnoughError), reserved("cpu", 2, 2):
            pass
    assert capsys.readouterr().out == "waiting for the CPU: held by another process\n"


def test_a_process_is_named_by_its_command(monkeypatch):
    command = ["/some/where/python", "-m", "scripts.sweep", "study=lp_adam/fc2", "paths.runs=a b"]
    monkeypatch.setattr(sys, "orig_argv", command)
    named = f"process {os.getpid()} (python -m scripts.sweep study=lp_adam/fc2 'paths.runs=a b')"
    assert interrupt.process_name() == named
    with interrupt.forwarding_to_workers():
        assert interrupt.sweep_name() == named
    monkeypatch.setattr(sys, "orig_argv", [*command, *(f"key{n}=value" for n in range(99))])
    assert len(interrupt.process_name()) < 230 and interrupt.process_name().endswith(" ...)")
