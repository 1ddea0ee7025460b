"""MNIST: real digits, the same batches for everybody with one seed, and honest evaluation."""

import functools
import gzip
import hashlib
import struct
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from models import MLP
from tasks import Mnist
from tasks.holding_out import divided
from tasks.mnist import load
from tasks.sources import DataError

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/mnist.yaml").read_text())
CPU = torch.device("cpu")
META = torch.device("meta")


def task(root, **changes):
    settings = {
        "model": functools.partial(MLP, [784, 6, 10]),
        "data": "sample",
        "sources": SOURCES,
        "epochs": 2,
        "batch_size": 128,
        "steps": None,
        "eval_every": None,
        "eval_train": False,
        "seed": 0,
        "device": CPU,
        "root": root,
    }
    return Mnist(**settings | changes)


@pytest.fixture
def sample(sample_root):
    return functools.partial(task, sample_root)


def floats(made, split):
    """All images of a split as the model sees them, and their labels."""
    images, labels = zip(*made.batches(split), strict=True)
    return torch.cat(images), torch.cat(labels)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- the sample ------------------------------------------------------------------------------------


def test_the_sample_is_five_thousand_digits_of_all_classes(sample):
    splits = sample().images
    images, labels = splits["train"]
    assert images.shape == (4000, 784) and images.dtype == torch.uint8
    assert labels.shape == (4000,) and labels.dtype == torch.int64
    assert splits["test"][0].shape == (1000, 784)
    test = splits["test"][1]
    # 500 of each in all; shuffled, so that neither part lacks a class.
    assert (labels.bincount() + test.bincount()).tolist() == [500] * 10
    assert test.bincount(minlength=10).min() >= 75
    assert labels[:200].bincount(minlength=10).min() >= 5


def test_the_mean_training_image_is_subtracted_from_both_parts(sample):
    made = sample()
    train, test = (floats(made, part)[0] for part in ("train", "test"))
    assert train.dtype == torch.float32
    assert train.mean(0).abs().max() < 1e-5
    # That of the test images themselves would make this zero.
    assert 1e-3 < test.mean(0).abs().max() < 0.1
    # The corner is black in every image, so nothing was added to it.
    assert train[:, 0].eq(0).all()
    # Pixels lie in [0, 1] before: no difference is larger than one.
    assert 0.9 < train.max() <= 1 and -1 <= train.min() < -0.3


def test_no_image_is_in_both_parts(sample):
    train, test = (sample().images[part][0] for part in ("train", "test"))
    rows = {row.numpy().tobytes() for row in train}
    shared = sum(row.numpy().tobytes() in rows for row in test)
    assert len(rows) == 4000 and shared == 0


def test_images_belong_to_their_labels(sample):
    """The nearest class mean is right for about four of five digits, and for one of ten by luck."""
    made = sample()
    images, labels = floats(made, "train")
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    test, wanted = floats(made, "test")
    assert (torch.cdist(test, means).argmin(1) == wanted).float().mean() > 0.75


# -- batches ---------------------------------------------------------------------------------------


def test_a_budget_is_epochs_or_steps(sample):
    made = sample()
    assert (made.steps_per_epoch, made.steps, made.eval_every) == (31, 62, 31)
    made = sample(steps=5, eval_every=2)
    assert (made.steps, made.eval_every) == (5, 2)
    assert sample(batch_size=4000).steps == 2


def test_a_batch_is_fixed_by_seed_and_step_alone(sample):
    forward, backward = sample(), sample()
    places = [0, 1, 30, 31, 45, 62, 100]
    wanted = {step: forward.batch(step) for step in places}
    for step in reversed(places):
        assert same(backward.batch(step), wanted[step])
    # One that starts in the middle, as a resumed run does, after others have drawn numbers.
    torch.manual_seed(123)
    torch.randn(10)
    assert same(sample(seed=0).batch(45), wanted[45])
    assert not same(sample(seed=1).batch(45), wanted[45])


