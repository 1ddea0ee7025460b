"""First weights that several architectures share."""

from torch import nn


def kaiming_convolutions(model: nn.Module) -> None:
    """Give every convolution weights from N(0, 2 / fan-out) and zero biases, in place.

    He et al., "Delving Deep into Rectifiers" (2015), section 2.2: the gradient keeps its scale on
    its way back through layers with ReLU.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
