"""Online convex optimisation: the regret of a method, and what LaProp's theorem 1 says of it."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from tasks.bounds import Bound, Count, Fraction, Numbers, Positive
from tasks.metrics import Metric
from tasks.trials import Trials

Shares = Annotated[
    Sequence[float],
    Bound(
        lambda values: (
            all(map(math.isfinite, values)) and min(values, default=-1) >= 0 < max(values)
        ),
        "a list of numbers, 0 or above, and one of them above 0",
    ),
]

Beta = Annotated[float, Bound(lambda value: 0 <= value < 1, "a number from 0 on and below 1")]


class OnlineConvex(Trials):
    """In each round a convex function that is seen after the choice: LaProp, section 4.

    The function of a round is ℓ_t(θ) = Σᵢ wₖ·|θᵢ - aₖ|, with k drawn anew for each coordinate i in
    each round. So no gradient exceeds G = max wₖ. After each step θ is projected onto the box
    |θᵢ| ≤ D/2, which the theorem does not have: it presumes that no two θ are further apart than
    D, and a projection takes none further from a place in the box.

    The regret is R(T) = Σ ℓ_t(θ_t) - min Σ ℓ_t(θ), over t ≤ T and over θ in the box, where the
    least is at one of the aₖ. Theorem 1 (Ziyin, Wang & Ueda) bounds it for λ_t = lr/√t and
    μ_t = μ·ζ^(t - 1), with s_t = √(n_t / (1 - ν^t)), by equation 9, which is 26, and in the worst
    case. Equation 9 comes from

        Σᵢ Σ_t s_t/√t ≤ √((1 + ln T)/(1 - ν)) Σᵢ ‖g_1:T‖                                        (25)

    The theorem's assumption is that s_t/λ_t never falls. With the maximum of appendix A.3 it never
    does; but then s_t is no average, so that neither (25) nor (9) is derived, only the worst case.

    `regret/average` is R(T)/T and `regret/root` is R(T)/√T. Where the method has lr, betas (μ, ν)
    and a ζ below 1, there are the bounds, also divided by T: `regret/bound` of (9) and
    `regret/worst_bound`; `regret/sum` and `regret/sum_bound`, both sides of (25);
    `regret/assumption`, the share of steps and coordinates at which the assumption holds.

    Args:
        weights: wₖ.
        targets: aₖ.
        odds: how often each k is drawn, relative to the others.
        dimensions: coordinates of θ.
        diameter: D.
        lr, mu, nu, zeta: the optimizer's and its schedule's numbers; None where they have none. Two
            for a nu, as MAdam has, count as none.
        maximum: whether s_t is the greatest so far, as in the fix of appendix A.3.
    """

    metrics: ClassVar = {
        "regret/rounds": Metric("rounds T", log=True),
        "regret/average": Metric("average regret R(T)/T", "min", log=True),
        "regret/root": Metric("R(T)/√T", "min"),
        "regret/bound": Metric("bound (9) on R(T)/T", log=True),
        "regret/worst_bound": Metric("bound on R(T)/T in the worst case", log=True),
        "regret/sum": Metric("Σ s/√t", log=True),
        "regret/sum_bound": Metric("bound (25) on Σ s/√t", log=True),
        "regret/assumption": Metric("share of steps at which s/λ does not fall"),
    }
    headline = "regret/average"

    def __init__(
        self,
        *,
        weights: Shares,
        targets: Numbers,
        odds: Shares,
        dimensions: Count,
        diameter: Positive,
        lr: Positive | None,
        mu: Beta | None,
        nu: Beta | Sequence[float] | None,
        zeta: Fraction | None,
        maximum: bool,
        device: torch.device,
        **budget: Any,
    ):
        for name, values in (("targets", targets), ("odds", odds)):
            if len(values) != len(weights):
                raise ValueError(f"task.{name}={values}: must be as long as task.weights={weights}")
        self.dimensions, self.diameter, self.maximum = dimensions, diameter, maximum
        self.lr, self.mu, self.zeta = lr, mu, zeta
        self.nu = None if isinstance(nu, Sequence) else nu
        self.odds = torch.tensor(odds, dtype=torch.float64)
        self.weights, self.targets = (
            torch.tensor(values, dtype=torch.float64, device=device)
            for values in (weights, targets)
        )
        super().__init__(device=device, **budget)
        size = (self.trials, dimensions)
        self.rounds = 0
        self.sums = {
            name: torch.zeros(shape, dtype=torch.float64, device=device)
            for name, shape in {
                "paid": size,  # Σ ℓ_t(θ_t)
                "drawn": (*size, len(weights)),  # how often each k was
                "squares": size,  # Σ g²
                "n": size,
                "s": size,
                "sum": size,  # Σ s/√t
                "held": size,  # at how many steps s/λ did not fall
            }.items()
        }
        self._round = (torch.empty(0), torch.empty(0), torch.empty(0))

    def start(self) -> Tensor:
        return torch.zeros(self.trials, self.dimensions, dtype=torch.float64)

    def draw(self, steps: int, generator: torch.Generator) -> Tensor:
        size = (steps, self.trials, self.dimensions)
        drawn = self.odds.multinomial(math.prod(size), replacement=True, generator=generator)
        return drawn.view(size)

    def loss(self, batch: Tensor) -> Tensor:
        distance = self.model.theta - self.targets[batch]
        losses = self.weights[batch] * distance.abs()
        self._round = (batch, losses.detach(), self.weights[batch] * distance.detach().sign())
        return losses.sum()

    def after_step(self, step: int) -> None:
        self.theta.clamp_(-self.diameter / 2, self.diameter / 2)
        batch, losses, g = self._round
        self.rounds = step + 1
        self.sums["paid"] += losses
        self.sums["drawn"].scatter_add_(2, batch[..., None], torch.ones_like(g)[..., None])
        self.sums["squares"] += g.square()
        if self.nu is not None:
            self._follow(g, self.nu)

    def _follow(self, g: Tensor, nu: float) -> None:
        """Add a round to what the bounds and the assumption are about."""
        t, before = self.rounds, self.sums["s"]
        n = self.sums["n"].mul_(nu).add_(g.square(), alpha=1 - nu)
        s = (n / (1 - nu**t)).sqrt()
        if self.maximum:
            s = torch.maximum(s, before)
        self.sums["held"] += s * math.sqrt(t) >= before * math.sqrt(t - 1)
        self.sums["sum"] += s / math.sqrt(t)
        self.sums["s"] = s

    def evaluate(self) -> dict[str, float | Tensor]:
        regret, rounds = self.regret(), self.rounds
        return {
            "regret/rounds": float(rounds),
            "regret/average": regret / rounds,
            "regret/root": regret / math.sqrt(rounds),
            **self.bounds(),
        }

    def regret(self) -> Tensor:
        """R(T) of each trial, (trials,)."""
        places = self.targets.clamp(-self.diameter / 2, self.diameter / 2)
        # Of function k at place j.
        losses = self.weights[:, None] * (places - self.targets[:, None]).abs()
        least = (self.sums["drawn"] @ losses).amin(2)
        return (self.sums["paid"] - least).sum(1)

    def bounds(self) -> dict[str, Tensor]:
        """What theorem 1 says of each trial; nothing where it says nothing."""
        lr, mu, nu, zeta = self.lr, self.mu, self.nu, self.zeta
        if lr is None or mu is None or nu is None or zeta is None or zeta == 1:
            return {}
        T, D, G, d = self.rounds, self.diameter, self.weights.max(), self.dimensions
        first = D**2 * math.sqrt(T) / (2 * lr * (1 - mu)) * self.sums["s"].sum(1)
        second = mu * d * D**2 * G / (2 * lr * (1 - mu) * (1 - zeta) ** 2)
        norms = self.sums["squares"].sqrt().sum(1)
        sum_bound = math.sqrt((1 + math.log(T)) / (1 - nu)) * norms
        third = lr / ((1 - mu) * (1 - nu)) * sum_bound
        worst = 2 * lr * d * G * math.sqrt(T) / ((1 - mu) * (1 - nu))
        return {
            "regret/bound": (first + second + third) / T,
            "regret/worst_bound": (first + second + worst) / T,
            "regret/sum": self.sums["sum"].sum(1),
            "regret/sum_bound": sum_bound,
            "regret/assumption": self.sums["held"].mean(1) / T,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": self.rounds, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rounds = state["rounds"]
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
