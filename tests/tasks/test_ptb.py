"""Language modelling: the text as it is, a state that is carried on, and an honest perplexity."""

import functools
import hashlib
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml

from models import AWDLSTM, LSTMLanguageModel
from tasks import Ptb, ptb
from tasks.ptb import load, mean_loss
from tasks.sources import DataError
from tasks.windows import RandomWindows

ROOT = Path(__file__).parents[2]
SOURCES = yaml.safe_load((ROOT / "conf/task/sources/ptb.yaml").read_text())
CPU = torch.device("cpu")
META = torch.device("meta")

AWD = functools.partial(
    AWDLSTM,
    embedding=4,
    units=6,
    embedding_bound=0.1,
    word_dropout=0.1,
    input_dropout=0.4,
    between_dropout=0.25,
    output_dropout=0.4,
    weight_dropout=0.5,
)


def task(root, **changes):
    settings = {
        "model": functools.partial(LSTMLanguageModel, units=6),
        "layers": 2,
        "data": "sample",
        "sources": SOURCES,
        "epochs": 3,
        "batch_size": 4,
        "bptt": 7,
        "random_lengths": False,
        "activation_penalty": 0.0,
        "change_penalty": 0.0,
        "steps": None,
        "eval_every": None,
        "eval_train": False,
        "eval_words": None,
        "seed": 0,
        "device": CPU,
        "root": root,
    }
    return Ptb(**settings | changes)


@pytest.fixture
def tiny(penn_treebank, tmp_path):
    """Makes the task on tiny files in the format of Mikolov's: 1,000 + 300 + 400 words."""

    def make(source=None, **changes):
        sources = {"full": penn_treebank | (source or {})}
        return task(tmp_path / "data", **{"data": "full", "sources": sources} | changes)

    load.cache_clear()
    return make


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def copy(state):
    return tuple(tensor.clone() for tensor in state)


def close(a, b):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y)


# -- the sample ------------------------------------------------------------------------------------


def test_the_sample_is_two_thirds_of_a_million_words_of_news(sample_root):
    texts = task(sample_root).texts
    assert {part: len(text) for part, text in texts.items()} == {
        "train": 670_174,
        "valid": 66_490,
        "test": 59_752,
    }
    # Mikolov's vocabulary has 10,000 words too, <unk>, N and <eos> among them.
    seen = [set(text.unique().tolist()) for text in texts.values()]
    assert seen[0] == set(range(10_000))
    assert seen[1] < seen[0] and seen[2] < seen[0]
    # Numbers are ranks, so the training text has ever fewer of the later ones.
    counts = texts["train"].bincount()
    assert (counts.diff() <= 0).all()
    # All three lie in one tensor.
    assert len({text.untyped_storage().data_ptr() for text in texts.values()}) == 1


@pytest.fixture(scope="session")
def news(sample_root):
    """The words of the sample: train, valid, test."""
    [wheel] = (sample_root / "ptb").glob("*.whl")
    return ptb.read_sample(wheel, 10_000)


def test_rare_words_numbers_and_sentences_of_the_sample(news):
    assert len(set(news[0])) == 10_000
    for text in news:
        assert text[-1] == "<eos>"
        assert 0.03 < text.count("<unk>") / len(text) < 0.07
        assert 0.01 < text.count("N") / len(text) < 0.03
        assert all(word.islower() for word in set(text) - {"N", "$", "£", "%", "&"})


def test_no_long_sentence_is_in_two_parts(news):
    sentences = []
    for text in news:
        lines = " ".join(text).split(" <eos>")
        sentences.append({line for line in lines if line.count(" ") > 16 and "<unk>" not in line})
    train, valid, test = sentences
    assert len(train) > 8_000 and len(valid) > 500 and len(test) > 500
    assert not valid & train and not test & train and not valid & test


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sales fell 2.5% to $1.13bn.", "sales fell N % to $ N bn <eos>"),
        ("It didn't. He's \"sure\"!\n\nTitle", "it did n't <eos> he 's sure <eos> title <eos>"),
        ("A year-earlier 1990s 'quote', U2", "a year-earlier N s quote u N <eos>"),
        ("\n\n", ""),
    ],
)
def test_sentences(text, words):
    assert [word for sentence in ptb.sentences(text) for word in sentence] == words.split()


