"""The machine and the versions that a run used, recorded with it and shown with its numbers."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = ("adamily", "torch", "numpy", "hydra-core", "omegaconf", "sacrebleu")


def environment(device: "torch.device") -> dict[str, Any]:
    """Versions, device, threads and git commit of this process, as plain values."""
    import torch  # the rest of this module is for commands that need not wait for it

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        **host(),
        **commit(),
    }


@functools.lru_cache
def host() -> dict[str, Any]:
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


@functools.lru_cache
def commit() -> dict[str, Any]:
    """The project's git commit and whether the tree differs from it; None outside a checkout."""
    top = git("rev-parse", "--show-toplevel")
    # An installed copy may lie inside the checkout of something else.
    if top is None or Path(top).resolve() != Path(__file__).resolve().parents[1]:
        return {"git_commit": None, "git_dirty": None}
    head = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain")
    return {"git_commit": head, "git_dirty": None if changes is None else changes != ""}


def git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        completed = subprocess.run(
            ["git", "-C", folder, *arguments],
            capture_output=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(completed.stdout).strip()


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
