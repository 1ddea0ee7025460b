"""An optimizer against a tuned one, from the command to the verdict."""

import json
from pathlib import Path

import pytest
import yaml
from browsing import embedded
from running import folders, nothing_written, run_here, sentence, shared, summary

import adamily
from results import baselines, figures, verdict_files

STUDY = {
    "title": "Digits, small",
    "reproduces": [],
    "notes": [],
    "rows": {"adamw": {"optim": "adamw"}, "plain sgd": {"optim": "sgd", "optim.momentum": 0.0}},
    "grid": {},
    "search": {"random": 3, "ranges": {"optim.lr": {"low": 1e-4, "high": 1, "log": True}}},
    "seeds": 1,
    "confirm": 2,
    "select": {"metric": "test/accuracy", "at": "last", "mode": "max", "split": "valid"},
    "target": 0.5,
    "report": ["test/accuracy"],
    "statistic": "mean",
    "published": [],
    "figures": {},
    "profiles": {"short": {}, "smoke": {"random": 2}},
}
COLUMN = {
    "task": "mnist_fc2",
    "task.steps": 8,
    "task.eval_every": 2,
    "task.valid": 0.1,
    "eval_first": True,
}

OWN = """
import torch

class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                param -= group["lr"] * param.grad.sign()
"""


@pytest.fixture
def suite(conf):
    """A suite of two tasks, on which a run takes a moment: the only one that there is."""
    for path in (*(conf / "study").glob("*/*.yaml"), *(conf / "suite").glob("*.yaml")):
        path.unlink()
    (conf / "study" / "mini").mkdir()
    for name, widths in (("one", [784, 16, 10]), ("two", [784, 10])):
        columns = {"columns": {name: COLUMN | {"task.model.widths": widths}}}
        text = yaml.safe_dump(STUDY | columns, sort_keys=False)
        (conf / "study" / "mini" / f"{name}.yaml").write_text(text)
    spec = {"title": "Small", "data": "sample", "against": "adamw"}
    spec["studies"] = ["mini/one", "mini/two"]
    (conf / "suite" / "mini.yaml").write_text(yaml.safe_dump(spec))
    return "suite=mini"


@pytest.fixture
def compare(capsys, tiny, suite, tmp_path, monkeypatch):
    """`scripts.compare` in this process, with a folder of committed runs that is empty."""
    monkeypatch.setattr(baselines, "HERE", tmp_path / "committed")
    # Figures of the studies themselves, which take longer than their runs.
    monkeypatch.setattr(figures, "draw", lambda result: {})

    def command(*arguments):
        chosen = [] if any(text.startswith("suite=") for text in arguments) else [suite]
        return run_here(capsys, "compare", *shared(tiny()), *chosen, *arguments)

    return command


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(verdict_files, "draw", lambda *asked: {})


def shown(reports):
    """What the page shows, as text."""
    return embedded((reports / "index.html").read_text()).decode()


def optims(runs):
    return {where.parent.name for where in folders(runs)}


def verdict_of(done):
    """Its sentences, which stand behind an empty line and before the tables."""
    before = f"\n{done.out}".partition("\n# ")[0].rstrip()
    return before.rpartition("\n\n")[2]


def test_an_optimizer_is_compared_on_every_task(compare, runs, tmp_path):
    done = compare("optim=adam")
    assert done.code == 0, done.err
    assert (
        "adam against adamw: what they reach. Suite mini, profile short, sample data." in done.out
    )
    assert "\nadam is " in done.out and " of 2 tasks" in done.out
    # Of each task and optimizer three rates and two fresh seeds.
    assert len(folders(runs)) == 2 * 2 * (3 + 2)
    assert {summary(where)["profile"] for where in folders(runs)} == {"short"}
    reports = tmp_path / "reports"
    written = {path.name for path in (reports / "mini").iterdir()}
    pictures = {f"adam.short.sample.{name}" for name in ("scores.png", "rates.png", "profile.png")}
    assert pictures | {"adam.short.sample.md", "adam.short.sample.jsonl.xz"} <= written
    found = json.loads((reports / "mini" / "adam.short.sample.json").read_text())
    assert [task["task"] for task in found["tasks"]] == ["one", "two"]
    assert found["sentences"][0] in done.out
    assert "mini/one" in shown(reports)
    before = {where: (where / "summary.json").stat().st_mtime_ns for where in folders(runs)}
    assert verdict_of(compare("optim=adam")) == verdict_of(done) != ""
    assert before == {where: (where / "summary.json").stat().st_mtime_ns for where in before}


@pytest.fixture
def commit(compare, tmp_path):
    """Run an optimizer on the suite and commit its runs: `commit("adamw")`."""

    def command(optim):
        assert compare(f"optim={optim}", "profile=smoke").code == 0
        committed = tmp_path / "committed" / "mini"
        committed.mkdir(parents=True, exist_ok=True)
        [packed] = (tmp_path / "reports" / "mini").glob("*.jsonl.xz")
        packed.rename(committed / packed.name)

    return command


