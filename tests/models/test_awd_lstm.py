"""The AWD-LSTM: its size, and that each kind of dropout drops what it says, in training alone."""

import functools

import pytest
import torch
import torch.nn.functional as F

from models import AWDLSTM

NO_DROPOUT = {
    "word_dropout": 0.0,
    "input_dropout": 0.0,
    "between_dropout": 0.0,
    "output_dropout": 0.0,
    "weight_dropout": 0.0,
}


def make(layers=3, **shares):
    torch.manual_seed(0)
    return AWDLSTM(11, layers, embedding=4, units=6, embedding_bound=0.1, **NO_DROPOUT | shares)


def run(model, words, seed=0):
    torch.manual_seed(seed)
    return model(words, model.start(len(words)))[0]


@pytest.fixture
def words():
    return torch.randint(11, (3, 8), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("layers", "parameters"), [(2, 13_632_400), (3, 24_221_600)])
def test_it_has_the_size_of_the_papers_models(layers, parameters):
    # Embedding 10,000·400, a layer 4·out·(in + out + 2), and one bias for each word: the decoder's
    # weights are the embedding's.
    make_paper = functools.partial(AWDLSTM, 10_000, embedding=400, units=1150, embedding_bound=0.1)
    with torch.device("meta"):
        model = make_paper(layers, **NO_DROPOUT)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_embeddings_begin_small_and_uniform():
    weight = AWDLSTM(500, 1, embedding=20, units=6, embedding_bound=0.1, **NO_DROPOUT).embedding
    assert 0.099 < weight.weight.abs().max() <= 0.1
    assert weight.weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_shapes(layers, words):
    model = make(layers)
    state = model.start(3)
    sizes = [6] * (layers - 1) + [4]
    assert [tensor.shape for tensor in state] == [(1, 3, size) for size in sizes for _ in range(2)]
    logits, after = model(words, state)
    assert logits.shape == (3, 8, 11)
    assert [tensor.shape for tensor in after] == [tensor.shape for tensor in state]


def test_two_halves_are_the_whole(words):
    model = make()
    whole, end = model(words, model.start(3))
    first, middle = model(words[:, :4], model.start(3))
    second, last = model(words[:, 4:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    for a, b in zip(last, end, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", NO_DROPOUT)
def test_each_kind_drops_in_training_and_is_off_in_evaluation(kind, words):
    plain, model = make(), make(**{kind: 0.5})
    assert not torch.equal(run(model, words), run(plain, words))
    assert not torch.equal(run(model, words, seed=1), run(model, words, seed=2))
    assert torch.equal(run(model, words, seed=1), run(model, words, seed=1))
    model.eval()
    torch.testing.assert_close(run(model, words), run(plain, words))
    model.train()
    assert not torch.equal(run(model, words), run(plain, words))


def test_weights_between_states_are_dropped_once_for_a_batch(words):
    """The whole batch is a plain LSTM's with half of these weights gone and the others doubled."""
    model, plain = make(1, weight_dropout=0.5), make(1)
    torch.manual_seed(0)
    # The other dropouts draw first, though they drop nothing.
    model.locked_dropout(model.embed(words), 0.0)
    dropped = F.dropout(model.layers[0].weight_hh_l0, 0.5)
    assert 0.2 < dropped.eq(0).float().mean() < 0.8
    with torch.no_grad():
        plain.layers[0].weight_hh_l0.copy_(dropped)
    torch.testing.assert_close(run(model, words), run(plain, words))


def test_dropped_weights_get_no_gradient_and_stay_what_they_are(words):
    model = make(weight_dropout=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(model, words).square().sum().backward()
    for layer in model.layers:
        silent = layer.weight_hh_l0.grad.eq(0).float().mean()
        assert 0.2 < silent < 0.8
        assert layer.weight_ih_l0.grad.ne(0).all()
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert before.keys() == after.keys() == make().state_dict().keys()


def test_all_weights_dropped_leave_no_memory(words):
    model = make(1, weight_dropout=1.0)
    with torch.no_grad():
        model.layers[0].weight_hh_l0.fill_(3.0)
        model.layers[0].bias_ih_l0[4:8] = -100.0  # the cell forgets all
    whole = run(model, words)
    alone = torch.cat([run(model, words[:, place : place + 1]) for place in range(8)], 1)
    torch.testing.assert_close(whole, alone)
    model.eval()
    assert (run(model, words) - whole).abs().max() > 1e-3


def test_a_locked_mask_is_one_for_all_steps_and_another_for_each_sequence():
    mask = make().locked_dropout(torch.ones(5, 7, 40), 0.25)
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    assert not torch.equal(mask[0], mask[1])
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert 0.1 < mask.eq(0).float().mean() < 0.4


def test_word_dropout_takes_a_word_out_of_the_whole_batch():
    model = make(word_dropout=0.5)
    words = torch.arange(11).repeat(4, 3)
    embedded = model.embed(words)
    gone = embedded.eq(0).all(2)
    assert 0 < gone.float().mean() < 1
    for word in range(11):
        assert len(gone[words == word].unique()) == 1
    kept = ~gone
    torch.testing.assert_close(embedded[kept], 2 * model.embedding.weight[words[kept]])


def test_every_parameter_learns():
    model = make()
    model(torch.arange(11)[None], model.start(1))[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_no_layers_are_refused():
    with pytest.raises(ValueError, match="layers=0: must be 1 or more"):
        make(0)