def test_an_optimizer_changes_no_batch(sample):
    a, b = sample(), sample()
    optimizers = torch.optim.SGD(a.model.parameters(), 0.1), torch.optim.Adam(b.model.parameters())
    for step in range(3):
        batches = a.batch(step), b.batch(step)
        assert same(*batches)
        for made, optimizer, batch in zip((a, b), optimizers, batches, strict=True):
            made.loss(batch).backward()
            optimizer.step()


def test_an_epoch_sees_every_image_once(sample):
    made = sample(batch_size=1000, epochs=3)
    images, _ = floats(made, "train")
    everything = sorted(row.numpy().tobytes() for row in images)
    orders = []
    for epoch in range(3):
        batches = [made.batch(4 * epoch + i) for i in range(4)]
        seen = [row.numpy().tobytes() for batch, _ in batches for row in batch]
        assert sorted(seen) == everything
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_holds_the_images_of_its_labels(sample):
    made = sample()
    images, labels = floats(made, "train")
    for image, label in zip(*made.batch(7), strict=True):
        [place] = (images == image).all(1).nonzero().flatten().tolist()
        assert labels[place] == label


def test_micro_batches_add_up_to_the_batch(sample, device):
    made = sample(batch_size=100, device=device)
    batch = made.batch(0)
    for parts in (1, 3, 7, 100):
        pieces = made.split(batch, parts)
        assert sum(len(piece[0]) for piece, _ in pieces) == 100
        assert sum(weight for _, weight in pieces) == pytest.approx(1)
        together = sum(made.loss(piece) * weight for piece, weight in pieces)
        assert together.item() == pytest.approx(made.loss(batch).item(), rel=1e-5)


# -- model, loss, evaluation -----------------------------------------------------------------------


def test_the_weights_depend_on_the_seed_alone(sample):
    torch.manual_seed(1)
    first = sample().model.state_dict()
    torch.randn(5)
    between = torch.get_rng_state()
    second = sample(batch_size=7).model.state_dict()
    # Nor does making a model move the generator that dropout draws from.
    assert torch.equal(torch.get_rng_state(), between)
    assert same(first.values(), second.values())
    assert not torch.equal(first["0.weight"], sample(seed=1).model.state_dict()["0.weight"])


def test_evaluation_is_the_plain_mean_over_all_test_images(sample):
    made = sample()
    images, labels = floats(made, "test")
    with torch.no_grad():
        found = made.evaluate()
        logits = made.model(images)
    losses = [F.cross_entropy(row[None], wanted[None]) for row, wanted in zip(logits, labels)]  # noqa: B905
    right = sum(int(row.argmax()) == int(wanted) for row, wanted in zip(logits, labels))  # noqa: B905
    assert found.keys() == {"test/loss", "test/accuracy"}
    assert found["test/loss"] == pytest.approx(float(sum(losses)) / 1000, rel=1e-5)
    assert found["test/accuracy"] == right / 1000


def test_evaluation_weighs_an_incomplete_last_part_by_its_size(sample, monkeypatch, device):
    made = sample(device=device)
    with torch.no_grad():
        whole = made.evaluate()
        monkeypatch.setattr("tasks.mnist.EVAL_BATCH", 333)
        assert made.evaluate() == pytest.approx(whole, rel=1e-5)


def test_the_training_loss_in_evaluation_mode_is_over_all_training_images(sample, device):
    made = sample(eval_train=True, device=device)
    images, labels = floats(made, "train")
    with torch.no_grad():
        found = made.evaluate()
        wanted = F.cross_entropy(made.model(images), labels).item()
    assert found["train/eval_loss"] == pytest.approx(wanted, rel=1e-5)
    assert found.keys() == {"test/loss", "test/accuracy", "train/eval_loss"}


def test_it_learns(sample, device):
    made = sample(model=functools.partial(MLP, [784, 32, 10]), device=device)
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-2)
    for step in range(62):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
    with torch.no_grad():
        assert made.evaluate()["test/accuracy"] > 0.85


