"""The line on all runs of a sweep, from what their folders hold."""

import io
import os
import time

import pytest

from engine.console import say
from engine.overview import Overview, spoken, watching
from engine.run import Run
from engine.titles import run_title


@pytest.fixture
def make_run(tmp_path, make_config):
    """`make_run(seed=1)`: a run that has not begun, dotted keys with `__`."""

    def make(**changes):
        config = make_config({key.replace("__", "."): value for key, value in changes.items()})
        return Run(tmp_path / "runs", config)

    return make


@pytest.fixture
def runs(make_run):
    """Four runs that have not begun."""
    return [make_run(seed=seed) for seed in range(4)]


def begin(run, seconds_ago=0.0):
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "environment.json").write_text("{}")
    began = time.time() - seconds_ago
    os.utime(run.folder / "environment.json", (began, began))


def end(run, status="finished", seconds=30.0):
    run.folder.mkdir(parents=True, exist_ok=True)
    run.end(status, {"wall_seconds": seconds, "final": {}, "best": {}})


def test_before_any_has_ended(runs):
    overview = Overview(runs, in_place=True)
    assert overview.text() == "0/4 runs"


def test_how_they_ended(runs, capsys):
    overview = Overview(runs, in_place=True)
    end(runs[0])
    end(runs[1], "diverged")
    end(runs[2], "failed")
    overview.look()
    assert overview.text() == "3/4 runs, 1 diverged, 1 failed, about 30 s left"
    assert capsys.readouterr().out == f"\x1b[2K{overview.text()}\r"


def test_runs_that_failed_before_are_open_since_they_are_tried_again(runs):
    end(runs[0], "failed")
    summary = runs[0].folder / "summary.json"
    os.utime(summary, (time.time() - 60, time.time() - 60))
    overview = Overview(runs, in_place=True)
    assert (overview.text(), overview.ended) == ("0/4 runs", 0)
    end(runs[0])
    overview.look()
    assert overview.text().startswith("1/4 runs, about")


def test_the_time_left_is_that_of_runs_like_these(runs, make_run):
    large = [make_run(seed=seed, names__task="large") for seed in range(2)]
    overview = Overview([*runs, *large], in_place=True)
    end(runs[0], seconds=10)
    end(large[0], seconds=1000)
    overview.look()
    # Three of ten seconds, one of a thousand.
    assert overview.text() == "2/6 runs, about 17 min left"


def test_runs_at_a_time_share_the_time(runs):
    overview = Overview(runs, in_place=True)
    end(runs[0], seconds=1000)
    for run in runs[1:3]:
        begin(run, seconds_ago=-1)
    overview.look()
    assert overview.text() == "1/4 runs, about 25 min left"  # three, two at a time
    begin(runs[2], seconds_ago=1000)  # as of an earlier sweep: between two runs
    assert overview.text() == "1/4 runs, about 25 min left"


def test_ended_before_counts_as_ended(runs):
    end(runs[0], seconds=100)
    overview = Overview(runs, in_place=False)
    assert (overview.ended, overview.text()) == (1, "1/4 runs, about 5 min left")


def test_a_damaged_summary_is_left_to_whoever_reads_it(runs):
    runs[0].folder.mkdir(parents=True)
    (runs[0].folder / "summary.json").write_text("{")
    assert Overview(runs, in_place=True).text() == "0/4 runs"


def test_lines_that_stay_are_few(runs, capsys, monkeypatch):
    overview = Overview(runs, in_place=False)
    end(runs[0])
    overview.look()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("engine.overview.LINE_SECONDS", 0.0)
    overview.look()
    overview.look()  # nothing new
    assert capsys.readouterr().out == "1/4 runs, about 90 s left\n"


def test_looks_end_with_the_block(monkeypatch):
    monkeypatch.setattr("engine.overview.LOOK_SECONDS", 0.001)
    looks = []
    with watching(lambda: looks.append(1)):
        while len(looks) < 3:
            time.sleep(0.001)
    count = len(looks)
    time.sleep(0.01)
    assert len(looks) == count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (45, "45 s"), (840, "14 min"), (7300, "2 h"), (200_000, "2 days")],
)
def test_times_as_they_are_spoken_of(seconds, text):
    assert spoken(seconds) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_on_a_terminal_covers_what_it_is_written_over(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    say("short")
    assert terminal.getvalue() == "short\x1b[K\n"


def test_lines_name_a_run_by_what_tells_it_from_the_others(runs):
    assert run_title(runs[2].config | {"label": "adam seed=2"}) == "adam seed=2"
