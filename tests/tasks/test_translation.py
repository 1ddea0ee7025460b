"""Translation: what is read and refused, the loss, its parts, and what is measured."""

import functools
import hashlib
import io
import math
import random
import tarfile

import pytest
import sacrebleu
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT

from models import Transformer
from tasks import Translation, corpora, parallel_text, spelled_numbers
from tasks.bleu import sacrebleu as detokenised_bleu
from tasks.bleu import tokenised_bleu
from tasks.parallel_text import END, PAD, UNKNOWN, cut_words, vocabulary, whole
from tasks.sources import DataError
from tasks.translation import tokens

SOURCES = {
    corpus: yaml.safe_load((ROOT / f"conf/task/sources/{corpus}.yaml").read_text())
    for corpus in ("iwslt14", "wmt16")
}
SIZES = {"train": 120, "valid": 12, "test": 10}
NETWORK = {"width": 16, "layers": 1, "heads": 2, "feedforward": 16, "dropout": 0.0}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def make(root):
    """`make(max_tokens=80)`: the task on few spelled numbers, or with other arguments."""

    def made(**changes):
        usual = {
            "model": functools.partial(Transformer, **NETWORK),
            "corpus": "iwslt14",
            "data": "sample",
            "sources": {"sample": SOURCES["iwslt14"]["sample"] | SIZES},
            "steps": 60,
            "max_tokens": 128,
            "batches": 1,
            "label_smoothing": 0.1,
            "beam": 2,
            "length_penalty": 1.0,
            "eval_every": 10,
            "decode_every": 2,
            "seed": 0,
            "device": torch.device("cpu"),
            "root": root,
        }
        return Translation(**usual | changes)

    return made


# -- reading IWSLT'14 ------------------------------------------------------------------------------


def spoken(number):
    """The pair number `number` of the training files."""
    draw = random.Random(number)
    words = [draw.choice(["Haus", "Maus", "Baum"]) for _ in range(3 + number % 4)]
    german = f"Das ist {' '.join(words)}: so geht's, Nr. {number}."
    return german, german.replace("Das ist", "That is").replace("Haus", "house")


def files(changes=None):
    """The archive's files by name."""
    pairs = [spoken(number) for number in range(94)]
    pairs[10] = ("", "Nothing.")
    pairs[20] = ("Ja.", "Yes, " + "very " * 9 + "much.")
    pairs[30] = ("Wort " * 176, "word " * 176)
    found = {}
    for side, language in enumerate(("de", "en")):
        heads = ["<url>http://talk</url>", "<keywords>a, b</keywords>", "<talkid>1</talkid>"]
        lines = [*heads, f"<title>{spoken(7)[side]}</title>", *(pair[side] for pair in pairs)]
        found[f"de-en/train.tags.de-en.{language}"] = "\n".join(lines) + "\n"
        for place, name in enumerate(corpora.TEST_SETS):
            text = f"It’s test {place}, {language}."
            xml = f'<doc>\n<title>x</title>\n<seg id="1"> {text} </seg>\n</doc>\n'
            found[f"de-en/IWSLT14.{name}.de-en.{language}.xml"] = xml
    return found | (changes or {})


