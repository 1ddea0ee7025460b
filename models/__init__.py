"""Architectures. Imports torch (torchvision, transformers) and nothing of this project."""

from models.mlp import MLP

__all__ = ["MLP"]
