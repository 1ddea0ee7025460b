"""Pages of measured tables, as Markdown."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.environment import environment, version
from engine.files import write_text
from scripts.bench.race import Spread


def header(
    title: str, what: str, about: Mapping[str, Any], rounds: int | None, more: Mapping[str, str]
) -> str:
    """A page's title and under what conditions its numbers were measured.

    Args:
        title: of the page.
        what: the command's first word.
        about: the environment in which it was measured.
        rounds: as many as were measured; None where each part has its own number.
        more: further facts by name.
    """
    changed = " with local changes" if about["git_dirty"] else ""
    command = f"python -m scripts.bench {what} device={about['device']}"
    facts = {
        "command": command if rounds is None else f"{command} rounds={rounds}",
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
    rounds: int | None,
    packages: Sequence[str],
    sections: Sequence[Callable[[], str]],
    out: str | None,
) -> Path | None:
    """Measure section by section and print each; the path of the page where a folder is given.

    Args:
        title: of the page.
        what: the command's first word.
        device: that is measured.
        rounds: as many as are measured; None where each section has its own number.
        packages: whose versions the page names.
        sections: each measures, and returns its part of the page.
        out: the folder of the page; None for none.
    """
    about = environment(device)
    # Before it is measured, so that a folder that cannot be made is refused at once.
    path = None if out is None else page_path(Path(out), what, about)
    # Whoever else computes takes time from both sides.
    busy = f"{os.getloadavg()[0]:.1f} processes on {about['cores']} cores at the start"
    versions = {package: version(package) or "not installed" for package in packages}
    parts = [header(title, what, about, rounds, {"load": busy} | versions)]
    print(parts[0], flush=True)
    for measure in sections:
        parts.append(measure())
        print(parts[-1], flush=True)
        if path:
            # After each, since a section may take many minutes.
            write_text(path, "\n".join(parts))
    if path:
        print(f"Tables: {path}")
    return path


def page_path(folder: Path, what: str, about: Mapping[str, Any]) -> Path:
    """Where the page of a device lies; its folder is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{what}.{slug(about['gpu'] or about['cpu'])}.md"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    cells = [titles, ["-" * width for width in widths], *rows]
    lines = [" | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "".join(f"| {line} |\n" for line in lines)


def show(spread: Spread) -> str:
    return f"{spread.middle:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
