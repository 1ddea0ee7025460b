"""How far packages' optimizers of one name are from each other, and why."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch

from engine.environment import environment, version
from engine.files import write_text
from scripts.bench.conformance_rules import BETAS, DECAY, ELEMENTS, EPS, RULES, STEPS, Rule, start
from scripts.bench.contenders import installed
from scripts.bench.page import markdown

PACKAGES = ("torch", "pytorch_optimizer", "timm", "optax", "jax")
# Above it, a difference is no rounding of float64.
ROUNDING = 1e-12

NOTES = f"""\
Of each rule, several packages' versions take {STEPS} steps in float64 from the same point with the
same gradients and hyperparameters: {ELEMENTS} normal numbers a step, whose size falls to a twelfth,
betas {BETAS}, eps {EPS:g} where the rule's own is not another. The numbers are the largest distance
of an element from where the package that it is held against has it, over all steps, as a share of
the largest displacement: at a constant rate and at one that falls to a tenth, then both with a
weight decay of {DECAY}. `optim` is this project's, tensor by tensor, which its tests hold to the
papers' formulas; "formula" is the paper's, written out.
"""


def differences(rule: Rule, package: str) -> list[float]:
    """Constant and moving rate without decay, then both with it."""
    first = next(iter(rule.walks.values()))
    found = []
    for decay, moves in product((0.0, DECAY), (False, True)):
        wanted, path = first(rule.lr, moves, decay), rule.walks[package](rule.lr, moves, decay)
        found.append(float(np.abs(path - wanted).max() / np.abs(wanted - start().numpy()).max()))
    return found


def lines(rules: Mapping[str, Rule] = RULES) -> Iterable[list[str]]:
    for name, rule in rules.items():
        first, *others = rule.walks
        for package in others:
            if not available(package):
                continue
            found = differences(rule, package)
            cause = rule.causes.get(package, "")
            if not cause:
                cause = "rounding" if max(found) < ROUNDING else "not known"
            yield [name, package, first, *(f"{value:.1e}" for value in found), cause]


def available(package: str) -> bool:
    return package in ("optim", "torch", "formula") or (
        installed(package) and (package != "optax" or find_spec("jax") is not None)
    )


def report(out: str | None) -> None:
    """Print the page, and write it to `out`/conformance.md where that is a folder."""
    env = environment(torch.device("cpu"))
    versions = {package: version(package) or "not installed" for package in PACKAGES}
    facts = {"command": "python -m scripts.bench conformance", "commit": env["git_commit"]}
    listed = "".join(f"- {key}: {value}\n" for key, value in (facts | versions).items())
    titles = ["rule", "package", "held against", "constant", "moving"]
    titles += ["constant, decay", "moving, decay", "cause"]
    table = markdown(titles, list(lines()))
    page = f"# Rules of one name in several packages\n\n{listed}\n{NOTES}\n{table}"
    print(page, flush=True)
    if out is not None:
        path = Path(out) / "conformance.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)
        print(f"Table: {path}")
