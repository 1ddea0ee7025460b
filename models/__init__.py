"""Architectures. Imports torch (torchvision, transformers) and nothing of this project."""

from models.awd_lstm import AWDLSTM
from models.dqn import DQN
from models.imagenet import imagenet_model
from models.lstm import LSTMClassifier, LSTMLanguageModel
from models.mlp import MLP
from models.rainbow import Rainbow
from models.resnet import CifarResNet, ResNet
from models.vgg import VGG16
from models.wide_resnet import WideResNet

__all__ = [
    "AWDLSTM",
    "DQN",
    "MLP",
    "VGG16",
    "CifarResNet",
    "LSTMClassifier",
    "LSTMLanguageModel",
    "Rainbow",
    "ResNet",
    "WideResNet",
    "imagenet_model",
]
