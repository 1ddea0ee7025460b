"""A study from its cells to its table, whatever happens on the way."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from gates import in_step
from odd import diary, most_at_once
from running import (
    ROOT,
    child_environment,
    config,
    environment,
    files,
    folders,
    lines,
    outcomes,
    shared,
    summary,
    wait_until,
)

from engine import interrupt
from engine.devices import reserved
from engine.files import write_json
from engine.records import read_all


def ended(runs):
    return len(list(runs.glob("*/*/*/summary.json")))


def sessions(where):
    """How often a run was started, and each time from which step."""
    known = environment(where)
    return [0] + [session["at_step"] for session in known.get("resumed", [])]


def no_locks_held(runs):
    return not any(path.is_file() and locked(path) for path in runs.glob(".locks/*"))


def locked(path):
    import fcntl

    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# -- what runs -------------------------------------------------------------------------------------


def test_a_dry_run_only_tells(sweep, runs, study):
    asked = study()
    done = sweep(*asked, "dry_run=true")
    assert done.code == 0 and not runs.exists()
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()}
    assert rows["Adam"][:3] == rows["SGD"][:3] == ["2", "2", "12"]
    assert 0 < float(rows["Adam"][3]) < 0.01
    done = sweep(*asked, "dry_run=true", "verbose=true")
    cells = [line for line in done.out.splitlines() if " missing " in line and "seed=" in line]
    assert len(cells) == 4
    for row, lr in (("Adam", "0.001"), ("Adam", "0.01"), ("SGD", "0.001"), ("SGD", "0.01")):
        assert sum(row in line and f"optim.lr={lr} " in line for line in cells) == 1
    assert "4 runs: 0 ended, 4 missing; about 0:0" in done.last
    assert "at a time, from steps timed now" in done.last

    assert sweep(*asked).code == 0
    before = files(runs)
    done = sweep(*asked, "dry_run=true")
    assert "4 runs: 4 ended, 0 missing; nothing to run" in done.last
    assert files(runs) == before
    # One more rate: its runs are missing, and there is something to estimate from.
    done = sweep(*study(grid={"optim.lr": [0.001, 0.01, 0.1]}), "dry_run=true")
    assert "6 runs: 4 ended, 2 missing; about 0:00:0" in done.last
    assert "at a time, as recorded" in done.last
    assert files(runs) == before


def test_what_a_task_prints_and_a_folder_of_other_packages_leave_the_times_alone(
    sweep, study, tmp_path, monkeypatch
):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("")
    (tmp_path / "loud.py").write_text(
        "from optim import schedules\n"
        "def constant(*arguments, **settings):\n"
        "    print('loud')\n"
        "    return schedules.constant(*arguments, **settings)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    done = sweep(*study(), "schedule._target_=loud.constant", "dry_run=true")
    assert "4 runs: 0 ended, 4 missing; about 0:0" in done.last


def test_a_dry_run_downloads_nothing_to_time_steps(sweep, study, tmp_path):
    done = sweep(*study(), "dry_run=true", f"paths.data={tmp_path / 'empty'}")
    assert done.code == 0 and not (tmp_path / "empty").exists()
    assert "no estimate: no run of mnist_fc2 has finished here on such a device" in done.last
    assert "its data are not here" in done.last


def test_a_sweep_runs_what_is_missing_and_shows_it(sweep, train, runs, study, tmp_path):
    asked = study()
    # One of the cells by hand, as the study would ask for it.
    assert train("profile=smoke", "optim=sgd", "optim.lr=0.01").code == 0
    (by_hand,) = folders(runs)
    before = files(by_hand)
    done = sweep(*asked)
    assert done.code == 0
    assert "4 runs, 1 ended before" in done.out
    assert ended(runs) == 4 and files(by_hand) == before
    assert "| Adam" in done.out and "| SGD" in done.out
    written = {path.name for path in (tmp_path / "reports").rglob("*") if path.is_file()}
    assert {"index.html", "tiny.smoke.sample.md", "tiny.smoke.sample.csv"} <= written
    assert str(tmp_path / "reports" / "index.html") in done.last

    before = files(runs)
    again = sweep(*asked)
    assert again.code == 0 and "4 runs, 4 ended before" in again.out
    assert files(runs) == before
    table = [line for line in done.out.splitlines() if line.startswith("|")]
    assert [line for line in again.out.splitlines() if line.startswith("|")] == table


def test_a_setting_for_all_runs_makes_it_another_experiment(sweep, runs, study, tmp_path):
    assert sweep(*study(), "precision=bf16").code == 0
    assert {summary(where)["profile"] for where in folders(runs)} == {"custom"}
    written = {path.name for path in (tmp_path / "reports").rglob("*") if path.is_file()}
    assert not any(".smoke." in name for name in written)


FAILING = {"optim": "sgd", "optim._target_": "odd.Raises"}


def test_one_failing_row_does_not_stop_the_others(sweep, runs, study):
    rows = {"Adam": {"optim": "adam"}, "Odd": FAILING, "SGD": {"optim": "sgd"}}
    asked = study(rows=rows)
    done = sweep(*asked)
    assert done.code == 1
    statuses = Counter(summary(where)["status"] for where in folders(runs))
    assert statuses == {"finished": 4, "failed": 2}
    failed = [where for where in folders(runs) if summary(where)["status"] == "failed"]
    said = done.err.strip().splitlines()[-2:]
    for where in failed:
        assert (
            sum(str(where / "log.txt") in line and "odd on purpose" in line for line in said) == 1
        )
        assert "ArithmeticError" in (where / "log.txt").read_text()
    # What there is, is shown all the same.
    assert "| Adam" in done.out

    # Failures are tried again, and only they.
    good = {where: files(where) for where in folders(runs) if where not in failed}
    before = {where: files(where) for where in failed}
    assert sweep(*asked).code == 1
    assert all(files(where) == before for where, before in good.items())
    assert all(files(where) != before[where] for where in failed)


@pytest.mark.parametrize("key", ["precison", "train.thing", "optim.lrs"])
def test_a_study_that_sets_an_unknown_key_is_refused(sweep, runs, study, key):
    done = sweep(*study(rows={"Adam": {"optim": "adam", key: 1}}))
    assert done.code == 2 and key.rpartition(".")[2] in done.err
    assert "error: lp_adam/tiny.yaml: " in done.err
    assert not runs.exists()


def test_what_the_command_line_has_wrong_is_not_laid_to_the_study(sweep, runs, study):
    done = sweep(*study(), "train.thing=1")
    assert done.code == 2 and "train.thing" in done.err and ".yaml" not in done.err
    assert not runs.exists()


def test_a_study_may_add_what_its_classes_know(sweep, runs, study):
    rows = {"Adam": {"optim": "adam", "+optim.amsgrad": True}}
    assert sweep(*study(rows=rows, grid={})).code == 0
    assert config(folders(runs)[0])["optim"]["amsgrad"] is True
    assert lines(folders(runs)[0])[-1]["optim/kept"] > 0


def test_a_config_that_is_gone_is_written_anew_and_the_run_counts(sweep, runs, study):
    asked = study()
    assert sweep(*asked).code == 0
    gone, whole = folders(runs)[0], folders(runs)[1]
    copy = runs / "zz_copy" / whole.parent.name / whole.name
    shutil.copytree(whole, copy)
    write_json(copy / "summary.json", {"status": "finished", "final": {}})
    config = yaml.safe_load((gone / "config.yaml").read_text())
    (gone / "config.yaml").unlink()
    # All commands say the same.
    done = sweep(*asked, "dry_run=true")
    assert "4 ended, 0 missing" in done.out
    assert done.err.count("left out") == 1 and f"{copy} is left out: not where" in done.err
    assert not (gone / "config.yaml").exists()
    done = sweep(*asked)
    assert done.code == 0 and "4 ended before" in done.out
    assert f"{gone / 'config.yaml'} was gone, and is written anew" in done.err
    # But for what dashboards call it, which comes from whoever trains it.
    anew = config | {"row": None, "label": None}
    assert yaml.safe_load((gone / "config.yaml").read_text()) == anew
    places = {record.folder for record in read_all(runs).values()}
    assert len(places) == 4 and gone in places and whole in places


def test_a_diverging_cell_is_a_result(sweep, runs, study):
    asked = study(rows={"SGD": {"optim": "sgd"}}, grid={"optim.lr": [0.01, 1e12]}, steps=40)
    assert sweep(*asked).code == 0
    assert sorted(summary(where)["status"] for where in folders(runs)) == ["diverged", "finished"]
    assert "2 ended before" in sweep(*asked).out


def test_help_and_its_examples(sweep, runs):
    done = sweep("--help")
    assert done.code == 0
    shown = [
        line.split("python -m scripts.sweep ")[1].split()
        for line in done.out.splitlines()
        if line.strip().startswith("python -m scripts.sweep study=lp_adam")
    ]
    assert len(shown) >= 3
    for example in shown:
        asked = [word for word in example if word != "dry_run=true"]
        assert sweep(*asked, "dry_run=true").code == 0
    assert not runs.exists()


# -- in processes that can be stopped --------------------------------------------------------------


@pytest.fixture
def asked(start, tiny, conf):
    """Start a sweep in a process of its own; its studies are those in `conf`."""

    def command(*arguments, **how):
        return start("sweep", *shared(tiny()), *arguments, conf=conf, **how)

    return command


def test_two_places_on_a_device_train_two_runs_at_a_time(asked, study, waits, tmp_path):
    # The first run goes on when there is a second one beside it.
    rows = {"SGD": waits(at=2, room=2, diary=str(tmp_path / "diary"))}
    typed = study(rows=rows, grid={"optim.lr": [0.001, 0.002, 0.003, 0.004]})
    child = asked(*typed, "sweep.jobs_per_device=2")
    assert child.wait() == 0, child.output
    spans = diary(tmp_path / "diary")
    assert len(spans) == 4
    assert most_at_once(spans) == 2
    processes = {line.split()[0] for line in (tmp_path / "diary").read_text().splitlines()}
    assert len(processes) == 2, "each worker trains several runs"


def test_one_run_at_a_time_on_a_device_whoever_asks(asked, study, tmp_path):
    # Two sweeps on two folders of runs, which know of each other by the device alone.
    slow = {"optim": "sgd", "optim._target_": "odd.Slow", "+optim.seconds": 0.02}
    rows = {"Slow": slow | {"+optim.diary": str(tmp_path / "diary")}}
    typed = study(rows=rows, steps=20)
    one, other = asked(*typed), asked(*typed, "paths.runs=" + str(tmp_path / "others"))
    assert one.wait() == 0, one.output
    assert other.wait() == 0, other.output
    spans = diary(tmp_path / "diary")
    assert len(spans) == 4
    assert most_at_once(spans) == 1


def test_a_sweep_that_waits_for_another_says_so_once(asked, runs, study):
    with reserved("cpu", 1):
        child = asked(*study())
        wait_until(lambda: "waiting" in child.output, "its word")
        assert folders(runs) == []
    assert child.wait() == 0, child.output
    said = [line for line in child.output.splitlines() if line.startswith("waiting")]
    assert said == [f"waiting for the CPU: held by {interrupt.sweep_name()}"]
    assert f"process {os.getpid()} (" in said[0]


def test_two_sweeps_on_one_folder_share_the_work(asked, runs, study, waits, tmp_path):
    # Each trains one run at a time: the first one waits for a run of the other's.
    rows = {"SGD": waits(at=2, room=2, diary=str(tmp_path / "diary"))}
    typed = [
        *study(rows=rows, grid={"optim.lr": [0.001, 0.002, 0.003, 0.004]}),
        "sweep.jobs_per_device=2",
        "hydra.launcher.n_jobs=1",
    ]
    children = [asked(*typed) for _ in range(2)]
    for child in children:
        assert child.wait() == 0, child.output
    # Each cell was trained once, from its first to its last step, and both took part.
    assert len((tmp_path / "diary").read_text().splitlines()) == 4 * 6
    assert ended(runs) == 4
    assert [sessions(where) for where in folders(runs)] == [[0]] * 4
    trained = [child.output.count("]: finished in") for child in children]
    assert sum(trained) == 4 and min(trained) >= 1
    for child in children:
        assert "| SGD" in child.output, "each shows the whole table"


def test_killed_in_the_middle(asked, runs, study, tmp_path):
    typed = [*study(steps=12, eval_every=1), "train.checkpoint_seconds=0"]
    # Each time, the run that was stopped before goes on beyond the step and the next one stops.
    for step in (10, 6, 3):
        asked(*typed, hold=in_step(step)).held().kill()
    child = asked(*typed)
    assert child.wait() == 0, child.output
    assert ended(runs) == 4
    assert sorted(sessions(where) for where in folders(runs)) == [[0], [0, 3], [0, 6], [0, 10]]
    undisturbed = asked(*typed, f"paths.runs={tmp_path}/undisturbed")
    assert undisturbed.wait() == 0
    assert outcomes(runs) == outcomes(tmp_path / "undisturbed")


def test_a_signal_stops_all_workers(asked, runs, study, gate, waits):
    rates = {"optim.lr": [0.001, 0.002, 0.003, 0.004]}
    typed = study(rows={"SGD": waits(at=4)}, grid=rates)
    typed += ["sweep.jobs_per_device=2", "train.checkpoint_seconds=10000"]
    child = asked(*typed)
    # Sent to the sweep alone, as a batch system does, while two workers train.
    wait_until(lambda: len(gate.waiting) == 2, "two runs under way")
    child.signal(signal.SIGTERM)
    assert child.wait() == 143, child.output
    assert "give the same command again to go on" in child.output.splitlines()[-1]
    assert "Traceback" not in child.output
    assert "| SGD" not in child.output, "no table of half a sweep"
    wait_until(lambda: no_locks_held(runs), "the end of the workers")
    begun = folders(runs)
    assert len(begun) == 2, "nothing was begun after the signal"
    gate.open()
    child = asked(*typed)
    assert child.wait() == 0, child.output
    assert ended(runs) == 4
    assert [sessions(where) for where in begun] == [[0, 4], [0, 4]]


def running(pid):
    """Whether there is such a process; one that nobody has waited for yet has ended."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_workers_end_with_a_sweep_that_is_killed(asked, runs, study, gate, waits):
    typed = study(rows={"SGD": waits(at=4)}, grid={"optim.lr": [0.001, 0.002, 0.003]})
    child = asked(*typed, "sweep.jobs_per_device=2", "train.checkpoint_seconds=10000")
    wait_until(lambda: len(gate.waiting) == 2, "two runs under way")
    workers = list(gate.waiting)
    child.kill()
    wait_until(lambda: not any(map(running, workers)), "the end of the workers")
    assert no_locks_held(runs)
    assert [(where / "checkpoint.pt").exists() for where in folders(runs)] == [True, True]


