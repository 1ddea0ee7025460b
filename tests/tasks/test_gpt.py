"""Windows of a row of tokens, each once in an epoch, and where rows come from."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import pinned

from models import GPT
from tasks import Gpt, token_rows
from tasks.corpus import learn_tokenizer
from tasks.sources import DataError, offline
from tasks.token_rows import documents_of, kept_row, make_row

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/gpt.yaml").read_text())
CPU = torch.device("cpu")


@pytest.fixture
def tiny(sample_root):
    """Makes the task on the sample with a tiny network."""

    def make(**changes):
        sizes = {"sizes": {"layers": 1, "heads": 2, "width": 8}}
        settings = {
            "model": GPT,
            "context": 16,
            "data": "sample",
            "sources": {"sample": SOURCES["sample"] | sizes},
            "batch_size": 4,
            "steps": 30,
            "eval_every": 10,
            "eval_tokens": 1000,
            "seed": 0,
            "device": CPU,
            "root": sample_root,
        }
        return Gpt(**settings | changes)

    return make


def test_documents_are_in_one_part_each():
    documents = [str(number) for number in range(45)]
    parts = {part: list(documents_of(documents, part)) for part in ("train", "valid", "test")}
    assert parts["valid"] == ["0", "20", "40"] and parts["test"] == ["1", "21", "41"]
    assert sorted([*parts["train"], *parts["valid"], *parts["test"]]) == sorted(documents)


def test_a_row_has_an_end_behind_every_document():
    tokenizer = learn_tokenizer(["a b c", "b c d"] * 5, 270)
    row = make_row(["a b", "c d"], tokenizer, "</s>", most=100)
    assert row.dtype == np.uint16
    assert tokenizer.decode(row.tolist(), skip_special_tokens=False) == "a b</s>c d</s>"
    assert make_row(["a b", "c d"], tokenizer, "</s>", most=3).tolist() == row[:3].tolist()
    assert len(make_row([], tokenizer, "</s>", most=3)) == 0


def test_an_epoch_takes_every_window_once_and_targets_are_the_next_tokens(tiny):
    made = tiny()
    row = made.rows["train"]
    assert len(row) == 30 * 4 * 16 + 1 and made.steps_per_epoch == 30
    seen = []
    for step in range(30):
        tokens, targets = made.batch(step)
        assert tokens.shape == targets.shape == (4, 16) and tokens.dtype == torch.int64
        assert torch.equal(tokens[:, 1:], targets[:, :-1])
        seen += targets.tolist()
    windows = [row[first + 1 : first + 17].tolist() for first in range(0, 30 * 4 * 16, 16)]
    assert sorted(seen) == sorted(windows) and seen != windows


def test_batches_are_fixed_by_seed_and_step_alone(tiny):
    forward, backward = tiny(), tiny()
    batches = {step: forward.batch(step)[0] for step in (0, 3, 31)}
    for step in reversed(batches):
        assert torch.equal(backward.batch(step)[0], batches[step])
    assert not torch.equal(tiny(seed=1).batch(0)[0], batches[0])


def test_losses_are_means_over_all_tokens_of_whole_windows(tiny, monkeypatch):
    made = tiny()
    with torch.no_grad():
        found = made.evaluate()
        row = torch.from_numpy(made.rows["test"].astype(np.int64))
        losses = [
            F.cross_entropy(made.model(row[None, i : i + 16])[0], row[i + 1 : i + 17])
            for i in range(0, 62 * 16, 16)
        ]
        assert len(row) == 1001
        assert found["test/loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
        assert found["test/perplexity"] == pytest.approx(np.exp(found["test/loss"]))
        monkeypatch.setattr("tasks.gpt.EVAL_TOKENS", 5 * 16)
        assert made.evaluate() == pytest.approx(found, rel=1e-5)
    assert found.keys() == {"valid/loss", "valid/perplexity", "test/loss", "test/perplexity"}
    assert found["valid/loss"] != found["test/loss"]


def test_micro_batches_weigh_as_much_as_their_windows(tiny):
    made = tiny()
    batch = made.batch(0)
    parts = made.split(batch, 3)
    whole = sum(weight * made.loss(part) for part, weight in parts)
    torch.testing.assert_close(whole, made.loss(batch))


def test_it_learns(tiny):
    made = tiny(steps=60, batch_size=16)
    optimizer = torch.optim.AdamW(made.model.parameters(), 1e-2)
    for step in range(60):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
    with torch.no_grad():
        assert made.evaluate()["test/loss"] < 6.5  # of 6.93, ln 1,024


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 10**6}, r"task.batch_size=1000000: must be at most \d+, the windows of 16"),
        ({"context": 2000}, "task.context=2000: the text to validate .* task.eval_tokens=1000"),
    ],
)
def test_what_the_text_has_not_is_refused(tiny, changes, said):
    with pytest.raises(DataError, match=said):
        tiny(**changes).prepare()


def test_a_vocabulary_that_the_text_has_not_is_refused(tiny):
    sources = {
        "sample": SOURCES["sample"] | {"words": 100, "sizes": {"layers": 1, "heads": 1, "width": 4}}
    }
    with pytest.raises(DataError, match=r"task.sources.sample.words=100: the tokenizer learned"):
        tiny(sources=sources).prepare()


# -- the full data set's rows ----------------------------------------------------------------------


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A source in the form of the full one, and how often its documents were read."""
    documents = [f"the number {number} is no word" for number in range(100)]
    made = tmp_path / "mirror" / "tokenizer.json"
    made.parent.mkdir()
    learn_tokenizer(documents, 270).save(str(made))
    source = pinned(made) | {
        "dataset": "a/b",
        "config": "sample-1",
        "revision": "0123456789abcdef",
        "tokens": 270,
        "words": 272,
        "end": "</s>",
        "sizes": {"layers": 1, "heads": 2, "width": 8},
    }
    reads = []

    def read(source, folder):
        reads.append(source["dataset"])
        return iter(documents)

    monkeypatch.setattr(token_rows, "read_dataset", read)
    return source, reads


