"""A task is data, a model, an objective and metrics. Imports models."""

from tasks.atari import AtariDqn, AtariRainbow
from tasks.cifar import Cifar
from tasks.classification import Classification
from tasks.glue import Glue
from tasks.gradients import PrescribedGradients
from tasks.imagenet import ImageNet
from tasks.imdb import Imdb
from tasks.mnist import Mnist
from tasks.ptb import Ptb
from tasks.roberta_pretrain import RobertaPretrain
from tasks.task import Task
from tasks.translation import Translation
from tasks.trials import ConvexExample, Quadratic, Rosenbrock

__all__ = [
    "AtariDqn",
    "AtariRainbow",
    "Cifar",
    "Classification",
    "ConvexExample",
    "Glue",
    "ImageNet",
    "Imdb",
    "Mnist",
    "PrescribedGradients",
    "Ptb",
    "Quadratic",
    "RobertaPretrain",
    "Rosenbrock",
    "Task",
    "Translation",
]
