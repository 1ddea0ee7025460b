"""The report page: what it embeds is safe and complete, and a real browser can use it from disk."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest
from browsing import Browser, embedded, payload_of
from page_payloads import HOSTILE, METHODS, RUNS, make_payload, study_curves

from results.page import page


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


def test_payload_is_embedded_safely_and_whole() -> None:
    payload, curves = make_payload()
    text = page(payload, curves)
    read = Tags(text)
    assert [tag for tag, _ in read.tags].count("script") == 4
    assert not [tag for tag, _ in read.tags if tag == "img"]
    assert payload_of(text) == payload and embedded(text, "curves") == curves
    assert not set("<>&") & set("".join(read.scripts[:3]))


def test_title_is_escaped() -> None:
    payload, _ = make_payload()
    read = Tags(page(payload | {"title": HOSTILE}))
    assert not [tag for tag, _ in read.tags if tag == "img"]


def test_page_refers_to_nothing_outside_itself() -> None:
    read = Tags(page(*make_payload()))
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


def test_numbers_that_are_not_finite_become_null() -> None:
    payload, _ = make_payload()
    text = page(payload | {"x": [math.nan, math.inf, (-math.inf, 1.5)]})
    assert payload_of(text)["x"] == [None, None, [None, 1.5]]


# From here on in a browser.


def test_index_lists_studies_by_paper(browser: Browser) -> None:
    browser.open()
    browser.view("index")
    papers = browser.driver.find_elements("css selector", "[data-paper]")
    assert [paper.get_attribute("data-paper") for paper in papers] == ["lp_adam", "padam"]
    card = browser.text('[data-study="lp_adam/fc2"]')
    assert "table 2 (FC-2), figure 2a" in card
    assert "28 of 30 runs done, 2 diverged, 1 failed, 1 of 4 rows not begun" in card
    assert "smoke · sample data — not comparable with print" in card
    assert "paper · full data\n" in card
    assert "No records: short 90 runs" in card


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
    assert "1 of 30 runs has no record." in browser.text("#warnings")
    assert browser.js("return document.activeElement.tagName") == "H1"


def test_variants_of_a_study_are_kept_apart(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    browser.find('#variants [data-variant="paper.full"]').click()
    browser.until("return document.querySelector('#variant').dataset.variant === 'paper.full'")
    assert "not comparable" not in browser.text("#variant")
    browser.view("study")
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


def test_a_saved_plot_names_its_profile_and_data(browser: Browser) -> None:
    for address in ("#/study/lp_adam/fc2", f"#/run/{RUNS[0].id}"):
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


def test_unknown_addresses_lead_to_the_index(browser: Browser) -> None:
    for address in ("#/nothing", "#/study/lp_adam/none", "#/run/none", "#/__proto__", "#/run/%"):
        browser.open(address)
        browser.view("index")


def test_empty_report_says_what_to_run(browser: Browser) -> None:
    for address in ("", "#/runs", "#/study/lp_adam/fc2"):
        browser.open(address, "empty")
        command = "python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample"
        assert command in browser.text("#empty")


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


def marks(browser: Browser, column: str) -> list[str | None]:
    cells = browser.all(f'#result-table td[data-column="{column}"]')
    return [cell.get_attribute("data-mark") for cell in cells]


def test_a_study_of_many_columns_has_them_side_by_side_as_in_print(browser: Browser) -> None:
    browser.open("#/study/padam/cifar10")
    heads = (
        "return [...document.querySelectorAll('#result-table th button')].map((b) => b.textContent)"
    )
    assert browser.js(heads) == ["method", "CNN", "LSTM"]
    names = (
        "return [...document.querySelectorAll('#result-table tbody th')].map((h) => h.textContent)"
    )
    assert browser.js(names) == METHODS
    assert marks(browser, "CNN") == ["best", "tied", None]
    bold = browser.js("return [...document.querySelectorAll('#result-table strong')].length")
    assert bold == 4
    cell = browser.find(f'#result-table [data-row="{METHODS[0]}"] [data-column="CNN"]')
    assert cell.text.split("\n") == ["0.900", "print 98.2"]
    # What a method has nothing of is blank, and last however one sorts.
    for wanted in ([*METHODS], [METHODS[1], METHODS[0], METHODS[2]]):
        browser.find('[data-sort="LSTM"]').click()
        assert browser.js(names) == wanted
    browser.choose("#quantity", "optim.lr")
    assert cell_text(browser, "CNN").split("\n") == ["0.001", "print 0.003 (× 0.333)"]


def cell_text(browser: Browser, column: str) -> str:
    return browser.text(f'#result-table [data-row="{METHODS[0]}"] [data-column="{column}"]')


def test_a_study_of_one_column_has_all_that_is_known_of_a_method(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    assert cell_text(browser, "runs") == "10/12"
    assert cell_text(browser, "optim.lr").startswith("0.001")
    links = [link.get_attribute("href") for link in browser.all("#files a")]
    assert [link.rpartition("/")[2] for link in links] == [
        f"fc2.smoke.sample.{end}" for end in ("md", "csv", "tex", "fig2.png")
    ]
    assert all(link.startswith((browser.pages / "lp_adam").as_uri()) for link in links)
    assert browser.text("#files").split()[-1] == "fig2.png"


def test_runs_below_a_study_show_its_own_metric(browser: Browser) -> None:
    browser.open("#/study/lp_adam/fc2")
    assert browser.js("return document.getElementById('runs-metric').value") == "test/accuracy"


def test_studies_without_records_are_a_line_each(browser: Browser) -> None:
    browser.open()
    assert [card.get_attribute("data-study") for card in browser.all(".card")] == [
        "lp_adam/fc2",
        "padam/cifar10",
    ]
    line = browser.find('.lines [data-study="lp_adam/vgg"]')
    assert not line.is_displayed()
    browser.find('[data-paper="lp_adam"] summary').click()
    assert line.is_displayed() and "paper 300 runs, short 90 runs" in line.text


def test_nothing_is_cut_off_without_a_cue(browser: Browser) -> None:
    over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    cues = "return [...document.querySelectorAll('.cue')].some((cue) => !cue.hidden)"
    try:
        for width, cued in ((1440, False), (400, True)):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            for address in ("#/", "#/study/padam/cifar10", "#/suite/laptop/lion.short.sample"):
                browser.open(address)
                assert browser.js(over) == 0, (width, address)
            browser.open("#/runs")
            browser.until(f"{cues} === arguments[0]", cued)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_suites_verdicts_are_listed_and_shown(browser: Browser) -> None:
    browser.open("#/suites")
    row = [cell.text for cell in browser.all("[data-verdict] td")]
    assert row == ["1", "1", "0", "1", "0", "–", "1 of 2"]
    browser.find("[data-verdict] a").click()
    browser.view("suite")
    assert browser.text("#verdict") == "Lion is better than AdamW on digits of 3 tasks."
    lines = browser.text("#task-table tbody").split("\n")
    assert lines[0] == "digits better +0.200 [0.100, 0.300] < 0.001 5 1e-4 1e-4"
    assert lines[2].startswith("reviews worse: Lion diverges at every learning rate")
    assert browser.lines("scores-plot") == ["better", "not told apart"]
    assert "Lion 1 1.100 1.050 [0.900, 1.200] 0.700 –" in browser.text("#rank-table")
    drawn = "return document.querySelector(arguments[0]).data.map((trace) => trace.name)"
    assert browser.js(drawn, '[data-profile="steps"]') == ["Lion", "AdamW"]
    assert not browser.all('[data-profile="seconds"]')
    assert browser.js(drawn, '[data-rates="digits"]') == ["Lion", "AdamW"]
    tried = "return document.querySelector(arguments[0]).data[0]"
    trace = browser.js(tried, '[data-rates="digits"]')
    assert trace["x"] == [1e-4, 1e-3, 1e-2, 1e-1] and trace["y"][-1] is None


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG has it."""

    def light(colour: str) -> float:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dim = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_text_has_contrast_and_controls_have_names(browser: Browser) -> None:
    colours = """const found = new Set();
        const ground = (node) => {
          for (let at = node; at; at = at.parentElement) {
            const { backgroundColor } = getComputedStyle(at);
            if (backgroundColor !== 'rgba(0, 0, 0, 0)') return backgroundColor;
          }
        };
        for (const node of document.querySelectorAll('body *:not(script):not(option)')) {
          const own = [...node.childNodes].some((child) =>
            child.nodeType === 3 && child.data.trim());
          if (!own || !node.checkVisibility() || node.closest('svg, .map')) continue;
          found.add(getComputedStyle(node).color + ' on ' + ground(node));
        }
        return [...found]"""
    nameless = """return [...document.querySelectorAll('input, select, button, a')].filter((node) =>
        !node.closest('.js-plotly-plot') && !node.textContent.trim() && !node.ariaLabel &&
        !node.labels?.length).map((node) => node.outerHTML)"""
    try:
        for scheme in ("dark", "light"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            for address in ("#/", "#/study/lp_adam/fc2", "#/runs"):
                browser.open(address)
                pairs = [pair.split(" on ") for pair in browser.js(colours)]
                assert len(pairs) > 3
                low = [pair for pair in pairs if contrast(*pair) < 4.5]
                assert not low, (scheme, address)
                assert browser.js(nameless) == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