def test_on_the_meta_device_nothing_is_read(tmp_path):
    made = task(
        tmp_path / "nowhere", device=META, model=functools.partial(MLP, [784, 1000, 1000, 10])
    )
    assert sum(p.numel() for p in made.model.parameters()) == 1_796_010
    assert made.steps == 62
    assert list(tmp_path.iterdir()) == []
    assert task(tmp_path, device=META, data="full", epochs=100).steps == 46_800


def test_too_few_logits_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"task\.model: gives 9 logits, fewer than the 10 classes"):
        task(tmp_path, model=functools.partial(MLP, [784, 9]), device=META)


@pytest.mark.parametrize(("data", "images"), [("sample", 4000), ("full", 60000)])
def test_a_batch_larger_than_the_data_is_refused(tmp_path, data, images):
    with pytest.raises(ValueError) as caught:
        task(tmp_path, data=data, batch_size=images + 1, device=META)
    assert str(caught.value) == (
        f"task.batch_size={images + 1}: must be at most the {images} training images of data={data}"
    )


# -- the full data set, a tiny one in its format ---------------------------------------------------

TRAIN, TEST = 12, 5


def idx(array):
    """An array of bytes in the format of MNIST's files, gzipped."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def digits():
    draw = np.random.default_rng(0)

    def images(count):
        return draw.integers(0, 256, size=(count, 28, 28), dtype=np.uint8)

    def labels(count):
        return draw.integers(0, 10, size=count, dtype=np.uint8)

    return {
        "train-images-idx3-ubyte": images(TRAIN),
        "train-labels-idx1-ubyte": labels(TRAIN),
        "t10k-images-idx3-ubyte": images(TEST),
        "t10k-labels-idx1-ubyte": labels(TEST),
    }


@pytest.fixture
def full(digits, tmp_path):
    """Makes the task on tiny files that a server on this machine has."""
    web = tmp_path / "web"
    web.mkdir()
    hashes = {}
    for name, array in digits.items():
        (web / f"{name}.gz").write_bytes(idx(array))
        hashes[f"{name}.gz"] = hashlib.sha256((web / f"{name}.gz").read_bytes()).hexdigest()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=web))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    source = {
        "mirrors": [f"http://127.0.0.1:{server.server_port}/"],
        "sha256": hashes,
        "classes": 10,
        "train": TRAIN,
        "test": TEST,
    }

    def make(**changes):
        sources = {"full": source | changes}
        return task(tmp_path / "data", data="full", sources=sources, batch_size=4)

    load.cache_clear()
    yield make
    server.shutdown()
    server.server_close()


def test_the_full_source_names_the_files_of_mnist(digits):
    source = SOURCES["full"]
    assert list(source["sha256"]) == [f"{name}.gz" for name in digits]
    assert all(len(digest) == 64 for digest in source["sha256"].values())
    assert (source["train"], source["test"]) == (60000, 10000)
    assert all(mirror.startswith("https://") for mirror in source["mirrors"])


def test_mnists_format_is_read_pixel_by_pixel(full, digits):
    made = full()
    pixels = digits["train-images-idx3-ubyte"].reshape(TRAIN, 784) / 255
    mean = pixels.mean(0)
    images, labels = floats(made, "train")
    np.testing.assert_allclose(images.numpy(), pixels - mean, atol=1e-6)
    assert labels.tolist() == digits["train-labels-idx1-ubyte"].tolist()
    assert labels.dtype == torch.int64
    images, labels = floats(made, "test")
    pixels = digits["t10k-images-idx3-ubyte"].reshape(TEST, 784) / 255
    np.testing.assert_allclose(images.numpy(), pixels - mean, atol=1e-6)
    assert labels.tolist() == digits["t10k-labels-idx1-ubyte"].tolist()


def test_the_full_data_are_fetched_ahead_of_time(full, tmp_path):
    full().prepare()
    names = {path.name for path in (tmp_path / "data" / "mnist").glob("*.gz")}
    assert len(names) == 4


def test_an_unpacked_file_that_is_damaged_is_unpacked_again(full, tmp_path):
    """The archives are checked, so what is read must be what they hold."""
    wanted = full().images["train"]
    [raw] = (tmp_path / "data").rglob("raw/train-images-idx3-ubyte")
    content = bytearray(raw.read_bytes())
    content[-1] ^= 0xFF
    raw.write_bytes(content)
    load.cache_clear()
    assert same(full().images["train"], wanted)
    raw.write_bytes(b"")
    load.cache_clear()
    assert same(full().images["train"], wanted)
    assert [path.name for path in raw.parent.glob("*.tmp")] == []


def test_another_number_of_images_is_refused(full):
    with pytest.raises(DataError, match=r"mnist: found 12 \+ 5 images, expected 12 \+ 6"):
        _ = full(test=6).images


def test_a_wrong_hash_names_the_file(full):
    made = full()
    name = "t10k-labels-idx1-ubyte.gz"
    made.source = made.source | {"sha256": made.source["sha256"] | {name: "0" * 64}}
    with pytest.raises(DataError, match=f"{name} .*expected {'0' * 64}"):
        made.prepare()


# -- images that are held out ----------------------------------------------------------------------


def test_images_that_are_held_out_are_judged_and_not_trained_on(sample):
    made, whole = sample(valid=0.1, seed=3), sample()
    assert made.steps_per_epoch == 3600 // 128 and whole.steps_per_epoch == 4000 // 128
    sizes = {split: len(labels) for split, (_, labels) in made.images.items()}
    assert sizes == {"train": 3600, "valid": 400, "test": 1000}
    left, held_out = divided(4000, 0.1)
    for split, indices in (("train", left), ("valid", held_out)):
        wanted = (tensor[indices] for tensor in whole.images["train"])
        assert same(made.images[split], wanted)
    # What is subtracted is the mean of the images that are trained on.
    assert floats(made, "train")[0].mean(0).abs().max() < 1e-5
    trained_on = torch.cat([made.drawn(step)[0] for step in range(made.steps_per_epoch)])
    assert trained_on.max() < 3600 and len(trained_on.unique()) == made.steps_per_epoch * 128


def test_the_metrics_of_images_that_are_held_out_are_theirs(sample):
    made = sample(valid=0.1)
    metrics = made.evaluate()
    images, labels = floats(made, "valid")
    logits = made.model(images)
    assert metrics["valid/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    right = (logits.argmax(1) == labels).float().mean().item()
    assert metrics["valid/accuracy"] == pytest.approx(right, abs=1e-6)
    assert metrics.keys() - sample().evaluate().keys() == {"valid/loss", "valid/accuracy"}


def test_a_batch_fits_into_what_is_left(sample):
    with pytest.raises(ValueError, match=r"task.batch_size=3900: must be at most the 3600 train"):
        sample(valid=0.1, batch_size=3900)


# -- batches that are not whole --------------------------------------------------------------------


def test_without_drop_last_every_image_is_seen_once_in_an_epoch(sample):
    made = sample(drop_last=False)
    assert (made.steps_per_epoch, made.steps, made.eval_every) == (32, 64, 32)
    assert made.smallest_batch == 4000 - 31 * 128
    sizes = [len(made.batch(step)[1]) for step in range(64)]
    assert sizes == [128] * 31 + [32] + [128] * 31 + [32]
    for first in (0, 32):
        seen = torch.cat([made.drawn(step)[0] for step in range(first, first + 32)])
        assert torch.equal(seen.sort().values, torch.arange(4000))


def test_without_drop_last_nothing_changes_where_all_batches_are_whole(sample):
    kept, dropped = (sample(batch_size=100, drop_last=value) for value in (False, True))
    assert kept.steps == dropped.steps == 80
    assert kept.smallest_batch == dropped.smallest_batch == 100
