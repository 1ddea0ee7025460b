"""CIFAR and its sample: bytes on the device, batches that the seed fixes, honest evaluation."""

import functools
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.config import compose
from tasks import Cifar
from tasks.augmentation import normalise
from tasks.cifar import load
from tasks.holding_out import divided
from tasks.sources import DataError

CPU = torch.device("cpu")
META = torch.device("meta")
NAMES = {10: "cifar10_resnet20", 100: "cifar100_resnet18"}


def small(classes):
    """A network that learns in seconds."""
    layers = [nn.Conv2d(3, 24, 6, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 64, 128)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(128, classes))


def settings(classes):
    """Of the task, as conf/ has them."""
    config = compose([f"task={NAMES[classes]}", "data=sample"])["task"]
    return {key: config[key] for key in config if key != "_target_"}


def task(root, classes=10, **changes):
    usual = settings(classes) | {
        "model": functools.partial(small, classes),
        "epochs": 2,
        "seed": 0,
        "device": CPU,
        "root": root,
    }
    return Cifar(**usual | changes)


@pytest.fixture(scope="session")
def sample(images_root):
    return functools.partial(task, images_root)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- the sample ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "train", "test"), [(10, 4000, 1000), (100, 8000, 2000)])
def test_the_sample_has_images_of_all_classes_in_both_splits(sample, classes, train, test):
    splits = sample(classes).images
    for split, count in (("train", train), ("test", test)):
        images, labels = splits[split]
        assert images.shape == (count, 32, 32, 3) and images.dtype == torch.uint8
        assert labels.shape == (count,) and labels.dtype == torch.int64
        assert labels.bincount(minlength=classes).min() > count / classes / 4
    # Colours, and no two images alike.
    assert images.float().std(3).mean() > 5
    assert len({image.numpy().tobytes() for image in splits["train"][0]}) == train


def test_the_sample_is_the_same_wherever_it_is_made(sample):
    """But for the last bit of what another decoder makes of a JPEG file."""
    images, labels = sample().images["train"]
    assert labels[:12].tolist() == [2, 5, 8, 1, 3, 3, 4, 0, 8, 0, 6, 3]
    assert images.float().mean().item() == pytest.approx(102.85, abs=0.2)


@pytest.mark.parametrize(("classes", "epochs", "wanted"), [(10, 2, 0.6), (100, 3, 0.3)])
def test_a_small_network_learns_the_sample(sample, classes, epochs, wanted):
    made = sample(classes, batch_size=50, epochs=epochs, flip=False, crop_padding=0)
    optimizer = torch.optim.Adam(made.model.parameters(), 2e-3)
    for step in range(made.steps):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
    with torch.no_grad():
        assert made.evaluate()["test/accuracy"] > wanted


# -- batches ---------------------------------------------------------------------------------------


def test_a_batch_is_fixed_by_seed_and_step_alone(sample):
    forward, backward = sample(), sample()
    places = [0, 1, 30, 31, 45, 62, 100]
    wanted = {step: forward.batch(step) for step in places}
    for step in reversed(places):
        assert same(backward.batch(step), wanted[step])
    torch.manual_seed(123)
    between = torch.get_rng_state()
    assert same(sample().batch(45), wanted[45])
    assert torch.equal(torch.get_rng_state(), between)
    assert not same(sample(seed=1).batch(45), wanted[45])


def test_a_batch_is_what_was_drawn_cropped_mirrored_and_normalised(sample):
    made = sample(batch_size=100)
    images, labels = made.images["train"]
    found, wanted = made.batch(45)
    assert found.shape == (100, 3, 32, 32) and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    chosen, mirror, top, left = made.drawn(45)
    assert torch.equal(wanted, labels[chosen])
    mean, std = (torch.tensor(made_of)[:, None, None] for made_of in (MEAN, STD))
    for index in range(0, 100, 9):
        image = images[chosen[index]].permute(2, 0, 1)
        image = image.flip(2) if mirror[index] else image
        y, x = top[index], left[index]
        image = F.pad(image, (4, 4, 4, 4))[:, y : y + 32, x : x + 32]
        torch.testing.assert_close(found[index], (image / 255 - mean) / std)


MEAN, STD = (settings(10)[key] for key in ("mean", "std"))


def test_every_window_and_both_mirror_images_are_drawn_equally_often(sample):
    _, mirror, top, left = sample(batch_size=4000).drawn(0)
    for drawn, count in ((mirror, 2), (top, 9), (left, 9)):
        expected = 4000 / count
        assert (drawn.bincount(minlength=count) - expected).abs().max() < 5 * expected**0.5
    # Independently of each other, and anew in each epoch.
    assert torch.corrcoef(torch.stack([mirror, top, left]).float()).triu(1).abs().max() < 0.08
    assert not torch.equal(sample(batch_size=4000).drawn(1)[2], top)