def test_rows_are_made_once_and_longer_ones_serve(full, tmp_path):
    source, reads = full
    folder = tmp_path / "gpt"
    row = kept_row(source, folder, "train", 200)
    assert len(row) == 200 and len(reads) == 1
    [path] = folder.glob("*.bin")
    digest = source["sha256"]["tokenizer.json"][:8]
    assert path.name == f"train-sample-1-0123456789ab-{digest}-200.bin"
    assert path.stat().st_size == 2 * 200
    for most in (200, 50):
        assert kept_row(source, folder, "train", most).tolist() == row[:most].tolist()
    assert len(reads) == 1
    longer = kept_row(source, folder, "train", 300)
    assert longer[:200].tolist() == row.tolist() and len(reads) == 2
    assert kept_row(source, folder, "valid", 20).tolist() != row[:20].tolist()


def test_the_task_trains_on_kept_rows(full, tiny, tmp_path):
    source, _ = full
    made = tiny(data="full", sources={"full": source}, root=tmp_path, eval_tokens=64, steps=5)
    made.prepare()
    assert len(made.rows["train"]) == 5 * 4 * 16 + 1
    assert made.loss(made.batch(0)).item() == pytest.approx(np.log(272), rel=0.01)


def test_nothing_is_made_offline(full, tmp_path):
    with offline(), pytest.raises(DataError, match=r"gpt: is not there, or not whole"):
        kept_row(full[0], tmp_path / "gpt", "train", 20)


def test_another_models_tokenizer_is_refused(full, tmp_path):
    source = full[0] | {"tokens": 50257}
    with pytest.raises(DataError, match="the tokenizer knows 270 tokens, and the model's"):
        kept_row(source, tmp_path / "gpt", "train", 20)
