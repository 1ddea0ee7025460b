"""The encoder-decoder: torch's layers at the same weights, what it sees, its first weights."""

import math

import pytest
import torch
from torch import nn

from models import Transformer
from models.transformer import PAD, sinusoids

SMALL = {"width": 16, "layers": 2, "heads": 4, "feedforward": 24, "dropout": 0.0}


def small(**changes):
    torch.manual_seed(0)
    words = {"source_words": 30, "target_words": 20, "shared": False}
    return Transformer(**{**words, **SMALL, **changes}).double()


def sentences(words, lengths, seed=0):
    draw = torch.Generator().manual_seed(seed)
    found = torch.randint(1, words, (len(lengths), max(lengths)), generator=draw)
    place = torch.arange(max(lengths))
    return found.where(place < torch.tensor(lengths)[:, None], PAD)


SOURCES, BEFORE = sentences(30, [7, 4, 1]), sentences(20, [5, 6, 2])


@pytest.mark.parametrize(
    ("words", "size", "shared", "count"),
    [
        ((8848, 6632), (512, 4, 1024), False, 39_469_056),
        # 32,768 × 1,024 + 6 × 12,596,224 + 6 × 16,796,672
        ((32768, 32768), (1024, 16, 4096), True, 209_911_808),
    ],
)
def test_parameters_of_fairseqs_architectures(words, size, shared, count):
    width, heads, feedforward = size
    with torch.device("meta"):
        model = Transformer(
            source_words=words[0],
            target_words=words[1],
            width=width,
            layers=6,
            heads=heads,
            feedforward=feedforward,
            dropout=0.3,
            shared=shared,
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def copy_attention(ours, theirs):
    parts = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def copy_layer(ours, theirs, decoder):
    copy_attention(ours.own, theirs.self_attn)
    norms = [ours.own_norm]
    if decoder:
        copy_attention(ours.across, theirs.multihead_attn)
        norms.append(ours.across_norm)
    theirs.linear1.load_state_dict(ours.feedforward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feedforward[2].state_dict())
    for number, norm in enumerate([*norms, ours.feedforward_norm], 1):
        getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())


@torch.no_grad()
def test_layers_are_torchs():
    model = small()
    options = {"dropout": 0.0, "batch_first": True, "dtype": torch.float64}
    encoder = [nn.TransformerEncoderLayer(16, 4, 24, **options) for _ in range(2)]
    decoder = [nn.TransformerDecoderLayer(16, 4, 24, **options) for _ in range(2)]
    for ours, theirs in zip(model.encoder, encoder, strict=True):
        copy_layer(ours, theirs, decoder=False)
    for ours, theirs in zip(model.decoder, decoder, strict=True):
        copy_layer(ours, theirs, decoder=True)
    padding = SOURCES == PAD
    x = model.embed(model.source_embedding, SOURCES, 0)
    for layer in encoder:
        x = layer(x, src_key_padding_mask=padding)
    y = model.embed(model.target_embedding, BEFORE, 0)
    causal = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    for layer in decoder:
        y = layer(y, x, tgt_mask=causal, memory_key_padding_mask=padding)
    expected = y @ model.target_embedding.weight.T
    found = model(SOURCES, BEFORE)
    there = BEFORE != PAD
    torch.testing.assert_close(found[there], expected[there])


def test_words_are_scaled_and_placed():
    model = small()
    words = torch.tensor([[3, 5]])
    found = model.embed(model.source_embedding, words, 4)[0, 1]
    rates = [10000 ** (-i / 7) for i in range(8)]
    place = [math.sin(7 * r) for r in rates] + [math.cos(7 * r) for r in rates]  # 4 + 1 + 2
    expected = 4 * model.source_embedding.weight[5] + torch.tensor(place)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert sinusoids(torch.arange(3), 16).shape == (3, 16)


