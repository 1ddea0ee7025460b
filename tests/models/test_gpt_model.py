"""GPT-2 as nanoGPT has it: sizes, first weights, and the arithmetic written out."""

import math

import pytest
import torch
import torch.nn.functional as F

from models import GPT

SIZES = {"words": 11, "context": 7, "layers": 2, "heads": 2, "width": 8}


def test_the_smallest_gpt2_has_its_parameters():
    with torch.device("meta"):
        model = GPT(words=50304, context=1024, layers=12, heads=12, width=768)
        biased = GPT(words=50257, context=1024, layers=12, heads=12, width=768, bias=True)
    # 12·width² for each layer, two norms for each and the last one, and both embeddings.
    assert sum(p.numel() for p in model.parameters()) == (
        12 * 12 * 768**2 + 25 * 768 + (50304 + 1024) * 768
    )
    # Radford et al. (2019) print 117M; the released network has 124,439,808.
    assert sum(p.numel() for p in biased.parameters()) == 124_439_808


@pytest.mark.parametrize("bias", [False, True])
def test_it_computes_what_is_written_out(bias):
    torch.manual_seed(0)
    model = GPT(**SIZES, bias=bias).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    tokens = torch.randint(11, (3, 7))
    torch.testing.assert_close(model(tokens), written_out(model, tokens))


def written_out(model, tokens):
    """Radford et al. (2019), section 2.3, with attention as a softmax over what stands before."""
    w = dict(model.named_parameters())
    x = w["embedding.weight"][tokens] + w["position_embedding.weight"][: tokens.shape[1]]
    for layer in range(SIZES["layers"]):

        def linear(x, name, layer=layer):
            bias = w.get(f"layers.{layer}.{name}.bias", 0)
            return x @ w[f"layers.{layer}.{name}.weight"].T + bias

        def norm(x, name, layer=layer):
            centred = x - x.mean(-1, keepdim=True)
            scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            bias = w.get(f"layers.{layer}.{name}.bias", 0)
            return scaled * w[f"layers.{layer}.{name}.weight"] + bias

        queries, keys, values = linear(norm(x, "attention_norm"), "attention.projection").split(
            8, dim=-1
        )
        attended = []
        for head in (slice(0, 4), slice(4, 8)):
            scores = queries[..., head] @ keys[..., head].transpose(1, 2) / math.sqrt(4)
            later = torch.ones(7, 7).triu(1).bool()
            shares = scores.masked_fill(later, -math.inf).softmax(-1)
            attended.append(shares @ values[..., head])
        x = x + linear(torch.cat(attended, -1), "attention.output")
        hidden = linear(norm(x, "feedforward_norm"), "feedforward.0")
        gelu = hidden / 2 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + linear(gelu, "feedforward.2")
    last = F.layer_norm(x, (8,), w["norm.weight"], w.get("norm.bias"))
    return last @ w["embedding.weight"].T


def test_no_token_sees_those_after_it():
    model = GPT(**SIZES)
    tokens = torch.randint(11, (1, 7))
    changed = tokens.clone()
    changed[0, 4] = (tokens[0, 4] + 1) % 11
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def test_first_weights():
    torch.manual_seed(0)
    model = GPT(words=500, context=300, layers=8, heads=4, width=128, bias=True)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            wanted = torch.ones_like(parameter) if "weight" in name else parameter * 0
            assert torch.equal(parameter, wanted), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            residual = name.endswith(("attention.output.weight", "feedforward.2.weight"))
            spread = 0.02 / math.sqrt(16) if residual else 0.02
            assert parameter.std().item() == pytest.approx(spread, rel=0.02), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": 0}, "layers=0: must be 1 or more"),
        ({"heads": 0}, "heads=0: must be 1 or more"),
        ({"heads": 3}, "heads=3: must divide width=8"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        GPT(**SIZES | changes)
