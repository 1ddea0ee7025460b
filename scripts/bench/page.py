"""The measured table as Markdown for people and as CSV for programs."""

import csv
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.environment import environment, version
from engine.files import write_text
from scripts.bench.contenders import PACKAGES
from scripts.bench.race import Spread

if TYPE_CHECKING:
    from scripts.bench.step import Line, Memory

NOTES = """\
One step of each contender by turns, each round in a random order; medians, and in brackets the
quartiles of the ratios of one round. F is `torch.optim.Adam(foreach=True)`, U `Adam(fused=True)` on
the same tensors. F allocates temporaries as large as the model, so that it also varies with the
state of the allocator; U does not. Peers compile one program for the whole list of tensors, which
takes many minutes where there are many: they are left out there.
"""


def write(
    folder: Path,
    about: dict[str, Any],
    rounds: int,
    bandwidth: float | None,
    counts: Mapping[str, tuple[int, int]],
    measured: Mapping[str, Sequence["Line"]],
    memory: Sequence["Memory"],
) -> Path:
    """Write step.<device>.md and .csv; return the path of the former.

    Args:
        folder: made where it is not there.
        about: the environment in which it was measured.
        rounds: as many as were measured.
        bandwidth: of a copy, bytes a second, where it was measured.
        counts: tensors and elements of each set.
        measured: the lines of each set.
        memory: of each rule; may be empty.
    """
    path = page_path(folder, "step", about)
    more = {"copy bandwidth": f"{bandwidth / 1e9:.0f} GB/s" if bandwidth else None}
    more |= {package: version(package) or "not installed" for package in PACKAGES}
    parts = [header("The time of an optimizer's step", "step", about, rounds, more), NOTES]
    for set_name, lines in measured.items():
        tensors, elements = counts[set_name]
        title = f"## {set_name}: {tensors} tensors, {elements / 1e6:.1f}M elements\n"
        parts.append(title + "\n" + table(lines))
    if memory:
        parts.append(peak_table(memory))
    write_text(path, "\n".join(parts))
    write_text(path.with_suffix(".csv"), as_csv(measured))
    return path


def header(
    title: str, what: str, about: Mapping[str, Any], rounds: int, more: Mapping[str, str | None]
) -> str:
    """A page's title and under what conditions its numbers were measured.

    Args:
        title: of the page.
        what: the command's first word.
        about: the environment in which it was measured.
        rounds: as many as were measured.
        more: further facts by name; those that are None are left out.
    """
    changed = " with local changes" if about["git_dirty"] else ""
    facts = {
        "command": f"python -m scripts.bench {what} device={about['device']} rounds={rounds}",
        "device": f"{about['gpu'] or about['cpu']}, {about['threads']} thread(s) on the host",
        "PyTorch": about["packages"]["torch"],
        "commit": f"{about['git_commit']}{changed}",
        "measured": about["started"],
        **more,
    }
    listed = "\n".join(f"- {key}: {value}" for key, value in facts.items() if value)
    return f"# {title}\n\n{listed}\n"


def publish(
    title: str,
    what: str,
    device: torch.device,
    rounds: int,
    packages: Sequence[str],
    sections: Sequence[Callable[[], str]],
) -> None:
    """Measure section by section, print each, and write results/bench/<what>.<device>.md.

    Args:
        title: of the page.
        what: the command's first word.
        device: that is measured.
        rounds: as many as are measured.
        packages: whose versions the page names.
        sections: each measures, and returns its part of the page.
    """
    about = environment(device)
    # Whoever else computes takes time from both sides.
    busy = f"{os.getloadavg()[0]:.1f} processes on {about['cores']} cores at the start"
    more = {"load": busy} | {package: version(package) for package in packages}
    parts = [header(title, what, about, rounds, more)]
    for measure in sections:
        parts.append(measure())
        print(parts[-1], flush=True)
    path = page_path(Path("results/bench"), what, about)
    write_text(path, "\n".join(parts))
    print(f"Tables: {path}")


def page_path(folder: Path, what: str, about: Mapping[str, Any]) -> Path:
    """Where the page of a device lies; its folder is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{what}.{slug(about['gpu'] or about['cpu'])}.md"


def table(lines: Sequence["Line"]) -> str:
    titles = ["rule", "who", "ms", "÷ F", "÷ U"]
    rows = [
        [
            line.rule,
            line.contender,
            f"{line.milliseconds.middle:.2f}",
            show(line.to_foreach),
            show(line.to_fused),
        ]
        for line in lines
    ]
    if any(line.floor is not None for line in lines):
        titles.append("share of the bandwidth floor")
        for row, line in zip(rows, lines, strict=True):
            row.append("" if line.floor is None else f"{line.floor:.0%}")
    return markdown(titles, rows)


def peak_table(memory: Sequence["Memory"]) -> str:
    rows = [
        [peak.rule, f"{4 * peak.elements / 1e6:.2f} MB", f"{peak.batches:.2f}"] for peak in memory
    ]
    titles = ["rule", "peak", "tensors of one batch"]
    about = "Most that a default step holds beyond parameters, gradients and state, on resnet.\n"
    return f"## Memory\n\n{about}\n{markdown(titles, rows)}"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    cells = [titles, ["-" * width for width in widths], *rows]
    lines = [" | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "".join(f"| {line} |\n" for line in lines)


def show(spread: Spread) -> str:
    return f"{spread.middle:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def as_csv(measured: Mapping[str, Sequence["Line"]]) -> str:
    """All numbers as they are, one line for each contender."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spreads = ("milliseconds", "to_foreach", "to_fused")
    columns = [f"{name}_{part}" for name in spreads for part in Spread._fields]
    writer.writerow(["set", "rule", "contender", *columns, "floor"])
    for name, lines in measured.items():
        for line in lines:
            numbers = [*line.milliseconds, *line.to_foreach, *line.to_fused, line.floor]
            writer.writerow([name, line.rule, line.contender, *numbers])
    return text.getvalue()


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