# -- batches ---------------------------------------------------------------------------------------


def test_a_budget_is_epochs_or_steps(tiny):
    made = tiny()
    # 250 words a row, and one of them is only ever predicted: 249 // 7.
    assert (made.steps_per_epoch, made.steps, made.eval_every) == (35, 105, 35)
    made = tiny(steps=5, eval_every=2)
    assert (made.steps, made.eval_every) == (5, 2)


def test_the_papers_epochs():
    sizes = {"batch_size": 20, "sources": SOURCES, "data": "full", "device": META}
    assert task("data", bptt=20, **sizes).steps_per_epoch == 2323
    assert task("data", bptt=70, **sizes).steps_per_epoch == 663


def test_an_epoch_reads_every_row_from_its_beginning_without_a_gap(tiny):
    made = tiny()
    batches = [made.batch(step) for step in range(35)]
    read = torch.cat([words for words, _, _ in batches], 1)
    wanted = made.texts["train"].view(4, 250)
    assert torch.equal(read, wanted[:, :245])
    following = torch.cat([following for _, following, _ in batches], 1)
    assert torch.equal(following, wanted[:, 1:246])


def test_a_batch_is_fixed_by_the_step_alone(tiny):
    made, other = tiny(), tiny(seed=1)
    wanted = {step: made.batch(step) for step in (0, 1, 34, 35, 70)}
    for step in reversed(wanted):
        assert same(other.batch(step), wanted[step])
    assert same(wanted[0], wanted[35]) and not same(wanted[0], wanted[1])


def test_the_weights_depend_on_the_seed_alone(tiny):
    first, second = (list(tiny(seed=seed).model.parameters()) for seed in (0, 0))
    assert same(first, second)
    assert not same(first, tiny(seed=1).model.parameters())


def test_random_lengths_read_the_text_without_a_gap(tiny):
    made = tiny(bptt=20, random_lengths=True)
    read, lengths, epochs = [], [], []
    for step in range(100):
        words, following, _ = made.batch(step)
        assert torch.equal(words[:, 1:], following[:, :-1])
        read.append(words)
        lengths.append(words.shape[1])
        if made.windows.ends(step):
            epochs.append(torch.cat(read, 1))
            read = []
    wanted = made.texts["train"].view(4, 250)
    assert len(epochs) > 5
    for epoch in epochs:
        assert torch.equal(epoch, wanted[:, : epoch.shape[1]]) and epoch.shape[1] > 215
    assert min(lengths) >= 5 and len(set(lengths)) > 10


def test_random_lengths_are_merity_keskar_and_sochers():
    """70 words with a standard deviation of 5, and half of it one time in twenty."""
    windows = RandomWindows(46_478, 70, seed=0)
    lengths = torch.tensor([windows.at(step)[1] for step in range(30_000)])
    short = lengths < 52
    assert short.double().mean().item() == pytest.approx(0.05, abs=0.005)
    for part, around in ((lengths[~short], 70), (lengths[short], 35)):
        assert part.double().mean().item() == pytest.approx(around, abs=0.5)
        assert part.double().std().item() == pytest.approx(5, abs=0.3)
    # An epoch has about as many steps as are said.
    ended = sum(windows.ends(step) for step in range(30_000))
    assert windows.steps_per_epoch == 680
    assert ended * 680 == pytest.approx(30_000, rel=0.03)


def test_random_lengths_are_fixed_by_seed_and_step(tiny):
    made, again, other = (tiny(bptt=20, random_lengths=True, seed=seed) for seed in (0, 0, 1))
    steps = (70, 3, 0, 41)
    assert all(same(made.batch(step), again.batch(step)) for step in steps)
    assert any(made.batch(step)[0].shape != other.batch(step)[0].shape for step in steps)


@pytest.mark.parametrize("words", [1, 4, 12, 21])
def test_random_lengths_of_a_text_that_is_hardly_longer(words):
    windows = RandomWindows(words, 20, seed=0)
    found = [windows.at(step) for step in range(20)]
    assert all(start + length <= max(words, 5) for start, length in found)
    assert sum(windows.ends(step) for step in range(20)) >= 5


