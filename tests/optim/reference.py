"""Every rule once more, in float64 numpy, one function each, as the papers write them.

Each function takes the sequence of gradients and hyperparameters and returns θ after every step,
with θ₀ = `start`. `lr` may be a function of t. They share no code with the optimizers: where those
keep a quantity in another form for the sake of float32, these keep the printed one.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Array = np.ndarray


def rate(lr: Any, t: int) -> float:
    return lr(t) if callable(lr) else lr


def decayed(theta: Array, g: Array, lr: float, wd: float, decoupled: bool) -> tuple[Array, Array]:
    return (theta * (1 - lr * wd), g) if decoupled else (theta, g + wd * theta)


def run(start: Array, gradients: Iterable[Array], step: Callable[..., Array]) -> Array:
    theta, path = start, []
    for t, g in enumerate(gradients, 1):
        theta = step(t, theta, g)
        path.append(theta)
    return np.stack(path)


def lp_adam(
    start,
    gradients,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    p=2.0,
    weight_decay=0.0,
    decoupled=False,
    form="root",
):
    b1, b2 = betas
    m = v = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, v
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** p
        return theta - a * (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** (1 / p) + eps)

    return run(start, gradients, step)


def lp_adagrad(start, gradients, lr=1e-2, eps=1e-10, p=2.0, weight_decay=0.0, decoupled=False):
    v = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal v
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        v = v + np.abs(g) ** p
        return theta - a * g / (v ** (1 / p) + eps)

    return run(start, gradients, step)


def laprop(
    start,
    gradients,
    lr=4e-4,
    betas=(0.9, 0.999),
    eps=1e-15,
    weight_decay=0.0,
    decoupled=True,
    variant="authors",
    amsgrad=False,
    centered=False,
    centered_after=10,
):
    mu, nu = betas
    m = n = mean = largest = np.zeros_like(start)
    e = 0.0
    averaged = 0

    def step(t, theta, g):
        nonlocal m, n, mean, largest, e, averaged
        a = rate(lr, t)
        if not decoupled:
            g = g + weight_decay * theta
        n = nu * n + (1 - nu) * g**2
        mean = nu * mean + (1 - nu) * g
        c_n = 1 - nu**t
        x = n
        centering = centered and t > centered_after
        if centered == "waits" and not centering:
            return theta * (1 - weight_decay) if decoupled else theta
        if centering:
            x = n - mean**2
        if amsgrad == "corrected":
            x = x / c_n
        if amsgrad and (centering or not centered):
            largest = x = np.maximum(largest, x)
        if amsgrad != "corrected":
            x = x / c_n
        denominator = np.sqrt(x + eps) if variant == "paper" else np.sqrt(x) + eps
        m = mu * m + (1 - mu) * a * g / denominator
        e = mu * e + (1 - mu) * a
        averaged += 1
        c_m = 1 - mu**averaged
        if variant == "authors":
            c_m = e / a if a else 1.0
        theta = theta - m / c_m
        return theta * (1 - weight_decay) if decoupled else theta

    return run(start, gradients, step)


def sign_sgdm(start, gradients, lr=4e-4, momentum=0.9):
    previous = start

    def step(t, theta, g):
        nonlocal previous
        new = theta - (1 - momentum) * rate(lr, t) * np.sign(g) + momentum * (theta - previous)
        previous = theta
        return new

    return run(start, gradients, step)


def signum(start, gradients, lr=4e-4, momentum=0.9):
    m = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m
        m = momentum * m + (1 - momentum) * g
        return theta - rate(lr, t) * np.sign(m)

    return run(start, gradients, step)


def adamal(
    start,
    gradients,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    variant="equation",
    project=None,
):
    b1, b2 = betas
    bv = b1 if variant == "listing" else b2
    low, high = project or (-np.inf, np.inf)
    m = v = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, v
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        v = bv * v + (1 - bv) * np.maximum(g**2, v)
        return np.clip(theta - a * m / (np.sqrt(v) + eps), low, high)

    return run(start, gradients, step)


def padam(
    start,
    gradients,
    lr=0.1,
    betas=(0.9, 0.999),
    eps=1e-8,
    partial=0.125,
    weight_decay=5e-4,
    decoupled=False,
    variant="authors",
):
    b1, b2 = betas
    m = v = x = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, v, x
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        x = np.maximum(x, v)
        s = a * np.sqrt(1 - b2**t) / (1 - b1**t) if variant == "authors" else a
        return theta - s * m / (np.sqrt(x) + eps) ** (2 * partial)

    return run(start, gradients, step)


class Variation:
    """u, v, w of MAdam, as its algorithm 1 keeps them; `beta` is the last β."""

    def __init__(self, start: Array, low: float, high: float, beta_init: float | None):
        self.low, self.high = low, high
        self.first = high if beta_init is None else beta_init
        self.u = self.v = self.w = np.zeros_like(start)

    def mean_square(self, t: int, g: Array) -> Array:
        if t == 1:
            beta = np.full_like(g, self.first)
        else:
            U, V = self.u / self.w, self.v / self.w
            d, s = (g - U) ** 2, V - U**2
            beta = np.clip((d + s) / (self.w * (d - s) + d + s + 1e-16), self.low, self.high)
        self.beta = beta
        self.u = beta * self.u + (1 - beta) * g
        self.v = beta * self.v + (1 - beta) * g**2
        self.w = beta * self.w + (1 - beta)
        return self.v / self.w


def root(mean_square, eps, variant):
    return np.sqrt(mean_square + eps) if variant == "paper" else np.sqrt(mean_square) + eps


def madam(
    start,
    gradients,
    lr=1e-3,
    betas=(0.9, (0.5, 0.999)),
    eps=1e-8,
    weight_decay=0.0,
    decoupled=True,
    beta_init=None,
    amsgrad=False,
    variant="authors",
):
    alpha, (low, high) = betas
    variation = Variation(start, low, high, beta_init)
    m = largest = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, largest
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        x = root(variation.mean_square(t, g), eps, variant)
        if amsgrad == "torch":
            largest = np.maximum(largest, variation.v)
            x = root(largest / variation.w, eps, variant)
        elif amsgrad:
            largest = x = np.maximum(largest, x)
        m = alpha * m + (1 - alpha) * g
        return theta - a / (1 - alpha**t) * m / x

    return run(start, gradients, step)


def lamadam(
    start,
    gradients,
    lr=1e-3,
    betas=(0.9, (0.5, 0.999)),
    eps=1e-15,
    weight_decay=0.0,
    decoupled=True,
    beta_init=None,
    amsgrad=False,
    variant="authors",
):
    alpha, (low, high) = betas
    variation = Variation(start, low, high, beta_init)
    m = largest = np.zeros_like(start)
    e = 0.0

    def step(t, theta, g):
        nonlocal m, largest, e
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        x = root(variation.mean_square(t, g), eps, variant)
        if amsgrad == "torch":
            largest = np.maximum(largest, variation.v)
            x = root(largest / variation.w, eps, variant)
        elif amsgrad:
            largest = x = np.maximum(largest, x)
        if variant == "paper":
            m = alpha * m + (1 - alpha) * g / x
            return theta - a / (1 - alpha**t) * m
        m = alpha * m + (1 - alpha) * a * g / x
        e = alpha * e + (1 - alpha) * a
        return theta - m * a / e

    return run(start, gradients, step)


def adabelief(
    start, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-16, weight_decay=0.0, decoupled=False
):
    b1, b2 = betas
    m = s = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, s
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        return theta - a * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)

    return run(start, gradients, step)


def adabound(
    start,
    gradients,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    final_lr=0.1,
    gamma=1e-3,
    weight_decay=0.0,
    decoupled=False,
):
    b1, b2 = betas
    m = v = np.zeros_like(start)

    def step(t, theta, g):
        nonlocal m, v
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        f = final_lr * a / rate(lr, 1)
        eta = a * np.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(v) + eps)
        eta = np.clip(eta, f * (1 - 1 / (gamma * t + 1)), f * (1 + 1 / (gamma * t)))
        return theta - eta * m

    return run(start, gradients, step)


def yogi(
    start,
    gradients,
    lr=1e-2,
    betas=(0.9, 0.999),
    eps=1e-3,
    initial=1e-6,
    weight_decay=0.0,
    decoupled=False,
):
    b1, b2 = betas
    m, v = np.zeros_like(start), np.full_like(start, initial)

    def step(t, theta, g):
        nonlocal m, v
        a = rate(lr, t)
        theta, g = decayed(theta, g, a, weight_decay, decoupled)
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - g**2) * g**2
        return theta - a * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)

    return run(start, gradients, step)


def adam(start, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    return lp_adam(start, gradients, lr, betas, eps, 2.0, weight_decay)