def test_a_worker_that_dies_is_replaced(asked, runs, study, tmp_path):
    def dying(key):
        return {"optim": "sgd", "optim._target_": "odd.Dies", key: str(tmp_path / "once")}

    rows = {"Adam": {"optim": "adam"}, "Once": dying("+optim.once")}
    rows["Always"] = dying("+optim.after")
    child = asked(*study(rows=rows, grid={"optim.lr": [0.01]}), "sweep.jobs_per_device=2")
    assert child.wait() == 1, child.output
    statuses = Counter(status_of(where) for where in folders(runs))
    assert statuses == {"finished": 2, None: 1}
    said = [line for line in child.output.splitlines() if line.startswith("failed: ")]
    assert len(said) == 1
    for where in folders(runs):
        if status_of(where) is None:
            assert sum(str(where) in line for line in said) == 1
    assert "| Adam" in child.output


def status_of(where):
    return summary(where)["status"] if (where / "summary.json").exists() else None


def test_a_lock_of_a_dead_process_is_taken_over(asked, runs, study, gate, waits):
    typed = study(rows={"SGD": waits(at=4)})
    child = asked(*typed)
    wait_until(lambda: gate.waiting, "a run under way")
    held = [path for path in runs.glob(".locks/*") if locked(path)]
    assert len(held) == 1
    other = asked(*typed)
    wait_until(lambda: "ended before" in other.output, "the other sweep")
    child.kill()
    gate.open()
    assert other.wait() == 0, other.output
    assert ended(runs) == 2


