"""ImageNet's path: photographs from disk, read by other processes, the same for every reader."""

import functools
import gc
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from engine.config import compose
from models.torchvision_import import torchvision
from tasks import ImageNet
from tasks.holding_out import divided
from tasks.imagenet import list_photographs, make_sample
from tasks.sources import DataError

CPU = torch.device("cpu")
META = torch.device("meta")
SETTINGS = compose(["task=imagenet_resnet18", "data=sample"])["task"]
MEAN, STD = (torch.tensor(SETTINGS[key])[:, None, None] for key in ("mean", "std"))
TRAIN, TEST = 23, 7


def small():
    """The mean colour and a linear layer: a network for images of any size."""
    layers = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 16), nn.BatchNorm1d(16)
    return nn.Sequential(*layers, nn.Dropout(), nn.Linear(16, 10))


def task(root, **changes):
    usual = {key: value for key, value in SETTINGS.items() if key != "_target_"}
    usual |= {"model": small, "epochs": 2, "seed": 0, "device": CPU, "root": root}
    return ImageNet(**usual | changes)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Photographs of several shapes in ImageNet's layout: three classes, 23 and 7 files."""
    root = tmp_path_factory.mktemp("full")
    draw = np.random.default_rng(0)
    for name, count in (("train", TRAIN), ("val", TEST)):
        for number in range(count):
            folder = root / "imagenet" / name / f"n{number % 3:08}"
            folder.mkdir(parents=True, exist_ok=True)
            shape = (draw.integers(40, 90), draw.integers(40, 90), 3)
            # Smooth, so that JPEG keeps it nearly as it is; and one is grey.
            coarse = Image.fromarray(draw.integers(0, 256, size=(4, 4, 3), dtype=np.uint8))
            larger = coarse.resize(shape[1::-1], Image.Resampling.BICUBIC)
            (larger.convert("L") if number == 1 else larger).save(folder / f"{number}.JPEG")
    return root


@pytest.fixture
def full(photographs):
    def make(root=photographs, **source):
        found = {"size": 32, "classes": 3, "train": TRAIN, "test": TEST} | source
        sources = {"full": found, "sample": SETTINGS["sources"]["sample"]}
        return functools.partial(task, root, data="full", sources=sources, batch_size=5)

    list_photographs.cache_clear()
    return make


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- batches ---------------------------------------------------------------------------------------


def test_a_batch_is_fixed_by_seed_and_step_alone_however_many_read_it(full, monkeypatch):
    make = full()
    forward = make()
    wanted = [forward.batch(step) for step in range(9)]
    for readers in (1, 2):
        monkeypatch.setattr("tasks.imagenet.cores", lambda readers=readers: readers)
        made = make()
        # Forward from the middle of an epoch of four steps, as a resumed run goes, and back.
        for step in (6, 7, 8, 2):
            assert same(made.batch(step), wanted[step])
    assert not same(make(seed=1).batch(2), wanted[2])


def test_a_batch_is_made_of_normalised_windows_in_channels_last_order(full):
    images, labels = full()().batch(0)
    assert images.shape == (5, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    levels = (images * STD + MEAN) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert labels.dtype == torch.int64


def test_an_epoch_reads_every_photograph_once_but_for_the_last_incomplete_batch(full):
    made = full()()
    for epoch in range(2):
        numbers = [n for step in range(4) for n, _ in made.requests(4 * epoch + step)]
        assert len(set(numbers)) == 20
    firsts = [made.requests(4 * epoch)[0] for epoch in range(3)]
    assert len({seed for _, seed in firsts}) == 3


def test_windows_and_mirror_images_vary_from_seed_to_seed_alone(full):
    read = full()().photographs["train"]
    images = [read[3, seed][0] for seed in (0, 0, 1)]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])
    assert read[3, 0][1] == read[3, None][1]


def test_reading_draws_nothing_from_the_generator_of_dropout(full):
    made = full()()
    before = torch.get_rng_state()
    made.batch(0)
    _ = [labels for _, labels in made.batches("test")]
    assert torch.equal(torch.get_rng_state(), before)


