"""The bytes that a step moves, the bandwidth for them, and the memory that a step takes."""

import json
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from scripts.bench.race import wait_for


def words(optimizer: Optimizer) -> int:
    """The reads and writes of an element that a step cannot do without: Adam's are 7.

    Parameter, gradient and state are read; parameter and state are written.
    """
    parameter = optimizer.param_groups[0]["params"][0]
    state = optimizer.state[parameter].values()
    state_tensors = sum(
        isinstance(value, Tensor) and value.shape == parameter.shape for value in state
    )
    return 3 + 2 * state_tensors


def floor_share(words: int, elements: int, seconds: float, bandwidth: float) -> float:
    """The part of a step's time in which `bandwidth`, in bytes a second, moves float32 words."""
    return 4 * words * elements / (seconds * bandwidth)


def copy_bandwidth(device: torch.device, elements: int = 1 << 28, times: int = 10) -> float:
    """Bytes that a copy of float32 reads and writes in a second, the best of some tries."""
    source = torch.ones(elements, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(times):
        wait_for(device)
        began = time.perf_counter()
        target.copy_(source)
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return 8 * elements / min(seconds)


def peak_of_step(optimizer: Optimizer) -> int:
    """Bytes that a step holds at most beyond what was there before it."""
    device = optimizer.param_groups[0]["params"][0].device
    return peak_on_cuda(optimizer, device) if device.type == "cuda" else peak_on_cpu(optimizer)


def peak_on_cuda(optimizer: Optimizer, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    optimizer.step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def peak_on_cpu(optimizer: Optimizer) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda event: event["ts"]):
        held += change["args"]["Bytes"]
        peak = max(peak, held)
    return peak
