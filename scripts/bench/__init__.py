"""Measure: `python -m scripts.bench WHAT`; without WHAT it says what there is."""

import sys
from importlib.util import find_spec

from engine.checks import BadInput, is_count, is_device, is_path
from engine.console import refuse
from engine.overrides import only_settings
from engine.texts import shorten, spell
from scripts.version import show_version

HELP = """\
Measure how fast this machine trains.

  python -m scripts.bench loop [device=auto|cpu|cuda|cuda:N] [rounds=30]
  python -m scripts.bench step [device=cpu|auto|cuda|cuda:N] [rounds=30] [out=FOLDER]
  python -m scripts.bench train [device=auto|cpu|cuda|cuda:N] [rounds=10] [out=FOLDER]
  python -m scripts.bench atari [device=auto|cpu|cuda|cuda:N] [rounds=10] [out=FOLDER]
  python -m scripts.bench gpu [device=auto|cpu|cuda|cuda:N] [out=FOLDER]
  python -m scripts.bench sweep [device=cpu|auto|cuda|cuda:N] [out=FOLDER]
  python -m scripts.bench planning [out=FOLDER]
  python -m scripts.bench conformance [out=FOLDER]
  python -m scripts.bench report [runs=N] [out=FOLDER]

All print their tables; with out=FOLDER, all but loop also write them there, as <what>.<device>.md,
step as .csv, too; conformance, which is of no device, as conformance.md.

loop  the training loop's cost over a bare loop, and the time to its first step, on mnist_fc2 with
      the sample data; on a CPU also what a step takes by how threads wait for each other, alone
      and beside a process that keeps a core busy
step  the time of a step of every optimizer in every way to run it, beside torch.optim.Adam and
      optimizers of other packages (pip install 'adamily[bench]'); takes tens of minutes, most of
      them to compile the others'
train the training loop's step beside a bare one on a batch that stays on the device, images trained
      on in a second beside torchvision's transforms in a DataLoader, the memory that images take,
      and tokens trained on in a second beside transformers' Trainer, with the sample data; takes
      minutes
atari optimizer steps and environment steps a second of atari_dqn, with one game and with eight,
      beside a loop in the structure of CleanRL's dqn_atari, and what a replay memory of a million
      transitions takes (7 GB of disk); takes minutes
gpu   what a new machine should show, in minutes: steps of every optimizer and the memory that they
      need, training of three networks beside bare loops, runs of a sweep per minute, and a summary;
      a part that cannot be measured says why, and the others go on
sweep the quickstart's sweep beside bare loops over the same cells, alone and beside one and two
      processes that keep a core busy each; takes about ten minutes
planning  CPU-seconds of planning 10,000 runs, of scripts.list, and of sweeps that miss nothing;
      takes minutes
conformance how far the optimizers of one name are from each other in torch, here, and in other
      packages (pip install 'adamily[bench]'), and why; takes seconds
report size, CPU-seconds and memory of the page over 3,000 and 10,000 runs (or N) that nobody has
      trained, and with Chromium and chromedriver how long it takes to open and to filter; takes
      minutes

Examples:
  python -m scripts.bench loop
  python -m scripts.bench loop rounds=40 device=cuda
  python -m scripts.bench step
  python -m scripts.bench step device=cuda rounds=50 out=results/bench
  python -m scripts.bench train rounds=5
"""

DEFAULTS = {
    "loop": {"device": "auto", "rounds": 30},
    "step": {"device": "cpu", "rounds": 30, "out": None},
    "train": {"device": "auto", "rounds": 10, "out": None},
    "atari": {"device": "auto", "rounds": 10, "out": None},
    "gpu": {"device": "auto", "out": None},
    "sweep": {"device": "cpu", "out": None},
    "planning": {"out": None},
    "conformance": {"out": None},
    "report": {"runs": None, "out": None},
}


def main() -> None:
    if show_version():
        return
    arguments = sys.argv[1:]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
        return
    try:
        measure(arguments)
    except (BadInput, OSError) as error:
        refuse(error)


def measure(arguments: list[str]) -> None:
    """Run the benchmark that the arguments name.

    Raises:
        BadInput: an argument is wrong, or the GPU or a package that it needs is not there.
    """
    benchmark, device_setting, rounds, out, runs = parse(arguments)
    if benchmark in ("train", "gpu") and not find_spec("torchvision"):
        raise BadInput(f"{benchmark}: torchvision is not installed: pip install 'adamily[vision]'")
    if benchmark == "atari" and not find_spec("ale_py"):
        raise BadInput("atari: the games are not installed: pip install 'adamily[atari]'")
    # Imported here, so that help and error messages need not wait for PyTorch.
    if benchmark == "conformance":
        from scripts.bench.conformance import report

        return report(out)
    if benchmark == "report":
        from scripts.bench.reporting import report

        return report(runs, out)
    if benchmark == "planning":
        from scripts.bench.planning import report

        return report(out)
    from scripts.bench.driver import device_of

    device = device_of(device_setting)
    if benchmark == "loop":
        from scripts.bench.loop import report

        report(device_setting, device, rounds)
    elif benchmark == "step":
        from scripts.bench.step import report

        report(device, rounds, out)
    elif benchmark == "train":
        from scripts.bench.train import report

        report(device, rounds, out)
    elif benchmark == "gpu":
        from scripts.bench.gpu import report

        report(device, out)
    elif benchmark == "sweep":
        from scripts.bench.quickstart import report

        report(device, out)
    else:
        from scripts.bench.atari import report

        report(device, rounds, out)


def parse(arguments: list[str]) -> tuple[str, str, int, str | None, int | None]:
    """The benchmark, its device, number of rounds, folder for its tables, and number of runs."""
    benchmark, *settings = arguments
    if benchmark not in DEFAULTS:
        raise BadInput(f"{shorten(benchmark)}: must be one of {', '.join(DEFAULTS)}")
    values = only_settings(settings, DEFAULTS[benchmark], "python -m scripts.bench")
    # Where there is no number of rounds to ask for, each part has its own.
    device, rounds = values.get("device", "cpu"), values.get("rounds", 2)
    out, runs = values.get("out"), values.get("runs")
    if not is_device(device):
        raise BadInput(f"device={spell(device)}: must be auto, cpu, cuda or cuda:N")
    if not is_count(rounds) or rounds < 2:
        raise BadInput(f"rounds={spell(rounds)}: must be a whole number, 2 or above")
    if out is not None and not is_path(out):
        raise BadInput(f"out={spell(out)}: must be the path of a folder")
    if runs is not None and (not is_count(runs) or runs < 1):
        raise BadInput(f"runs={spell(runs)}: must be a whole number, 1 or above")
    return benchmark, device, rounds, out, runs