def test_an_epoch_of_random_lengths_begins_with_zeros(tiny):
    made = tiny(bptt=20, random_lengths=True)
    for step in range(40):
        made.loss(made.batch(step))
        made.after_step(step)
        assert made.state[0].any() != made.windows.ends(step)


# -- penalties -------------------------------------------------------------------------------------


def test_penalties_are_mean_squares_of_outputs_and_of_their_changes(tiny):
    made = tiny(activation_penalty=2.0, change_penalty=3.0)
    plain = torch.tensor([[[1.0, 2.0], [2.0, 4.0], [2.0, 0.0]]])
    dropped = torch.tensor([[[2.0, 0.0], [4.0, 0.0], [4.0, 0.0]]])
    # (4 + 16 + 16)/6, and differences of (1, 2) and (0, -4).
    assert made.penalty(plain, dropped).item() == pytest.approx(2 * 36 / 6 + 3 * 21 / 4)


@pytest.mark.parametrize("model", [functools.partial(LSTMLanguageModel, units=6), AWD])
def test_penalties_are_added_to_the_training_loss(tiny, model):
    def loss(**penalties):
        made = tiny(model=model, **penalties)
        torch.manual_seed(0)
        return made.loss(made.batch(0)), made

    without, made = loss()
    torch.manual_seed(0)
    *_, plain, dropped = made.model(made.batch(0)[0], made.model.start(4), activations=True)
    assert (plain == dropped).all() == (model is not AWD)
    size, change = dropped.square().mean(), plain.diff(dim=1).square().mean()
    close([loss(activation_penalty=2.0)[0]], [without + 2 * size])
    close([loss(change_penalty=1.0)[0]], [without + change])
    both, penalised = loss(activation_penalty=2.0, change_penalty=1.0)
    close([both], [without + 2 * size + change])
    # Evaluation has none of them.
    penalised.model.eval(), made.model.eval()
    assert penalised.evaluate() == made.evaluate()


def test_a_change_needs_two_words(tiny):
    message = "task.change_penalty needs a task.bptt of 2 or more words"
    with pytest.raises(ValueError, match=f"^{message}$"):
        tiny(bptt=1, change_penalty=1.0)


# -- the state -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [functools.partial(LSTMLanguageModel, units=6), AWD])
def test_two_steps_of_half_the_length_are_one_long_step(tiny, model):
    short, long = tiny(model=model, bptt=10), tiny(model=model, bptt=20)
    for made in (short, long):
        made.model.eval()
    losses = [short.loss(short.batch(step)) for step in (0, 1)]
    close([sum(losses) / 2], [long.loss(long.batch(0))])
    close(short.state, long.state)
    # Without the state, the second half is another one.
    carried, afresh = losses[1], tiny(model=model, bptt=10)
    afresh.model.eval()
    assert not torch.allclose(afresh.loss(afresh.batch(1)), carried, rtol=1e-4)


def test_no_gradient_reaches_back_into_an_earlier_step(tiny):
    made = tiny()
    for step in range(3):
        made.loss(made.batch(step)).backward()
        assert not any(tensor.requires_grad for tensor in made.state)


def test_an_epoch_begins_with_zeros(tiny):
    made = tiny()
    for step in range(34):
        made.loss(made.batch(step))
        made.after_step(step)
        assert all(tensor.any() for tensor in made.state)
    made.loss(made.batch(34))
    made.after_step(34)
    assert not any(tensor.any() for tensor in made.state)


def test_evaluation_leaves_the_state_alone(tiny):
    made = tiny()
    made.loss(made.batch(0))
    before = copy(made.state)
    with torch.no_grad():
        made.evaluate()
    assert same(made.state, before)


def test_micro_batches_add_up_to_the_batch_and_keep_their_rows_states(tiny):
    whole, pieces = tiny(), tiny()
    for step in range(3):
        wanted = whole.loss(whole.batch(step))
        cut = pieces.split(pieces.batch(step), 3)
        close([sum(pieces.loss(piece) * weight for piece, weight in cut)], [wanted])
        close(pieces.state, whole.state)


