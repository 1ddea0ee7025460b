"""Rainbow: deep Q-learning with six extensions, Hessel et al. (2018)."""

import functools
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tasks.atari import categorical
from tasks.atari.dqn import AtariDqn
from tasks.atari.prioritised import PrioritisedReplay
from tasks.bounds import Count, Fraction, Positive, PositiveOrZero
from tasks.seeds import derive
from tasks.transfer import to_device

# Added to each divergence, so that every step can be drawn again (Schaul et al. 2016).
LEAST_PRIORITY = 1e-6

# States, actions, returns, next states, discounts, importance weights, slots in the memory.
Batch = tuple[Tensor, ...]


class AtariRainbow(AtariDqn):
    """Deep Q-learning with distributions of returns, noisy layers and prioritised replay.

    Targets are those of double Q-learning over n steps, and the loss is the divergence between
    distributions. The noise is drawn anew before each batch's actions and once more before its
    loss. Evaluation is without noise.

    Args:
        v_max: the atoms of the distributions lie from -v_max to v_max.
        priority_exponent: ω; a step's priority is its last divergence to this power.
        importance_exponent: β at the start, from where it rises to 1 at the end of the budget.
        replace: what makes room in a full memory, the "oldest" step or a "random" one.
        same_noise: whether the target network has the noise of the network in each loss, and not
            one of its own.
        random_after: steps of an episode after which all actions are random until it ends; None:
            never.
        **others: those of `AtariDqn`.
    """

    model: Any  # modules with methods more than modules have
    target: Any

    def __init__(
        self,
        *,
        v_max: Positive,
        priority_exponent: PositiveOrZero,
        importance_exponent: Fraction,
        replace: Literal["oldest", "random"],
        same_noise: bool,
        random_after: Count | None,
        **others: Any,
    ):
        super().__init__(**others)
        self.priority_exponent = priority_exponent
        self.importance_exponent = importance_exponent
        self.replace = replace
        self.same_noise = same_noise
        self.random_after = random_after
        self.support = torch.linspace(-v_max, v_max, self.model.atoms, device=self.device)
        # Slots and divergences of the micro-batches of the last batch.
        self._divergences: list[tuple[Tensor, Tensor]] = []

    @functools.cached_property
    def replay(self) -> PrioritisedReplay:
        return PrioritisedReplay(
            replace=self.replace,
            seed=derive(self.seed, "replacement"),
            **self.replay_settings,
        )

    # -- acting ------------------------------------------------------------------------------------

    def values(self, states: Tensor) -> Tensor:
        return categorical.values(self.model(states), self.support)

    def choose(self, states: Tensor, random: np.random.Generator) -> np.ndarray:
        actions = super().choose(states, random)
        if self.random_after is None:
            return actions
        stuck = [game.episode_steps >= self.random_after for game in self.games]
        return np.where(stuck, random.integers(self.action_count, size=len(actions)), actions)

    # -- learning ----------------------------------------------------------------------------------

    def noise(self, step: int, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, "noise", purpose, step))

    def batch(self, step: int) -> Batch:
        """Act until this step's batch is due, and draw it in proportion to priorities."""
        self.model.draw_noise(self.noise(step, "acting"))
        self.act_until(step)
        self.model.draw_noise(self.noise(step, "network"))
        self.target.draw_noise(self.noise(step, "network" if self.same_noise else "target"))
        self._divergences = []
        random = np.random.default_rng(derive(self.seed, "replay", step))
        slots = self.replay.draw(random, self.batch_size)
        beta = self.importance_exponent
        beta += (1 - beta) * step / self.steps
        weights = self.replay.weights(slots, beta)
        drawn = (*self.replay.transitions(slots), torch.from_numpy(weights).float())
        return *(to_device(tensor, self.device) for tensor in drawn), torch.from_numpy(slots)

    def loss(self, batch: Batch) -> Tensor:
        states, actions, returns, next_states, discounts, weights, slots = batch
        with torch.no_grad():
            next_returns = categorical.double_q_target(
                self.model(next_states), self.target(next_states), self.support
            )
            targets = categorical.project(next_returns, returns, discounts, self.support)
        predictions = self.model(states)[torch.arange(len(actions), device=self.device), actions]
        divergences = categorical.divergence(targets, predictions)
        self._divergences.append((slots, divergences.detach()))
        return (weights * divergences).mean()

    def after_step(self, step: int) -> None:
        super().after_step(step)
        slots, divergences = map(torch.cat, zip(*self._divergences, strict=True))
        # This waits for a GPU. Nothing is lost by it: what comes next is to act with the new
        # weights, which waits as well, and what is drawn then depends on these priorities.
        divergences = divergences.cpu().double()
        # Where they are not finite, the run is about to end as diverged.
        if divergences.isfinite().all():
            # Rounding may leave a divergence below 0.
            priorities = divergences.clamp(min=0).numpy() + LEAST_PRIORITY
            self.replay.prioritise(slots.numpy(), priorities**self.priority_exponent)
