"""What the page takes over thousands of runs: its size, its making, its opening, a filter."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch

from engine.environment import environment
from engine.files import write_text
from scripts.bench.page import markdown, page_path
from scripts.bench.synthetic import LONGEST, SHORTEST, TASK, write_runs

COUNTS = (3_000, 10_000)
FILTERS = ("optim:adam", "lr:>=0.001", "!optim:sgd seed:1 OR lr:<0.01", "adam", "lr:")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

NOTES = f"""\
Runs of {TASK} that nobody has trained, with ten noisy metrics at {SHORTEST} to {LONGEST}
evaluations each. CPU and memory are those of the whole `python -m scripts.report`, with one thread.
Opening is from the request to the table of runs as it is read; a filter is from a key stroke to
the next picture, the slowest of {len(FILTERS)} filters, each the median of five; both in headless
Chromium. Targets: 3,000 runs in 8 MB, 20 CPU-seconds, 400 MB, opened in 2 s and filtered in 100 ms;
10,000 in 20 MB.
"""


def report(count: int | None, out: str | None) -> None:
    """Measure and print, and write the page of figures where a folder is given.

    Args:
        count: of runs; None for those of the targets.
        out: the folder of the page; None for none.
    """
    counts = COUNTS if count is None else (count,)
    env = environment(torch.device("cpu"))
    path = None if out is None else page_path(Path(out), "report", env)
    load = f"{os.getloadavg()[0]:.1f} processes on {env['cores']} cores at the start"
    facts = {"command": "python -m scripts.bench report", "device": env["cpu"], "load": load}
    facts |= {"commit": f"{env['git_commit']}{' with local changes' * bool(env['git_dirty'])}"}
    listed = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    titles = ["runs", "page, MB", "CPU, s", "peak memory, MB", "opening, s", "filter, ms"]
    table = markdown(titles, [row(count) for count in counts])
    page = f"# The page\n\n{listed}\n{NOTES}\n{table}"
    print(page, flush=True)
    if path:
        write_text(path, page)
        print(f"Table: {path}")


def row(count: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        runs, reports = Path(folder, "runs"), Path(folder, "reports")
        write_runs(runs, count, torch.device("cpu"))
        seconds, memory = render(runs, reports)
        page = reports / "index.html"
        size = page.stat().st_size / 1e6
        return [f"{count:,}", f"{size:.1f}", f"{seconds:.1f}", f"{memory:.0f}", *looked_at(page)]


def render(runs: Path, reports: Path) -> tuple[float, float]:
    """CPU-seconds and peak memory in MB of the command that makes the page."""
    command = [sys.executable, "-m", "scripts.report", f"paths.runs={runs}"]
    process = subprocess.Popen(
        [*command, f"paths.reports={reports}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6


def looked_at(page: Path) -> list[str]:
    """Seconds until it is open and milliseconds of a filter; "–" without a browser."""
    binary = next((found for found in map(shutil.which, CHROMIUM) if found), None)
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        return ["–", "–"]
    if not binary or not driver:
        return ["–", "–"]
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.set_script_timeout(600)
        browser.get(f"{page.as_uri()}#/runs")
        opened = browser.execute_async_script(OPENED)
        filters = [median(filtered(browser, query) for _ in range(5)) for query in FILTERS]
    finally:
        browser.quit()
    return [f"{opened / 1000:.2f}", f"{max(filters):.0f}"]


OPENED = """
const done = arguments[0];
const look = () => {
  const [mark] = performance.getEntriesByName("shown");
  if (mark) done(mark.startTime);
  else setTimeout(look, 20);
};
look();
"""

FILTERED = """
const [query, done] = arguments;
const field = document.getElementById("runs-filter");
field.value = query;
const start = performance.now();
field.dispatchEvent(new Event("input"));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
"""


def filtered(browser: Any, query: str) -> float:
    browser.execute_async_script(FILTERED, "")
    return browser.execute_async_script(FILTERED, query)
