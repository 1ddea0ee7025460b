"""Masked words: whole ones, as often as asked, fixed by seed and step; blocks of full lines."""

import tracemalloc
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from models import MaskedLM
from tasks import RobertaPretrain
from tasks.corpus import END, MASK, START, learn_tokenizer, make_blocks, read_files
from tasks.roberta_pretrain import Batch
from tasks.sources import DataError

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/roberta_pretrain.yaml").read_text())
CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def tiny(text_files, tiny_sizes, tmp_path):
    """Makes the task on a small text file."""

    def make(words=270, **changes):
        settings = {
            "model": partial(MaskedLM),
            "mask_probability": 0.15,
            "max_tokens": 32,
            "valid_blocks": 8,
            "files": text_files,
            "data": "sample",
            "sources": {"sample": {"words": words, "sizes": tiny_sizes}},
            "batch_size": 8,
            "steps": 14,
            "eval_every": 7,
            "seed": 0,
            "device": CPU,
            "root": tmp_path,
        }
        return RobertaPretrain(**settings | changes)

    return make


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def where_targets_are(batch):
    is_target = torch.zeros(batch.tokens.numel(), dtype=torch.bool)
    is_target[batch.positions] = True
    return is_target.view_as(batch.tokens)


def test_blocks_hold_full_lines_and_lose_none(tiny):
    tokenizer = tiny().tokenizer
    documents = ["the film was seen\nby nobody", "at all", "the film " * 40, "seen"]
    blocks = make_blocks(documents, tokenizer, 32, 100)
    texts = []
    for tokens in blocks.tokens.split(blocks.lengths.tolist()):
        assert len(tokens) <= 32
        assert tokens[0] == tokenizer.token_to_id(START)
        assert tokens[-1] == tokenizer.token_to_id(END)
        texts.append(tokenizer.decode(tokens.tolist()))
    assert texts[0] == "the film was seenby nobodyat all"
    assert "".join(texts) == "".join(documents).replace("\n", "")
    assert len(make_blocks(documents, tokenizer, 32, 2).lengths) == 2


def test_masks_are_fixed_by_seed_and_step_alone(tiny):
    forward, backward = tiny(), tiny()
    batches = {step: forward.batch(step) for step in (0, 1, 20)}
    for step in reversed(batches):
        assert same(backward.batch(step), batches[step])
    assert not same(tiny(seed=1).batch(0)[:1], batches[0][:1])
    # The same blocks are masked otherwise in another step.
    chosen = torch.arange(8)
    assert not same(
        forward.masked(forward.blocks["train"], chosen, 1)[:1],
        forward.masked(forward.blocks["train"], chosen, 2)[:1],
    )


def test_whole_words_are_masked_as_often_as_asked(tiny):
    made = tiny(steps=40)
    blocks = made.blocks["train"]
    chosen = torch.arange(len(blocks.lengths))
    plain, begins, lengths = blocks.padded(chosen, 1)
    word = begins.flatten().cumsum(0).view_as(plain)
    targets, kept, masked, other, words = 0, 0, 0, 0, 0
    for seed in range(30):
        batch = made.masked(blocks, chosen, seed)
        tokens, is_target = batch.tokens, where_targets_are(batch)
        assert torch.equal(batch.targets, plain[is_target])
        assert torch.equal(tokens[~is_target], plain[~is_target])
        assert torch.equal(batch.counts, is_target.sum(1))
        # A word is a target as a whole, or not at all; special tokens never are.
        assert set(word[is_target].tolist()).isdisjoint(word[~is_target].tolist())
        assert (plain[is_target] > 4).all() and not (
            is_target & (torch.arange(plain.size(1)) >= lengths[:, None])
        ).any()
        targets += int(is_target.sum())
        words += int((plain > 4).sum())
        masked += int((tokens[is_target] == made.tokenizer.token_to_id(MASK)).sum())
        kept += int((tokens[is_target] == plain[is_target]).sum())
    other = targets - masked - kept
    assert targets / words == pytest.approx(0.15, abs=0.02)
    assert masked / targets == pytest.approx(0.8, abs=0.03)
    assert kept / targets == pytest.approx(0.1, abs=0.03)
    assert other / targets == pytest.approx(0.1, abs=0.03)


def test_other_tokens_are_any_but_special_ones(tiny):
    """RoBERTa's <mask> is its last token, and number 4 a word."""
    made = tiny(mask_probability=0.9)
    words = made.tokenizer.get_vocab()
    places = {END: 2, MASK: 269, made.tokenizer.id_to_token(269): 4}

    class Roberta:
        def token_to_id(self, token):
            return places.get(token, words[token])

    blocks, chosen = made.blocks["train"], torch.arange(8)
    made.tokenizer = Roberta()
    plain = blocks.padded(chosen, 1)[0]
    seen = set()
    for seed in range(200):
        tokens = made.masked(blocks, chosen, seed).tokens
        seen |= set(tokens[(tokens != plain) & (tokens != 269)].tolist())
    assert seen == set(range(4, 269))


