"""Batches of words: all sentences once, none too large, little padding, a new order each time."""

import random

import pytest
import torch

from tasks.token_batches import TokenBatches, cut


def lengths_like_iwslt(count=160_239):
    """Right-skewed, a mean of about 25 pieces, both sides alike."""
    draw = random.Random(0)
    source = [max(2, min(175, round(draw.lognormvariate(3.0, 0.65)))) for _ in range(count)]
    target = [max(2, min(175, round(s * draw.uniform(0.75, 1.3)))) for s in source]
    return torch.tensor(source), torch.tensor(target)


@pytest.fixture(scope="module")
def made():
    return TokenBatches(*lengths_like_iwslt(), 4096)


def test_every_sentence_is_in_one_batch(made):
    for batches in (made.sorted(), made.epoch(0, 0), made.epoch(3, 5)):
        assert torch.cat(batches).sort().values.equal(torch.arange(160_239))


def test_no_batch_is_too_large(made):
    source, target = lengths_like_iwslt()
    for chosen in made.epoch(0, 0):
        longest = max(source[chosen].max().item(), target[chosen].max().item())
        assert longest * len(chosen) <= 4096


def test_padding_is_little(made):
    source, target = lengths_like_iwslt()
    for side in (source, target):
        room = sum(len(chosen) * side[chosen].max().item() for chosen in made.epoch(0, 0))
        waste = 1 - side.sum().item() / room
        assert waste < 0.10, f"{waste:.1%} of the words are padding"


def test_batches_are_nearly_full(made):
    source, target = lengths_like_iwslt()
    longer = torch.maximum(source, target)
    filled = [len(chosen) * longer[chosen].max().item() for chosen in made.sorted()]
    assert sum(filled) / len(filled) > 0.9 * 4096


def test_the_order_follows_from_seed_and_epoch_alone(made):
    def same(one, other):
        return all(a.equal(b) for a, b in zip(one, other, strict=True))

    again = TokenBatches(*lengths_like_iwslt(), 4096)
    assert same(made.epoch(1, 2), again.epoch(1, 2))
    assert not same(made.sorted(), made.epoch(0, 0))
    # Equally long sentences meet others in another epoch, in as many batches.
    sets = [
        {frozenset(chosen.tolist()) for chosen in made.epoch(*key)}
        for key in ((0, 0), (0, 1), (1, 0))
    ]
    assert len(sets[0] & sets[1]) < len(made) / 2 and len(sets[0] & sets[2]) < len(made) / 2
    assert [len(made.epoch(0, epoch)) for epoch in range(3)] == [len(made)] * 3


@pytest.mark.parametrize(
    ("lengths", "most", "sizes"),
    [
        ([5], 5, [1]),
        ([2, 2, 2, 3], 6, [3, 1]),
        ([1] * 20, 10, [8, 8, 4]),  # a multiple of 8 where there are so many
        ([1] * 9 + [4], 36, [8, 2]),
        ([4, 1, 1, 1], 8, [2, 2]),  # the longest need not be last
        ([1] * 15 + [9], 36, [8, 7, 1]),  # what a multiple of 8 leaves may be too many as well
    ],
)
def test_where_sentences_are_cut(lengths, most, sizes):
    assert cut(lengths, most) == sizes


def test_a_sentence_that_fits_in_no_batch():
    with pytest.raises(ValueError, match=r"task\.max_tokens=9: must be at least 12, the words of"):
        TokenBatches(torch.tensor([3, 4]), torch.tensor([12, 2]), 9)
