"""Rules of one name in several packages: what differs has a cause, and what has a cause differs."""

import numpy as np
import pytest
from running import run_here

from scripts.bench import conformance
from scripts.bench.conformance import RULES, Rule, available, differences, lines
from scripts.bench.conformance_rules import (
    STEPS,
    adan,
    gradients,
    lion,
    of_formula,
    ours,
    rates,
    start,
    torchs,
)

PAIRS = [(name, package) for name, rule in RULES.items() for package in list(rule.walks)[1:]]


@pytest.mark.parametrize(("name", "package"), PAIRS)
def test_what_differs_has_a_cause_and_what_has_a_cause_differs(name, package):
    if not available(package):
        pytest.skip(f"{package} is not installed")
    rule = RULES[name]
    largest = max(differences(rule, package))
    assert (largest > conformance.ROUNDING) == (package in rule.causes), largest


def test_known_differences():
    pytest.importorskip("pytorch_optimizer")
    constant, moving, *with_decay = differences(RULES["LaProp"], "pytorch_optimizer")
    # Decay that the rate scales shrinks weights 2,500 times less at 4e-4.
    assert max(constant, moving) < 2e-8 and min(with_decay) > 0.9
    assert differences(RULES["Padam"], "pytorch_optimizer")[0] == pytest.approx(3.4e-3, rel=0.05)


def test_formulas_take_the_first_steps_by_hand():
    g = gradients()[0].numpy()
    theta = start().numpy()
    # Lion's first direction is the gradient's sign; Adan's, too, but for eps.
    for formula in (lion, adan):
        first = of_formula(formula)(0.1, False, 0.0)[0]
        np.testing.assert_allclose(first, theta - 0.1 * np.sign(g), atol=1e-7)
    decayed = of_formula(lion)(0.1, False, 0.5)[0]
    np.testing.assert_allclose(decayed, 0.95 * theta - 0.1 * np.sign(g), rtol=1e-12)
    proximal = of_formula(adan)(0.1, False, 0.5)[0]
    np.testing.assert_allclose(proximal, (theta - 0.1 * np.sign(g)) / 1.05, atol=1e-7)


def test_a_rate_that_moves_falls_to_a_tenth_of_itself():
    assert rates(1.0, moves=False) == [1.0] * STEPS
    moving = rates(1.0, moves=True)
    assert moving[0] == 1.0 and moving[-1] == pytest.approx(0.1)


def test_a_difference_without_a_cause_is_said_not_to_be_known():
    rule = Rule(1e-2, {"optim": ours("LpAdam", p=2.0), "torch": torchs("Adamax")})
    [line] = lines({"mine": rule})
    assert line[:3] == ["mine", "torch", "optim"] and line[-1] == "not known"


def test_the_page_is_printed_and_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "lines", lambda: [["Adam", "torch", *"abcdef"]])
    monkeypatch.setattr(conformance, "version", lambda package: None)
    done = run_here(capsys, "bench", "conformance", f"out={tmp_path}/new")
    assert done.code == 0, done.err
    written = (tmp_path / "new" / "conformance.md").read_text()
    assert "| Adam " in written and "- optax: not installed" in written
    assert written in done.out
