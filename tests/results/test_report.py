"""What the page is given: plain types, the whole record, and not too many points."""

import itertools
import json
import re
import shutil

import pytest

import results.report
from engine.identity import identity
from engine.records import read_all
from results.report import (
    CURVE_POINTS,
    PAGE,
    figure_payloads,
    render_page,
    render_study,
    thin,
    variant_payload,
)
from results.study import Figure


def outcome(cell):
    rate = cell.point["optim.lr"]
    if rate == 1e-2:
        return "diverged"
    if rate == 1e-4:
        return "failed" if cell.seed else "unfinished"
    return {"train/loss": 0.1 + 0.2 * cell.seed, "test/accuracy": 0.9}


def keys_are_text(value):
    if isinstance(value, dict):
        return all(type(key) is str and keys_are_text(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(keys_are_text, value))


@pytest.fixture
def payload(make_study, make_result, tmp_path, monkeypatch):
    """What `page` is given for a study with one variant, and for one with none."""
    given = []
    monkeypatch.setattr(results.report, "page", lambda payload: given.append(payload) or "page")
    study, other = make_study(), make_study(name="lp_adam/other")
    result = make_result(study, outcome)
    records = read_all(tmp_path / "runs").values()
    assert render_page([study, other], [result], records) == {"index.html": b"page"}
    return given[0]


def test_the_page_is_given_plain_strict_json(payload):
    text = json.dumps(payload, allow_nan=False)
    # What comes back differs where a key was a number or a sequence a tuple.
    assert json.loads(text) == payload
    assert keys_are_text(payload)
    # numpy's float64 is a float for `json`, and no plain one.
    assert {
        type(v)
        for v in payload["studies"][0]["variants"][0]["sensitivity"][0]["metrics"]["train/loss"][
            "mean"
        ]
    } <= {float, type(None)}


def test_a_study_has_its_variants_and_one_without_runs_has_none(payload):
    first, second = payload["studies"]
    assert (first["name"], first["paper"]) == ("lp_adam/toy", "lp_adam")
    assert first["profiles"] == {"paper": 12, "short": 6, "smoke": 12}
    assert "Daley" in first["citation"] and "Root Mean Square" in first["citation"]
    assert second["variants"] == []
    [variant] = first["variants"]
    assert (variant["profile"], variant["data"]) == ("smoke", "sample")


def test_the_status_adds_up(payload):
    [variant] = payload["studies"][0]["variants"]
    assert variant["status"] == {
        "cells": 12,
        "finished": 4,
        "diverged": 4,
        "failed": 2,
        "missing": 2,
    }
    assert variant["hardware"] == ["Two Cores, 2 threads"]
    assert variant["commits"] == ["0123456789"]
    assert len(variant["table"]["rows"]) == 2
    assert {len(row) for row in variant["table"]["rows"]} == {len(variant["table"]["headers"])}


def test_a_rate_at_which_all_diverged_is_there_to_be_marked(payload):
    """The page draws a cross where the mean is null and runs diverged."""
    sensitivity = payload["studies"][0]["variants"][0]["sensitivity"]
    assert [(item["row"], item["key"]) for item in sensitivity] == [
        ("AMSGrad", "optim.lr"),
        ("AdaMax", "optim.lr"),
    ]
    found = sensitivity[0]["metrics"]["train/loss"]
    assert found["x"] == [1e-4, 1e-3, 1e-2]
    assert found["mean"] == [None, pytest.approx(0.2), None]
    assert found["diverged"] == [0, 0, 2]


def test_curves_are_those_of_the_best_point(payload):
    [first, _] = payload["studies"][0]["variants"][0]["curves"]
    assert (first["row"], first["column"], first["point"]) == ("AMSGrad", "FC-2", "lr=0.001")
    assert set(first["metrics"]) == {"train/loss", "test/accuracy"}
    assert first["metrics"]["train/loss"]["seeds"] == 2
    assert first["metrics"]["train/loss"]["step"] == [10, 20, 30]


def test_every_run_is_there_whatever_became_of_it(payload):
    runs = payload["runs"]
    assert len(runs) == 12
    assert sorted({run["status"] for run in runs}) == [
        "diverged",
        "failed",
        "finished",
        "unfinished",
    ]
    assert set(payload["studies"][0]["variants"][0]["runs"]) == {run["id"] for run in runs}
    failed = next(run for run in runs if run["status"] == "failed")
    assert failed["error"] == "RuntimeError: broken"
    finished = next(run for run in runs if run["status"] == "finished")
    assert finished["lr"] == 0.001
    assert finished["curves"]["train/loss"]["step"] == [10, 20, 30]
    assert "epochs: 3" in finished["config"]
    assert finished["environment"]["cpu"] == "Two Cores"


def test_a_studys_runs_are_kept_a_line_each(make_study, make_result):
    def trials(cell):
        return "failed" if cell.seed else {"train/loss": [0.25, 0.75], "test/accuracy": 0.5}

    result = make_result(make_study(), trials)
    text = render_study(result)["lp_adam/toy.smoke.sample.jsonl"].decode()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["id"] for line in lines] == [record.id for record in result.records]
    for line, record in zip(lines, result.records, strict=True):
        assert line.keys() == {"id", "identity", "summary", "environment"}
        assert line["identity"] == identity(record.config)
        assert line["environment"] == record.environment
        # Trials would be thousands of numbers; their mean is in `final`.
        wanted = {key: value for key, value in record.summary.items() if key != "trials"}
        assert line["summary"] == wanted
    assert {"failed", "finished"} == {line["summary"]["status"] for line in lines}
    assert result.records[0].summary["trials"] and lines[0]["summary"]["final"]["train/loss"] == 0.5


