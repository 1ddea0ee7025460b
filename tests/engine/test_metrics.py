"""Metric names are one list; what is better, and what JSON can hold."""

import json
import math

import pytest

from engine import search_path
from engine.checks import BadInput
from engine.metrics import (
    COMMON,
    LIVE,
    check_declared,
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
from engine.metrics_file import finite_or_none
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


class Line(Task):
    """A task of one's own, with what it declares set by each test."""

    batch = loss = evaluate = None  # type: ignore[assignment]


@pytest.fixture
def line(monkeypatch):
    def config(metrics, headline="train/loss"):
        monkeypatch.setattr(Line, "metrics", metrics, raising=False)
        monkeypatch.setattr(Line, "headline", headline)
        declared.cache_clear()
        names = {"task": "line", "optim": "adamal"}
        part = {"_target_": f"{__name__}.Line"}
        return {"names": names, "task": part, "optim": {"_target_": "optim.AdamAL"}}

    yield config
    declared.cache_clear()


def test_a_run_reports_what_its_task_declares(line):
    config = line({"test/wobble": WOBBLE}, "test/wobble")
    check_declared(config)
    assert metrics_of(config) == {**COMMON, "test/wobble": WOBBLE}
    assert headline_of(config) == "test/wobble"


@pytest.mark.parametrize(
    ("metrics", "headline", "said"),
    [
        (
            {"test/wobble": "wobble"},
            "train/loss",
            "metric test/wobble: must be a Metric",
        ),
        ({"test wobble": WOBBLE}, "train/loss", "metric test wobble: a name must be letters, digi"),
        ({"a": Metric("a", "up")}, "train/loss", "metric a: better=up: must be min, max or None"),
        ({"test/loss": WOBBLE}, "train/loss", "metric test/loss: is a common metric with another"),
        ({}, "test/wobble", "headline test/wobble: no metric of this name"),
    ],
)
def test_what_cannot_be_shown_is_refused(line, metrics, headline, said):
    with pytest.raises(BadInput) as caught:
        check_declared(line(metrics, headline))
    assert str(caught.value).startswith(f"task=line: {said}")


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
    assert in_order(["test/bleu", "lr", "train/loss"]) == ["train/loss", "lr", "test/bleu"]
    assert names_of_all()[: len(COMMON)] == list(COMMON) and "test/bleu" in names_of_all()
