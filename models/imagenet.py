"""Architectures for ImageNet, which are torchvision's."""

from torch import nn

from models.torchvision_import import torchvision


def imagenet_model(name: str, classes: int) -> nn.Module:
    """One of torchvision's networks, with its own first weights and nothing trained.

    It maps (batch, 3, height, width) to (batch, classes), the logits.

    Args:
        name: as `torchvision.models.list_models` has it, such as "resnet18".
        classes: number of logits.

    Raises:
        ValueError: torchvision has no such network.
    """
    return torchvision().models.get_model(name, weights=None, num_classes=classes)
