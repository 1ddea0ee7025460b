"""The measurements run and say what they measured; how fast things are is no test's business."""

import re

import pytest
import torch
from running import ROOT

from scripts import bench


def test_loop_cost_names_both_times_and_their_ratio(monkeypatch, sample_root, tmp_path):
    monkeypatch.setattr(bench, "STEPS", 2)
    monkeypatch.setattr(bench, "TASK", [*bench.TASK, f"paths.data={sample_root}"])
    said = bench.loop_cost(torch.device("cpu"), rounds=2)
    bare, loop, ratio = map(
        float, re.findall(r"(\d+\.\d+) ms.*?(\d+\.\d+) ms; ratio (\d+\.\d+)", said)[0]
    )
    assert bare > 0 and loop > 0 and ratio > 0
    assert "2 rounds of 2 steps" in said


def test_start_up_measures_a_real_start(monkeypatch, sample_root):
    monkeypatch.setattr(bench, "STARTS", 1)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(bench, "TASK", [*bench.TASK, f"paths.data={sample_root}"])
    said = bench.start_up("cpu", "none")
    assert 0 < float(re.search(r"median (\d+\.\d+) s", said)[1]) < 600


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--device", "foo"], "--device foo: must be auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:77"], "this machine has"),
        (["--rounds", "1"], "--rounds 1: must be 2 or more"),
    ],
)
def test_bench_refuses_in_one_sentence(monkeypatch, capsys, typed, said):
    monkeypatch.setattr("sys.argv", ["bench", "loop", *typed])
    with pytest.raises(SystemExit) as left:
        bench.main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err
