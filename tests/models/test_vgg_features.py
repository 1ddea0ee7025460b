"""VGG's first five convolutions, as torchvision's VGG-19 has them."""

import torch
from torch import nn

from models import VGGFeatures
from models.torchvision_import import torchvision

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.1]


def test_it_is_the_beginning_of_torchvisions_vgg_19():
    torch.manual_seed(0)
    vgg = torchvision().models.vgg
    theirs = vgg.make_layers(vgg.cfgs["E"], batch_norm=False)
    seen = []
    for layer in theirs:
        # In place, a ReLU would change what a convolution gave.
        layer.inplace = False
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: seen.append(output))
    ours = VGGFeatures(MEAN, STD)
    state = theirs.state_dict()
    ours.load_state_dict({name: state[name] for name in ours.state_dict()})
    images = torch.rand(2, 3, 16, 20)
    normalised = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    theirs[:11](normalised)
    assert [output.shape[1] for output in seen] == [64, 64, 128, 128, 256]
    for output, wanted in zip(ours(images), seen, strict=True):
        assert torch.allclose(output, wanted, atol=1e-6)


def test_nothing_in_it_is_trained_or_saved_but_its_weights():
    model = VGGFeatures(MEAN, STD)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    layers = ("0", "2", "5", "7", "10")
    wanted = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert model.state_dict().keys() == wanted
    image = torch.zeros(1, 3, 8, 8, requires_grad=True)
    model(image)[-1].sum().backward()
    assert image.grad is not None and image.grad.abs().max() > 0
