"""One run by torchrun on two nodes, here two agents with processes of their own on loopback."""

import signal
import socket
import subprocess
import sys

import pytest
from gates import Gate
from rounding import as_rounded
from running import (
    ROOT,
    child_environment,
    environment,
    evaluations,
    folder,
    outcome,
    summary,
    typed,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def two_nodes(tmp_path):
    """Start torchrun on both: `two_nodes(*tiny())`; what each says is in its attribute `said`."""
    started = []

    def command(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        launcher = [
            "-m",
            "torch.distributed.run",
            "--nnodes=2",
            "--nproc-per-node=2",
            "--rdzv-backend=c10d",
        ]
        launcher += [f"--rdzv-endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1"]
        nodes = []
        for _ in range(2):
            said = tmp_path / f"node-{len(started)}"
            with open(said, "w") as file:
                node = subprocess.Popen(
                    [sys.executable, *launcher, "-m", "scripts.train", *arguments],
                    cwd=ROOT,
                    env=child_environment(),
                    stdout=file,
                    stderr=file,
                )
            node.said = said
            started.append(node)
            nodes.append(node)
        return nodes

    yield command
    for process in started:
        process.terminate()
        process.wait()


def said_by(nodes):
    return "".join(node.said.read_text() for node in nodes)


def test_the_number_of_nodes_changes_no_loss(two_nodes, train, tiny, runs, tmp_path):
    chosen = [*tiny(task__steps=15, task__eval_every=1), "optim=sgd", "accumulate=2"]
    assert train(*chosen, f"paths.runs={tmp_path}/alone").code == 0
    nodes = two_nodes(*chosen)
    assert [node.wait(600) for node in nodes] == [0, 0], said_by(nodes)
    # One process of all says how it went.
    assert said_by(nodes).count("finished in") == 1
    alone, shared_out = folder(tmp_path / "alone"), folder(runs)
    assert evaluations(shared_out) == [as_rounded(line) for line in evaluations(alone)]
    assert shared_out.relative_to(runs) == alone.relative_to(tmp_path / "alone")
    assert environment(shared_out)["processes"] == 4


def test_a_run_that_is_stopped_on_one_node_goes_on_bit_for_bit(two_nodes, tiny, runs, tmp_path):
    gate = Gate(tmp_path / "gate")
    gate.folder.mkdir()
    waits = {
        "optim": "sgd",
        "optim._target_": "odd.Waits",
        "+optim.gate": gate.folder,
        "train.checkpoint_seconds": 0,
    }
    chosen = [*tiny(), *typed(waits)]
    nodes = two_nodes(*chosen)
    wait_until(lambda: len(gate.waiting) == 4, "all four processes")
    nodes[1].send_signal(signal.SIGTERM)
    for node in nodes:
        node.wait(600)
    assert "ask for it again to go on from its checkpoint" in said_by(nodes)
    gate.open()
    nodes = two_nodes(*chosen)
    assert [node.wait(600) for node in nodes] == [0, 0], said_by(nodes)
    resumed = folder(runs)
    assert summary(resumed)["status"] == "finished"
    assert len(environment(resumed)["resumed"]) == 1
    never_stopped = [*chosen, f"paths.runs={tmp_path}/whole"]
    nodes = two_nodes(*never_stopped)
    assert [node.wait(600) for node in nodes] == [0, 0], said_by(nodes)
    assert outcome(resumed) == outcome(folder(tmp_path / "whole"))