@pytest.mark.slow
def test_as_typed_in_a_shell(runs, tiny):
    """The whole way, with nothing prepared: two workers in processes of their own."""
    small = ["task.steps=1", "task.model.widths=[784,8,10]", "sweep.jobs_per_device=2"]
    command = [sys.executable, "-m", "scripts.sweep", "study=lp_adam/fc2", "profile=smoke"]
    done = subprocess.run(
        [*command, "data=sample", *shared(tiny()), *small],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stderr
    assert ended(runs) == len(folders(runs)) > 0
    assert "custom" in done.stdout
    assert f"Page: {runs.parent}/reports/index.html" in done.stdout


def test_a_grid_may_choose_between_yamls(sweep, runs, study):
    typed = study(steps=2, grid={"schedule": ["constant", "cosine"]})
    assert sweep(*typed).code == 0
    assert ended(runs) == 4
    assert "0 missing" in sweep(*typed, "dry_run=true").out


def test_a_setting_may_follow_one_of_the_grid(sweep, runs, study, conf):
    text = yaml.safe_load((conf / "optim" / "adam.yaml").read_text())
    (conf / "optim" / "tied.yaml").write_text(yaml.safe_dump(text | {"eps": "${optim.lr}"}))
    typed = study(steps=2, rows={"Tied": {"optim": "tied"}})
    assert sweep(*typed).code == 0
    assert ended(runs) == 2
    assert {config(where)["optim"]["eps"] for where in folders(runs)} == {0.001, 0.01}


def test_a_table_that_the_paper_has_not_is_refused(sweep, runs, study):
    done = sweep(*study(published=["table9"]))
    assert done.code == 2
    assert "published: table9: must be one of table1, recommended, table2, table3" in done.err
    assert not folders(runs)
