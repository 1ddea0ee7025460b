"""The page of a machine with a GPU, as far as a CPU can show it."""

import re

import pytest
import torch
from running import run_here, wait_until

from engine.checks import BadInput
from scripts.bench import contenders, driver, gpu, sets, step, sweeping
from scripts.bench.parts import Parts, Skipped, check_memory
from scripts.bench.race import Spread
from scripts.bench.train import Work
from tasks.sources import DataError

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)

SMALL = ["task=mnist_fc2", "task.model.widths=[784,4,10]", "task.batch_size=2000"]


# -- parts -----------------------------------------------------------------------------------------


def raises(error):
    def measure():
        raise error

    return measure


def test_a_part_that_cannot_be_measured_says_why_and_the_others_go_on(capsys):
    page = Parts()
    errors = {
        "Skipped": Skipped("needs a second GPU"),
        "No data": DataError("cannot fetch a.zip"),
        "Refused": BadInput("task=x: there is none"),
        "Full": torch.OutOfMemoryError("CUDA out of memory. Tried to\nallocate"),
        "Broken": ArithmeticError("odd\non purpose"),
    }
    measures = {"Fine": lambda: "A table.\n"} | {t: raises(error) for t, error in errors.items()}
    texts = [page.section(title, measure)() for title, measure in measures.items()]
    assert texts == [
        "## Fine\n\nA table.\n\n",
        "## Skipped\n\nSkipped: needs a second GPU\n",
        "## No data\n\nSkipped: cannot fetch a.zip\n",
        "## Refused\n\nSkipped: task=x: there is none\n",
        "## Full\n\nSkipped: too little memory: CUDA out of memory. Tried to\n",
        "## Broken\n\nFailed: ArithmeticError: odd\n",
    ]
    assert page.failed
    assert "raise error" in capsys.readouterr().err, "the traceback, for whoever mends it"
    page.aim("a share of 80%", "90%", True)
    page.aim("a ratio of .98", "0.5", False)
    said = page.summary().splitlines()
    assert said[2:6] == [
        "- measured: 1 of 6 parts",
        "- skipped: 4 of 6 parts",
        "  - Skipped: needs a second GPU",
        "  - No data: cannot fetch a.zip",
    ]
    assert "- failed: 1 of 6 parts" in said
    assert said[-3:] == [
        "- targets met: 1 of 2",
        "  - met: a share of 80%: 90%",
        "  - MISSED: a ratio of .98: 0.5",
    ]


def test_nothing_failed_where_parts_were_skipped_only():
    page = Parts()
    page.section("Skipped", raises(Skipped("of a reason")))()
    assert not page.failed


def test_ctrl_c_ends_the_page():
    with pytest.raises(KeyboardInterrupt):
        Parts().section("Long", raises(KeyboardInterrupt()))()


def test_a_part_that_needs_more_memory_than_is_free_is_skipped(monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10**9, 8 * 10**9))
    check_memory(CUDA, 10**9)
    check_memory(CPU, 10**15)
    said = r"needs 2\.0 GB of the device's memory, of which 1\.0 of 8\.0 GB are free"
    with pytest.raises(Skipped, match=said):
        check_memory(CUDA, 2 * 10**9)


def test_another_process_on_the_gpu_is_warned_of():
    assert gpu.used_by_others(10**9) == []
    (said,) = gpu.used_by_others(30 * 10**9)
    assert said.startswith("- WARNING: another process has 30.0 GB of the device's memory")


# -- the device ------------------------------------------------------------------------------------

OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update it."


def old_driver():
    raise RuntimeError(OLD)


def test_a_driver_that_is_too_old_is_named(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.init", old_driver)
    for count, said in ((1, "PyTorch cannot use the GPU that is there"), (0, "0 CUDA devices")):
        monkeypatch.setattr("torch.cuda.device_count", lambda count=count: count)
        done = run_here(capsys, "bench", "gpu", "device=cuda")
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert said in done.err and done.err.endswith(f"{OLD}\n")
    assert driver.device_of("cpu") == CPU


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.init", lambda: None)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert driver.device_of("auto") == CUDA
    with pytest.raises(BadInput, match=r"^device=cuda:3: this machine has 1 CUDA devices$"):
        driver.device_of("cuda:3")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["gpu", "rounds=3"], "rounds=3: must be one of device, out, as KEY=VALUE"),
        (["gpu", "device=tpu"], "device=tpu: must be auto, cpu, cuda or cuda:N"),
        (["gpu", "out="], "out=: must be the path of a folder"),
    ],
)
def test_bench_gpu_refuses_in_one_sentence(capsys, typed, said):
    done = run_here(capsys, "bench", *typed)
    assert done.code == 2 and done.out == ""
    assert said in done.err and len(done.err.splitlines()) == 1


