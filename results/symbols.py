"""How keys, values and labels are written where people read them: β₂, learning rate, 3e-4."""

import math
import re
from typing import Any

from engine.texts import hydra_text

KEYS = {
    "optim.lr": "learning rate",
    "optim.betas": "(β₁, β₂)",
    "optim.betas.0": "β₁",
    "optim.betas.1": "β₂",
    "optim.eps": "ε",
    "optim.momentum": "momentum",
    "optim.p": "p",
    "optim.partial": "p",
    "optim.weight_decay": "weight decay",
    "task.scale": "scale of the gradients",
    "trial": "trial",
}

# Where a paper writes a key in another way.
KEYS_OF = {
    "laprop": {"optim.betas": "(μ, ν)", "optim.betas.0": "μ", "optim.betas.1": "ν"},
    "madam": {"optim.betas": "(α, β)", "optim.betas.0": "α", "optim.betas.1": "β"},
}

GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "Γ": "Gamma",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "μ": "mu",
    "ν": "nu",
    "σ": "sigma",
}
SUBSCRIPTS = {"₀": "0", "₁": "1", "₂": "2"}

SYMBOL = re.compile(rf"L(?:\^(\w)|ᵖ)|([{''.join(GREEK)}])([{''.join(SUBSCRIPTS)}]?)|\bp(?= = )")


def short(key: str) -> str:
    """The last part of a key: "lr" for "optim.lr", "betas.1" for "optim.betas.1"."""
    whole, _, last = key.rpartition(".")
    return f"{short(whole)}.{last}" if last.isdigit() else last


def key_label(key: str, paper: str = "") -> str:
    """A key of a config as the paper writes it, or as most do; one without a symbol by its end."""
    return KEYS_OF.get(paper, {}).get(key) or KEYS.get(key) or short(key)


def brief_label(key: str, paper: str = "") -> str:
    """A key's symbol, or where it has none its end: β₂, lr."""
    label = key_label(key, paper)
    return short(key) if label.isascii() else label


def setting(key: str, value: Any, paper: str = "") -> str:
    """A key and its value, for example "β₂ = 0.999"."""
    return f"{key_label(key, paper)} = {written(value)}"


def written(value: Any) -> str:
    """A value as people write it: 1e-8 and not 1e-08, 0.01, 2e-3 for 0.002, 3e4 for 30000."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return without_zeros(hydra_text(value))
    if (0 < abs(value) < 0.01 or abs(value) >= 1e4) and math.isfinite(value):
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}"


def without_zeros(text: str) -> str:
    """Numbers in a text without the zeros that begin their exponents."""
    return re.sub(r"(?<=\d)e([-+]?)0+(?=\d)", r"e\1", text)


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands: between two dollars it would read mathematics."""
    return text.replace("$", r"\$")


def typeset(text: str) -> str:
    """Text for matplotlib, its symbols as mathematics: ν, β₂, Lᵖ, L^3, and p in "p = 6"."""
    return SYMBOL.sub(mathematics, plain(without_zeros(text)))


def mathematics(found: re.Match[str]) -> str:
    power, letter, below = found.groups()
    if letter:
        index = f"_{SUBSCRIPTS[below]}" if below else ""
        return rf"$\{GREEK[letter]}{index}$"
    return "$p$" if found.group() == "p" else f"$L^{power or 'p'}$"
