"""Pages of measured tables, as Markdown."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.environment import environment, version
from engine.files import write_text
from results.study import slug
from scripts.bench.race import Spread


def header(
    title: str,
    benchmark: str,
    env: Mapping[str, Any],
    rounds: int | None,
    more_facts: Mapping[str, str],
) -> str:
    """A page's title and under what conditions its numbers were measured.

    Args:
        title: of the page.
        benchmark: the command's first word.
        env: the environment in which it was measured.
        rounds: how many were measured; None where each part has its own number.
        more_facts: further facts by name.
    """
    changed = " with local changes" if env["git_dirty"] else ""
    command = f"python -m scripts.bench {benchmark} device={env['device']}"
    facts = {
        "command": command if rounds is None else f"{command} rounds={rounds}",
        "device": f"{env['gpu'] or env['cpu']}, {env['threads']} thread(s) on the host",
        "PyTorch": env["packages"]["torch"],
        "commit": f"{env['git_commit']}{changed}",
        "measured": env["started"],
        **more_facts,
    }
    listed = "\n".join(f"- {key}: {value}" for key, value in facts.items() if value)
    return f"# {title}\n\n{listed}\n"


def publish(
    title: str,
    benchmark: str,
    device: torch.device,
    rounds: int | None,
    packages: Sequence[str],
    sections: Sequence[Callable[[], str]],
    out: str | None,
) -> Path | None:
    """Measure section by section, print each, and write them where a folder is given.

    Args:
        title: of the page.
        benchmark: the command's first word.
        device: that is measured.
        rounds: how many are measured; None where each section has its own number.
        packages: whose versions the page names.
        sections: each measures, and returns its part of the page.
        out: the folder of the page; None for none.

    Returns:
        The path of the page, if it was written.
    """
    env = environment(device)
    # Before it is measured, so that a folder that cannot be made is refused at once.
    path = None if out is None else page_path(Path(out), benchmark, env)
    # Other processes slow down both sides of a comparison.
    load = f"{os.getloadavg()[0]:.1f} processes on {env['cores']} cores at the start"
    versions = {package: version(package) or "not installed" for package in packages}
    parts = [header(title, benchmark, env, rounds, {"load": load} | versions)]
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


def page_path(folder: Path, benchmark: str, env: Mapping[str, Any]) -> Path:
    """Where the page of a device lies; its folder is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{benchmark}.{slug(env['gpu'] or env['cpu'])}.md"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [titles, ["-" * width for width in widths], *rows]
    padded = [
        [text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "".join(f"| {' | '.join(texts)} |\n" for texts in padded)


def show(spread: Spread, decimals: int = 2) -> str:
    """The median, and in brackets the quartiles."""
    low, middle, high = (f"{value:.{decimals}f}" for value in spread)
    return f"{middle} ({low} to {high})"
