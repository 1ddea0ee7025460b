"""The parts of a page: where one cannot be measured it says why, and the others go on."""

import gc
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from engine.checks import BadInput
from engine.texts import shorten
from tasks.sources import DataError

# Of an error's message, in a sentence about it.
SHOWN = 300


class Skipped(Exception):
    """Why a part cannot be measured here, in a sentence."""


class Target(NamedTuple):
    """What a figure should be, and what it was.

    Attributes:
        what: the figure, with the number that it should reach.
        found: the number that was measured.
        met: whether that is enough.
    """

    what: str
    found: str
    met: bool


class Parts:
    """What became of each part of a page, and which of their targets were met.

    Attributes:
        outcomes: a part's title → "measured", "skipped: …" or "failed: …".
        targets: of all parts so far.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.targets: list[Target] = []

    @property
    def failed(self) -> bool:
        return any(outcome.startswith("failed") for outcome in self.outcomes.values())

    def section(self, title: str, measure: Callable[[], str]) -> Callable[[], str]:
        """What measures a part of the page; it raises for nothing but Ctrl-C and the like."""

        def measured() -> str:
            text, outcome = attempt(measure)
            self.outcomes[title] = outcome
            return f"## {title}\n\n{text or outcome[0].upper() + outcome[1:]}\n"

        return measured

    def aim(self, what: str, found: str, met: bool) -> None:
        """Note a target and what was measured."""
        self.targets.append(Target(what, found, met))

    def summary(self) -> str:
        """The last section: how each part went, and each target."""
        return "\n".join(["## Summary", "", *self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        for kind in ("measured", "skipped", "failed"):
            titles = [t for t, outcome in self.outcomes.items() if outcome.startswith(kind)]
            yield f"- {kind}: {len(titles)} of {len(self.outcomes)} parts"
            if kind != "measured":
                yield from (f"  - {title}: {reason(self.outcomes[title])}" for title in titles)
        if not self.targets:  # as on a CPU, for which there are none
            return
        met = sum(target.met for target in self.targets)
        yield f"- targets met: {met} of {len(self.targets)}"
        for target in self.targets:
            yield f"  - {'met' if target.met else 'MISSED'}: {target.what}: {target.found}"


def attempt(measure: Callable[[], str]) -> tuple[str, str]:
    """The text of a part, and how it went."""
    try:
        return measure(), "measured"
    except (Skipped, DataError, BadInput) as why:
        return "", f"skipped: {shorten(str(why), SHOWN)}"
    except torch.OutOfMemoryError as error:
        return "", f"skipped: too little memory: {sentence(error)}"
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return "", f"failed: {type(error).__name__}: {sentence(error)}"
    finally:
        release()


def sentence(error: Exception) -> str:
    """The first line of an error's message."""
    return shorten(next(iter(str(error).splitlines()), "no message"), SHOWN)


def reason(outcome: str) -> str:
    return outcome.partition(": ")[2]


def release() -> None:
    """Give a device's memory back, for the next part and for other processes."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def check_memory(device: torch.device, needed: int) -> None:
    """Raise Skipped where a GPU has less free memory than that many bytes."""
    if device.type != "cuda":
        return
    free, total = torch.cuda.mem_get_info(device)
    if free < needed:
        raise Skipped(
            f"needs {needed / 1e9:.1f} GB of the device's memory, of which {free / 1e9:.1f} of "
            f"{total / 1e9:.1f} GB are free"
        )