@pytest.mark.parametrize("model", [functools.partial(LSTMLanguageModel, units=6), AWD])
def test_a_resumed_task_goes_on_with_the_state(tiny, model):
    first, second = tiny(model=model), tiny(model=model)
    for step in range(20):
        first.loss(first.batch(step))
        first.after_step(step)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(5)
    wanted = first.loss(first.batch(20))
    torch.manual_seed(5)
    assert torch.equal(second.loss(second.batch(20)), wanted)
    assert same(second.state, first.state)


# -- evaluation ------------------------------------------------------------------------------------


def one_by_one(model, text):
    """The mean loss of a text that is read as one row, a word at a time."""
    state, losses = model.start(1), []
    for word, following in pairwise(text):
        logits, state = model(word[None, None], state)
        losses.append(F.cross_entropy(logits[0], following[None]).item())
    return math.fsum(losses) / len(losses)


def trained(made, steps=100):
    optimizer = torch.optim.Adam(made.model.parameters(), 1e-2)
    made.model.train()
    for step in range(steps):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
        made.after_step(step)
    made.model.eval()
    return made


@pytest.mark.parametrize("model", [functools.partial(LSTMLanguageModel, units=6), AWD])
@torch.no_grad
def test_perplexity_is_that_of_the_whole_text_read_in_one_go(tiny, model):
    with torch.enable_grad():
        made = trained(tiny(model=model))
    found = made.evaluate()
    assert found.keys() == {f"{p}/{m}" for p in ("valid", "test") for m in ("loss", "perplexity")}
    for part in ("valid", "test"):
        wanted = one_by_one(made.model, made.texts[part])
        assert found[f"{part}/loss"] == pytest.approx(wanted, rel=1e-4)
        assert found[f"{part}/perplexity"] == math.exp(found[f"{part}/loss"])


@torch.no_grad
def test_the_number_of_rows_in_evaluation_changes_nothing(tiny, monkeypatch):
    with torch.enable_grad():
        made = trained(tiny())
    found = {}
    for rows in (1, 2, 7):
        monkeypatch.setattr(ptb, "EVAL_STREAMS", rows)
        found[rows] = mean_loss(made.model, made.texts["train"])
    assert [found[2], found[7]] == pytest.approx([found[1]] * 2, rel=1e-5)
    assert found[1] == pytest.approx(one_by_one(made.model, made.texts["train"]), rel=1e-5)
    # Rows that had not read what stands before them would be worse.
    monkeypatch.setattr(ptb, "EVAL_CONTEXT", 1)
    assert abs(mean_loss(made.model, made.texts["train"]) / found[1] - 1) > 1e-4


@torch.no_grad
def test_every_word_counts_whatever_the_text_is_cut_into(tiny, monkeypatch):
    """Of 20 rows, the last ones may be short, or empty."""
    made = tiny()
    text = made.texts["valid"]
    for words in (300, 287, 19, 2):
        wanted = one_by_one(made.model, text[:words])
        assert mean_loss(made.model, text[:words]) == pytest.approx(wanted, rel=2e-2)
        monkeypatch.setattr(ptb, "EVAL_STREAMS", 1)
        assert mean_loss(made.model, text[:words]) == pytest.approx(wanted, rel=1e-5)
        monkeypatch.undo()


@torch.no_grad
def test_evaluation_can_end_after_some_words(tiny):
    made = tiny(eval_words=70, eval_train=True)
    found = made.evaluate()
    for part, metric in (
        ("valid", "valid/loss"),
        ("test", "test/loss"),
        ("train", "train/eval_loss"),
    ):
        assert found[metric] == mean_loss(made.model, made.texts[part][:71])
    assert tiny(eval_words=10_000).evaluate() == tiny().evaluate()


def test_the_training_text_is_evaluated_on_request(tiny):
    made = tiny(eval_train=True, model=AWD)
    made.model.eval()
    found = made.evaluate()["train/eval_loss"]
    assert found == pytest.approx(one_by_one(made.model, made.texts["train"]), rel=1e-4)


