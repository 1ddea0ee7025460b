"""Metric names are one list; what is better, and what JSON can hold."""

import json
import math

import pytest
import torch

import optim
from engine import search_path
from engine.checks import BadInput
from engine.evaluation import Evaluations
from engine.json_lines import finite_or_none
from engine.metrics import (
    COMMON,
    LIVE,
    check_observations,
    check_task_metrics,
    declared,
    find_metric,
    headline_of,
    improves,
    in_order,
    metric_named,
    metrics_of,
    names_of_all,
    targets,
)
from tasks.metrics import Metric
from tasks.task import Task


def test_what_is_recorded_is_strict_json():
    given = {"a": 1.5, "b": math.nan, "c": math.inf, "d": -math.inf, "e": 0.0}
    found = finite_or_none(given)
    assert found == {"a": 1.5, "b": None, "c": None, "d": None, "e": 0.0}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "value", "best", "better"),
    [
        ("train/loss", 1.0, 2.0, True),
        ("train/loss", 2.0, 1.0, False),
        # Of two equal values the earlier one stays the best.
        ("train/loss", 1.0, 1.0, False),
        ("test/accuracy", 0.9, 0.8, True),
        ("test/accuracy", 0.8, 0.9, False),
        # A diverged value is no improvement on anything, and anything is one on it.
        ("train/loss", None, None, False),
        ("train/loss", None, 1.0, False),
        ("train/loss", 1e9, None, True),
        ("test/accuracy", 0.0, None, True),
        # A learning rate is neither good nor bad.
        ("lr", 0.1, None, False),
    ],
)
def test_improves(name, value, best, better):
    assert improves(COMMON[name], value, best) is better


def test_a_live_metric_is_no_part_of_the_record():
    assert not COMMON.keys() & LIVE.keys()


# -- what tasks declare ----------------------------------------------------------------------------

WOBBLE = Metric("wobble", "min")


Told = optim.Observation("told", lambda *_: None)


class Line(Task):
    """A task of one's own, with what it declares set by each test."""

    batch = loss = evaluate = None  # type: ignore[assignment]


@pytest.fixture
def line(monkeypatch):
    def task(metrics, headline="train/loss"):
        monkeypatch.setattr(Line, "metrics", metrics, raising=False)
        monkeypatch.setattr(Line, "headline", headline)
        return Line()

    return task


def test_a_run_reports_what_its_task_and_its_optimizers_declare(line):
    task = line({"test/wobble": WOBBLE}, "test/wobble")
    check_task_metrics("task=line", task)
    assert metrics_of(task, [optim.AdamAL]) == {**COMMON, "test/wobble": WOBBLE}
    assert {"optim/beta", "optim/underflow"} <= metrics_of(task, [optim.MAdam, optim.LpAdam]).keys()
    config = {"task": {"_target_": f"{__name__}.Line"}}
    assert headline_of(config) == "test/wobble"


@pytest.mark.parametrize(
    ("metrics", "headline", "said"),
    [
        ({"test/wobble": "wobble"}, "train/loss", "metric test/wobble: must be a Metric of"),
        ({"test wobble": WOBBLE}, "train/loss", "metric test wobble: a name must be letters, digi"),
        ({"a": Metric("a", "up")}, "train/loss", "metric a: better=up: must be min, max or None"),
        ({"test/loss": WOBBLE}, "train/loss", "metric test/loss: is a common metric with another"),
        ({"a": Told}, "train/loss", "metric a: must be a Metric of tasks.metrics"),
        (
            ["a"],
            "train/loss",
            "metrics: must be a mapping of names, each to a Metric",
        ),
        ({}, "test/wobble", "headline test/wobble: no metric of this name"),
        (
            {"a/steps": Metric("steps", reached="a/success")},
            "train/loss",
            "metric a/steps: reached=a/success: no metric of the task",
        ),
        (
            {"a/success": Metric("success", binary="yes")},
            "train/loss",
            "metric a/success: binary=yes: must be true or false",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused(line, metrics, headline, said):
    with pytest.raises(BadInput) as caught:
        check_task_metrics("task=line", line(metrics, headline))
    assert str(caught.value).startswith(f"task=line: {said}")


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        ({"optim/trust": WOBBLE}, "observation optim/trust: must be an optim.Observation"),
        ({"optim trust": Told}, "observation optim trust: a name must be letters, digits"),
        ({"lr": Told}, "observation lr: is a common metric with another meaning"),
        (["a"], "observations: must be a mapping of names, each to a optim.Observation"),
    ],
)
def test_what_cannot_be_observed_is_refused(observations, said):
    optimizer = type("Mine", (), {"observations": observations})()
    with pytest.raises(BadInput) as caught:
        check_observations("optim=mine", optimizer)
    assert str(caught.value).startswith(f"optim=mine: {said}")


def test_each_evaluation_is_a_number_or_one_for_each_trial():
    found = Evaluations({**COMMON, "test/wobble": WOBBLE})
    values = {"test/loss": torch.tensor(2.0), "test/wobble": torch.tensor([1.0, 3.0]), "lr": 0.5}
    assert found.add(values, 4) == {"test/loss": 2.0, "test/wobble": 2.0, "lr": 0.5}
    assert found.trials == {"test/wobble": [1.0, 3.0]}
    with pytest.raises(ValueError, match=r"^test/bleu: no common metric, and the task's `metrics`"):
        found.add({"test/bleu": 1.0}, 5)


def test_every_metric_has_one_meaning():
    """Of two that declare one name, a table would show the one that happens to come first."""
    known = {}
    for target in targets(search_path.folders()):
        for name, metric in declared(*target).items():
            label = known.setdefault(name, metric).label
            assert (label, known[name].better, known[name].log) == (
                metric.label,
                metric.better,
                metric.log,
            )


def test_a_metric_of_another_machine_is_shown_by_its_name():
    assert find_metric("test/never_heard_of") is None
    assert metric_named("test/never_heard_of") == Metric("test/never_heard_of")
    assert metric_named("test/bleu").better == "max"


def test_common_metrics_come_first():
    names = ["test/bleu", "lr", "train/loss", "lr"]
    assert in_order(name for name in names) == ["train/loss", "lr", "test/bleu"]
    assert names_of_all()[: len(COMMON)] == list(COMMON) and "test/bleu" in names_of_all()
