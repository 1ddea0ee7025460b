"""Crops, flips and normalisation of a batch at once, held against a loop over images and pixels."""

import numpy as np
import pytest
import torch

from tasks.augmentation import crop_and_flip, normalise, scale_and_shift

CPU = torch.device("cpu")


def one_by_one(images, padding, mirror, top, left):
    """What the papers' scripts do to an image, with the numbers that were drawn for it."""
    batch = []
    for image, m, y, x in zip(images.numpy(), mirror, top, left, strict=True):
        height, width, _ = image.shape
        framed = np.zeros((height + 2 * padding, width + 2 * padding, 3), np.uint8)
        framed[padding : padding + height, padding : padding + width] = image
        if m:
            framed = framed[:, ::-1]
        batch.append(framed[y : y + height, x : x + width])
    return torch.from_numpy(np.stack(batch))


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_a_batch_is_cropped_and_mirrored_as_one_image_after_the_other(size, padding):
    draw = torch.Generator().manual_seed(padding)
    images = torch.randint(256, (50, *size, 3), generator=draw, dtype=torch.uint8)
    mirror = torch.randint(2, (50,), generator=draw)
    top, left = torch.randint(2 * padding + 1, (2, 50), generator=draw)
    found = crop_and_flip(images, padding, mirror, top, left)
    assert found.dtype == torch.uint8
    assert torch.equal(found, one_by_one(images, padding, mirror, top, left))


def test_the_window_in_the_middle_is_the_image_and_the_ones_at_the_edges_have_a_black_frame():
    image = torch.full((1, 6, 6, 3), 9, dtype=torch.uint8)
    zero, two, four = (torch.tensor([n]) for n in (0, 2, 4))
    assert torch.equal(crop_and_flip(image, 2, zero, two, two), image)
    corner = crop_and_flip(image, 2, zero, zero, four)[0, :, :, 0]
    assert corner.ne(0).tolist() == [[r >= 2 and c < 4 for c in range(6)] for r in range(6)]


MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]


def test_bytes_are_normalised_as_the_papers_scripts_do_it():
    images = torch.arange(256 * 3).remainder(256).to(torch.uint8).view(4, 8, 8, 3)
    found = normalise(images, *scale_and_shift(MEAN, STD, 8, CPU))
    wanted = (
        images.numpy().transpose(0, 3, 1, 2) / 255 - np.reshape(MEAN, (3, 1, 1))
    ) / np.reshape(STD, (3, 1, 1))
    assert found.dtype == torch.float32 and found.shape == (4, 3, 8, 8)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_bytes_themselves_stay_as_they_are():
    images = torch.randint(256, (2, 4, 4, 3), dtype=torch.uint8)
    before = images.clone()
    one = torch.ones(2, dtype=torch.int64)
    normalise(crop_and_flip(images, 1, one, one, one), *scale_and_shift(MEAN, STD, 4, CPU))
    assert torch.equal(images, before)