def archive(folder, contents, name="de-en.tgz"):
    """Write an archive; its MD5."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / name, "w:gz") as tar:
        for path, text in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return hashlib.md5((folder / name).read_bytes()).hexdigest()


def iwslt(folder, contents, **changes):
    """A source for such an archive. Of 95 pairs, 3 are not clean."""
    digest = archive(folder, contents)
    sizes = {"merges": 30, "train": 88, "valid": 4, "test": 5}
    sizes |= {"source_words": 90, "target_words": 80}
    mirror = {"mirrors": [folder.as_uri()], "md5": {"de-en.tgz": digest}}
    return SOURCES["iwslt14"]["full"] | mirror | sizes | changes


def read(tmp_path, contents=None, **changes):
    source = iwslt(tmp_path / "web", contents or files(), **changes)
    return parallel_text.load("iwslt14", "full", source, tmp_path / "iwslt14", torch.device("cpu"))


def test_the_recipe_of_iwslt(tmp_path):
    source = iwslt(tmp_path / "web", files())
    texts = corpora.read_iwslt14(source, tmp_path / "iwslt14")
    assert {part: len(text.source) for part, text in texts.items()} == {
        "train": 88,
        "valid": 4,
        "test": 5,
    }
    # The title is the first of them, three are left out, and every 23rd validates.
    kept = [spoken(7), *(spoken(n) for n in range(94) if n not in (10, 20, 30))]
    expected = kept[22::23]
    assert texts["valid"].plain == [english for _, english in expected]
    assert (
        texts["valid"].target[0].startswith("that is ") and "&apos;s ," in texts["valid"].target[0]
    )
    assert texts["test"].source[4] == "it &apos; s test 4 , de ."
    assert texts["test"].plain[1] == "It's test 1, en."


def test_words_as_moses_separates_them():
    text = corpora.tokenised([["Ist's gut?"], ["He said: 'Yes, U.S. laws'"]], ("de", "en"))
    assert text.source == ["ist &apos; s gut ?"]
    assert text.target == ["he said : &apos; yes , u.s. laws&apos;"]
    assert text.plain == ["He said: 'Yes, U.S. laws'"]


def test_words_come_back_from_numbers(tmp_path):
    text = read(tmp_path)
    valid = text.parts["valid"]
    numbers = valid.target.padded(torch.tensor([2]))[0]
    assert len(text.target_words) <= 80 and END in numbers
    subwords = [text.target_words[n] for n in numbers[: numbers.tolist().index(END)]]
    assert whole(" ".join(subwords)) == valid.references[2]
    # Letters that the training sentences lack are unknown, and whole in what BLEU compares with.
    test = text.parts["test"]
    assert UNKNOWN in test.target.padded(torch.tensor([2]))
    assert test.references[2] == "it &apos;s test 2 , en ."
    assert text.parts["train"].references == text.parts["train"].plain == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("train.tags.de-en.en", "One line.\n", r"train: .* 1 translations: must be equally many"),
        (
            "IWSLT14.TED.tst2011.de-en.de.xml",
            '<seg id="1">  </seg>\n',
            r"data=full: test: line 4 is empty: every sentence must have a word",
        ),
        ("IWSLT14.TED.tst2011.de-en.en.xml", "", r"5 lines to translate, and 4 translations"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, name, text, says):
    with pytest.raises(DataError, match=says):
        read(tmp_path, files({f"de-en/{name}": text}))


def test_another_number_of_sentences(tmp_path):
    with pytest.raises(DataError, match=r"data=full: train: 88 sentences, expected 160239"):
        read(tmp_path, train=160239)


def test_nearly_as_many_sentences(tmp_path, caplog):
    """Where another tokeniser was used for the number that is expected."""
    read(tmp_path / "near", train=87, tolerance=0.02)
    assert "train: 88 sentences, expected 87: near enough" in caplog.text
    with pytest.raises(DataError, match=r"train: 88 sentences, expected 86"):
        read(tmp_path / "far", train=86, tolerance=0.02)


def test_no_sentence_at_all(make):
    with pytest.raises(DataError, match=r"data=sample: test: 0 sentences: must be at least one"):
        make(sources={"sample": SOURCES["iwslt14"]["sample"] | SIZES | {"test": 0}}).prepare()


def test_another_archive(tmp_path):
    with pytest.raises(DataError, match=rf"de-en\.tgz: MD5 is \w{{32}}, expected {'0' * 32}"):
        read(tmp_path, md5={"de-en.tgz": "0" * 32})


def test_an_archive_that_breaks_off(tmp_path):
    source = iwslt(tmp_path / "web", files())
    path = tmp_path / "web" / "de-en.tgz"
    path.write_bytes(path.read_bytes()[:-700])
    source["md5"] = {"de-en.tgz": hashlib.md5(path.read_bytes()).hexdigest()}
    with pytest.raises(DataError, match=r"de-en\.tgz: cannot be read to its end"):
        corpora.read_iwslt14(source, tmp_path / "iwslt14")


def test_an_archive_of_something_else(tmp_path):
    contents = files()
    del contents["de-en/train.tags.de-en.en"]
    with pytest.raises(DataError, match=r"de-en\.tgz: lacks de-en/train\.tags\.de-en\.en"):
        read(tmp_path, contents)


# -- reading WMT'16 --------------------------------------------------------------------------------


def test_wmt_is_read_as_it_was_cut(tmp_path):
    names = ["train.tok.clean.bpe.32000", *(f"newstest201{n}.tok.bpe.32000" for n in (3, 4))]
    contents = {
        f"{name}.{language}": f"the ho@@ use {place} .\na B@@ a@@ um .\n"
        for place, name in enumerate(names)
        for language in ("en", "de")
    }
    contents |= {f"newstest201{n}.de": f"The house {n}.\nA Baum.\n" for n in (3, 4)}
    folder = tmp_path / "wmt16"
    digest = archive(folder, contents, "wmt16_en_de.tar.gz")
    sizes = {"train": 2, "valid": 2, "test": 2, "source_words": 16, "target_words": 16}
    source = SOURCES["wmt16"]["full"] | sizes | {"md5": {"wmt16_en_de.tar.gz": digest}}
    text = parallel_text.load("wmt16", "full", source, folder, torch.device("cpu"))
    assert text.parts["valid"].references == ["the house 1 .", "a Baum ."]
    assert text.parts["test"].plain == ["The house 4.", "A Baum."]
    # One vocabulary, with the number of the test set not in it.
    test = text.parts["test"]
    both = [side.padded(torch.tensor([0])) for side in (test.source, test.target)]
    assert both[0].equal(both[1]) and both[0][0, 3] == UNKNOWN
    chosen = source | {"test_set": "newstest2013"}
    assert corpora.read_wmt16(chosen, folder)["test"].plain == ["The house 3.", "A Baum."]


def test_wmt_is_fetched_by_hand(tmp_path):
    source = SOURCES["wmt16"]["full"]
    with pytest.raises(
        DataError, match=r"wmt16_en_de\.tar\.gz with the MD5 874ab\w+ is not in"
    ) as said:
        parallel_text.prepare("wmt16", "full", source, tmp_path / "wmt16")
    assert source["page"] in str(said.value) and "data=sample" in str(said.value)


# -- spelled numbers -------------------------------------------------------------------------------


def test_spelled_numbers_are_always_the_same():
    source = SOURCES["iwslt14"]["sample"] | SIZES
    texts = spelled_numbers.write(source)
    assert texts == spelled_numbers.write(source)
    assert texts["train"][0][0].endswith(".") and len(texts["train"][0]) == 120
    joined = "\n".join(line for sides in texts.values() for side in sides for line in side)
    assert hashlib.sha256(joined.encode()).hexdigest()[:12] == "ab16ab752c77"
    turned = spelled_numbers.write(SOURCES["wmt16"]["sample"] | SIZES)
    assert turned == {part: (target, source) for part, (source, target) in texts.items()}


def test_no_number_is_in_two_parts():
    parts = [set(own) for own in spelled_numbers.numbers(random.Random(0)).values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 99_990


def test_another_num2words_spells_otherwise():
    with pytest.raises(DataError, match=r"num2words 9\.9, and .* pip install num2words==9\.9"):
        spelled_numbers.write(SOURCES["iwslt14"]["sample"] | {"num2words": "9.9"})


def test_the_sample_fits_its_vocabularies(root):
    for corpus in ("iwslt14", "wmt16"):
        source = SOURCES[corpus]["sample"] | {"train": 3000, "valid": 20, "test": 20}
        text = parallel_text.load(corpus, "sample", source, root / corpus, torch.device("cpu"))
        assert 90 < len(text.target_words) <= source["target_words"]
        words = text.parts["train"].source.words
        assert (words == UNKNOWN).sum() < 1e-3 * len(words)


# -- subwords, and what is kept -------------------------------------------------------------------


def test_merges_are_counted():
    lines = ["low lower lowest slow widest"]
    assert cut_words(lines, 1)(["low z"]) == ["lo@@ w <unk>@@"]  # the most frequent two letters
    assert cut_words(lines, 0)(["low"]) == ["l@@ o@@ w"]
    assert cut_words(lines, 50)(["lower widest"]) == ["lower widest"]
    assert cut_words(lines, None)(["lo@@ wer"]) == ["lo@@ wer"]


def test_rare_words_are_unknown():
    words = vocabulary(["b a b", "c"], 5)
    assert words == ["<pad>", "</s>", "<unk>", "b", "a"]
    numbers, lengths = parallel_text.encode(["c b", "a"], {w: n for n, w in enumerate(words)})
    assert numbers.tolist() == [UNKNOWN, 3, END, 4, END] and lengths.tolist() == [3, 2]


def test_a_corpus_is_prepared_once(make, monkeypatch):
    make().prepare()

    def again(*arguments):
        raise AssertionError("prepared again")

    monkeypatch.setitem(parallel_text.READERS, "sample", again)
    make().prepare()
    with pytest.raises(AssertionError):
        make(sources={"sample": SOURCES["iwslt14"]["sample"] | SIZES | {"merges": 7}}).prepare()


def test_a_file_of_another_vocabulary(make, tmp_path):
    one = parallel_text.prepare("iwslt14", "sample", make().source, tmp_path)
    other = make().source | {"target_words": 90}
    two = parallel_text.prepare("iwslt14", "sample", other, tmp_path)
    assert one != two and not list(tmp_path.glob("*.part"))
    two.replace(one)
    with pytest.raises(DataError, match=r"iwslt14-sample-.*\.pt: holds a vocabulary .* remove"):
        parallel_text.load("iwslt14", "sample", make().source, tmp_path, torch.device("cpu"))


def test_a_file_that_cannot_be_read(make, tmp_path):
    path = parallel_text.prepare("iwslt14", "sample", make().source, tmp_path)
    whole_file = path.read_bytes()
    for content in (whole_file[:-700], b"no such format", b""):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"iwslt14-sample-.*\.pt: cannot be read: remove the file"
        ):
            parallel_text.load("iwslt14", "sample", make().source, tmp_path, torch.device("cpu"))


def test_a_folder_that_cannot_be_written(make, tmp_path):
    (tmp_path / "iwslt14").write_text("not a folder")
    with pytest.raises(DataError, match=r"paths\.data: cannot write to .*iwslt14: File exists"):
        make(root=tmp_path).prepare()


# -- batches and the loss --------------------------------------------------------------------------


def test_a_batch_follows_from_its_step_alone(make):
    task, other = make(batches=2), make(batches=2)
    steps = len(task.training) // 2
    batches = [task.batch(step) for step in range(2 * steps)]
    for step in (2 * steps - 1, 0, steps, 3):
        for one, two in zip(batches[step], other.batch(step), strict=True):
            assert all(a.equal(b) for a, b in zip(one, two, strict=True))
    # An epoch has every sentence once, but those of the batches that are too few for a step.
    lengths = task.text.parts["train"].target.lengths.sum().item()
    for epoch in (batches[:steps], batches[steps:]):
        trained = sum(tokens(batch) for batch in epoch)
        assert lengths - 128 <= trained <= lengths


def test_what_stands_in_a_batch(make):
    [sentences] = make().batch(0)
    targets, before = sentences.targets, sentences.decoder_inputs
    there = targets != PAD
    assert there.sum(1).equal(sentences.lengths)
    assert (before != PAD).equal(there) and (before[:, 0] == END).all()
    for row, length in enumerate(sentences.lengths.tolist()):
        assert before[row, 1:length].equal(targets[row, : length - 1])
        assert targets[row, length - 1] == END


def test_the_loss_is_torchs(make):
    task = make()
    [sentences] = batch = task.batch(0)
    logits = task.model(sentences.sources, sentences.decoder_inputs).flatten(0, 1)
    targets = sentences.targets.flatten()
    expected = F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=0.1)
    torch.testing.assert_close(task.loss(batch), expected)
    # By its formula: every word of the vocabulary has an equal part of the tenth.
    chances = logits.log_softmax(1)[targets != PAD]
    right = chances[torch.arange(len(chances)), targets[targets != PAD]]
    by_hand = -(0.9 * right + 0.1 * chances.mean(1)).mean()
    torch.testing.assert_close(task.loss(batch), by_hand)


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize(("accumulate", "processes"), [(1, 2), (2, 1), (2, 3), (5, 2)])
def test_parts_make_up_the_whole(make, batches, accumulate, processes):
    task = make(batches=batches, max_tokens=900)
    task.model.double()
    batch = task.batch(0)
    whole_loss = task.loss(batch)
    found, weights = 0.0, 0.0
    for part, weight in task.split(batch, accumulate):
        shares = task.split(part, processes)
        assert len(shares) == processes
        for share, of_part in shares:
            found = found + task.loss(share) * weight * of_part
            weights += weight * of_part
    assert weights == pytest.approx(1)
    torch.testing.assert_close(found, whole_loss)


def test_fewer_sentences_than_parts(make):
    task = make(max_tokens=64)
    batch = task.batch(0)
    sentences = len(batch[0].lengths)
    cut = task.split(batch, 50)
    assert len(cut) == sentences and sum(weight for _, weight in cut) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_tokens": 9}, r"task\.max_tokens=9: must be at least \d\d, the words of the longest"),
        ({"batches": 500}, r"task\.batches=500: must be at most \d\d, the batches .* data=sample"),
    ],
)
def test_batches_that_the_data_do_not_fit(make, changes, says):
    with pytest.raises(DataError, match=says):
        make(**changes).prepare()
    with pytest.raises(DataError, match=says):
        make(**changes, device=torch.device("meta")).prepare()


# -- evaluation ------------------------------------------------------------------------------------


@torch.no_grad()
def test_losses_are_means_over_words(make):
    task = make()
    pairs = task.text.parts["valid"]
    smoothed, plain, count = 0.0, 0.0, 0
    for number in range(12):
        one = torch.tensor([number])
        targets = pairs.target.padded(one)
        before = torch.cat([torch.tensor([[END]]), targets[:, :-1]], 1)
        logits = task.model(pairs.source.padded(one), before)[0]
        smoothed += F.cross_entropy(logits, targets[0], reduction="sum", label_smoothing=0.1).item()
        plain += F.cross_entropy(logits, targets[0], reduction="sum").item()
        count += targets.shape[1]
    found = task.measure(pairs)
    assert found["valid/loss"] == pytest.approx(smoothed / count, rel=1e-5)
    assert found["valid/perplexity"] == pytest.approx(math.exp(plain / count), rel=1e-4)


@torch.no_grad()
def test_some_evaluations_translate_and_the_last_does(make, monkeypatch):
    said = []
    monkeypatch.setattr("tasks.translation.log.info", lambda *parts: said.append(parts))
    task = make(steps=35)
    translating = []
    for done in (10, 20, 30, 35):
        task.after_step(done - 1)
        translating.append("test/bleu" in task.evaluate())
    assert translating == [False, True, False, True]
    assert len(said) == 2
    assert said[0][1].startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:")


@torch.no_grad()
def test_a_model_that_has_diverged_translates_nothing(make):
    task = make(steps=1)
    for parameter in task.model.parameters():
        parameter.fill_(math.nan)
    task.after_step(0)
    metrics = task.evaluate()
    assert metrics.keys() == {"valid/loss", "valid/perplexity"}
    assert math.isnan(metrics["valid/loss"]) and metrics["valid/perplexity"] == math.inf


@torch.no_grad()
def test_scores_are_of_the_translations(make, monkeypatch):
    task = make()
    pairs = task.text.parts["test"]
    lines = task.translate(pairs)
    assert len(lines) == 10 and all(lines)
    expected = sacrebleu.corpus_bleu(lines, [pairs.references], tokenize="none", force=True).score
    assert task.translate_and_score()["test/bleu"] == expected
    monkeypatch.setattr(task, "translate", lambda pairs: pairs.references)
    scores = task.translate_and_score()
    assert scores["test/bleu"] == scores["valid/bleu"] == pytest.approx(100)
    assert scores["test/sacrebleu"] == pytest.approx(100)


def test_bleu_is_sacrebleus():
    plain = ["It's a house, isn't it?", "Twenty-three men (and a dog) left."]
    found = ["it &apos;s a house , is it ?", "twenty-three men ( and a dog ) came ."]
    score, signature = detokenised_bleu(found, plain, "en", lowercase=True)
    written = ["it's a house, is it?", "twenty-three men (and a dog) came."]
    assert score == sacrebleu.corpus_bleu(written, [plain], lowercase=True).score
    assert signature.startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:")
    references = ["it &apos;s a house , isn &apos;t it ?", "twenty-three men ( and a dog ) left ."]
    expected = sacrebleu.corpus_bleu(found, [references], tokenize="none", force=True).score
    assert tokenised_bleu(found, references) == expected


@torch.no_grad()
def test_numbers_that_stand_for_no_word_are_unknown(make):
    task = make()
    task.text.target_words[:] = task.text.target_words[:5]
    assert task.decode([4, 111, END, PAD]) == f"{task.text.target_words[4]} <unk>"


def test_it_learns(make):
    torch.manual_seed(0)
    task = make(max_tokens=512)
    optimizer = torch.optim.Adam(task.model.parameters(), 3e-3)
    losses = []
    for step in range(60):
        loss = task.loss(task.batch(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])
