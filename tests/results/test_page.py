"""The report page: what it embeds is safe and complete, and a real browser can use it from disk."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from results.page import page

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> & <!-- \u2028 é 漢 {{payload}}"
METHODS = ["AMSGrad", "LP-Adam", "Adam"]
OPTIMS = ["amsgrad", "lp_adam", "adam"]
RATES = [1e-4, 1e-3, 1e-2, 1e-1]


def write_page(payload: dict[str, Any], path: Path) -> None:
    path.write_text(page(payload), encoding="utf-8")


def curve(start: float, speed: float, points: int = 20) -> dict[str, list[Any]]:
    steps = [10 * (i + 1) for i in range(points)]
    mean = [start * math.exp(-speed * i / points) for i in range(points)]
    return {
        "step": steps,
        "mean": mean,
        "low": [0.9 * value for value in mean],
        "high": [1.15 * value for value in mean],
    }


def study_curves() -> list[dict[str, Any]]:
    found = []
    for i, row in enumerate(METHODS):
        loss = curve(2.3, 2.0 + i)
        rising = curve(1.0, 2.0 + i)
        # Smaller error is higher accuracy, so the edges of the band change places.
        accuracy = {
            "step": rising["step"],
            "mean": [1 - 0.9 * value for value in rising["mean"]],
            "low": [1 - 0.9 * value for value in rising["high"]],
            "high": [1 - 0.9 * value for value in rising["low"]],
        }
        metrics = {"test/accuracy": accuracy | {"seeds": 2}, "train/loss": loss | {"seeds": 2}}
        found.append({"row": row, "column": "FC-2", "point": "lr=0.001", "metrics": metrics})
    found[0]["metrics"]["train/loss"]["mean"][5] = None
    found[0]["metrics"]["train/loss"]["low"][5] = None
    return found


def study_sensitivity() -> list[dict[str, Any]]:
    found = []
    for i, row in enumerate(METHODS):
        mean: list[float | None] = [0.8 + 0.02 * i, 0.93, 0.9 - 0.05 * i, None if i else 0.4]
        values = {
            "x": RATES,
            "mean": mean,
            "low": [None if value is None else value - 0.02 for value in mean],
            "high": [None if value is None else value + 0.02 for value in mean],
            "diverged": [0, 0, 0, 2 if i else 1],
        }
        loss = values | {"mean": [1.1, 0.3, 0.5, None], "low": [1.0, 0.2, 0.4, None]}
        loss["high"] = [1.3, 0.35, 0.7, None]
        found.append(
            {
                "row": row,
                "column": "FC-2",
                "key": "optim.lr",
                "metrics": {"test/accuracy": values, "train/loss": loss},
            }
        )
    return found


def study_figures() -> list[dict[str, Any]]:
    """Losses over two settings in a logarithmic scale, counts of entries, and paths."""
    over_grid = {
        "name": "fig12",
        "title": HOSTILE,
        "metric": "train/loss",
        "shade": "train/loss",
        "x": "optim.betas.1",
        "y": "optim.betas.0",
        "range": [0.01, 1.0],
        "panels": [
            {
                "name": "Adam",
                "x": ["0.1", "0.999"],
                "y": ["0.5", "0.9"],
                "texts": [["0.01", "0.1*"], ["nan", ""]],
                "colours": [[0.01, 0.1], [None, None]],
            },
            {
                "name": "LaProp",
                "x": ["0.1", "0.999"],
                "y": ["0.5", "0.9"],
                "texts": [["1", "0.1"], ["0", "0.01"]],
                "colours": [[1.0, 0.1], [0.0, 0.01]],
            },
        ],
    }
    trials = {"x": ["1", "2"], "y": [], "texts": [["3", "7"]], "colours": [[0.4, 0.9]]}
    counted = over_grid | {
        "name": "swaps",
        "shade": "test/accuracy",
        "x": "trial",
        "y": None,
        "range": [0.4, 0.9],
        "panels": [{"name": "AMSGrad", **trials}],
    }
    lines = [
        {"row": row, "column": column, "x": [0.0, 1.0, 0.5], "mean": [0.1 + i, 0.2, 0.3]}
        for column in ("one", "two")
        for i, row in enumerate(METHODS[1:])
    ]
    path = {"x": "test/accuracy", "metric": "train/loss", "lines": lines}
    path |= {"label": "training loss", "log": True, "normalised": False}
    return [over_grid, counted, {"name": "path", "title": "Figure 1"} | path]


def run_record(i: int) -> dict[str, Any]:
    optim, rate, seed = OPTIMS[i % 3], RATES[(i // 3) % 4], i // 12
    status = "diverged" if rate == 1e-1 and optim == "adam" else "failed" if i == 4 else "finished"
    good = status == "finished"
    accuracy = 0.9 + 0.003 * ((7 * i) % 30) if good else None
    values = curve(2.3, 1 + 0.1 * i)
    return {
        "id": f"{0x3F2A91C0D000 + 7919 * i:012x}",
        "task": "mnist_fc2",
        "optim": optim,
        "lr": rate,
        "seed": seed,
        "profile": "smoke",
        "data": "sample",
        "status": status,
        "step": 200 if good else 40,
        "steps": 200,
        "headline": "test/accuracy",
        "final": {"test/accuracy": accuracy, "train/loss": 0.05 + 0.01 * i},
        "best": {"test/accuracy": {"value": accuracy, "step": 190}} if good else {},
        "wall_seconds": 4.1 + i,
        "step_seconds": 0.02,
        "folder": f"runs/mnist_fc2/{optim}/{i}",
        "error": HOSTILE if status == "failed" else None,
        "config": f"task:\n  name: mnist_fc2\noptim:\n  lr: {rate}\nseed: {seed}\n",
        "environment": {
            "torch": "2.13.0",
            "device": "cpu",
            "cpu": "two cores",
            "git_commit": "abc1234",
            "git_dirty": False,
            "gpu": None,
        },
        "curves": {"train/loss": {"step": values["step"], "value": values["mean"]}},
    }


def study(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Study {name}",
        "paper": name.split("/")[0],
        "citation": "Daley and Amato, Investigating Alternatives to the Root Mean Square",
        "reproduces": ["table 2 (FC-2)", "figure 2a"],
        "notes": ["The sample source is 5,000 MNIST images."],
        "profiles": {"paper": 300, "short": 90, "smoke": 30},
        "variants": [],
    } | more


def make_payload() -> dict[str, Any]:
    runs = [run_record(i) for i in range(30)]
    table = {
        "headers": ["method", "lr", "accuracy", "95% interval", "printed"],
        "rows": [[row, "1e-3", f"0.93{i}", "0.91 – 0.95", "98.2"] for i, row in enumerate(METHODS)],
    }
    smoke = {
        "profile": "smoke",
        "data": "sample",
        "status": {"cells": 30, "finished": 26, "diverged": 2, "failed": 1, "missing": 1},
        "table": table,
        "warnings": ["1 of 30 cells has no record.", HOSTILE],
        "hardware": ["two cores"],
        "commits": ["abc1234 (dirty)"],
        "curves": study_curves(),
        "sensitivity": study_sensitivity(),
        "figures": study_figures(),
        "runs": [run["id"] for run in runs],
    }
    paper = smoke | {
        "profile": "paper",
        "data": "full",
        "status": {"cells": 300, "finished": 12, "diverged": 0, "failed": 0, "missing": 288},
        "warnings": [],
        "curves": study_curves()[:1],
        "sensitivity": [],
        "figures": [],
        "runs": ["000000000000"],
    }
    # Two columns of which the second has another metric, and a setting whose values include zero.
    perplexity = {"test/perplexity": curve(200.0, 1.0)}
    decay = study_sensitivity()[0] | {"key": "optim.weight_decay"}
    decay["metrics"]["test/accuracy"]["x"] = [0, 1e-4, 1e-3, 1e-2]
    short = smoke | {
        "profile": "short",
        "curves": [
            *study_curves(),
            {"row": HOSTILE, "column": "LSTM", "point": None, "metrics": perplexity},
        ],
        "sensitivity": [*study_sensitivity(), decay],
    }
    return {
        "title": "adamily",
        "generated": "2026-11-21T23:50:00Z",
        "version": "0.1.0",
        "metrics": {
            "test/accuracy": {"label": "test accuracy", "better": "max", "log": False},
            "train/loss": {"label": "training loss", "better": "min", "log": True},
        },
        "studies": [
            study("lp_adam/fc2", title="MNIST, two dense layers", variants=[smoke, paper]),
            study("lp_adam/vgg", title=HOSTILE),
            study("padam/cifar10", citation="Chen et al., Closing the Gap", variants=[short]),
        ],
        "runs": runs,
    }


class Tags(HTMLParser):
    """Start tags with their attributes, and the text inside each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def test_payload_is_embedded_safely_and_whole(tmp_path: Path) -> None:
    payload = make_payload()
    write_page(payload, tmp_path / "report.html")
    read = Tags((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in read.tags].count("script") == 3
    assert not [tag for tag, _ in read.tags if tag == "img"]
    assert json.loads(read.scripts[0]) == payload
    assert not set("<>&") & set(read.scripts[0])


def test_title_is_escaped(tmp_path: Path) -> None:
    write_page({"title": HOSTILE, "studies": [], "runs": []}, tmp_path / "report.html")
    read = Tags((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in read.tags if tag == "img"]


def test_page_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    write_page(make_payload(), tmp_path / "report.html")
    read = Tags((tmp_path / "report.html").read_text(encoding="utf-8"))
    addresses = [
        value
        for _, attributes in read.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "poster"}
    ]
    assert addresses
    assert all(value and value.startswith(("#", "data:")) for value in addresses)
    policy = next(attrs["content"] for _, attrs in read.tags if attrs.get("http-equiv"))
    assert policy and policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    payload = {"title": "t", "studies": [], "runs": [], "x": [math.nan, math.inf, (-math.inf, 1.5)]}
    write_page(payload, tmp_path / "report.html")
    read = Tags((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert json.loads(read.scripts[0])["x"] == [None, None, [None, 1.5]]


# From here on in a browser.


class Browser:
    """The page in headless Chromium, asked through ids and data attributes."""

    def __init__(self, driver: Any, pages: Path) -> None:
        self.driver = driver
        self.pages = pages

    def open(self, address: str = "", page: str = "report") -> None:
        # On the page that is open already this only changes the hash, which is quick.
        address = address or "#/"
        self.driver.get((self.pages / f"{page}.html").as_uri() + address)
        self.until(
            "return document.getElementById('main').dataset.address === arguments[0]", address
        )

    def js(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def until(self, code: str, *arguments: Any) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, 200, 0.05)
        return wait.until(lambda _: self.js(code, *arguments), code)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def view(self, name: str) -> None:
        self.until("return document.getElementById('main').dataset.view === arguments[0]", name)

    def choose(self, select: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.find(select)).select_by_value(value)

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def lines(self, plot: str = "curves-plot") -> list[str]:
        """Names of the lines drawn, without their bands."""
        code = """const plot = document.getElementById(arguments[0]);
            return plot.data.filter((trace) => trace.meta === "mean").map((trace) => trace.name)"""
        return self.js(code, plot)

    def axis(self, plot: str = "curves-plot") -> list[str]:
        code = """const axis = document.getElementById(arguments[0]).layout.yaxis;
            return [axis.title.text.split(",")[0], axis.type]"""
        return self.js(code, plot)

    def column(self, name: str) -> list[str]:
        code = """const cells = document.querySelectorAll(arguments[0]);
            return [...cells].map((cell) => cell.textContent)"""
        return self.js(code, f'#runs-body td[data-column="{name}"]')

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    binary = next((found for found in map(shutil.which, names) if found), None)
    chromedriver = shutil.which("chromedriver")
    if not binary or not chromedriver:
        pytest.skip("needs Chromium and chromedriver on PATH")
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("page")
    write_page(make_payload(), folder / "report.html")
    empty = {"title": "adamily", "studies": [study("lp_adam/fc2")], "runs": []}
    write_page(empty, folder / "empty.html")
    many = [run_record(i) | {"id": f"{i:012x}"} for i in range(5000)]
    for run in many:
        run["curves"] = {}
    write_page({"title": "adamily", "studies": [], "runs": many}, folder / "many.html")

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,900",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=chromedriver)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver, folder)
    finally:
        driver.quit()


@pytest.fixture(autouse=True)
def no_console_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every browser test also checks that the console stayed silent."""
    yield
    if "browser" in request.fixturenames:
        assert request.getfixturevalue("browser").errors() == []


def test_index_lists_studies_by_paper(browser: Browser) -> None:
    browser.open()
    browser.view("index")
    papers = browser.driver.find_elements("css selector", "[data-paper]")
    assert [paper.get_attribute("data-paper") for paper in papers] == ["lp_adam", "padam"]
    card = browser.text('[data-study="lp_adam/fc2"]')
    assert "table 2 (FC-2), figure 2a" in card
    assert "28 of 30 done, 2 diverged, 1 failed" in card
    assert "smoke · sample data — not comparable with print" in card
    assert "paper · full data\n" in card
    assert "short (90 cells)" in card


def test_hostile_text_is_shown_as_text(browser: Browser) -> None:
    for address in ("", "#/study/lp_adam/vgg", "#/study/lp_adam/fc2", "#/runs"):
        browser.open(address)
        assert browser.js("return document.querySelectorAll('img, main script').length") == 0
    browser.open("#/study/lp_adam/vgg")
    assert browser.text("h1").startswith("</script><img src=x")


def test_study_opens_from_the_index(browser: Browser) -> None:
    browser.open()
    browser.find('[data-study="lp_adam/fc2"] h3 a').click()
    browser.view("study")
    assert browser.js("return location.hash") == "#/study/lp_adam/fc2"
    assert "not comparable with print" in browser.text("#variant")
    assert browser.js("return document.querySelectorAll('#result-table tbody tr').length") == 3
    assert "1 of 30 cells has no record." in browser.text("#warnings")
    assert browser.js("return document.activeElement.tagName") == "H1"


def test_variants_of_a_study_are_kept_apart(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    browser.find('#variants [data-variant="paper.full"]').click()
    browser.until("return document.querySelector('#variant').dataset.variant === 'paper.full'")
    assert "not comparable" not in browser.text("#variant")
    assert browser.lines() == ["AMSGrad (lr=0.001)"]
    assert not browser.driver.find_elements("id", "warnings")


def test_rows_can_be_switched_off_and_on(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    everything = [f"{row} (lr=0.001)" for row in METHODS]
    assert browser.lines() == everything
    last = "return document.getElementById('curves-plot').data.at(-1).line.color"
    before = browser.js(last)
    browser.find('#rows [data-row="LP-Adam"]').click()
    assert browser.lines() == [everything[0], everything[2]]
    assert browser.lines("sensitivity-plot") == ["AMSGrad", "Adam"]
    assert browser.js(last) == before
    browser.find("#rows-none").click()
    assert browser.lines() == []
    browser.find("#rows-all").click()
    assert browser.lines() == everything


def test_metric_and_scale_change_the_plots(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    assert browser.axis() == ["test accuracy", "linear"]
    browser.choose("#metric", "train/loss")
    assert browser.axis() == ["training loss", "log"]
    assert browser.axis("sensitivity-plot") == ["training loss", "log"]
    drawn = browser.js("return document.getElementById('curves-plot').data")
    first = next(trace["y"] for trace in drawn if trace["meta"] == "mean")
    assert first == pytest.approx(study_curves()[0]["metrics"]["train/loss"]["mean"])
    browser.choose("#scale", "linear")
    assert browser.axis() == ["training loss", "linear"]
    browser.driver.refresh()
    browser.view("study")
    assert browser.axis() == ["training loss", "linear"]


def test_sensitivity_marks_what_diverged(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    layout = browser.js("return document.getElementById('sensitivity-plot').layout")
    assert layout["xaxis"]["type"] == "log"
    assert [item["text"] for item in layout["annotations"]] == ["✕", "✕"]
    assert [item["x"] for item in layout["annotations"]] == [-1, -1]


def cells(browser: Browser, figure: str, panel: str) -> list[tuple[str, str, str]]:
    """Text, background and class of a heat map's cells, line by line."""
    code = """const cells = document.querySelectorAll(arguments[0]);
        return [...cells].map((cell) =>
          [cell.textContent, getComputedStyle(cell).backgroundColor, cell.className])"""
    found = browser.js(code, f'[data-figure="{figure}"] [data-panel="{panel}"] tbody td')
    return [tuple(cell) for cell in found]


def test_heat_maps_share_a_scale_of_colours_and_say_what_diverged(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    adam, laprop = (cells(browser, "fig12", panel) for panel in ("Adam", "LaProp"))
    assert [text for text, _, _ in adam] == ["0.01", "0.1*", "nan", ""]
    # The same value has the same colour in both.
    assert adam[0][1] == laprop[3][1] != adam[1][1] == laprop[1][1] != laprop[0][1]
    # 0.1 is in the middle of a logarithmic scale from 0.01 to 1, where cividis is grey.
    red, green, blue = (
        round(255 * float(part)) for part in adam[1][1].removesuffix(")").split()[1:]
    )
    assert max(red, green, blue) - min(red, green, blue) < 16
    assert [kind for _, _, kind in adam] == ["", "", "diverged", ""]
    # A loss of 0 has no place on it.
    assert laprop[2][1] == adam[3][1] == "rgba(0, 0, 0, 0)"
    said = browser.text('[data-figure="fig12"]')
    assert "Colour: training loss, logarithmic" in said and "nan: every seed diverged" in said
    assert "smoke · sample data — not comparable with print" in said
    assert "<img src=x" in browser.text('[data-figure="fig12"] figcaption')


def test_a_heat_map_of_trials_has_no_names_of_lines(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    assert [text for text, _, _ in cells(browser, "swaps", "AMSGrad")] == ["3", "7"]
    said = browser.text('[data-figure="swaps"]')
    assert "Colour: test accuracy\n0.4 0.9" in said and "diverged" not in said
    assert browser.text('[data-figure="swaps"] thead').split() == ["trial", "→", "1", "2"]


def test_paths_are_drawn_over_a_metric_in_the_colours_of_their_rows(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    plot = "document.querySelector('[data-figure=path] [data-column=two]')"
    lines = browser.js(f"return {plot}.data.map((line) => [line.name, line.x, line.line.color])")
    assert [name for name, _, _ in lines] == METHODS[1:]
    assert lines[0][1] == [0.0, 1.0, 0.5]
    curves = browser.js("return document.getElementById('curves-plot').data.at(-1)")
    assert lines[-1][2] == curves["line"]["color"]
    layout = browser.js(f"return {plot}.layout")
    assert layout["xaxis"]["title"]["text"] == "test accuracy"
    assert (layout["yaxis"]["type"], layout["title"]["text"].count("· two")) == ("log", 1)
    assert browser.text('[data-figure="path"]').count("LP-Adam") == 2


def test_a_study_without_such_figures_has_no_part_for_them(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2?variant=paper.full")
    assert browser.driver.find_elements("css selector", "figure") == []
    assert "Figures" not in browser.text("#main")


def test_columns_and_settings_of_a_study_can_be_chosen(browser: Browser) -> None:
    browser.open("#/study/padam/cifar10")
    assert browser.axis("sensitivity-plot") == ["test accuracy", "linear"]
    browser.choose("#key", "optim.weight_decay")
    axis = browser.js("return document.getElementById('sensitivity-plot').layout.xaxis")
    assert (axis["type"], axis["title"]["text"]) == ("category", "optim.weight_decay")
    assert browser.lines("sensitivity-plot") == ["AMSGrad"]
    browser.choose("#column", "LSTM")
    assert browser.axis() == ["test/perplexity", "linear"]
    assert [line.startswith("&lt;/script&gt;&lt;img") for line in browser.lines()] == [True]
    assert browser.text("#rows").count("<img src=x") == 1


def test_filter_narrows_the_runs(browser: Browser) -> None:
    browser.open("#/runs")
    assert browser.text("#runs-count") == "30 of 30 runs"
    for query, optims, statuses, count in [
        ("status:diverged", {"adam"}, {"✓ finished", "↗ diverged"}, 2),
        ("optim:amsgrad lr:0.001", {"amsgrad"}, {"✓ finished"}, 3),
        ("lr:>0.001 lr:<0.1 lp_adam", {"lp_adam"}, {"✓ finished"}, 2),
        ("failed owned", {"lp_adam"}, {"✕ failed"}, 1),
        ("no such run", set(), set(), 0),
    ]:
        browser.type("#runs-filter", query)
        wanted = f"{count} of 30 runs"
        browser.until("return document.getElementById('runs-count').value === arguments[0]", wanted)
        assert set(browser.column("optim")) == optims
        assert set(browser.column("status")) <= statuses
        assert len(browser.column("id")) == count


def test_headers_sort_numbers_as_numbers_with_blanks_last(browser: Browser) -> None:
    browser.open("#/runs")
    browser.find('[data-sort="lr"]').click()
    assert browser.find('th[data-column="lr"]').get_attribute("aria-sort") == "ascending"
    rates = [float(text) for text in browser.column("lr")]
    assert rates == sorted(rates) and rates[0] < rates[-1]
    for _ in range(2):
        browser.find('[data-sort="final"]').click()
        shown = browser.column("final")
        assert shown[-3:] == ["–"] * 3 and "–" not in shown[:-3]
    values = [float(text) for text in shown[:-3]]
    assert values == sorted(values, reverse=True)


def test_run_shows_its_config_and_curves(browser: Browser) -> None:
    run = make_payload()["runs"][0]
    browser.open("#/runs")
    browser.find(f'#runs-body [data-run="{run["id"]}"] a').click()
    browser.view("run")
    assert browser.js("return document.getElementById('run-config').textContent") == run["config"]
    assert browser.lines() == [run["id"]]
    assert browser.text("#run-folder") == run["folder"]
    assert "not comparable with print" in browser.text(".badge")
    assert "abc1234" in browser.text("#run-environment")
    assert "0.9" in browser.text('#metric-table [data-metric="test/accuracy"]')


def test_failed_run_shows_its_error(browser: Browser) -> None:
    browser.open(f"#/run/{make_payload()['runs'][4]['id']}")
    assert browser.text("#run-error").startswith("</script><img src=x")


def test_chosen_runs_are_drawn_together(browser: Browser) -> None:
    ids = [run["id"] for run in make_payload()["runs"][:2]]
    browser.open("#/runs")
    assert not browser.find("#compare-link").is_displayed()
    for name in ids:
        browser.find(f'[data-compare="{name}"]').click()
    browser.find("#compare-link").click()
    browser.view("compare")
    assert [line.split(" · ")[1] for line in browser.lines()] == ids
    browser.find("#compare-clear").click()
    assert not browser.find("#compare-link").is_displayed()


def test_a_saved_plot_names_its_profile_and_data(browser: Browser) -> None:
    for address in ("#/study/lp_adam/fc2", f"#/run/{make_payload()['runs'][0]['id']}"):
        browser.open(address)
        title = browser.js("return document.getElementById('curves-plot').layout.title.text")
        assert "smoke · sample data — not comparable with print" in title


def test_plot_is_saved_as_a_picture(browser: Browser) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    folder = browser.pages / "saved"
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    browser.open("#/study/lp_adam/fc2")
    browser.find('#curves-plot [data-title="Save as a picture"]').click()
    pictures = WebDriverWait(browser.driver, 200, 0.05).until(lambda _: list(folder.glob("*.png")))
    assert "smoke_sample_data" in pictures[0].name
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_going_back_leads_to_the_same_place(browser: Browser) -> None:
    browser.open("#/runs")
    browser.js("document.querySelector('#runs-body tr:last-child a').scrollIntoView()")
    place = browser.until("return history.state?.y > 0 && history.state.y === scrollY && scrollY")
    browser.find("#runs-body tr:last-child a").click()
    browser.view("run")
    browser.driver.back()
    browser.view("runs")
    browser.until("return Math.abs(scrollY - arguments[0]) < 2", place)


def test_unknown_addresses_lead_to_the_index(browser: Browser) -> None:
    for address in ("#/nothing", "#/study/lp_adam/none", "#/run/none", "#/__proto__", "#/run/%"):
        browser.open(address)
        browser.view("index")


def test_empty_report_says_what_to_run(browser: Browser) -> None:
    for address in ("", "#/runs", "#/study/lp_adam/fc2"):
        browser.open(address, "empty")
        command = "python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample"
        assert command in browser.text("#empty")


def test_thousands_of_runs_are_drawn_in_part(browser: Browser) -> None:
    browser.open("#/runs", "many")
    assert browser.text("#runs-count") == "5,000 of 5,000 runs"
    assert len(browser.column("id")) == 150
    browser.find("#runs-more").click()
    assert len(browser.column("id")) == 600
    browser.type("#runs-filter", "seed:416")
    browser.until("return document.getElementById('runs-count').value === '8 of 5,000 runs'")


def test_plots_follow_the_dark_scheme(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    ink = "return document.getElementById('curves-plot').layout.font.color"
    light = browser.js(ink)
    try:
        for scheme in ("dark", "light"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            wanted = "===" if scheme == "light" else "!=="
            browser.until(f"{ink} {wanted} arguments[0]", light)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
