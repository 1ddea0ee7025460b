"""What the page is given: plain types, the whole record, and not too many points."""

import itertools
import json
import math
import shutil
import struct

import pytest
from browsing import payload_of

import results.report
from engine.labels import settings
from engine.records import read_all
from results.payload import figure_payloads, variant_payload
from results.payload_runs import CURVE_POINTS, runs_payload, thin
from results.report import PAGE, render_page
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
    monkeypatch.setattr(
        results.report, "page", lambda payload, curves: given.append(payload) or "page"
    )
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
        "planned": 12,
        "finished": 4,
        "diverged": 4,
        "failed": 2,
        "cut": 0,
        "not_begun": 0,
        "rows": 2,
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


def values_of(column, count):
    """A column's values, run by run, and None where a run has none."""
    return [column["values"][at] if at >= 0 else None for at in column.get("at", [0] * count)]


def test_every_run_is_there_whatever_became_of_it(payload, tmp_path):
    records = list(read_all(tmp_path / "runs").values())
    runs = payload["runs"]
    assert runs["count"] == 12 and runs["id"] == [record.id for record in records]
    assert values_of(runs["of_run"]["status"], 12) == [record.status for record in records]
    assert set(values_of(runs["of_run"]["status"], 12)) == {
        "diverged",
        "failed",
        "finished",
        "unfinished",
    }
    assert sorted(payload["studies"][0]["variants"][0]["runs"]) == list(range(12))
    errors = values_of(runs["of_run"]["error"], 12)
    assert [bool(error) for error in errors] == [r.status == "failed" for r in records]
    assert set(errors) == {None, "RuntimeError: broken"}
    assert runs["environment"]["cpu"]["values"] == ["Two Cores"]
    finals = [record.summary.get("final", {}).get("train/loss") for record in records]
    assert runs["final"]["train/loss"] == pytest.approx(finals)


def test_what_runs_have_alike_is_said_once(payload, tmp_path):
    records = list(read_all(tmp_path / "runs").values())
    columns = payload["runs"]["settings"]
    assert columns["epochs"] == {"values": [3], "texts": ["3"]}
    for key in ("lr", "seed", "row"):
        found = [settings(record.config)[key] for record in records]
        assert values_of(columns[key], 12) == found
        assert len(columns[key]["values"]) == len(set(found)) < 12


def unpacked(runs):
    """Run by run, metric → steps and values, as the page reads them."""
    found, at = [], 0
    for length in runs.index["blocks"]:
        end, curves, steps = at + length, {}, []
        while at < end:
            place, count, same, log, least, most = struct.unpack_from("<HHBBdd", runs.curves, at)
            at += struct.calcsize("<HHBBdd")
            if not same:
                steps = list(
                    itertools.accumulate(struct.unpack_from(f"<{count}I", runs.curves, at))
                )
                at += 4 * count
            upper, lower = runs.curves[at : at + count], runs.curves[at + count : at + 2 * count]
            at += 2 * count
            levels = [256 * high + low for high, low in zip(upper, lower, strict=True)]
            curves[runs.index["metrics"][place]] = (
                steps,
                [
                    None
                    if level == 65535
                    else least * (most / least) ** (level / 65534)
                    if log
                    else least + (most - least) * level / 65534
                    for level in levels
                ],
            )
        found.append(curves)
    return found


def test_packed_curves_are_those_of_the_records_to_four_digits(tmp_path, make_config, write_run):
    losses = [2.3 * math.exp(-step / 12) for step in range(100)]
    lines = [
        {"step": 10 * step, "train/loss": loss, "test/accuracy": 1 - loss / 3}
        | ({"test/loss": None if step == 40 else 1.0} if step % 20 == 0 else {})
        for step, loss in enumerate(losses)
    ]
    for seed in (0, 1):
        write_run(tmp_path / "runs", make_config({"seed": seed}), None, lines[: 100 - 99 * seed])
    records = list(read_all(tmp_path / "runs").values())
    for record, curves in zip(records, unpacked(runs_payload(records)), strict=True):
        assert curves.keys() == record.curves.keys()
        for name, (steps, values) in record.curves.items():
            found_steps, found = curves[name]
            assert found_steps == thin(steps)
            assert [value is None for value in found] == [value is None for value in thin(values)]
            known = [value for value in thin(values) if value is not None]
            got = [value for value in found if value is not None]
            # What is drawn on a logarithmic axis has its digits where it is small, too.
            spread = max(known) - min(known)
            precision = {"rel": 2e-4} if name == "train/loss" else {"abs": 1e-4 * (spread or 1)}
            assert got == pytest.approx(known, **precision)


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
        tables = variant_payload(result, {}, [])["against_reference"]
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
    data = payload_of(text)
    assert data["studies"][0]["title"] == "Tables & <Toys>"
    assert data["runs"]["count"] == 12


def test_there_is_a_page_of_no_runs(make_study):
    assert len(render_page([make_study()], [], [])[PAGE]) > 1_000_000  # plotly is inside


def test_a_study_of_ones_own_needs_no_published_numbers(make_study):
    study = make_study(name="mine/first", paper="mine", published=[])
    [shown] = payload_of(render_page([study], [], [])[PAGE].decode())["studies"]
    assert shown["name"] == "mine/first"


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
        ("AdaMax, ε = 1e-8", "learning rate = 1e-3"),
        ("AdaMax, ε = 1e-8", "learning rate = 0.01"),
    ]


