"""What can be typed, for people and for programs."""

import json
import tomllib

import pytest
import yaml
from running import ROOT, run_here

from engine.checks import BadInput
from scripts.list import LISTS, columns, page


@pytest.fixture(scope="module")
def tasks():
    return LISTS["tasks"]()


@pytest.fixture
def tasks_once(tasks, monkeypatch):
    """Each task is built for the first of the tests alone, since that takes seconds."""
    monkeypatch.setitem(LISTS, "tasks", lambda: tasks)


@pytest.mark.usefixtures("tasks_once")
def test_tasks_for_programs(capsys):
    done = run_here(capsys, "list", "tasks", "--json")
    assert done.code == 0
    tasks = {entry["name"]: entry for entry in json.loads(done.out)}
    counts = {name: entry["parameters"] for name, entry in tasks.items()}
    wanted = {
        "mnist_fc2": 1_796_010,  # 784·1000 + 1000 + 1000·1000 + 1000 + 1000·10 + 10
        "cifar10_vgg16": 14_728_266,
        "cifar10_vgg16_fc": 33_638_218,  # 33.6 million
        "cifar10_resnet18": 11_173_962,
        "cifar10_resnet20": 269_722,  # 0.27 million
        "cifar10_resnet50": 23_520_842,  # 23.5 million
        "cifar10_wrn16_4": 2_748_890,  # about 2.75 million
        "cifar100_resnet18": 11_173_962 + 90 * (512 + 1),
        "imagenet_resnet18": 11_689_512,
        "imagenet_vgg16": 138_365_992,
        # 784 to 256, 199 times 256 to 256, 256 to 10, each with biases.
        "mnist_deep_fc": 785 * 256 + 199 * 257 * 256 + 2570,
    }
    assert {name: counts[name] for name in wanted} == wanted
    fc2 = tasks["mnist_fc2"]
    # 100 epochs of whole batches of 128 images.
    assert fc2["steps"] == {"full": 100 * (60_000 // 128), "sample": 100 * (4_000 // 128)}


def test_what_tasks_need(tasks):
    needs = {entry["name"]: (entry["data"], entry["extras"]) for entry in tasks}
    both = ["full", "sample"]
    assert needs["cifar10_vgg16"] == (both, {})
    assert needs["mnist_fc2"] == (both, {"full": "vision"})
    assert needs["imdb_lstm"] == (both, {"sample": "text"})
    assert needs["wmt16"] == (both, {"full": "text", "sample": "text"})
    assert needs["atari_rainbow"] == ([], {"full": "atari", "sample": "atari"})
    assert needs["rosenbrock"] == ([], {})


def test_every_extra_is_one(tasks):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {extra for entry in tasks for extra in entry["extras"].values()}
    named |= {entry["extra"] for entry in LISTS["optims"]()} - {None}
    assert {"atari", "modern"} <= named <= set(project["optional-dependencies"])


def test_a_task_whose_extra_is_missing_is_listed(capsys, monkeypatch):
    monkeypatch.setattr("scripts.list.names", lambda group: ["rosenbrock", "dqn"])
    monkeypatch.setattr("scripts.list.check_classes", missing)
    done = run_here(capsys, "list", "tasks", "--json")
    [dqn] = json.loads(done.out)
    assert (dqn["name"], dqn["parameters"], dqn["steps"]) == ("dqn", None, {})
    assert "WARNING: task dqn: gymnasium is not installed" in done.err
    assert "WARNING: task rosenbrock is left out: gymnasium is not" in done.err
    assert "dqn   -           -      -          no data  gymnasium\n" in (
        run_here(capsys, "list", "tasks").out
    )


def missing(config):
    raise BadInput("gymnasium is not installed")


@pytest.mark.usefixtures("tasks_once")
def test_recurrent_tasks_for_programs(capsys):
    tasks = json.loads(run_here(capsys, "list", "tasks", "--json").out)
    parameters = {entry["name"]: entry["parameters"] for entry in tasks}
    # tests/models says what they are made of; these have one layer and two.
    assert parameters["ptb_lstm"] == 4_331_600
    assert parameters["ptb_awd_lstm"] == 13_632_400
    assert parameters["imdb_lstm"] == 1_342_289


def test_optims_for_programs(capsys):
    done = run_here(capsys, "list", "optims", "--json")
    listed = {entry["name"]: entry for entry in json.loads(done.out)}
    assert listed.keys() == {path.stem for path in (ROOT / "conf/optim").glob("*.yaml")}
    assert listed["adam"]["class"] == "torch.optim.Adam"
    written = yaml.safe_load((ROOT / "conf/optim/adam.yaml").read_text())
    assert listed["adam"]["settings"].items() <= written.items()
    assert listed["adam"]["settings"]["lr"] == 1e-3
    assert (listed["adam"]["extra"], listed["lion"]["extra"]) == (None, "modern")


def test_studies_for_programs(capsys, study):
    study(seeds=3)
    done = run_here(capsys, "list", "studies", "--json")
    listed = {entry["name"]: entry for entry in json.loads(done.out)}
    assert listed.keys() == {"lp_adam/tiny"}
    assert listed["lp_adam/tiny"]["runs"] == {"paper": 12, "smoke": 12}
    assert listed["lp_adam/tiny"]["confirming"] == {"paper": 0, "smoke": 0}


def test_suites_for_programs(capsys):
    listed = json.loads(run_here(capsys, "list", "suites", "--json").out)
    assert [suite["name"] for suite in listed] == ["gpu", "laptop"]
    suite = listed[1]
    written = yaml.safe_load((ROOT / "conf/suite/laptop.yaml").read_text())
    assert suite.pop("name") == "laptop"
    # 16 points and 5 fresh seeds, or 4 and 2, on each of its tasks.
    assert suite.pop("runs") == {"short": 8 * (16 + 5), "smoke": 8 * (4 + 2)}
    assert suite == written


@pytest.mark.usefixtures("tasks_once")
def test_everything_for_people(capsys):
    done = run_here(capsys, "list")
    assert done.code == 0
    for word in ("mnist_fc2", "1,796,010", "adamax", "lp_adam/fc2", "laptop", *LISTS):
        assert word in done.out
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.out)


@pytest.mark.usefixtures("tasks_once")
def test_all_in_one_for_programs(capsys):
    listed = json.loads(run_here(capsys, "list", "--json").out)
    assert listed.keys() == {"tasks", "optims", "studies", "suites"}


@pytest.mark.usefixtures("tasks_once")
@pytest.mark.parametrize("name", LISTS)
def test_nothing_that_is_typed_is_cut_in_80_columns(name):
    entries = LISTS[name]()
    lines = list(page(name, entries, 80))
    assert max(map(len, lines)) <= 80
    firsts = [line.split()[0] for line in lines if line[:1].strip()]
    words = {word.rstrip(",;:") for line in lines for word in line.split()}
    for entry in entries:
        assert entry["name"] in firsts
        assert set(entry.get("studies", ())) <= words
        flat = {key for key, value in entry.get("settings", {}).items() if key != "groups"}
        assert flat <= {word.partition("=")[0] for word in words}


@pytest.mark.parametrize("name", ["optims", "suites"])
def test_piped_each_entry_is_a_line(capsys, name):
    count = len(LISTS[name]())
    title, _, *rows, _ = run_here(capsys, "list", name).out.splitlines()
    assert title == f"{name} ({count})" and len(rows) == count
    if name == "optims":
        [muon] = (row for row in rows if row.startswith("muon "))
        assert " groups.muon.ns_steps=5 " in muon


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["name   about", "a-b/c  one two-three four", "d      e"]),
        (80, ["name   about", "a-b/c  one two-three four", "d      e"]),
        # A description of which too little would stand beside the names begins below them.
        (20, ["name   about", "a-b/c", "    one two-three", "    four", "d      e"]),
        (4, ["name", "    about", "a-b/c", *(f"    {w}" for w in ["one", "two-three", "four"])]),
    ],
)
def test_columns(width, lines):
    rows = [["name", "about"], ["a-b/c", "one two-three four"], ["d", "e"]]
    assert list(columns(rows, width))[: len(lines)] == lines