def test_without_augmentation_a_batch_holds_the_images_themselves(sample):
    made = sample(flip=False, crop_padding=0)
    images, labels = made.images["train"]
    [chosen] = made.drawn(3)
    wanted = normalise(images[chosen], made.scale, made.shift), labels[chosen]
    assert same(made.batch(3), wanted)
    # Which images they are is not up to the augmentation.
    assert torch.equal(sample().drawn(3)[0], chosen)


def test_one_kind_of_augmentation_without_the_other(sample):
    assert sample(flip=False).drawn(0)[1].eq(0).all()
    _, mirror, top, left = sample(crop_padding=0).drawn(0)
    assert top.eq(0).all() and left.eq(0).all() and mirror.float().mean() > 0.2
    assert sample(crop_padding=0).batch(0)[0].shape == (128, 3, 32, 32)


def test_an_epoch_sees_every_image_once(sample):
    made = sample(batch_size=1000)
    for epoch in range(2):
        chosen = torch.cat([made.drawn(4 * epoch + i)[0] for i in range(4)])
        assert torch.equal(chosen.sort().values, torch.arange(4000))


def test_micro_batches_keep_their_order_in_memory(sample):
    made = sample()
    pieces = made.split(made.batch(0), 3)
    assert sum(len(piece[0]) for piece, _ in pieces) == 128
    for (images, _), _ in pieces:
        assert images.is_contiguous(memory_format=torch.channels_last)


# -- memory ----------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **kwargs or {})
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return made


def test_all_images_lie_in_memory_as_bytes_and_nowhere_as_floats(sample, monkeypatch):
    monkeypatch.setattr("tasks.cifar.EVAL_BATCH", 100)
    assert {kept.dtype for kept, _ in sample().images.values()} == {torch.uint8}
    with torch.no_grad(), Largest() as largest:
        made = sample(eval_train=True)
        images = made.images["train"][0]
        made.batch(0)
        made.evaluate()
    # One byte a pixel and colour; whatever else is made holds a few hundred images.
    assert images.untyped_storage().nbytes() == 4000 * 32 * 32 * 3
    assert largest.bytes <= images.untyped_storage().nbytes()


def test_a_second_task_shares_the_images_of_the_first(sample):
    assert sample().images["train"][0] is sample(seed=1).images["train"][0]


# -- evaluation ------------------------------------------------------------------------------------


def plain(made, split):
    """Loss and accuracy in one piece."""
    images, labels = made.images[split]
    with torch.no_grad():
        logits = made.model(normalise(images, made.scale, made.shift))
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean()