def test_the_future_is_not_seen():
    model = small()
    changed = BEFORE.clone()
    changed[:, 3:] = 7
    found, other = model(SOURCES, BEFORE), model(SOURCES, changed)
    torch.testing.assert_close(found[:, :3], other[:, :3])
    assert (found[0, 3:5] - other[0, 3:5]).abs().max() > 1e-3


def test_padding_is_not_seen():
    """Whatever vector PAD has, and however much of it there is."""
    model = small()
    found = model(SOURCES, BEFORE)
    with torch.no_grad():
        model.source_embedding.weight[PAD] = 100.0
    torch.testing.assert_close(model(SOURCES, BEFORE), found)
    alone = model(SOURCES[1:2, :4], BEFORE[1:2])
    torch.testing.assert_close(alone[0], found[1])
    more = torch.cat([SOURCES, torch.full((3, 5), PAD)], 1)
    torch.testing.assert_close(model(more, BEFORE), found)
    gradient = torch.autograd.grad(
        model(SOURCES, BEFORE)[BEFORE != PAD].sum(), model.source_embedding.weight
    )[0]
    assert gradient[PAD].abs().sum() == 0


@torch.no_grad()
def test_word_by_word_is_all_at_once():
    model = small()
    state, found = model.start(SOURCES), []
    for place in range(BEFORE.shape[1]):
        logits, state = model.read(BEFORE[:, place : place + 1], state)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), model(SOURCES, BEFORE))


@torch.no_grad()
def test_rows_are_chosen_and_repeated():
    model = small()
    _, state = model.read(BEFORE[:, :2], model.start(SOURCES))
    rows = torch.tensor([2, 0, 0])
    logits, _ = model.read(BEFORE[rows, 2:3], state.choose(rows))
    torch.testing.assert_close(logits[:, 0], model(SOURCES[rows], BEFORE[rows])[:, 2])


def test_first_weights_are_fairseqs():
    model = small(source_words=4000, target_words=4000, width=128, feedforward=256)
    table = model.source_embedding.weight
    assert table[PAD].abs().sum() == 0 and model.target_embedding.weight[PAD].abs().sum() == 0
    assert table[1:].std().item() == pytest.approx(128**-0.5, rel=0.01)
    layer = model.decoder[0]
    for attention in (layer.own, layer.across):
        for part in (attention.query, attention.key, attention.value):
            bound = math.sqrt(6 / 256 / 2)
            assert 0.99 * bound < part.weight.abs().max().item() <= bound
        bound = math.sqrt(6 / 256)
        assert 0.99 * bound < attention.output.weight.abs().max().item() <= bound
        assert attention.output.bias.abs().sum() == 0
    bound = math.sqrt(6 / (128 + 256))
    assert 0.99 * bound < layer.feedforward[0].weight.abs().max().item() <= bound


def test_dropout_falls_on_sums_and_sublayers():
    model = small(dropout=0.5)
    places = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert len(places) == 5 and {m.p for m in places} == {0.5}
    assert not torch.equal(model(SOURCES, BEFORE), model(SOURCES, BEFORE))
    model.eval()
    torch.testing.assert_close(model(SOURCES, BEFORE), model(SOURCES, BEFORE), rtol=0, atol=0)


def test_one_vocabulary_is_one_table():
    model = small(source_words=20, shared=True)
    assert model.source_embedding is model.target_embedding
    with pytest.raises(ValueError, match=r"source_words=30, target_words=20: a shared vocabulary"):
        small(shared=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 12}, r"width=12, heads=4: width must be a multiple of 2 × heads, 4 or more"),
        ({"width": 2, "heads": 1}, r"width=2, heads=1: width must be .* 4 or more"),
        ({"heads": 0}, r"heads=0: must be 1 or more"),
        ({"layers": 0}, r"layers=0: must be 1 or more"),
        ({"feedforward": 0}, r"feedforward=0: must be 1 or more"),
    ],
)
def test_sizes_that_cannot_be(changes, says):
    with pytest.raises(ValueError, match=says):
        small(**changes)
