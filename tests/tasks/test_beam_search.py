"""Beam search against all translations that there are, against greedy, and one by one."""

import itertools
from dataclasses import dataclass

import pytest
import torch

from models import Transformer
from tasks.beam_search import beam_search
from tasks.parallel_text import END, PAD

WORDS = 5


@dataclass
class Read:
    """What a `Bigrams` has read: the source of each hypothesis."""

    source: torch.Tensor

    def choose(self, indices):
        return Read(self.source[indices])


class Bigrams:
    """A toy: the logits after a word are a row of a table that the source's first word chooses."""

    def __init__(self, sources=4, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.tables = 2 * torch.randn(sources, WORDS, WORDS, generator=draw)

    def start(self, sources):
        return Read(sources[:, 0])

    def read(self, words, state):
        return self.tables[state.source, words[:, 0]][:, None], state


def every_translation(limit):
    """END, with up to `limit` words before it, and not alone."""
    others = [word for word in range(WORDS) if word not in (PAD, END)]
    for length in range(1, limit + 1):
        yield from ([*words, END] for words in itertools.product(others, repeat=length))


def score(model, source, words, length_penalty):
    before = [END, *words[:-1]]
    chances = model.tables[source].log_softmax(-1)
    return chances[before, words].sum() / len(words) ** length_penalty


LIMIT = 4


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_best_of_all(seed, length_penalty):
    model = Bigrams(seed=seed)
    sources = torch.arange(4)[:, None]
    beam = 3 ** (LIMIT + 1)  # as many as there are, so that none is lost
    limits = torch.full((4,), LIMIT)
    found, scores = beam_search(model, sources, limits, beam, length_penalty)
    for source, line in enumerate(found.tolist()):
        translations = list(every_translation(LIMIT))
        best = max(score(model, source, words, length_penalty) for words in translations)
        torch.testing.assert_close(scores[source], best)
        # Of two that have the same pairs of words in another order, rounding decides.
        end = line.index(END) + 1
        assert line[:end] in translations and set(line[end:]) <= {PAD}
        torch.testing.assert_close(score(model, source, line[:end], length_penalty), best)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed):
    model = Bigrams(seed=seed)
    found, _ = beam_search(model, torch.arange(4)[:, None], torch.full((4,), 9), 1, 1.0)
    for source in range(4):
        words = []
        while not words or words[-1] != END:
            logits = model.tables[source, words[-1] if words else END].clone()
            logits[PAD] = -torch.inf
            if not words:
                logits[END] = -torch.inf
            words.append(END if len(words) == 9 else int(logits.argmax()))
        assert found[source, : len(words)].tolist() == words


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(1)
    return Transformer(
        source_words=12,
        target_words=9,
        width=16,
        layers=2,
        heads=2,
        feedforward=16,
        dropout=0.5,
        shared=False,
    ).eval()


@torch.no_grad()
@pytest.mark.parametrize("beam", [1, 4])
def test_together_as_one_by_one(transformer, beam):
    draw = torch.Generator().manual_seed(0)
    lengths = torch.tensor([3, 7, 5, 1, 7])
    sources = torch.randint(3, 12, (5, 7), generator=draw)
    sources = sources.where(torch.arange(7) < lengths[:, None], PAD)
    limits = lengths + 2
    found, scores = beam_search(transformer, sources, limits, beam, 1.0)
    for row, length in enumerate(lengths.tolist()):
        alone, its = beam_search(
            transformer, sources[row : row + 1, :length], limits[row : row + 1], beam, 1.0
        )
        width = alone.shape[1]
        assert found[row, :width].equal(alone[0]) and (found[row, width:] == PAD).all()
        torch.testing.assert_close(scores[row], its[0])


@torch.no_grad()
def test_the_score_is_that_of_reading_it_all(transformer):
    sources = torch.tensor([[3, 4, 5]])
    found, scores = beam_search(transformer, sources, torch.tensor([6]), 3, 1.0)
    words = found[0, : found[0].tolist().index(END) + 1]
    before = torch.cat([torch.tensor([END]), words[:-1]])
    chances = transformer(sources, before[None])[0].log_softmax(-1)
    expected = chances[torch.arange(len(words)), words].sum() / len(words)
    torch.testing.assert_close(scores[0], expected)


def test_every_translation_ends_within_its_limit_and_is_not_empty():
    model = Bigrams()
    model.tables[:, :, END] = -9.0
    limits = torch.tensor([1, 2, 5, 7])
    found, _ = beam_search(model, torch.arange(4)[:, None], limits, 2, 1.0)
    assert [line.index(END) for line in found.tolist()] == limits.tolist()
    model.tables[:, :, END] = 9.0
    found, _ = beam_search(model, torch.arange(4)[:, None], limits, 2, 1.0)
    assert [line.index(END) for line in found.tolist()] == [1, 1, 1, 1]
    assert not (found == PAD).all(1).any()