def test_blocks_of_a_long_text_need_few_bytes_a_token(tiny):
    """Wikipedia's are more than a billion; in a list of numbers, each takes 8 to 40."""
    tokenizer = tiny().tokenizer
    text = "\n".join(["the film was seen by nobody at all"] * 20_000)
    tracemalloc.start()
    blocks = make_blocks([text], tokenizer, 32, 10**6)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 18 * len(blocks.tokens)


@torch.no_grad
def test_padding_changes_no_logits(tiny):
    made = tiny()
    made.model.eval()
    tokens, lengths, positions, *_ = made.batch(0)
    inside = torch.arange(tokens.size(1)) < lengths[:, None]
    noise = torch.randint(5, 200, tokens.shape)
    logits = made.model(tokens, lengths, positions)
    assert logits.shape == (len(positions), 270)
    assert torch.equal(made.model(tokens.where(inside, noise), lengths, positions), logits)


def test_micro_batches_weigh_by_the_words_to_find(tiny):
    made = tiny()
    batch = made.batch(0)
    for parts in (3, 8):
        micro_batches = made.split(batch, parts)
        together = sum(made.loss(micro_batch) * weight for micro_batch, weight in micro_batches)
        assert sum(weight for _, weight in micro_batches) == pytest.approx(1)
        assert together.item() == pytest.approx(made.loss(batch).item(), rel=1e-5)
    none = batch.positions[:0]
    assert made.loss(Batch(batch.tokens, batch.lengths, none, none, batch.counts * 0)) == 0


@torch.no_grad
def test_evaluation_is_the_same_whatever_the_seed(tiny):
    made, other = tiny(), tiny(seed=1)
    other.model.load_state_dict(made.model.state_dict())
    found = made.evaluate()
    assert found == other.evaluate()
    assert found["valid/perplexity"] == pytest.approx(
        torch.tensor(found["valid/loss"]).exp().item()
    )


def test_it_learns(tiny):
    made = tiny()
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-2)
    losses = []
    for step in range(60):
        optimizer.zero_grad()
        loss = made.loss(made.batch(step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < losses[0] - 2


def test_full_is_of_bert_bases_size(tiny):
    sources = {"full": SOURCES["full"]}
    made = tiny(sources=sources, data="full", device=META, max_tokens=512, files=None)
    assert sum(p.numel() for p in made.model.parameters()) == 124_697_433
    assert SOURCES["full"]["words"] == 50_265


# -- what is refused -------------------------------------------------------------------------------


def test_settings_that_cannot_be_are_refused(tiny):
    with pytest.raises(ValueError, match=r"task\.max_tokens=33: must be at most 32, the positions"):
        tiny(max_tokens=33)
    with pytest.raises(ValueError, match=r"task\.max_tokens=2: must be at least 3, for a token"):
        tiny(max_tokens=2)


def test_a_text_shorter_than_a_batch_is_refused(tiny, tmp_path):
    (tmp_path / "short.txt").write_text("the film was seen by nobody\n\nat all\n")
    made = tiny(files=[tmp_path / "short.txt"], words=262)
    with pytest.raises(DataError, match=r"task\.batch_size=8: must be at most 1, the blocks of up"):
        made.batch(0)


def test_files_without_text_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n\n")
    with pytest.raises(DataError, match=r"empty\.txt: there is no text in it"):
        read_files([tmp_path / "empty.txt"])
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        read_files([tmp_path / "none.txt"])
    (tmp_path / "one.txt").write_text("the film\nwas seen\n\n")
    with pytest.raises(DataError, match=r"one\.txt is one document, .* an empty line ends a docu"):
        read_files([tmp_path / "one.txt"])
    assert len(read_files([tmp_path / "one.txt"] * 2)) == 2


def test_more_tokens_than_the_text_gives_are_refused(tiny):
    for words in (5000, 260):
        with pytest.raises(DataError, match=rf"words={words}: the tokenizer learned on the text"):
            tiny(words=words).batch(0)
    assert learn_tokenizer(["a b"], 1).get_vocab_size() == 261


def test_a_data_set_that_is_not_there_is_refused_offline(tiny, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    source = SOURCES["full"]
    made = tiny(sources={"full": source}, data="full", device=META, files=None)
    with pytest.raises(DataError, match=r"data=full: wikimedia/wikipedia .* use data=sample"):
        made.documents()
