"""Runs on the page in a browser: labels, filters, columns, groups, comparisons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from browsing import Browser
from page_payloads import HOSTILE, OPTIMS, RUNS, make_payload, write_page

from engine.labels import labels
from engine.records import Record
from results.payload_runs import runs_payload

LABELS = labels([run.config for run in RUNS])
IDS = [run.id for run in RUNS]


def rate(run: Record) -> float:
    return run.config["optim"]["lr"]


def optim(run: Record) -> str:
    return run.config["names"]["optim"]


def accuracy(run: Record) -> Any:
    return run.summary["final"]["test/accuracy"]


def test_runs_are_called_what_tells_them_apart(browser: Browser) -> None:
    browser.open("#/runs")
    assert browser.column("run") == LABELS and len(set(LABELS)) == 30
    assert "lp_adam lr=0.0001 p=1.2 seed=0" in LABELS
    # Of fewer runs, less has to be said.
    few = [i for i, run in enumerate(RUNS) if optim(run) == "adam" and run.config["seed"] == 0]
    browser.found("optim:adam seed:0", "4 of 30 runs")
    assert browser.column("run") == labels([RUNS[i].config for i in few])
    assert browser.column("run")[0] == "adam lr=0.0001"


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("optim:adam", lambda run: optim(run) == "adam"),
        ("optim:ADAM*", lambda run: optim(run) == "adam"),
        ("optim:*adam", lambda run: optim(run) in ("adam", "lp_adam")),
        ("p:6", lambda run: run.config["optim"].get("p") == 6),
        ("!p:6", lambda run: run.config["optim"].get("p") != 6),
        ("betas.1:0.999 seed:1", lambda run: run.config["seed"] == 1),
        ("lr:>=1e-3 !lr:0.1", lambda run: rate(run) in (1e-3, 1e-2)),
        ("optim:amsgrad lr:0.001", lambda run: optim(run) == "amsgrad" and rate(run) == 1e-3),
        ("seed:2 OR status:failed", lambda run: run.config["seed"] == 2 or run is RUNS[4]),
        ("optim:adam seed:0 OR", lambda run: optim(run) == "adam" and run.config["seed"] == 0),
        ("status:diverged", lambda run: run.status == "diverged"),
        ("study:lp_adam/fc2", lambda run: True),
        ("study:padam/*", lambda run: True),
        ("!study:lp_adam/*", lambda run: False),
        ("failed owned", lambda run: run is RUNS[4]),
        ('"lp_adam"', lambda run: optim(run) == "lp_adam"),
        ("test/accuracy:>0.95", lambda run: (accuracy(run) or 0) > 0.95),
        ("final:>0.95", lambda run: (accuracy(run) or 0) > 0.95),
        (f"id:{IDS[3]}", lambda run: run is RUNS[3]),
        ("env.cpu:two*", lambda run: True),
        ("no such run", lambda run: False),
    ],
)
def test_a_filter_means_what_it_says(
    browser: Browser, query: str, holds: Callable[[Record], bool]
) -> None:
    browser.open("#/runs")
    wanted = [run.id for run in RUNS if holds(run)]
    browser.found(query, f"{len(wanted)} of 30 runs")
    code = "return [...document.querySelectorAll('#runs-body tr')].map((row) => row.dataset.run)"
    assert browser.js(code) == wanted


def test_a_column_that_is_not_there_is_said_and_a_close_one_named(browser: Browser) -> None:
    browser.open("#/runs")
    assert not browser.find("#runs-complaint").is_displayed()
    browser.found("optm:adam", "0 of 30 runs")
    assert browser.text("#runs-complaint").startswith("There is no column optm. Is it optim")
    browser.found("zzzz:1", "0 of 30 runs")
    assert "“Columns” lists all" in browser.text("#runs-complaint")
    browser.found("lr:>=abc", "0 of 30 runs")
    assert browser.text("#runs-complaint").startswith("lr:>=abc: behind >= stands a number")
    browser.found('"zzzz:1"', "0 of 30 runs")
    assert not browser.find("#runs-complaint").is_displayed()


def test_columns_that_vary_are_shown_and_any_other_can_be(browser: Browser) -> None:
    browser.open("#/runs")
    heads = (
        "return [...document.querySelectorAll('#runs-table th button')].map((b) => b.textContent)"
    )
    assert browser.js(heads)[:5] == ["run", "optim", "lr", "p", "seed"]
    browser.find("#columns summary").click()
    browser.find('#columns [data-key="p"]').click()
    browser.find('#columns [data-key="batch_size"]').click()
    browser.until("return !!document.querySelector('[data-sort=batch_size]')")
    assert browser.js(heads)[:5] == ["run", "optim", "lr", "seed", "batch_size"]
    assert set(browser.column("batch_size")) == {"32"}
    browser.driver.refresh()
    browser.view("runs")
    assert browser.js(heads)[:5] == ["run", "optim", "lr", "seed", "batch_size"]


def test_headers_sort_numbers_as_numbers_with_blanks_last(browser: Browser) -> None:
    browser.open("#/runs")
    browser.find('[data-sort="lr"]').click()
    assert browser.find('th[data-column="lr"]').get_attribute("aria-sort") == "ascending"
    rates = [float(text) for text in browser.column("lr")]
    assert rates == sorted(rates) and rates[0] < rates[-1]
    shown = []
    for _ in range(2):
        browser.find('[data-sort="final"]').click()
        shown = browser.column("final")
        assert shown[-3:] == ["–"] * 3 and "–" not in shown[:-3]
    values = [float(text) for text in shown[:-3]]
    assert values == sorted(values, reverse=True)


def test_groups_have_means_over_seeds_and_their_best_point(browser: Browser) -> None:
    browser.open("#/runs?by=optim&values=test/accuracy")
    assert browser.column("optim", "groups-body") == OPTIMS
    for name in OPTIMS:
        runs = [run for run in RUNS if optim(run) == name]
        points = {
            lr: [accuracy(run) for run in runs if rate(run) == lr and run.status == "finished"]
            for lr in {rate(run) for run in runs}
        }
        lost = {lr: sum(r.status == "diverged" for r in runs if rate(r) == lr) for lr in points}
        best = min(
            (lr for lr in points if points[lr]), key=lambda lr: (lost[lr], -fmean(points[lr]))
        )
        cells = browser.all(f'[data-group="{name}"] td')
        texts = {cell.get_attribute("data-column"): cell.text for cell in cells}
        assert f"lr={best:g}" in texts["best"]
        mean, spread = texts["value"].split(" ± ")
        assert float(mean) == pytest.approx(fmean(points[best]), abs=0.001)
        assert float(spread) == pytest.approx(stdev(points[best]), rel=0.06)
        assert texts["n"] == str(len(points[best])) and texts["points"] == "4"
        assert texts["diverged"] == str(sum(run.status == "diverged" for run in runs))
        assert texts["runs"] == "10"


def test_there_are_no_groups_by_numbers_that_are_nearly_all_different(browser: Browser) -> None:
    browser.open("#/runs?by=wall,optim,id")
    assert browser.column("optim", "groups-body") == OPTIMS
    browser.js("document.getElementById('groups').open = true")
    browser.until("return document.querySelector('#groups [data-key=optim]') !== null")
    boxes = "[...document.querySelectorAll('#groups [data-key]')]"
    offered = browser.js(f"return {boxes}.map((box) => box.dataset.key)")
    assert {"optim", "lr", "task"} <= {*offered} and not {"wall", "id", "step"} & {*offered}


def test_groups_are_drawn_as_bands_and_over_what_was_tried(browser: Browser) -> None:
    browser.open("#/runs?by=optim&q=!optim:lp_adam")
    assert browser.column("optim", "groups-body") == ["amsgrad", "adam"]
    browser.find("#group-curves").click()
    browser.view("groups")
    browser.choose("#metric", "train/loss")
    assert [name.split(" (")[0] for name in browser.lines()] == ["amsgrad", "adam"]
    bands = (
        "return document.getElementById('curves-plot').data.filter((t) => t.meta === 'band').length"
    )
    assert browser.js(bands) == 2
    browser.choose("#metric", "test/accuracy")
    assert browser.lines("sensitivity-plot") == ["amsgrad", "adam"]
    layout = browser.js("return document.getElementById('sensitivity-plot').layout.xaxis")
    assert (layout["title"]["text"], layout["type"]) == ("lr", "log")


def test_all_of_a_filter_can_be_chosen_and_compared(browser: Browser) -> None:
    browser.open("#/runs")
    assert not browser.find("#compare-link").is_displayed()
    browser.found("lr:0.001", "9 of 30 runs")
    browser.find("#choose-all").click()
    assert browser.text("#compare-link") == "Compare 9 runs"
    browser.found(" ", "30 of 30 runs")
    browser.find(f'[data-compare="{IDS[0]}"]').click()
    assert browser.text("#compare-link") == "Compare 10 runs"
    browser.find("#compare-link").click()
    browser.view("compare")
    assert len(browser.lines()) == 10
    browser.find("#compare-clear").click()
    assert not browser.find("#compare-link").is_displayed()


def test_compared_runs_show_how_they_differ_and_their_curves_on_any_axis(browser: Browser) -> None:
    browser.open(f"#/compare/{IDS[1]},{IDS[7]}")
    assert browser.lines() == ["lp_adam lr=0.0001", "lp_adam lr=0.01"]
    assert browser.column("lr", "differences") == ["0.0001", "0.01"]
    assert not browser.all('#differences [data-column="optim"]')
    ends = "return document.getElementById('curves-plot').data[0].x.at(-1)"
    assert browser.js(ends) == 200
    for axis, end in (("epoch", 4), ("examples", 6400), ("seconds", 2)):
        browser.choose("#axis", axis)
        assert browser.js(ends) == pytest.approx(end, rel=1e-3)
    values = "return document.getElementById('curves-plot').data[0].y"
    rough = browser.js(values)
    assert rough == pytest.approx(list(RUNS[1].curves["train/loss"][1]), rel=1e-3)
    browser.js("""const slider = document.getElementById('smoothing');
        slider.value = '0.9'; slider.dispatchEvent(new Event('input'))""")
    smooth = browser.js(values)
    assert smooth[0] == pytest.approx(rough[0]) and smooth[-1] > 1.1 * rough[-1]


def test_run_shows_its_settings_and_curves(browser: Browser) -> None:
    browser.open("#/runs")
    browser.find(f'#runs-body [data-run="{IDS[0]}"] a').click()
    browser.view("run")
    assert browser.text("h1") == f"mnist_fc2: {LABELS[0]}"
    settings = browser.js("return document.getElementById('run-config').textContent").split("\n")
    assert {"lr: 0.0001", "betas.1: 0.999", "batch_size: 32", "seed: 0"} <= set(settings)
    assert browser.lines() == [IDS[0]]
    assert browser.text("#run-folder") == str(RUNS[0].folder)
    assert "not comparable with print" in browser.text(".badge")
    assert "abc1234" in browser.text("#run-environment")
    assert "0.9" in browser.text('#metric-table [data-metric="test/accuracy"]')


def test_failed_run_shows_its_error(browser: Browser) -> None:
    browser.open(f"#/run/{IDS[4]}")
    assert browser.text("#run-error").startswith(HOSTILE.partition(">")[0])


def test_going_back_leads_to_the_same_place(browser: Browser) -> None:
    browser.open("#/runs")
    browser.js("document.querySelector('#runs-body tr:last-child a').scrollIntoView()")
    place = browser.until("return history.state?.y > 0 && history.state.y === scrollY && scrollY")
    browser.find("#runs-body tr:last-child a").click()
    browser.view("run")
    browser.driver.back()
    browser.view("runs")
    browser.until("return Math.abs(scrollY - arguments[0]) < 2", place)


def test_thousands_of_runs_are_drawn_in_part(browser: Browser) -> None:
    many = [
        dataclasses.replace(run, folder=Path(f"runs/{i:012x}"), config=run.config | {"seed": i})
        for i in range(5000)
        for run in [RUNS[i % 30]]
    ]
    for i, run in enumerate(many):
        vars(run).update(curves={}, summary=RUNS[i % 30].summary, environment={})
    payload, _ = make_payload()
    payload |= {"studies": [], "runs": runs_payload(many).index}
    write_page(browser.pages / "many.html", payload)
    browser.open("#/runs", "many")
    assert browser.text("#runs-count") == "5,000 of 5,000 runs"
    assert len(browser.column("run")) == 60
    browser.find("#runs-more").click()
    assert len(browser.column("run")) == 300
    browser.found("seed:416", "1 of 5,000 runs")
    browser.found("optim:adam", "1,666 of 5,000 runs")
    # Those of the filter, and not only those that are shown.
    browser.find("#choose-all").click()
    assert browser.text("#compare-link") == "Compare the first 100 of 1,666 runs"
    browser.find("#compare-clear").click()