def test_the_page_knows_a_metric_that_only_a_task_declares(
    make_study, make_result, tmp_path, monkeypatch
):
    given = []
    monkeypatch.setattr(
        results.report, "page", lambda payload, curves: given.append(payload) or "page"
    )
    study = make_study()
    result = make_result(study, lambda cell: {"train/loss": 0.5, "test/perplexity": 8.0})
    render_page([study], [result], read_all(tmp_path / "runs").values())
    [payload] = given
    expected = {"label": "test perplexity", "better": "min", "log": True}
    assert payload["metrics"]["test/perplexity"] == expected
    variant = payload["studies"][0]["variants"][0]
    assert all("test/perplexity" in curve["metrics"] for curve in variant["curves"])
    assert any("test/perplexity" in shown["metrics"] for shown in variant["sensitivity"])


def cells_of(result):
    table = variant_payload(result, {}, [])["paper_table"]
    return table, {(cell["row"], cell["column"]): cell for cell in table["cells"]}


def test_the_best_of_a_column_is_marked_and_what_no_test_tells_from_it(make_study, make_result):
    """With loss as the metric, lower is better; SGD is far off in every seed."""
    noise = [0.0, 0.03, -0.02, 0.01, -0.03]
    center = {"Adam": 0.5, "Yogi": 0.51, "SGD": 0.9}

    def outcome(cell):
        own = noise[cell.seed] if cell.row == "Adam" else -noise[cell.seed]
        return {"train/loss": center[cell.row] + own, "test/accuracy": 0.5}

    rows = {name: {"optim": name.lower()} for name in center}
    columns = {"A": {"task": "toy"}, "B": {"task": "toy"}}
    study = make_study(
        rows=rows, columns=columns, grid={"optim.lr": [1e-3]}, seeds=5, published=[], figures={}
    )
    table, cells = cells_of(make_result(study, outcome, profile="paper"))
    assert (table["columns"], table["rows"]) == (["A", "B"], ["Adam", "Yogi", "SGD"])
    for column in columns:
        marks = [cells[row, column]["metrics"]["train/loss"]["mark"] for row in center]
        assert marks == ["best", "tied", None]
    # Equal in every pair is tied, too.
    assert cells["SGD", "A"]["metrics"]["test/accuracy"]["mark"] in ("best", "tied")
    assert cells["Adam", "B"]["point"]["optim.lr"]["value"] == 1e-3
    assert (cells["Adam", "A"]["ended"], cells["Adam", "A"]["planned"]) == (5, 5)


def test_a_row_of_which_seeds_diverged_is_not_the_best_of_a_column(make_study, make_result):
    rows = {name: {"optim": name.lower()} for name in ("Adam", "Yogi")}

    def outcome(cell):
        if cell.row == "Yogi" and cell.seed > 0:
            return "diverged"
        return {"train/loss": 0.5 if cell.row == "Adam" else 0.1, "test/accuracy": 0.5}

    study = make_study(
        rows=rows,
        grid={"optim.lr": [1e-3]},
        seeds=3,
        published=[],
        figures={},
        profiles={"smoke": {}},
    )
    _, cells = cells_of(make_result(study, outcome))
    marks = [cells[row, "FC-2"]["metrics"]["train/loss"]["mark"] for row in rows]
    assert marks == ["best", None]


def test_values_beyond_single_precision_are_packed(tmp_path, make_config, write_run):
    values = [1e-90, 1e-3, 1e60]
    lines = [{"step": step, "lr": value} for step, value in enumerate(values)]
    write_run(tmp_path / "runs", make_config(), None, lines)
    [curves] = unpacked(runs_payload(list(read_all(tmp_path / "runs").values())))
    assert curves["lr"][1] == pytest.approx(values, rel=0.01)


def test_one_seed_makes_a_best_and_no_claim_of_ties(make_study, make_result):
    study = make_study(grid={"optim.lr": [1e-3]}, seeds=1, profiles={"smoke": {}}, figures={})
    loss = {"AMSGrad": 0.5, "AdaMax": 0.5001}
    _, cells = cells_of(
        make_result(study, lambda cell: {"train/loss": loss[cell.row], "test/accuracy": 0.5})
    )
    assert [cells[row, "FC-2"]["metrics"]["train/loss"]["mark"] for row in loss] == ["best", None]


def test_progress_counts_the_rows_that_somebody_has_begun(make_study, make_result):
    result = make_result(make_study(), lambda cell: outcome(cell) if cell.row == "AdaMax" else None)
    status = variant_payload(result, {}, [])["status"]
    assert (status["planned"], status["not_begun"], status["rows"]) == (6, 1, 2)
    assert status["finished"] + status["diverged"] + status["failed"] == 5


def test_rows_have_the_looks_of_their_optimizers(payload):
    found = payload["studies"][0]["looks"]
    assert found.keys() == {"AMSGrad", "AdaMax"} and found["AMSGrad"] != found["AdaMax"]
    assert all(light.startswith("#") and dark.startswith("#") for light, dark, *_ in found.values())
    assert payload["looks"].keys() >= {"adam"}
