"""Agents that learn to play Atari games."""

from tasks.atari.dqn import AtariDqn

__all__ = ["AtariDqn"]
