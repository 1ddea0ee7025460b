"""Agents that learn to play Atari games."""

from tasks.atari.dqn import AtariDqn
from tasks.atari.rainbow import AtariRainbow

__all__ = ["AtariDqn", "AtariRainbow"]