def test_the_page_is_told_the_command_and_the_studys_own_metrics(payload):
    [study, _] = payload["studies"]
    assert study["metrics"] == ["train/loss", "test/accuracy"]
    command = "python -m scripts.sweep study=lp_adam/toy profile=smoke data=sample"
    assert study["variants"][0]["command"] == command


def test_the_page_has_the_comparison_with_the_reference_row(make_study, make_result):
    for reference, expected in (("AMSGrad", ["AdaMax", "AdaMax"]), (None, [])):
        study = make_study(
            reference=reference, name=f"lp_adam/{reference}", grid={"optim.lr": [1e-3]}
        )
        result = make_result(study, lambda cell: {"train/loss": 0.5, "test/accuracy": 0.5})
        tables = variant_payload(result)["against_reference"]
        assert [row[0] for table in tables for row in table["rows"]] == expected
        assert all(table["notes"][0].startswith("Difference: ") for table in tables)
        shutil.rmtree(result.records[0].folder.parents[2])


def test_points_are_thinned_evenly_and_the_ends_stay():
    points = list(range(1000))
    found = thin(points)
    assert len(found) == CURVE_POINTS
    assert (found[0], found[-1]) == (0, 999)
    gaps = {b - a for a, b in itertools.pairwise(found)}
    assert max(gaps) - min(gaps) <= 1
    assert thin(points[:CURVE_POINTS]) == points[:CURVE_POINTS]
    assert thin([]) == []
    just_over = thin(list(range(CURVE_POINTS + 1)))
    assert len(set(just_over)) == CURVE_POINTS


def test_the_page_is_whole(make_study, make_result, tmp_path):
    study = make_study(title="Tables & <Toys>")
    result = make_result(study, outcome)
    records = read_all(tmp_path / "runs").values()
    text = render_page([study], [result], records)[PAGE].decode()
    embedded = re.search(r'<script[^>]*id="payload"[^>]*>(.*?)</script>', text, re.S)
    data = json.loads(embedded[1])
    assert data["studies"][0]["title"] == "Tables & <Toys>"
    assert len(data["runs"]) == 12


def test_there_is_a_page_of_no_runs(make_study):
    assert len(render_page([make_study()], [], [])[PAGE]) > 1_000_000  # plotly is inside


def test_a_study_of_ones_own_needs_no_published_numbers(make_study):
    study = make_study(name="mine/first", paper="mine", published=[])
    assert b"mine/first" in render_page([study], [], [])[PAGE]


def test_heat_maps_and_paths_are_on_the_page_and_curves_among_the_others(make_study, make_result):
    rows = ["AMSGrad", "AdaMax"]
    figures = {
        "curve": Figure("C", rows, "train/loss"),
        "map": Figure("M", rows, "train/loss", x="optim.lr", y="optim.eps"),
        "empty": Figure("E", rows, "test/loss", x="optim.lr", y="optim.eps"),
        "path": Figure("P", rows[:1], "test/accuracy", x="train/loss"),
    }
    study = make_study(grid={"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8]}, figures=figures)
    shown, path = figure_payloads(make_result(study, outcome))
    assert (shown["name"], shown["title"], shown["shade"]) == ("map", "M", "train/loss")
    assert shown["range"] == [pytest.approx(0.2)] * 2
    assert [panel["name"] for panel in shown["panels"]] == rows
    assert shown["panels"][0]["texts"] == [["0.2", "nan"]]
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    [line] = path["lines"]
    assert (line["row"], line["column"], path["x"]) == ("AMSGrad", "FC-2", "train/loss")
    assert (path["label"], path["log"], path["normalised"]) == ("test accuracy", False, False)
    assert line["x"] == pytest.approx([0.8, 0.1, 0.2])
    assert line["mean"] == pytest.approx([3.6, 0.45, 0.9])


def test_curves_at_all_points_of_a_grid_are_on_the_page(make_study, make_result):
    figure = Figure("G", ["AdaMax"], "train/loss", panels="optim.eps", lines="optim.lr")
    grid = {"optim.lr": [1e-3, 1e-2], "optim.eps": [1e-8]}
    [shown] = figure_payloads(make_result(make_study(grid=grid, figures={"g": figure}), outcome))
    assert (shown["x"], shown["title"], shown["normalised"]) == ("step", "G", False)
    assert [(line["column"], line["row"]) for line in shown["lines"]] == [
        ("AdaMax, optim.eps = 1e-08", "optim.lr = 0.001"),
        ("AdaMax, optim.eps = 1e-08", "optim.lr = 0.01"),
    ]


def test_the_page_knows_a_metric_that_only_a_task_declares(
    make_study, make_result, tmp_path, monkeypatch
):
    given = []
    monkeypatch.setattr(results.report, "page", lambda payload: given.append(payload) or "page")
    study = make_study()
    result = make_result(study, lambda cell: {"train/loss": 0.5, "test/perplexity": 8.0})
    render_page([study], [result], read_all(tmp_path / "runs").values())
    [payload] = given
    expected = {"label": "test perplexity", "better": "min", "log": True}
    assert payload["metrics"]["test/perplexity"] == expected
    variant = payload["studies"][0]["variants"][0]
    assert all("test/perplexity" in curve["metrics"] for curve in variant["curves"])
    assert any("test/perplexity" in shown["metrics"] for shown in variant["sensitivity"])
