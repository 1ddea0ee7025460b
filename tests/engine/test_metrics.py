"""Metric names are one list; what is better, and what JSON can hold."""

import json
import math

import pytest

from engine.metrics import COMMON, LIVE, improves
from engine.metrics_file import finite_or_none


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
