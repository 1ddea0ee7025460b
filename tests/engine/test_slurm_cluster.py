"""SLURM itself: a controller and two nodes of one CPU on this machine, on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from gates import Gate
from odd import diary
from running import ROOT, child_environment, environment, folders, summary, typed, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")

CONFIG = """\
ClusterName=adamily
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=20
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    with socket.socket() as a, socket.socket() as b, socket.socket() as c:
        sockets = (a, b, c)
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets[:count]]


class Cluster:
    def __init__(self, folder):
        self.folder, self.environment = folder, {"SLURM_CONF": str(folder / "slurm.conf")}
        (folder / "state").mkdir()
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        config = CONFIG.format(folder=folder, user=user, ports=free_ports(3))
        (folder / "slurm.conf").write_text(config)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        named = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        named |= {"seed-file": "munge.seed", "key-file": "munge.key"}
        self.tell("munged", "--force", *(f"--{key}={folder / name}" for key, name in named.items()))
        self.tell("slurmctld")
        for node in ("n1", "n2"):
            self.start(node)

    def tell(self, *command):
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        done = subprocess.run(
            command,
            env=os.environ | self.environment | {"PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def start(self, node):
        self.tell("slurmd", "-N", node)
        wait_until(lambda: self.state(node) in ("idle", "mixed", "allocated"), node)

    def state(self, node):
        return "".join(self.tell("sinfo", "--noheader", f"--nodes={node}", "--format=%T"))

    def jobs(self, shown):
        """Of the jobs that have not ended."""
        return self.tell("squeue", "--noheader", "--array", f"--format={shown}")

    def kill(self, node):
        """Kill a node with all that runs on it, as if its power were cut."""
        lost = {int((self.folder / f"{node}.pid").read_text())}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or is another user's
                variables = (process / "environ").read_bytes().split(b"\0")
                here = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode() in variables
                if here and f"SLURMD_NODENAME={node}".encode() in variables:
                    lost |= {int(process.name), *daemon_of(process.name)}
        for process in lost:
            with suppress(ProcessLookupError):  # it has ended with another
                os.kill(process, signal.SIGKILL)

    def close(self):
        with suppress(AssertionError):
            self.tell("scancel", f"--user={os.getuid()}")
        wait_until(lambda: not self.jobs("%i"), "the end of all jobs")
        for name in ("n1", "n2", "slurmctld", "munged"):
            with suppress(OSError):  # a node that was killed
                end(int((self.folder / f"{name}.pid").read_text()))


def end(process):
    os.kill(process, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{process}").exists(), f"the end of process {process}")


def daemon_of(process):
    """SLURM's own process that started this one on its node, if it did."""
    parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
    name = Path(f"/proc/{parent}/cmdline").read_bytes()
    return {int(parent)} if name.startswith(b"slurmstepd") else set()


def node_of(process):
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    (node,) = [text for text in variables if text.startswith(b"SLURMD_NODENAME=")]
    return node.decode().partition("=")[2]


@pytest.fixture
def cluster():
    pytest.importorskip("submitit")
    missing = [
        name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: on Debian, apt-get install slurm-wlm munge")
    # Its sockets have paths that may not be long, and munge trusts no folder that others can write.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/var/tmp"))
    folder.chmod(0o755)
    made = Cluster(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sweep_of(cluster, tiny, tmp_path):
    """Start a sweep of runs that wait at a gate, with a checkpoint after every step."""
    started = []

    def sweep(gate, seeds, **more):
        waits = {
            "optim": "sgd",
            "optim._target_": "odd.Waits",
            "+optim.gate": gate.folder,
            "+optim.diary": tmp_path / "diary",
            "train.checkpoint_seconds": 0,
            "seed": ",".join(map(str, seeds)),
            "hydra/launcher": "submitit_slurm",
            "sweep.runs_per_job": 1,
        }
        command = [sys.executable, "-m", "scripts.train", "-m", *tiny(), *typed(waits | more)]
        said = tmp_path / f"said-{len(started)}"
        with open(said, "w") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                cwd=ROOT,
                env=child_environment(**cluster.environment),
            )
        process.said = said
        started.append(process)
        return process

    yield sweep
    for process in started:
        process.kill()
        process.wait()


def gate_at(folder):
    folder.mkdir()
    return Gate(folder)


def ends(process):
    code = process.wait(900)
    return code, process.said.read_text()


def resumed(runs):
    """Of each run, by its seed, at which steps it went on from a checkpoint."""
    return {
        summary(where)["seed"]: [one["at_step"] for one in environment(where).get("resumed", [])]
        for where in folders(runs)
        if (where / "summary.json").exists()
    }


def test_two_sweeps_share_the_runs(cluster, sweep_of, runs, tmp_path):
    gate = gate_at(tmp_path / "gate")
    several = {"sweep.runs_per_job": 3, "hydra.launcher.array_parallelism": 2}
    first = sweep_of(gate, range(7), **several)
    wait_until(lambda: len(gate.waiting) == 2, "two jobs")
    # One array of three jobs, two at a time, named by what it is.
    assert cluster.jobs("%i|%j|%T") == [
        "1_2|mnist_fc2|PENDING",
        "1_0|mnist_fc2|RUNNING",
        "1_1|mnist_fc2|RUNNING",
    ]
    second = sweep_of(gate, range(7), **several)
    wait_until(lambda: len({job.partition("_")[0] for job in cluster.jobs("%i")}) == 2, "both")
    gate.open()
    for code, said in (ends(first), ends(second)):
        assert code == 0, said
        assert "sacct" not in said
    assert resumed(runs) == {seed: [] for seed in range(7)}
    assert len(diary(tmp_path / "diary")) == 7


def test_a_node_dies(cluster, sweep_of, runs, tmp_path):
    gate = gate_at(tmp_path / "gate")
    sweep = sweep_of(gate, range(2))
    waiting = wait_until(lambda: len(gate.waiting) == 2 and gate.waiting, "two runs")
    nodes = {node_of(process): process for process in waiting}
    cluster.kill("n1")
    gate.open()
    code, said = ends(sweep)
    assert code == 0, said
    assert sorted(nodes) == ["n1", "n2"]
    assert sorted(resumed(runs).values()) == [[], [1]]


def test_the_time_is_up(cluster, sweep_of, runs, tmp_path):
    """Once it is queued again as the same job, and then a new one goes on."""
    gate = gate_at(tmp_path / "gate")
    # SLURM looks at the time twice a minute. A job that has not yet begun its run dies of it.
    limits = {"timeout_min": 1, "signal_delay_s": 45, "max_num_timeout": 1}
    sweep = sweep_of(gate, [0], **{f"hydra.launcher.{key}": limit for key, limit in limits.items()})
    seen, job = set(), ["1"]
    while job == ["1"]:
        seen.add(wait_until(lambda: gate.waiting.keys() - seen, "another process").pop())
        job = cluster.jobs("%i")
    gate.open()
    code, said = ends(sweep)
    assert code == 0, said
    assert len(seen) > 1
    log = next(runs.glob(".hydra/.submitit/1/*_log.out"))
    assert "Requeued job 1 (0 remaining timeouts)" in log.read_text()
    (steps,) = resumed(runs).values()
    # Each process goes on from where the one before it left.
    assert steps and steps == sorted(steps)


def test_cancelling_a_sweep(cluster, sweep_of, runs, tmp_path):
    gate = gate_at(tmp_path / "gate")
    cancelled = sweep_of(gate, range(3))
    wait_until(lambda: len(gate.waiting) == 2, "two runs")
    cluster.tell("scancel", "--name=mnist_fc2")
    code, said = ends(cancelled)
    assert code == 143, said
    assert said.splitlines()[-2:] == [
        "ERROR: the sweep's SLURM job, 1, was cancelled",
        "stopped; give the same command again to go on",
    ]
    # A Ctrl-C cancels the jobs that it leaves behind.
    gate = gate_at(tmp_path / "another")
    stopped = sweep_of(gate, range(3))
    wait_until(lambda: len(gate.waiting) == 2, "two runs")
    stopped.send_signal(signal.SIGINT)
    code, said = ends(stopped)
    assert code == 130, said
    assert cluster.jobs("%i") == []
    gate.open()
    code, said = ends(sweep_of(gate, range(3)))
    assert code == 0, said
    assert sorted(resumed(runs)) == [0, 1, 2]
    assert len([steps for steps in resumed(runs).values() if steps]) == 2
