"""Bad input: one clear sentence, exit code 2, and no run begun."""

import functools
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from running import (
    ROOT,
    child_environment,
    config,
    files,
    folder,
    folders,
    lines,
    nothing_written,
    run_here,
    sentence,
)

from engine.checks import RULES, BadInput
from engine.config import compose, names
from engine.make import make_task
from engine.yaml_files import dump_yaml
from results.plan import find, plan
from tasks.sources import DataError

SMOKE = ["study=lp_adam/fc2", "profile=smoke", "data=sample"]


def test_a_value_that_one_row_does_not_know_stops_the_sweep(sweep, runs):
    # AMSGrad and Adam have `amsgrad`; AdaMax, the last row, has not.
    done = sweep(*SMOKE, "optim.amsgrad=true")
    assert "optim.amsgrad" in sentence(done)
    assert nothing_written(runs)


@pytest.mark.parametrize("launcher", ["ray", "submitit_slurm"])
@pytest.mark.parametrize("flags", [["-m"], []])
def test_a_launcher_that_is_not_installed(train, sweep, runs, monkeypatch, launcher, flags):
    monkeypatch.setattr("engine.launch.installed", lambda name: False)
    if flags:
        done = train(*flags, f"hydra/launcher={launcher}")
    else:
        done = sweep(*SMOKE, f"hydra/launcher={launcher}")
    extra = {"ray": "ray", "submitit_slurm": "slurm"}[launcher]
    said = sentence(done)
    assert f"hydra/launcher={launcher}: not installed" in said
    assert f"pip install 'adamily[{extra}]'" in said
    assert nothing_written(runs)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(train, sweep, runs, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for done in (
        train(train__device=device),
        train("-m", train__device=device),
        sweep(*SMOKE, train__device=device),
    ):
        assert f"train.device={device}: this machine has 0 CUDA devices" in sentence(done)
    assert nothing_written(runs)


# -- data ------------------------------------------------------------------------------------------

# A port that nobody listens on: what a machine without a network sees.
OFFLINE = "task.sources.full.mirrors=['http://127.0.0.1:9/mnist']"


@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_full_data_without_a_network(train, runs, tmp_path, flags):
    done = train(*flags, OFFLINE, data="full", paths__data=tmp_path / "empty")
    (said,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert done.code == 2
    for word in ("data=full", "127.0.0.1:9/mnist/train-images", "data=sample"):
        assert word in said
    assert nothing_written(runs)


def test_a_sweep_of_full_data_without_a_network(sweep, runs, tmp_path):
    done = sweep("study=lp_adam/fc2", "profile=smoke", OFFLINE, paths__data=tmp_path / "empty")
    assert done.code == 2
    assert "data=full" in done.err and "data=sample" in done.err
    assert nothing_written(runs)


class Mirror(BaseHTTPRequestHandler):
    """A host that answers everything with something else."""

    def do_GET(self):
        body = b"not what the config says"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    host = HTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{host.server_port}"
    host.shutdown()
    thread.join()
    host.server_close()


def test_a_damaged_download(train, runs, tmp_path, mirror):
    data = tmp_path / "empty"
    done = train(f"task.sources.full.mirrors=['{mirror}']", data="full", paths__data=data)
    assert done.code == 2
    (said,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    for word in ("data=full", "train-images-idx3-ubyte.gz", "SHA-256 is", "expected"):
        assert word in said
    assert nothing_written(runs)
    assert [path.name for path in data.rglob("*ubyte*")] == []


# -- folders and records ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["paths.runs", "paths.data"])
def test_a_folder_that_cannot_be_written(train, runs, tmp_path, key):
    # Below a file no folder can be made, not even by root.
    (tmp_path / "file").touch()
    said = sentence(train(f"{key}={tmp_path}/file/below"))
    assert key in said and f"{tmp_path}/file/below" in said
    assert nothing_written(runs)


@pytest.mark.parametrize("key", ["paths.runs", "paths.data", "paths.reports"])
def test_a_folder_that_a_sweep_cannot_write(sweep, runs, tmp_path, key):
    (tmp_path / "file").touch()
    small = ["task.steps=1", "task.model.widths=[784,8,10]"]
    done = sweep(*SMOKE, *small, f"{key}={tmp_path}/file/below")
    said = sentence(done)
    assert key in said and f"{tmp_path}/file/below" in said
    assert nothing_written(runs)


def edit(where, change):
    text = config(where)
    change(text)
    (where / "config.yaml").write_text(dump_yaml(text))


def test_a_config_edited_under_its_id(train, runs):
    assert train().code == 0
    where = folder(runs)
    edit(where, lambda text: text["optim"].update(lr=0.5))
    before = files(runs)
    said = sentence(train())
    assert str(where / "config.yaml") in said and where.name in said
    assert files(runs) == before
    # A whole set of runs stops, too, before another one begins.
    assert "config.yaml" in sentence(train("-m", "seed=0,1"))
    assert files(runs) == before


def test_a_config_that_is_no_yaml_any_more(train, runs):
    assert train().code == 0
    (folder(runs) / "config.yaml").write_text("optim: {lr: ")
    assert "config.yaml" in sentence(train())


def test_editing_what_does_not_decide_the_outcome_is_nobodys_business(train, runs):
    assert train().code == 0
    edit(folder(runs), lambda text: text.update(group="mine"))
    assert train().code == 0


# -- as typed in a shell ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ["task=mnist"]),
        ("sweep", ["study=lp_adam/fc2", "profile=long"]),
    ],
)
def test_a_shell_sees_it_too(tmp_path, command, arguments):
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.{command}", *arguments, f"paths.runs={tmp_path}/runs"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and arguments[-1] in done.stderr
    assert not (tmp_path / "runs").exists()


# -- the YAMLs -------------------------------------------------------------------------------------


@functools.cache
def composed(group, name):
    return compose([f"{group}={name}", "data=sample"])


@pytest.mark.parametrize("group", ["task", "optim", "schedule", "logger"])
def test_every_yaml_composes_and_can_be_built(group):
    for name in names(group):
        chosen = composed(group, name)
        if group != "logger":
            assert chosen["names"][group] == name


def test_every_rule_is_about_a_key_that_there_is():
    known = [composed("task", name) for name in names("task")] + [composed("optim", "adamw")]
    for key in RULES:
        room, _, leaf = key.rpartition(".")
        assert any(leaf in (chosen[room] if room else chosen) for chosen in known), key


def test_the_last_of_two_values_holds():
    assert compose(["data=sample", "optim.lr=1", "optim.lr=2"])["optim"]["lr"] == 2


def test_a_bad_value_is_refused_wherever_a_config_is_composed():
    with pytest.raises(BadInput, match=r"optim.lr=0: must be a number above 0"):
        compose(["data=sample", "optim.lr=0"])


@pytest.mark.parametrize("bad", ["files=text.txt", "files=[]", "mask_probability=much"])
def test_a_value_of_another_kind_is_refused_by_its_key(bad):
    allowed = "a list of paths" if bad.startswith("files") else "a number between 0 and 1"
    with pytest.raises(BadInput, match=rf"^task\.{re.escape(bad)}: must be {allowed}"):
        compose(["data=sample", "task=roberta_pretrain", f"task.{bad}"])


def test_multirun_may_be_asked_for_at_the_end(capsys, tiny, runs):
    # As Hydra's own manual writes it.
    done = run_here(capsys, "train", *tiny(seed="0,1"), "-m")
    assert done.code == 0, done
    assert len(list(runs.glob("*/*/*/summary.json"))) == 2
    assert [line["step"] for line in lines(next(runs.glob("*/*/*")))] == [2, 4, 6]


def test_a_task_that_reads_its_data_at_once_says_what_is_wrong_with_them(movie_reviews, tmp_path):
    typed = ["task=imdb_lstm", "data=full", "task.batch_size=8", f"paths.data={tmp_path}/data"]
    config = compose(typed)
    config["task"]["sources"]["full"] = movie_reviews
    with pytest.raises(DataError, match=r"^task\.model\.dimensions=50: .* has glove\.6B\.4d\.txt"):
        make_task(config, torch.device("cpu"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"lr: 1\nlr: 2", "line 2: the key lr is there twice"),
        (b"lr: [1\n\nx: 2", "line 3: did not find expected ',' or ']'"),
        (b"lr: \xff", "is no text in UTF-8"),
    ],
)
def test_a_yaml_that_cannot_be_read_is_named_with_the_line(conf, content, said):
    path = conf / "optim" / "adam.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        compose(["optim=adam", "data=sample"])
    assert str(caught.value) == f"{path}: {said}"


