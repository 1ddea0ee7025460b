"""The commands as the tests start them: in this process, or in one that can be killed."""

import atexit
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import yaml
from gates import Gate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# A run of a second: a small network, no dashboard, whatever devices the machine has.
TINY = {
    "data": "sample",
    "task.steps": "6",
    "task.eval_every": "2",
    "task.model.widths": "[784,16,10]",
    "logger": "none",
    "train.device": "cpu",
    # In this process, which has imported everything.
    "sweep.jobs_per_device": "1",
}

# Far more than anything here takes on a busy machine: reached only where something hangs.
DEADLINE = 500.0


def typed(values):
    return [f"{key}={value}" for key, value in values.items()]


def spelled(value):
    """As Hydra reads it on a command line."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{spelled(item)}" for key, item in value.items()) + "}"
    return f"[{','.join(map(spelled, value))}]" if isinstance(value, list) else str(value)


def shared(overrides):
    """Those that a sweep gives to all runs of a study that says how large its runs are."""
    said = {"data", "task.steps", "task.eval_every", "task.model.widths"}
    return [override for override in overrides if override.partition("=")[0] not in said]


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {DEADLINE} s")


# -- what a run left behind ------------------------------------------------------------------------


def folders(runs):
    return sorted(path.parent for path in Path(runs).glob("*/*/*/config.yaml"))


def folder(runs):
    """The only run there is."""
    (only,) = folders(runs)
    return only


def summary(where):
    return json.loads((where / "summary.json").read_text())


def environment(where):
    return json.loads((where / "environment.json").read_text())


def config(where):
    return yaml.safe_load((where / "config.yaml").read_text())


def lines(where):
    path = where / "metrics.jsonl"
    # The last line may still be on its way.
    whole = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in whole]


def evaluations(where):
    """The lines of metrics.jsonl without what depends on the clock."""
    found = lines(where)
    for line in found:
        assert line.pop("time/train_seconds") > 0 or line["step"] == 0
    return found


def outcome(where):
    """All of a run that does not depend on the clock or on the machine."""
    clock = ("wall_seconds", "step_seconds", "sha256")
    kept = {key: value for key, value in summary(where).items() if key not in clock}
    kept["final"].pop("time/train_seconds", None)
    return kept, json.dumps(evaluations(where))


def outcomes(runs):
    return {where.name: outcome(where) for where in folders(runs)}


def files(root):
    """Every file under a folder with its time and content, to see that nothing was touched."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


def read_conf_from(folder, setattr=setattr):
    """Let the commands of this process read their YAMLs there."""
    setattr(importlib.import_module("engine.search_path"), "CONF", folder)


# -- commands --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def last(self):
        return (self.out + self.err).strip().splitlines()[-1]


def run_here(capsys, command, *arguments):
    """Call a command's main() as if `arguments` had been typed."""
    capsys.readouterr()
    before, code = sys.argv, 0
    sys.argv = [f"scripts.{command}", *arguments]
    try:
        importlib.import_module(f"scripts.{command}").main()
    except SystemExit as left:
        code = left.code or 0
    finally:
        sys.argv = before
    said = capsys.readouterr()
    return Done(code, said.out, said.err)


def sentence(done):
    """What was said, if it is one sentence on standard error and nothing else."""
    assert done.code == 2, done
    assert done.out == ""
    (said,) = done.err.splitlines()
    assert said.startswith("error: ") and len(said) <= 300
    return said


def nothing_written(runs):
    return not any(path.is_file() for path in runs.rglob("*"))


def child_environment(**more):
    """For processes: this checkout before anything installed, and one thread, or sums differ."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ADAMILY_")}
    path = [str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")]
    kept |= {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    # Else a process that asks whether there is a GPU forks none that can use it.
    return kept | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"} | more


class Child:
    """A command in a process of its own, forked from one that has imported everything."""

    def __init__(self, process: BaseProcess, said: Path, gate: Gate):
        self.process = process
        self.said = said
        self.gate = gate

    @property
    def output(self):
        return self.said.read_text()

    @property
    def running(self):
        return self.process.is_alive()

    def held(self):
        """This process, once it waits where it is to be held."""
        wait_until(lambda: self.gate.waiting or not self.running, "the gate")
        assert self.running, f"ended before it came to its gate; it said:\n{self.output}"
        return self

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self):
        """The exit code: -9 for a process that was killed."""
        self.process.join(DEADLINE)
        assert self.process.exitcode is not None, f"still running; it said:\n{self.output}"
        return self.process.exitcode


def fork(context, scratch, command, arguments, conf=None, limit=None, environment=None, hold=None):
    """Start `python -m scripts.COMMAND ARGUMENTS` without the seconds that its imports take."""
    number = len(list(scratch.glob("said-*")))
    said = scratch / f"said-{number}"
    said.touch()
    gate = Gate(scratch / f"gate-{number}")
    gate.folder.mkdir()
    held = hold and partial(hold, gate)
    # By this name the command knows that it is not a worker of another.
    process = context.Process(
        target=_command,
        args=(command, list(arguments), said, str(scratch), conf, limit, environment or {}, held),
        name="MainProcess",
    )
    process.start()
    return Child(process, said, gate)


def _command(command, arguments, said, scratch, conf, limit, environment, held):
    # A process group of its own, so that a test can end the workers that it leaves behind.
    os.setpgid(0, 0)
    descriptor = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # Line by line, so that a test sees what was said by a process that was killed.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    os.environ.update(environment, TMPDIR=scratch)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if conf is not None:
        read_conf_from(conf)
    if limit is not None:
        import resource

        # The write then fails with "File too large", as on a full disk; else the process is killed.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if held is not None:
        held()
    sys.argv = [f"scripts.{command}", *arguments]
    code = 1
    try:
        importlib.import_module(f"scripts.{command}").main()
        code = 0
    except SystemExit as left:
        code = left.code or 0
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends; multiprocessing would wait for workers that nobody told to end.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def server():
    """Where such processes are forked from: one thread, and everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warm"])
    return context