def test_evaluation_is_the_mean_over_all_test_images(sample):
    made = sample()
    with torch.no_grad():
        found = made.evaluate()
    loss, accuracy = plain(made, "test")
    assert found.keys() == {"test/loss", "test/accuracy"}
    assert found["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert found["test/accuracy"] == pytest.approx(accuracy)


def test_the_training_loss_in_evaluation_mode_sees_no_augmentation_and_leaves_batch_norm(sample):
    def normed():
        return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10), nn.BatchNorm1d(10), nn.Dropout())

    made = sample(model=normed, eval_train=True)
    made.model.train()
    made.loss(made.batch(0))
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    made.model.eval()
    with torch.no_grad():
        found = made.evaluate()
    assert found["train/eval_loss"] == pytest.approx(plain(made, "train")[0], rel=1e-5)
    assert same(made.model.state_dict().values(), before.values())


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 4001}, "task.batch_size=4001: must be at most the 4000 training images"),
        (
            {"model": functools.partial(small, 9)},
            "task.model: gives 9 logits, fewer than the 10 classes of data=sample",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        task(tmp_path, device=META, **changes)


def test_on_the_meta_device_nothing_is_read(tmp_path):
    made = task(tmp_path / "nowhere", device=META, data="full", batch_size=128, epochs=164)
    assert made.steps == 164 * 390
    assert list(tmp_path.iterdir()) == []


# -- the full data sets, tiny ones in their format -------------------------------------------------

TENTH = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
PARTS = {
    10: [f"cifar-10-batches-py/{name}" for name in TENTH],
    100: ["cifar-100-python/train", "cifar-100-python/test"],
}
KEYS = {10: b"labels", 100: b"fine_labels"}
EACH = {10: 10, 100: 100}  # images in a file


def archive(path, contents):
    """A tar.gz of pickles, and of a file that nobody reads."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"readme.html": b"", **contents}.items():
            data = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def full(tmp_path):
    """Makes the task on tiny files of the real format, which a folder serves as a mirror."""
    load.cache_clear()

    def make(classes, drop=(), labels=None, **source):
        draw = np.random.default_rng(0)
        contents = {
            name: {
                b"data": draw.integers(0, 256, size=(EACH[classes], 3072), dtype=np.uint8),
                KEYS[classes]: list(labels or range(classes)),
                b"coarse_labels": [0] * EACH[classes],
                b"filenames": [b"image.png"] * EACH[classes],
            }
            for name in PARTS[classes]
            if name not in drop
        }
        [name] = settings(classes)["sources"]["full"]["sha256"]
        web = tmp_path / "web"
        web.mkdir()
        archive(web / name, contents)
        digest = hashlib.sha256((web / name).read_bytes()).hexdigest()
        usual = {
            "mirrors": [web.as_uri()],
            "sha256": {name: digest},
            "classes": classes,
            "train": EACH[classes] * (len(PARTS[classes]) - 1),
            "test": EACH[classes],
        }
        sources = {"full": usual | source}
        made = task(tmp_path / "data", classes, data="full", sources=sources, batch_size=4)
        return made, list(contents.values())

    yield make
    load.cache_clear()


@pytest.mark.parametrize("classes", [10, 100])
def test_the_archives_are_read_pixel_by_pixel(full, classes):
    made, contents = full(classes)
    *train, test = contents
    for split, parts in (("train", train), ("test", [test])):
        images, labels = made.images[split]
        pixels = np.concatenate([part[b"data"] for part in parts]).reshape(-1, 3, 32, 32)
        assert torch.equal(images.permute(0, 3, 1, 2), torch.from_numpy(pixels))
        assert images.is_contiguous()
        assert labels.tolist() == [label for part in parts for label in part[KEYS[classes]]]


def test_the_archive_is_fetched_ahead_of_time_and_not_unpacked(full, tmp_path):
    made, _ = full(10)
    made.prepare()
    [path] = [path for path in (tmp_path / "data").rglob("*") if path.suffix == ".gz"]
    assert path == tmp_path / "data" / "cifar10" / "cifar-10-python.tar.gz"
    _ = made.images
    assert [p.name for p in path.parent.iterdir() if p.name != ".lock"] == [path.name]


def test_an_archive_that_is_cut_off_is_fetched_again_or_refused(full, tmp_path):
    made, _ = full(10)
    made.prepare()
    path = tmp_path / "data" / "cifar10" / "cifar-10-python.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    made.prepare()
    assert path.read_bytes() == whole
    for copy in (path, tmp_path / "web" / path.name):
        copy.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"python\.tar\.gz cannot be downloaded .*SHA-256 is"):
        made.prepare()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": 11}, r"cifar-10-python.tar.gz: found 50 \+ 10 images, expected 50 \+ 11"),
        ({"labels": [0] * 5 + [1] * 5}, "found 2 classes, expected 10"),
        ({"drop": PARTS[10][-1:]}, "cifar-10-python.tar.gz: holds no file test_batch"),
    ],
)
def test_an_archive_with_other_contents_is_refused(full, changes, message):
    made, _ = full(10, **changes)
    with pytest.raises(DataError, match=message):
        _ = made.images


@pytest.mark.parametrize("classes", [10, 100])
def test_the_full_sources_are_the_original_archives(classes):
    source = settings(classes)["sources"]["full"]
    assert list(source["sha256"]) == [f"cifar-{classes}-python.tar.gz"]
    assert (source["classes"], source["train"], source["test"]) == (classes, 50_000, 10_000)
    assert all(mirror.startswith("https://") for mirror in source["mirrors"])


def test_a_folder_is_named_where_nothing_can_be_written():
    made = task(Path("/dev/null"), data="sample")
    with pytest.raises(DataError, match="cannot write to"):
        made.prepare()


def test_images_that_are_held_out_are_judged_and_not_trained_on(sample):
    made, whole = sample(valid=0.25), sample()
    left, held_out = divided(4000, 0.25)
    assert made.steps_per_epoch == 3000 // made.batch_size
    for split, indices in (("train", left), ("valid", held_out)):
        assert same(made.images[split], (tensor[indices] for tensor in whole.images["train"]))
    assert same(made.images["test"], whole.images["test"])
    images, labels = (torch.cat(parts) for parts in zip(*made.batches("valid"), strict=True))
    made.model.eval()
    right = (made.model(images).argmax(1) == labels).float().mean().item()
    assert made.evaluate()["valid/accuracy"] == pytest.approx(right, abs=1e-6)