# -- names, and what only shows --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../optim/sgd", "sgd.yaml", "./sgd"])
def test_a_study_names_files_by_plain_names_too(sweep, runs, study, name):
    said = sentence(sweep(*study(rows={"SGD": {"optim": name}})))
    assert f"optim={name}: there is no such optim" in said
    assert not runs.exists()


def test_a_folder_of_ones_own_is_chosen_from_by_plain_names(train, runs, tmp_path):
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    text = "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\n"
    (tmp_path / "mine" / "optim" / "plain.yaml").write_text(text, encoding="utf-8")
    place = f"--config-dir={tmp_path / 'mine'}"
    for name in ("../optim/plain", "plain.yaml", "./plain", str(tmp_path / "mine/optim/plain")):
        assert f"optim={name[:30]}" in sentence(train(place, f"optim={name}"))
    assert "optim=plain" in sentence(train("optim=plain"))
    assert not runs.exists()
    assert train(place, "optim=plain").code == 0
    assert folder(runs).parent == runs / "mnist_fc2" / "plain"


@pytest.mark.parametrize("name", ["._sgd", ".#sgd", "#sgd"])
def test_what_an_editor_or_a_file_system_left_beside_a_file_is_no_choice(conf, name):
    copy = conf / "optim" / f"{name}.yaml"
    copy.write_bytes((conf / "optim" / "sgd.yaml").read_bytes())
    with pytest.raises(BadInput, match=rf"^optim={re.escape(name)}: there is no such optim"):
        compose(["data=sample", f"optim='{name}'"])