def test_readers_that_were_not_forked_need_not_import_torchvision_to_begin(full):
    assert b"torchvision" not in pickle.dumps(full()().photographs["train"])


def test_labels_are_those_of_the_folders(full):
    read = full()().photographs["train"]
    for number in range(TRAIN):
        folder = Path(os.fsdecode(read.paths[number])).parent.name
        assert read[number, None][1] == int(folder[1:])


# -- evaluation ------------------------------------------------------------------------------------


def test_test_images_are_the_middle_of_the_photograph(full):
    read = full()().photographs["test"]
    path = os.fsdecode(read.paths[2])
    image = Image.open(path)
    side = min(image.size)
    scale = side / (32 * 256 // 224)
    left, top = ((edge - 32 * scale) / 2 for edge in image.size)
    wanted = image.resize((32, 32), box=(left, top, left + 32 * scale, top + 32 * scale))
    found, middle, whole = (
        torch.from_numpy(np.array(made)).float()
        for made in (read[2, None][0].numpy(), wanted, image.resize((32, 32)))
    )
    # Sizes are rounded to whole pixels in between.
    assert (found - middle).abs().mean() < 5 < (found - whole).abs().mean()


def test_evaluation_is_over_all_images_and_counts_the_likeliest_five(full, monkeypatch):
    monkeypatch.setattr("tasks.imagenet.EVAL_BATCH", 3)
    made = full()(eval_train=True)
    made.model.eval()
    with torch.no_grad():
        found = made.evaluate()
        both = {}
        for split, count in (("test", TEST), ("train", TRAIN)):
            read = made.photographs[split]
            images, labels = zip(*(read[number, None] for number in range(count)), strict=True)
            levels = torch.stack(images).permute(0, 3, 1, 2) / 255
            both[split] = made.model((levels - MEAN) / STD), torch.tensor(labels)
    logits, labels = both["test"]
    wanted = nn.functional.cross_entropy(logits, labels).item()
    assert found["test/loss"] == pytest.approx(wanted, rel=1e-5)
    assert found["test/accuracy"] == (logits.argmax(1) == labels).float().mean()
    five = [label in row.topk(5).indices for row, label in zip(logits, labels, strict=True)]
    assert found["test/top5_accuracy"] == pytest.approx(sum(five) / TEST)
    wanted = nn.functional.cross_entropy(*both["train"]).item()
    assert found["train/eval_loss"] == pytest.approx(wanted, rel=1e-5)


# -- the sample ------------------------------------------------------------------------------------


def test_the_sample_is_written_once_as_a_folder_for_each_class(images_root):
    made = task(images_root)
    made.prepare()
    folder = images_root / "imagenet_sample"
    assert sorted(path.name for path in (folder / "train").iterdir()) == list("0123456789")
    assert [len(made.photographs[split]) for split in ("train", "test")] == [2000, 500]
    image = Image.open(next((folder / "val" / "7").iterdir()))
    assert image.size == (64, 64) and image.format == "JPEG"
    written = (folder / "train").stat().st_mtime_ns
    task(images_root).prepare()
    assert (folder / "train").stat().st_mtime_ns == written


def test_a_process_that_comes_second_leaves_the_sample_of_the_first(images_root, tmp_path):
    (tmp_path / "mnist_m").symlink_to(images_root / "mnist_m")
    source = SETTINGS["sources"]["sample"] | {"train": 30, "test": 20}
    for _ in range(2):
        make_sample(source, tmp_path, tmp_path / "imagenet_sample")
    assert len(list((tmp_path / "imagenet_sample").rglob("*.jpg"))) == 50
    assert {path.name for path in tmp_path.iterdir()} == {"mnist_m", "imagenet_sample"}


@pytest.mark.slow
def test_the_sample_is_learnt_by_a_small_network(images_root):
    def net():
        layers = [nn.AvgPool2d(2), nn.Conv2d(3, 24, 6, 4, 1), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(24 * 64, 128), nn.ReLU(), nn.Linear(128, 10))

    made = task(images_root, model=net, batch_size=50)
    optimizer = torch.optim.Adam(made.model.parameters(), 2e-3)
    for batch in map(made.batch, range(3 * made.steps_per_epoch)):
        optimizer.zero_grad()
        made.loss(batch).backward()
        optimizer.step()
    with torch.no_grad():
        found = made.evaluate()
    assert found["test/accuracy"] > 0.2 and found["test/top5_accuracy"] > 0.6


# -- what is refused -------------------------------------------------------------------------------


def test_without_photographs_it_says_what_must_lie_where(full, tmp_path):
    with pytest.raises(DataError) as caught:
        full(tmp_path)().prepare()
    for part in (f"{tmp_path}/imagenet must hold train/ and val/", "ILSVRC2012_img_val.tar"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"classes": 4}, r"train: found 23 photographs in 3 classes, expected 23 in 4"),
        ({"test": 8}, r"val: found 7 photographs in 3 classes, expected 8 in 3"),
    ],
)
def test_other_numbers_of_classes_or_photographs_are_refused(full, source, message):
    with pytest.raises(DataError, match=message):
        full(**source)().prepare()