@pytest.mark.usefixtures("undrawn")
def test_committed_runs_of_the_reference_are_not_run_again(compare, commit, tmp_path):
    commit("adamw")
    done = compare("optim=sgd", "profile=smoke", f"paths.runs={tmp_path / 'elsewhere'}")
    assert "sgd lr=" in done.out and "adamw lr=" not in done.out
    assert optims(tmp_path / "elsewhere") == {"sgd"}
    assert '"adamw"' in shown(tmp_path / "reports")
    again = compare(
        "optim=sgd", "profile=smoke", "rerun=true", f"paths.runs={tmp_path / 'elsewhere'}"
    )
    assert optims(tmp_path / "elsewhere") == {"adamw", "sgd"}
    assert "sgd lr=" not in again.out and "adamw lr=" in again.out
    assert verdict_of(again) == verdict_of(done)


@pytest.mark.usefixtures("undrawn")
def test_rows_whose_runs_are_committed_are_ranked_beside(compare, commit, tmp_path):
    commit("plain sgd")
    done = compare("optim=adam", "profile=smoke", f"paths.runs={tmp_path / 'elsewhere'}")
    together = done.out.partition("# All tasks together")[2]
    assert "| plain sgd |" in together and "| adam |" in together and "| adamw |" in together
    assert optims(tmp_path / "elsewhere") == {"adamw", "adam"}


@pytest.mark.usefixtures("undrawn")
def test_a_users_own_optimizer_is_on_the_page(compare, tmp_path, monkeypatch):
    (tmp_path / "mine" / "optim").mkdir(parents=True)
    (tmp_path / "signs.py").write_text(OWN)
    own = "_target_: signs.Signs\n_partial_: true\nlr: 1e-3\n"
    (tmp_path / "mine" / "optim" / "signs.yaml").write_text(own)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = compare("optim=signs", "--config-dir=mine", "profile=smoke")
    assert done.code == 0, done.err
    assert "signs is " in done.out
    assert "Profile smoke shows that all works, and not which optimizer is better." in done.out
    assert '"signs"' in shown(tmp_path / "reports")


@pytest.mark.usefixtures("undrawn")
def test_an_optimizer_that_diverges_everywhere_is_worse(compare):
    done = compare("optim=sgd", "optim.momentum=1e30", "profile=smoke")
    assert done.code == 0, done.err
    assert "worse on 2 (one, two)" in done.out
    assert "one: sgd (momentum=1e30) diverges at every learning rate." in done.out


def test_a_task_that_an_optimizer_cannot_train_is_one_line_of_the_verdict(compare):
    # The second network has no hidden matrix.
    done = compare("optim=muon", "profile=smoke")
    assert done.code == 0, done.err
    assert "two: muon cannot train it: optim.groups.muon: takes no parameter" in done.out
    assert "worse on 1 (two)" in done.out or "worse on 2 (one, two)" in done.out


@pytest.mark.usefixtures("undrawn")
def test_a_learning_rate_that_is_given_is_not_searched(compare, runs):
    done = compare("optim=adamw", "optim.lr=1e-4", "profile=smoke")
    assert done.code == 0, done.err
    assert "adamw (lr=1e-4) is " in done.out
    # One point and two fresh seeds, beside two rates and two seeds of the reference.
    assert len(folders(runs)) == 2 * (1 + 2) + 2 * (2 + 2)


@pytest.mark.usefixtures("suite", "undrawn")
def test_the_library_gives_the_verdict(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "HERE", Path("nowhere"))
    overrides = shared(tiny())
    found = adamily.compare("adam", "mini", profile="smoke", overrides=overrides)
    assert [task.task for task in found.tasks] == ["one", "two"]
    assert found.against == "adamw" and found.iqm is not None
    assert (tmp_path / "reports" / "mini" / "adam.smoke.sample.md").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "optim= is missing: write optim=NAME, as in optim=lion; "),
        (["optim=adamx"], "optim=adamx: there is no such optim (did you mean adamax?); choose "),
        (["optim=adam", "against=zzz"], "optim=zzz: there is no such optim; choose one of "),
        (["optim=adam", "suite=desktop"], "suite=desktop: there is no such suite; choose one of"),
        (["optim=adam", "profile=paper"], "profile=paper: study mini/one has short, smoke"),
        (["optim=adam", "rerun=maybe"], "rerun=maybe: must be true or false"),
        (["optim=adam", "task.steps=3"], "task.steps=3: suite mini says that, for all optimizers"),
        (["optim=adam", "seed=3"], "seed=3: suite mini says that, for all optimizers"),
        (["optim=adam", "optim.lr=1,2"], "optim.lr=1,2: must be one KEY=VALUE of the optimizer"),
        (["optim=adam", "+optim.x=1"], "+optim.x=1: must be one KEY=VALUE of the optimizer"),
        (["optim=adam", "optim.epsilon=1"], "optim.epsilon"),
        (["adam"], "adam: write KEY=VALUE; see python -m scripts.compare --help"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(compare, runs, typed, said):
    assert said in sentence(compare(*typed))
    assert nothing_written(runs)