def test_a_choice_inside_a_part_makes_another_experiment(study):
    found = find(study()[0].partition("=")[2])
    planned = plan(found, "smoke", "sample", ["task/sources=mnist"])
    assert planned.changes == ("task/sources=mnist",)
    assert {run.config["profile"] for run in planned.runs} == {"custom"}


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("--cfg job optim=sgd", "_target_: torch.optim.SGD"),
        ("--cfg job --resolve data=sample", "data: sample"),
        ("--cfg job --package optim", "betas"),
        ("--cfg hydra", "n_jobs"),
        ("--info defaults", "optim/adam"),
        ("--help", "python -m scripts.train -m"),
        ("-m --help", "python -m scripts.train -m"),
        ("--hydra-help", "Hydra"),
        ("--version", "adamily"),
        ("-sc install=bash", "complete"),
    ],
)
def test_what_only_shows_shows(capsys, tmp_path, typed, shown):
    done = run_here(capsys, "train", *typed.split())
    assert done.code == 0 and shown in done.out
    assert not list(tmp_path.iterdir())


def test_a_setting_that_is_there_can_be_forced(train, runs):
    assert train("++seed=1", "++optim.lr=0.5").code == 0
    assert (config(folder(runs))["seed"], config(folder(runs))["optim"]["lr"]) == (1, 0.5)


def test_runs_are_chosen_by_glob(train, runs):
    assert train("-m", "optim=glob(adam*,exclude=[adama*])").code == 0
    assert {where.parent.name for where in folders(runs)} == {"adam", "adamw"}