def test_a_class_without_photographs_is_refused(full, tmp_path):
    for name in ("train", "val"):
        (tmp_path / "imagenet" / name / "n0").mkdir(parents=True)
    with pytest.raises(DataError, match=r"imagenet/train: .*n0"):
        full(tmp_path)().prepare()


def test_a_photograph_that_is_cut_off_is_named(full, tmp_path):
    for name, count in (("train", 1), ("val", 1)):
        folder = tmp_path / "imagenet" / name / "n0"
        folder.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(folder / "0.JPEG")
        path = folder / "0.JPEG"
        path.write_bytes(path.read_bytes()[: -300 * count])
    made = full(tmp_path, classes=1, train=1, test=1)(batch_size=1)
    with pytest.raises(DataError, match=r"train/n0/0\.JPEG: cannot be read"):
        made.batch(0)


def test_archives_are_unpacked_by_torchvision_or_the_reason_is_told(full, tmp_path, monkeypatch):
    asked = []
    folder = tmp_path / "imagenet"
    folder.mkdir()
    names = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
    for name in names:
        (folder / name).write_bytes(b"")

    def unpacked(root, split):
        asked.append(split)
        (root / split / "n0").mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(root / split / "n0" / "0.JPEG")

    make = full(tmp_path, classes=1, train=1, test=1)
    with pytest.raises(DataError, match="the archives cannot be unpacked"):
        make(batch_size=1).prepare()
    monkeypatch.setattr(torchvision().datasets, "ImageNet", unpacked)
    made = make(batch_size=1)
    made.prepare()
    made.prepare()
    assert asked == ["train", "val"]
    assert made.batch(0)[0].shape == (1, 3, 32, 32)


def test_on_the_meta_device_nothing_is_read(tmp_path):
    usual = {"device": META, "data": "full", "epochs": 100, "batch_size": 256}
    made = task(tmp_path / "nowhere", model=lambda: nn.Linear(1, 1000), **usual)
    assert made.steps == 100 * (1_281_167 // 256)
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_is_dropped_takes_its_reading_processes_along(full):
    # Those of other tests may live for minutes, as joblib's do.
    others = set(multiprocessing.active_children())
    made = full()()
    made.batch(0)
    readers = set(multiprocessing.active_children()) - others
    assert readers
    gc.disable()
    del made
    while any(reader.is_alive() for reader in readers):  # a busy machine takes its time
        time.sleep(0.01)
    gc.enable()


def test_photographs_that_are_held_out_are_judged_and_not_trained_on(full):
    made, whole = full()(valid=0.3), full()()
    left, held_out = divided(TRAIN, 0.3)
    for split, indices in (("train", left), ("valid", held_out)):
        wanted = whole.photographs["train"].paths[indices.numpy()]
        assert made.photographs[split].paths.tolist() == wanted.tolist()
    assert len(made.photographs["test"]) == TEST
    labels = torch.cat([labels for _, labels in made.batches("valid")])
    assert labels.tolist() == whole.photographs["train"].labels[held_out.numpy()].tolist()
    assert {index for index, _ in made.requests(0)} <= set(range(TRAIN - len(held_out)))
    assert made.evaluate().keys() >= {"valid/loss", "valid/accuracy", "test/top5_accuracy"}
