"""A page in headless Chromium, asked through ids and data attributes."""

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_payloads import make_payload, study, write_page

from results.payload_runs import runs_payload

PATIENCE = 200  # seconds, of which a machine under load may need many


def embedded(text: str, name: str = "payload") -> bytes:
    """What a page holds of this name, inflated."""
    found = re.search(rf'<script id="{name}"[^>]*>(.*?)</script>', text, re.S)
    assert found is not None
    return zlib.decompress(base64.b64decode(found[1]))


def payload_of(text: str) -> dict[str, Any]:
    return json.loads(embedded(text))


class Browser:
    """One driver for all tests, and a folder of their pages."""

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

        wait = WebDriverWait(self.driver, PATIENCE, 0.05)
        return wait.until(lambda _: self.js(code, *arguments), code)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def view(self, name: str) -> None:
        code = """const { view, address } = document.getElementById('main').dataset;
            return view === arguments[0] && address === location.hash"""
        self.until(code, name)

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

    def column(self, name: str, body: str = "runs-body") -> list[str]:
        code = """const cells = document.querySelectorAll(arguments[0]);
            return [...cells].map((cell) => cell.textContent)"""
        return self.js(code, f'#{body} [data-column="{name}"]')

    def found(self, query: str, wanted: str) -> None:
        """Type a filter and wait for what the page counts."""
        self.type("#runs-filter", query)
        self.until("return document.getElementById('runs-count').value === arguments[0]", wanted)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    binary = next((found for found in map(shutil.which, names) if found), None)
    chromedriver = shutil.which("chromedriver")
    if not binary or not chromedriver:
        pytest.skip("needs Chromium and chromedriver on PATH")
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("page")
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
        # A test types faster than people do.
        "--disable-ipc-flooding-protection",
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


@pytest.fixture(scope="session")
def browser(chromium: Browser) -> Browser:
    """The pages report.html and empty.html of `page_payloads`."""
    write_page(chromium.pages / "report.html", *make_payload())
    empty, _ = make_payload()
    empty |= {"studies": [study("lp_adam/fc2")], "runs": runs_payload([]).index}
    write_page(chromium.pages / "empty.html", empty)
    return chromium


@pytest.fixture(autouse=True)
def no_console_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every browser test also checks that the console stayed silent."""
    yield
    if "chromium" in request.fixturenames:
        assert request.getfixturevalue("chromium").errors() == []
