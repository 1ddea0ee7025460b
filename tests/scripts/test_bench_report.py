"""`scripts.bench report`: untrained runs are records like others, and the page is measured."""

import torch
from running import run_here

from engine.records import read_all
from scripts.bench import reporting
from scripts.bench.synthetic import LONGEST, SHORTEST, write_runs


def test_runs_that_nobody_trained_are_records_like_others(tmp_path):
    write_runs(tmp_path, 12, torch.device("cpu"))
    records = read_all(tmp_path)
    assert len(records) == 12
    for record in records.values():
        assert len(record.curves) == 10 and record.status == "finished"
        steps, values = record.curves["train/loss"]
        assert SHORTEST <= len(steps) <= LONGEST
        assert values[-1] == record.summary["final"]["train/loss"]
        least = min(value for value in values if value is not None)
        assert least == record.summary["best"]["train/loss"]["value"]


def test_a_row_for_each_number_of_runs_is_printed_and_kept(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "looked_at", lambda page: [str(page.exists()), "–"])
    done = run_here(capsys, "bench", "report", "runs=6", f"out={tmp_path}/new")
    assert done.code == 0
    [path] = (tmp_path / "new").iterdir()
    text = path.read_text()
    assert path.name.startswith("report.") and text in done.out
    cells = [cell.strip() for cell in text.splitlines()[-1].strip("| ").split("|")]
    assert cells[0] == "6" and cells[-2:] == ["True", "–"]
    assert 1 < float(cells[1]) < 8 and float(cells[2]) > 0 and float(cells[3]) > 50


def test_a_number_of_runs_that_there_cannot_be_is_refused(capsys):
    for runs in ("0", "many"):
        done = run_here(capsys, "bench", "report", f"runs={runs}")
        assert done.code and f"runs={runs}: must be a whole number, 1 or above" in done.err
