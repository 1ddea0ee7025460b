"""The page while a sweep goes on: by a process of its own, seldom, and only where there is news."""

import json
import signal
import subprocess
import sys

import pytest
from browsing import embedded

from engine import search_path
from results import live
from results.plan import find, plan


class Child:
    """A process that ends when a test says so."""

    def __init__(self, command, **options):
        self.command, self.options = command, options
        self.ended = self.killed = False
        STARTED.append(self)

    def poll(self):
        return 0 if self.ended else None

    def send_signal(self, signum):
        assert signum == signal.SIGINT

    def kill(self):
        self.killed = True

    def wait(self, seconds=None):
        if not self.killed:
            raise subprocess.TimeoutExpired(self.command, seconds)


STARTED: list[Child] = []


@pytest.fixture
def clock(monkeypatch):
    """The time that a page sees, and no processes that are real."""
    STARTED.clear()
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.subprocess, "Popen", Child)
    return now


def test_once_a_minute_where_there_is_news(clock):
    ended = [0]
    page = live.LivePage(["lp_adam/fc2"], lambda: ended[0])
    for clock[0], ended[0], started in (
        (1, 1, 0),  # within the first minute
        (61, 1, 1),
        (62, 2, 1),  # the process is at work
    ):
        page.look()
        assert len(STARTED) == started
    STARTED[0].ended, clock[0] = True, 66
    page.look()
    for clock[0], ended[0], started in ((120, 2, 1), (122, 2, 2)):
        page.look()
        assert len(STARTED) == started
    STARTED[1].ended, clock[0] = True, 130
    page.look()
    clock[0] = 500
    page.look()  # nothing has ended since
    assert len(STARTED) == 2


def test_a_slow_page_is_written_less_often(clock):
    ended = iter(range(100))
    page = live.LivePage(["lp_adam/fc2"], lambda: next(ended))
    clock[0] = 60
    page.look()
    STARTED[0].ended, clock[0] = True, 160  # it took 100 seconds
    for clock[0], started in ((160, 1), (1000, 1), (1060, 2)):
        page.look()
        assert len(STARTED) == started


def test_it_is_stopped_with_the_sweep(clock):
    ended = iter(range(100))
    page = live.LivePage(["lp_adam/fc2"], lambda: next(ended))
    page.stop()  # none was started
    clock[0] = 60
    page.look()
    page.stop()
    assert STARTED[0].killed and STARTED[0].options["start_new_session"]


@pytest.mark.usefixtures("conf")
def test_the_page_of_what_there_is(study, tmp_path, monkeypatch, write_run):
    """As the other process writes it, of a sweep with a changed grid and one run that has ended."""
    study(seeds=1)
    shared = [f"paths.{kind}={tmp_path / kind}" for kind in ("runs", "reports")]
    shared.append("optim.lr=0.25")
    asked = plan(find("lp_adam/tiny"), "smoke", "sample", shared).runs
    summary = {"status": "finished", "final": {"train/loss": 0.5}, "best": {}}
    write_run(tmp_path / "runs", asked[0].config, summary, [{"step": 1, "train/loss": 0.5}])
    arguments = {"plan": ["lp_adam/tiny", "smoke", "sample", shared, None], "folders": []}
    monkeypatch.setattr(sys, "argv", ["live", json.dumps(arguments)])
    monkeypatch.setattr("os.nice", lambda steps: steps)
    live.main()
    page = embedded((tmp_path / "reports" / "index.html").read_text()).decode()
    assert asked[0].run.id in page
    assert [path.name for path in (tmp_path / "reports").iterdir() if path.is_dir()] == []


def test_folders_that_a_command_names_are_read(clock, tmp_path):
    with search_path.added([tmp_path]):
        page = live.LivePage(["lp_adam/fc2"], iter(range(9)).__next__)
    clock[0] = 60
    page.look()
    *command, argument = STARTED[0].command
    assert command == [sys.executable, "-m", "results.live"]
    assert json.loads(argument)["folders"] == [str(tmp_path.resolve())]
