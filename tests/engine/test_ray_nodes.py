"""Ray on two nodes: two raylets with pretend GPUs on this machine, in a network of their own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gates import Gate
from running import ROOT, child_environment, environment, folders, summary, typed, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ADDRESS = "127.0.0.1:6379"
NODE = "NODE_OF_A_TEST"
RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A busy machine takes its time to start the processes of a node.
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}


class Network:
    """A network of loopback alone, in which Ray's nodes and a sweep find each other."""

    def __init__(self, home):
        quiet = {"stdout": subprocess.PIPE, "text": True}
        script = "ip link set lo up && echo up && exec sleep 100000"
        self.holder = subprocess.Popen(["unshare", "-rn", "sh", "-c", script], **quiet)
        self.up = self.holder.stdout.readline() == "up\n"
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--user", "--net"]
        self.enter += ["--preserve-credentials"]
        self.environment = child_environment(HOME=str(home), **RAY)
        # Ray's sockets have paths that may not be long.
        self.scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))

    def run(self, *command, environment=None, **options):
        options = {"capture_output": True, "text": True, "cwd": ROOT, "timeout": 400} | options
        chosen = self.environment | (environment or {})
        return subprocess.run([*self.enter, *command], env=chosen, **options)

    def start_node(self, name, *options, inside=()):
        """Start a node with two pretend GPUs; the first one is the head."""
        ray = Path(sys.executable).with_name("ray")
        marked = {NODE: name, "RAY_TMPDIR": str(self.scratch / name)}
        command = [*inside, ray, "start", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
        started = self.run(*command, "--num-gpus=2", *options, environment=marked)
        assert started.returncode == 0, started.stdout + started.stderr

    def kill_node(self, name):
        for process in processes_of(name):
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not processes_of(name), f"the end of {name}")

    def close(self):
        for name in ("head", "second", "third"):
            self.kill_node(name)
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.scratch)


def processes_of(node):
    """The processes that were started for a node; Ray's workers rename themselves."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"{NODE}={node}".encode() in (process / "environ").read_bytes()
            zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:  # it has ended, or is another user's
            continue
        if marked and not zombie:
            found.append(int(process.name))
    return found


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def network(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("needs unshare, nsenter and ip (util-linux, iproute2)")
    made = Network(tmp_path / "home")
    if not made.up:
        pytest.skip("this user may make no network of its own")
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("0123456789abcdef" * 4)
    yield made
    made.close()


@pytest.fixture
def command(tiny):
    """The command of a sweep of runs that wait at a gate, with a checkpoint after every step."""

    def overrides(gate, seeds, **more):
        waits = {
            "optim": "sgd",
            "optim._target_": "odd.Waits",
            "+optim.gate": gate.folder,
            "train.checkpoint_seconds": 0,
            "seed": ",".join(map(str, seeds)),
            "hydra/launcher": "ray",
            "hydra.launcher.ray.init.address": ADDRESS,
            "+hydra.launcher.ray.remote.num_gpus": 1,
        }
        return [sys.executable, "-m", "scripts.train", "-m", *tiny(), *typed(waits | more)]

    return overrides


def gate_at(folder):
    folder.mkdir()
    return Gate(folder)


def start(network, command, said):
    with open(said, "w") as file:
        return subprocess.Popen(
            [*network.enter, *command], stdout=file, stderr=file, cwd=ROOT, env=network.environment
        )


def resumed(runs):
    """Of each run, by its seed, at which steps it went on from a checkpoint."""
    return {
        summary(where)["seed"]: [one["at_step"] for one in environment(where).get("resumed", [])]
        for where in folders(runs)
        if (where / "summary.json").exists()
    }


def test_a_sweep_on_nodes_that_die(network, command, runs, tmp_path):
    said = tmp_path / "said"
    network.start_node("head", "--head", "--port=6379", "--include-dashboard=false")
    network.start_node("second", f"--address={ADDRESS}")

    # Runs spread over both nodes, and those of one that dies go on where there is room.
    gate = gate_at(tmp_path / "gate")
    sweep = start(network, command(gate, range(6)), said)
    waiting = wait_until(lambda: len(gate.waiting) == 4 and gate.waiting, "four runs")
    raylets = {process: parent(process) for process in waiting}
    second = [process for process in waiting if raylets[process] in processes_of("second")]
    assert len(second) == 2 and len(set(raylets.values())) == 2
    network.kill_node("second")
    gate.open()
    assert sweep.wait(900) == 0, said.read_text()
    assert [summary(where)["status"] for where in folders(runs)] == ["finished"] * 6
    again = resumed(runs)
    assert sorted(again) == [*range(6)]
    # Each of the two has gone on once, and no other run was begun twice.
    assert sorted(again.values()) == [[], [], [], [], [1], [1]]

    # The head's death ends a sweep with a sentence.
    gate = gate_at(tmp_path / "another")
    sweep = start(network, command(gate, range(6, 8)), said)
    wait_until(lambda: len(gate.waiting) == 2, "two runs")
    network.kill_node("head")
    assert sweep.wait(900) == 143, said.read_text()
    *_, lost, stopped = said.read_text().splitlines()
    assert lost.startswith(f"ERROR: the Ray cluster {ADDRESS} is gone: ")
    assert stopped == "stopped; give the same command again to go on"
    done = network.run(*command(gate, [6]))
    assert done.returncode == 2
    assert "no Ray cluster answers there: start one by ray start --head" in done.stderr
    # A later one goes on.
    gate.open()
    later = command(gate, range(8))
    later = [typed for typed in later if not typed.startswith(("hydra", "+hydra"))]
    assert network.run(*later, "hydra/launcher=basic").returncode == 0
    assert sorted(resumed(runs)) == [*range(8)]
    assert [resumed(runs)[seed] for seed in (6, 7)] == [[1], [1]]


def test_a_node_that_cannot_take_part_is_named_before_the_first_run(
    network, command, runs, tmp_path
):
    gate = gate_at(tmp_path / "gate")
    network.start_node("head", "--head", "--port=6379", "--include-dashboard=false")
    done = network.run(*command(gate, [0]), environment={"RAY_AUTH_MODE": "disabled"})
    assert done.returncode == 2
    assert "where its head has a token, copy ~/.ray/auth_token from there" in done.stderr
    # On this node another disk lies where the runs are.
    hide = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    hidden = ["unshare", "-m", "sh", "-c", hide, "sh"]
    token = {"RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    network.environment |= token
    network.start_node("third", f"--address={ADDRESS}", inside=hidden)
    done = network.run(*command(gate, [0]))
    assert done.returncode == 2
    assert f"does not see {runs}/.hydra: all nodes need one folder of runs" in done.stderr
    assert folders(runs) == []