def test_a_model_that_knows_nothing_has_a_perplexity_of_the_number_of_words(tiny):
    made = tiny()
    with torch.no_grad():
        for parameter in made.model.decoder.parameters():
            parameter.zero_()
        assert made.evaluate()["test/perplexity"] == pytest.approx(11, rel=1e-5)


def test_a_loss_beyond_all_floats_is_an_infinite_perplexity():
    assert ptb.perplexity(1e4) == math.inf
    assert ptb.perplexity(math.nan) == math.inf


def test_it_learns(tiny):
    made = tiny()
    with torch.no_grad():
        before = made.evaluate()["test/perplexity"]
    trained(made)
    with torch.no_grad():
        after = made.evaluate()["test/perplexity"]
    assert before > 9 and after < 6


# -- reading ---------------------------------------------------------------------------------------


def test_mikolovs_format_is_read_word_by_word(tiny, tmp_path):
    texts = tiny().texts
    lines = (tmp_path / "ptb" / "ptb.train.txt").read_text().splitlines()
    words = [word for line in lines for word in [*line.split(), "<eos>"]]
    assert len(words) == len(texts["train"]) == 1000
    # One number for each word, whichever part it stands in.
    number = dict(zip(words, texts["train"].tolist(), strict=True))
    assert len(number) == len(set(number.values())) == 11
    assert [number[word] for word in words] == texts["train"].tolist()
    lines = (tmp_path / "ptb" / "ptb.test.txt").read_text().splitlines()
    wanted = [number[word] for line in lines for word in [*line.split(), "<eos>"]]
    assert wanted == texts["test"].tolist()


def test_the_full_source_is_penn_treebank():
    source = SOURCES["full"]
    assert list(source["sha256"]) == ["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"]
    assert [source[part] for part in ("train", "valid", "test")] == [929_589, 73_760, 82_430]
    assert source["words"] == SOURCES["sample"]["words"] == 10_000


def test_on_the_meta_device_nothing_is_read(tmp_path):
    made = task(tmp_path / "none", device=META)
    assert all(parameter.is_meta for parameter in made.model.parameters())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("sizes", "needed"),
    [({"batch_size": 126}, 1008), ({"batch_size": 2000}, 16000), ({"bptt": 250}, 1004)],
)
def test_a_batch_longer_than_the_text_is_refused(tiny, sizes, needed):
    with pytest.raises(ValueError) as caught:
        tiny(**sizes)
    named = {"batch_size": 4, "bptt": 7} | sizes
    assert str(caught.value) == (
        f"task.batch_size={named['batch_size']} and task.bptt={named['bptt']}: a batch needs "
        f"{needed} words, and the training text of data=full has 1000"
    )
    assert tiny(batch_size=125).steps_per_epoch == 1


def test_a_vocabulary_without_the_unknown_word_is_refused(tiny, tmp_path, penn_treebank):
    for path in (tmp_path / "ptb").iterdir():
        path.write_text(path.read_text().replace("<unk>", "unk"))
    digests = {
        name: hashlib.sha256((tmp_path / "ptb" / name).read_bytes()).hexdigest()
        for name in penn_treebank["sha256"]
    }
    with pytest.raises(DataError, match="the vocabulary of the training text lacks <unk>"):
        _ = tiny({"sha256": digests}).texts


@pytest.mark.parametrize(
    ("said", "wanted"),
    [({"words": 12}, "11 different words, expected 12"), ({"test": 1}, "400 words in test")],
)
def test_other_sizes_than_the_source_says_are_refused(tiny, tmp_path, said, wanted):
    with pytest.raises(DataError, match=f"{tmp_path}.*{wanted}"):
        _ = tiny(said).texts


def test_a_truncated_file_is_refused(tiny, tmp_path):
    path = tmp_path / "ptb" / "ptb.valid.txt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"data=full: ptb\.valid\.txt cannot be .* SHA-256 is"):
        tiny().prepare()


def test_a_missing_file_is_refused(tiny, tmp_path):
    (tmp_path / "ptb" / "ptb.test.txt").unlink()
    with pytest.raises(DataError, match=r"data=full: ptb\.test\.txt cannot be downloaded"):
        tiny().prepare()
