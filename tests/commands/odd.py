"""Models and optimizers that do what a test needs; a config names them by `_target_`."""

import fcntl
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from gates import Gate
from torch import nn


class DropoutMLP(nn.Module):
    """Draws random numbers in every training step."""

    def __init__(self, widths):
        super().__init__()
        first, hidden, last = widths
        self.layers = nn.Sequential(
            nn.Linear(first, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, last)
        )

    def forward(self, images):
        return self.layers(images)


class ImagesNet(nn.Sequential):
    """A small network for images of any size, with or without what makes batches differ."""

    def __init__(self, classes, norm=True, dropout=0.5, **others):
        between = [nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(dropout)] if norm else [nn.ReLU()]
        pooled = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)]
        super().__init__(nn.Conv2d(3, 8, 5, 4), *between, *pooled)


class BatchNormMLP(nn.Module):
    """Normalises over the batch in two ways of keeping running statistics."""

    def __init__(self, widths):
        super().__init__()
        first, hidden, last = widths
        self.layers = nn.Sequential(
            nn.Linear(first, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden, momentum=None, affine=False),
            nn.Linear(hidden, last),
        )

    def forward(self, images):
        return self.layers(images)


class Odd(torch.optim.SGD):
    """SGD that is odd in step `at`; where `once` names a file, only the first time of all."""

    def __init__(self, params, lr, at=2, once=None, **others):
        super().__init__(params, lr=lr)
        self.at, self.once, self.done = at, once, 0

    def step(self, closure=None):
        self.done += 1
        if self.done == self.at and not self.happened():
            self.odd()
        return super().step(closure)

    def happened(self):
        if self.once is None:
            return False
        before = Path(self.once).exists()
        Path(self.once).touch()
        return before

    def odd(self):
        raise NotImplementedError


class Raises(Odd):
    def odd(self):
        raise ArithmeticError("odd on purpose")


class Interrupted(Odd):
    """As if somebody had typed Ctrl-C."""

    def odd(self):
        signal.raise_signal(signal.SIGINT)


class Dies(Odd):
    """As if the system had killed the process, for want of memory say; not before there is `after`.

    A worker takes other workers' runs with it, which a test may not want in any order.
    """

    def __init__(self, params, lr, after=None, **others):
        super().__init__(params, lr, **others)
        self.after = after

    def odd(self):
        while self.after is not None and not Path(self.after).exists():
            time.sleep(0.05)
        os._exit(3)


class Waits(Odd):
    """Waits at a gate, which is a folder; everything that a sweep starts finds it by its path."""

    def __init__(self, params, lr, gate, room=None, diary=None, **others):
        super().__init__(params, lr, **others)
        self.gate, self.diary = Gate(Path(gate), room), diary

    def step(self, closure=None):
        with noted(self, self.diary):
            return super().step(closure)

    def odd(self):
        self.gate.wait()


class Slow(torch.optim.SGD):
    """Takes its time in every step."""

    def __init__(self, params, lr, seconds, diary=None, **others):
        super().__init__(params, lr=lr)
        self.seconds, self.diary = seconds, diary

    def step(self, closure=None):
        with noted(self, self.diary):
            time.sleep(self.seconds)
            return super().step(closure)


@contextmanager
def noted(optimizer, path):
    """Write into a diary, if there is one, when the optimizer's step began and ended."""
    began = time.monotonic()
    yield
    if path is not None:
        with open(path, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            file.write(f"{os.getpid()} {id(optimizer)} {began} {time.monotonic()} {visible}\n")


def diary(path):
    """Spans (began, ended, GPUs) of the runs that wrote a diary, in the order of their starts."""
    spans = {}
    for line in Path(path).read_text().splitlines():
        process, optimizer, began, ended, *visible = line.split()
        first, _, _ = spans.get((process, optimizer), (float(began), None, None))
        spans[process, optimizer] = first, float(ended), " ".join(visible)
    return sorted(spans.values())


def most_at_once(spans):
    edges = sorted([(began, 1) for began, _, _ in spans] + [(ended, -1) for _, ended, _ in spans])
    most = now = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most
