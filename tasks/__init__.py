"""A task is data, a model, an objective and metrics. Imports models."""

from tasks.mnist import Mnist
from tasks.task import Task

__all__ = ["Mnist", "Task"]
