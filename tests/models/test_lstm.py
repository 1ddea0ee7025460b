"""The plain recurrent networks: their sizes, what they carry on, and that padding is nothing."""

import pytest
import torch

from models import LSTMClassifier, LSTMLanguageModel


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("layers", "parameters"), [(1, 4_331_600), (2, 4_653_200), (3, 4_974_800)])
def test_the_language_model_has_the_papers_size(layers, parameters):
    # Embedding 10,000·200; a layer 4·(200·200 + 200·200 + 200 + 200); decoder 200·10,000 + 10,000.
    with torch.device("meta"):
        assert count(LSTMLanguageModel(10_000, layers, units=200)) == parameters


def test_the_language_model_gives_every_word_a_logit_at_every_step():
    model = LSTMLanguageModel(11, 2, units=5)
    state = model.start(3)
    assert all(tensor.shape == (2, 3, 5) and not tensor.any() for tensor in state)
    logits, after = model(torch.randint(11, (3, 7)), state)
    assert logits.shape == (3, 7, 11)
    assert [tensor.shape for tensor in after] == [(2, 3, 5), (2, 3, 5)]


def test_a_step_is_the_equations_of_an_lstm():
    model = LSTMLanguageModel(4, 1, units=3)
    word, (hidden, cell) = torch.tensor([[2]]), torch.randn(2, 1, 1, 3)
    logits, (after_hidden, after_cell) = model(word, (hidden, cell))
    lstm = model.lstm
    gates = model.embedding.weight[2] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0
    gates = gates + hidden.flatten() @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
    i, f, g, o = gates.chunk(4)
    c = f.sigmoid() * cell.flatten() + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    torch.testing.assert_close(after_cell.flatten(), c)
    torch.testing.assert_close(after_hidden.flatten(), h)
    torch.testing.assert_close(logits.flatten(), h @ model.decoder.weight.T + model.decoder.bias)


def test_two_halves_are_the_whole(device):
    model = LSTMLanguageModel(11, 3, units=5).to(device)
    words = torch.randint(11, (4, 20), device=device)
    whole, end = model(words, model.start(4))
    first, middle = model(words[:, :10], model.start(4))
    second, last = model(words[:, 10:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    for a, b in zip(last, end, strict=True):
        torch.testing.assert_close(a, b)
    # The state matters: from zeros the second half is another one.
    afresh, _ = model(words[:, 10:], model.start(4))
    assert (afresh - second).abs().max() > 1e-3


@pytest.mark.parametrize("layers", [0, -1])
def test_no_layers_are_refused(layers):
    with pytest.raises(ValueError, match=f"layers={layers}: must be 1 or more"):
        LSTMLanguageModel(11, layers, units=5)


# -- the classifier --------------------------------------------------------------------------------


def test_the_classifier_has_one_logit_for_a_text():
    # Embedding 25,000·50; LSTM 4·(50·128 + 128·128 + 128 + 128); decoder 128 + 1.
    with torch.device("meta"):
        assert count(LSTMClassifier(25_000, 50, 128)) == 1_342_289
    model = LSTMClassifier(11, 4, 5)
    assert model(torch.randint(11, (3, 7)), torch.tensor([7, 1, 3])).shape == (3,)


def test_padding_never_changes_a_prediction():
    model = LSTMClassifier(11, 4, 5)
    texts = [torch.randint(11, (length,)) for length in (1, 4, 9)]
    alone = [model(text[None], torch.tensor([len(text)])) for text in texts]
    lengths = torch.tensor([len(text) for text in texts])
    for padding in (0, 7):
        for width in (9, 15):
            padded = torch.full((3, width), padding)
            for row, text in zip(padded, texts, strict=True):
                row[: len(text)] = text
            torch.testing.assert_close(model(padded, lengths), torch.cat(alone))


def test_padding_learns_nothing():
    model = LSTMClassifier(11, 4, 5)
    model(torch.tensor([[1, 2, 9, 9]]), torch.tensor([2])).sum().backward()
    moved = model.embedding.weight.grad.abs().sum(1)
    assert (moved[[1, 2]] > 0).all() and moved[9] == 0


def test_every_word_counts():
    model = LSTMClassifier(11, 4, 5)
    words, length = torch.tensor([[1, 2, 3]]), torch.tensor([3])
    before = model(words, length)
    for place in range(3):
        other = words.clone()
        other[0, place] = 8
        assert not torch.equal(model(other, length), before)


def test_every_parameter_learns():
    words = torch.arange(11)[None]
    language, classifier = LSTMLanguageModel(11, 2, 5), LSTMClassifier(11, 4, 5)
    language(words, language.start(1))[0].square().sum().backward()
    classifier(words, torch.tensor([11])).sum().backward()
    for model in (language, classifier):
        assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