# -- figures ---------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch, tmp_path, sample_root):
    """A page that takes a moment, with one part that cannot be measured."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(sample_root)
    ways = {"loop": {"foreach": False}, "foreach": {}}
    for module in (gpu, contenders):
        monkeypatch.setattr(module, "EXECUTORS", ways)
    for module in (gpu, step):
        monkeypatch.setattr(module, "RULES", {"LaProp": contenders.RULES["LaProp"]})
    monkeypatch.setattr(contenders, "installed", lambda package: False)
    monkeypatch.setattr(gpu, "SETS", {"cpu": {"tiny": [(30, 20), (7,)]}})
    monkeypatch.setattr(gpu, "COPIED", {"cpu": 1 << 16})
    works = {"FC-2": Work(2, SMALL), "none": Work(2, ["task=nothing"])}
    monkeypatch.setattr(gpu, "WORKS", {"cpu": works})
    one = sweeping.Size((1,), ["Adam (p = 2)"], [1e-3], 1, 2)
    monkeypatch.setattr(sweeping, "SIZES", {"cpu": one})
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_the_page_of_a_cpu(small, capsys):
    done = run_here(capsys, "bench", "gpu", "device=cpu", "out=tables")
    assert done.code == 0, done
    (page,) = small.glob("tables/gpu.*.md")
    text = page.read_text()
    for said in (
        "- command: python -m scripts.bench gpu device=cpu\n",
        "- PyTorch: ",
        "- commit: ",
    ):
        assert said in text
    for title in ("The device", "Memory of a step", "Training: FC-2", "Training: none", "A sweep"):
        assert f"\n## {title}\n" in text
    assert re.search(r"- a copy of float32 moves \d+ GB/s", text)
    assert re.search(r"\| LaProp +\| optim, loop +\| \d+\.\d\d", text)
    assert re.search(r"\| LaProp \| +\d+\.\d\d \| +\d+\.\d\d +\|", text), "peaks"
    assert "rounds of 2 steps of\n`task=mnist_fc2 " in text
    rate = re.search(r"loop ÷ bare +\|\n\|[-| ]+\n(.*)", text)[1].split("|")[1:-1]
    assert len(rate) == 5 and all(float(cell.split()[0]) > 0 for cell in rate)
    assert re.search(r"\| 1 +\| 1 +\| \d+\.\d +\| \d+\.\d +\| not known \|", text)
    *_, summary = text.split("## Summary\n")
    assert "- measured: 5 of 6 parts" in summary and "- failed: 0 of 6" in summary
    assert re.search(r"  - Training: none: task=nothing: .*", summary)
    assert done.out.endswith(f"## Summary\n{summary}\nTables: {page.relative_to(small)}\n")


def test_a_part_that_failed_is_the_exit_code(small, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "all_parts", lambda *_: [("Broken", raises(ArithmeticError("odd")))])
    done = run_here(capsys, "bench", "gpu", "device=cpu", f"out={small}")
    assert done.code == 1 and "  - Broken: ArithmeticError: odd" in done.out


def test_every_way_to_train_and_every_size_is_there_for_both_devices():
    for sizes in (gpu.ROUNDS, gpu.SETS, gpu.WORKS, gpu.COPIED, sweeping.SIZES):
        assert sizes.keys() == {"cpu", "cuda"}
    assert [step.elements(shapes) // 10**6 for shapes in gpu.SETS["cuda"].values()] == [11, 100]
    assert gpu.SETS["cuda"]["11M"] == sets.resnet18()
    assert sweeping.SIZES["cuda"].jobs == (1, 4, 16)


def test_the_target_of_compiled_rules_names_the_least():
    once = Spread(1.0, 1.0, 1.0)
    shares = {"A": ("optim, compile", 0.9), "B": ("optim, compile", 0.7), "C": ("peer", 0.1)}
    lines = [
        step.Line(rule, who, once, once, once, once, floor) for rule, (who, floor) in shares.items()
    ]
    page = Parts()
    gpu.aim_at_bandwidth("11M", lines, page)
    gpu.aim_at_bandwidth("11M", lines[:1], page)
    missed, met = page.targets
    assert missed == (
        "compile=True reaches 80% of the bandwidth at 11M elements",
        "1 of 2 rules do; the least is B with 70%",
        False,
    )
    assert met.met


def test_how_busy_a_gpu_was_between_two_times():
    lines = [
        "2026/01/02 03:04:05.000, 10",
        "2026/01/02 03:04:06.500, 40",
        "2026/01/02 03:04:07.000, 60",
        "2026/01/02 03:04:07.500, [N/A]",
        "2026/01/02 03:04:09.000, 0",
        "2026/01/02 03:0",
    ]
    began = sweeping.seconds_of("2026/01/02 03:04:06.000")
    assert sweeping.busy_share(lines, began, began + 2) == pytest.approx(0.5)
    assert sweeping.busy_share([], began, began + 2) is None


@pytest.mark.usefixtures("small")
def test_runs_of_a_sweep_that_have_not_ended_are_a_failure(monkeypatch):
    monkeypatch.setattr("results.sweep.Sweep.run", lambda sweep: None)
    with pytest.raises(RuntimeError, match=r"1 of 1 runs of the sweep have not ended"):
        sweeping.report(CPU)


def test_a_gpu_is_watched_while_the_block_runs(monkeypatch, tmp_path):
    """By its UUID, since CUDA_VISIBLE_DEVICES changes numbers."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "nvidia-smi").write_text('#!/bin/sh\necho "$@"\ntouch said\nexec sleep 60\n')
    (commands / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    properties = type("Properties", (), {"uuid": "1-2"})
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: properties)
    with sweeping.watched(CUDA) as samples:
        wait_until((tmp_path / "said").exists, "nvidia-smi")
    assert samples == [
        "--id=GPU-1-2 --query-gpu=timestamp,utilization.gpu --format=csv,noheader,nounits "
        "--loop-ms=200"
    ]
    with sweeping.watched(CPU) as samples:
        pass
    assert samples == []
