"""What a machine with a GPU should show, in minutes: steps, training, a sweep, on one page."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import torch

from engine.config import compose
from scripts.bench import sets, sweeping
from scripts.bench.contenders import EXECUTORS, PACKAGES, RULES, ours
from scripts.bench.loop import by_turns
from scripts.bench.memory import copy_bandwidth, peak_of_step
from scripts.bench.page import markdown, publish
from scripts.bench.parts import Parts, check_memory
from scripts.bench.race import Racer, draw_gradients, ratio
from scripts.bench.sets import Shape
from scripts.bench.step import NOTES, Line, elements, measure, table
from scripts.bench.train import DATA, Work, show

# Fewer than `bench step` and `bench train` have: their spread is on the page.
ROUNDS = {"cpu": 2, "cuda": 3}
SETS: dict[str, dict[str, list[Shape]]] = {
    "cpu": {"small": sets.resnet18(4)},
    "cuda": {"11M": sets.resnet18(), "100M": sets.resnet18(192)},
}
COPIED = {"cpu": 1 << 24, "cuda": 1 << 28}  # elements
RESNET = ["task=cifar10_resnet18"]
LSTM = ["task=ptb_lstm", "task.layers=2"]
GLUE = ["task=glue"]
BF16 = "precision=bf16"
# Of BERT-base's sizes, as with data=full.
SIZES = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
SIZES |= {"intermediate_size": 3072}
ROBERTA = ["task=roberta_pretrain", "task.batch_size=8"]
ROBERTA += [f"task.sources.sample.sizes.{name}={value}" for name, value in SIZES.items()]
WORKS: dict[str, dict[str, Work]] = {
    "cpu": {
        "ResNet-18": Work(1, [*RESNET, "task.batch_size=4"]),
        "ResNet-18, bf16": Work(1, [*RESNET, "task.batch_size=4", BF16]),
        "LSTM": Work(2, LSTM),
        "glue's encoder": Work(1, [*GLUE, "task.batch_size=4", "task.max_tokens=24"]),
    },
    "cuda": {
        "ResNet-18": Work(50, RESNET),
        "ResNet-18, bf16": Work(50, [*RESNET, BF16]),
        "LSTM": Work(100, LSTM),
        "glue's encoder": Work(50, GLUE),
        "RoBERTa, bf16": Work(10, [*ROBERTA, BF16]),
        "ResNet-18, compiled": Work(50, [*RESNET, "train.compile=true"]),
        "ResNet-18, bf16, compiled": Work(50, [*RESNET, BF16, "train.compile=true"]),
    },
}
BANDWIDTH_TARGET = 0.8
LOOP_TARGET = 0.98

# Tensors as large as the model that a race holds at most: gradients, and for each of eight
# contenders a parameter, its state and, one at a time, temporaries.
HELD = 50
# More than the context of a process takes that has not begun.
OTHERS = 2 * 10**9

LOOP_NOTES = """\
Training: steps of `scripts.train`, which puts each batch together, beside bare steps (forward,
backward, optimizer) on one batch that stays on the device. By turns; medians, and in brackets the
quartiles of the ratios of one round. Images are in channels_last, as in every run.
"""
PEAK_NOTES = """\
Most that a step holds beyond parameters, gradients and state, in the size of all parameters.
"""


def report(device: torch.device, out: str | None) -> None:
    """Measure and print all parts; write the page where a folder is given.

    Exits with 1 where a part failed.
    """
    parts = Parts()
    if device.type == "cpu":
        torch.set_num_threads(1)
    sections = [lambda: NOTES, lambda: LOOP_NOTES]
    sections += [parts.section(title, part) for title, part in all_parts(device, parts)]
    packages = ["triton", "torchvision", "transformers", *PACKAGES]
    title = "What a device does"
    publish(title, "gpu", device, None, packages, [*sections, parts.summary], out)
    if parts.failed:
        sys.exit(1)


def all_parts(device: torch.device, parts: Parts) -> Iterator[tuple[str, Callable[[], str]]]:
    """The titles of all parts, and what measures them."""
    kind = device.type
    yield "The device", partial(about, device)
    for name, shapes in SETS[kind].items():
        sizes = f"{len(shapes)} tensors, {elements(shapes) / 1e6:.3g}M elements"
        yield f"Steps of optimizers: {sizes}", partial(steps, name, shapes, device, parts)
    yield "Memory of a step", partial(peaks, next(iter(SETS[kind].values())), device)
    for name, work in WORKS[kind].items():
        yield f"Training: {name}", partial(training, name, work, device, parts)
    yield "A sweep", partial(sweeping.report, device)


# -- the device ------------------------------------------------------------------------------------


def about(device: torch.device) -> str:
    """The device, how fast it copies, and whether others use it."""
    bandwidth = copy_bandwidth(device, COPIED[device.type]) / 1e9
    lines = [f"- a copy of float32 moves {bandwidth:.0f} GB/s"]
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        lines += [
            f"- {found.name}, compute capability {found.major}.{found.minor}, "
            f"{found.multi_processor_count} multiprocessors, CUDA {torch.version.cuda}",
            f"- memory: {free / 1e9:.1f} of {total / 1e9:.1f} GB are free",
            f"- GPUs of the machine: {torch.cuda.device_count()}",
        ]
        lines += used_by_others(total - free - torch.cuda.memory_reserved(device))
    return "\n".join([*lines, ""])


def used_by_others(held: int) -> list[str]:
    """A warning where more of the memory is in use than this process accounts for."""
    if held < OTHERS:
        return []
    return [
        f"- WARNING: another process has {held / 1e9:.1f} GB of the device's memory; the figures "
        "below are of a device that is shared"
    ]


# -- steps -----------------------------------------------------------------------------------------


def steps(name: str, shapes: list[Shape], device: torch.device, parts: Parts) -> str:
    """The table of one set of tensors."""
    check_memory(device, HELD * 4 * elements(shapes))
    bandwidth = copy_bandwidth(device, COPIED[device.type])
    # Peers compile one program for all tensors, which takes half a minute and more.
    on_gpu = bandwidth if device.type == "cuda" else None
    lines = measure(shapes, device, ROUNDS[device.type], on_gpu, most_compiled=0)
    if on_gpu:
        aim_at_bandwidth(name, lines, parts)
    copied = f"A copy moves {bandwidth / 1e9:.0f} GB/s; {ROUNDS[device.type]} rounds.\n"
    return f"{copied}\n{table(lines)}"


def aim_at_bandwidth(name: str, lines: Sequence[Line], parts: Parts) -> None:
    """Note which share of the bandwidth compiled rules reach."""
    shares = {line.rule: line.floor or 0.0 for line in lines if line.contender == "optim, compile"}
    least = min(shares, key=lambda rule: shares[rule])
    enough = sum(share >= BANDWIDTH_TARGET for share in shares.values())
    what = f"compile=True reaches {BANDWIDTH_TARGET:.0%} of the bandwidth at {name} elements"
    found = f"{enough} of {len(shares)} rules do; the least is {least} with {shares[least]:.0%}"
    parts.aim(what, found, enough == len(shares))


def peaks(shapes: list[Shape], device: torch.device) -> str:
    """The memory that a step of each rule needs, by how it is run."""
    gradient = draw_gradients(shapes, device)[0]
    rows = []
    for rule in RULES:
        row = [rule]
        for begin in ours(rule).values():
            racer = Racer(shapes, device, begin)
            racer.take(gradient, 1)
            row.append(f"{peak_of_step(racer.optimizer) / (4 * elements(shapes)):.2f}")
        rows.append(row)
    return f"{PEAK_NOTES}\n{markdown(['rule', *EXECUTORS], rows)}"


# -- training --------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """Of the bare loop and of `scripts.train`, in steps a second."""

    bare: float
    loop: float


def training(name: str, work: Work, device: torch.device, parts: Parts) -> str:
    """The rates of both loops on a task."""
    overrides = [*work.overrides, *DATA]
    batch = compose(overrides)["task"].get("batch_size")
    bare, loop = by_turns(overrides, work.steps, device, ROUNDS[device.type], resident=True)
    share = ratio(bare, loop)
    if device.type == "cuda":
        what = f"{name}: the loop trains {LOOP_TARGET} times as fast as a bare one, or faster"
        parts.aim(what, f"{share.middle:.3f}", share.middle >= LOOP_TARGET)
    rate = Rate(1 / median(bare), 1 / median(loop))
    row = [f"{rate.bare:.1f}", f"{rate.loop:.1f}"]
    row += [f"{batch * rate.bare:.0f}", f"{batch * rate.loop:.0f}", show(share)]
    titles = ["bare, steps/s", "loop, steps/s", "bare, examples/s", "loop, examples/s"]
    said = f"{ROUNDS[device.type]} rounds of {work.steps} steps of\n`{' '.join(work.overrides)}`.\n"
    return f"{said}\n{markdown([*titles, 'loop ÷ bare'], [row])}"