def test_columns_wrap_beside_a_name():
    [first, second] = columns([["name", "it is so long that it takes two lines"]], 32)
    assert (first, second) == ("name  it is so long that it", "      takes two lines")


def test_what_cannot_be_listed(capsys):
    done = run_here(capsys, "list", "papers")
    assert done.code == 2
    for word in ("papers", "tasks", "optims", "studies"):
        assert word in done.err


def test_help(capsys):
    done = run_here(capsys, "list", "--help")
    assert done.code == 0 and "python -m scripts.list studies --json" in done.out


def test_a_file_that_is_wrong_is_named_and_the_others_are_listed(capsys, conf):
    papers, optims = conf / "study" / "lp_adam", conf / "optim"
    (papers / "fc2.yaml").write_text("title: [")
    (papers / "mine.yaml").write_bytes(b"\xff")
    (optims / "adam.yaml").write_text("lr: 1\nlr: 2")
    (optims / "sgd.yaml").write_text("")
    (conf / "task" / "mnist_fc2.yaml").write_text("steps: 1\nsteps: 2")
    done = run_here(capsys, "list", "studies", "--json")
    assert done.code == 0
    listed = {entry["name"] for entry in json.loads(done.out)}
    assert "lp_adam/table2" in listed and not {"lp_adam/fc2", "lp_adam/mine"} & listed
    assert f"study lp_adam/fc2 is left out: {papers / 'fc2.yaml'}: line " in done.err
    assert f"study lp_adam/mine is left out: {papers / 'mine.yaml'}: is no text in" in done.err
    done = run_here(capsys, "list", "optims", "--json")
    listed = {entry["name"] for entry in json.loads(done.out)}
    assert done.code == 0 and "adamw" in listed and not {"adam", "sgd"} & listed
    assert f"{optims / 'adam.yaml'}: line 2: the key lr is there twice" in done.err
    assert f"{optims / 'sgd.yaml'}: _target_ is missing" in done.err


def test_what_editors_leave_beside_files_is_not_listed(capsys, conf):
    for group in ("study/lp_adam", "optim", "task"):
        for name in ("._x.yaml", ".#x.yaml", "#x.yaml#", "#x.yaml", ".x.yaml.swp", "x.yaml~"):
            (conf / group / name).write_bytes(b"\x00\x05\x16")
        (conf / group / ".#y.yaml").symlink_to("somebody@somewhere")
    (conf / "study" / ".ipynb_checkpoints").mkdir()
    (conf / "study" / ".ipynb_checkpoints" / "fc2-checkpoint.yaml").write_bytes(
        (conf / "study" / "lp_adam" / "fc2.yaml").read_bytes()
    )
    done = run_here(capsys, "list", "studies", "--json")
    assert (done.code, done.err) == (0, "")
    written = (ROOT / "conf" / "study").glob("*/*.yaml")
    names = {f"{path.parent.name}/{path.stem}" for path in written}
    assert {entry["name"] for entry in json.loads(done.out)} == names
    done = run_here(capsys, "list", "optims", "--json")
    assert done.code == 0 and not {e["name"] for e in json.loads(done.out)} & {"._x", ".#x", "#x"}
