"""Architectures. Imports torch (torchvision, transformers) and nothing of this project."""

from models.awd_lstm import AWDLSTM
from models.dqn import DQN, FlatDQN
from models.encoder import SentenceClassifier
from models.gpt import GPT
from models.imagenet import imagenet_model
from models.lstm import LSTMClassifier, LSTMLanguageModel
from models.masked_lm import MaskedLM
from models.mlp import MLP
from models.rainbow import Rainbow
from models.resnet import CifarResNet, ResNet
from models.transformer import Transformer
from models.vgg import VGG16
from models.vgg_features import VGGFeatures
from models.wide_resnet import WideResNet

__all__ = [
    "AWDLSTM",
    "DQN",
    "GPT",
    "MLP",
    "VGG16",
    "CifarResNet",
    "FlatDQN",
    "LSTMClassifier",
    "LSTMLanguageModel",
    "MaskedLM",
    "Rainbow",
    "ResNet",
    "SentenceClassifier",
    "Transformer",
    "VGGFeatures",
    "WideResNet",
    "imagenet_model",
]
