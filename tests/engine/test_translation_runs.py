"""Runs of translation: stopped in an epoch, with batches cut in parts, diverging, and refused."""

import pytest
from gates import in_step
from running import environment, folder, lines, outcome, run_here, summary, typed
from small import TRANSLATION

from results.plan import find, plan

# Epochs of 13 steps.
SMALL = {
    "task": "iwslt14",
    **TRANSLATION,
    "task.beam": 2,
    "task.steps": 50,
    "task.eval_every": 10,
    "task.decode_every": 5,
    "optim": "laprop",
    "optim.lr": 0.003,
    "logger": "none",
    "train.device": "cpu",
}


@pytest.fixture
def command(tmp_path):
    """`command(where, accumulate=2)`: what is typed to train into a folder."""

    def arguments(where, **changes):
        paths = {"paths.data": tmp_path / "data", "paths.runs": tmp_path / where}
        return typed(SMALL | paths | changes)

    return arguments


def test_killed_in_the_middle_of_an_epoch(start, command, tmp_path):
    changes = {"train.checkpoint_seconds": 0}
    start("train", *command("runs", **changes), hold=in_step(17)).held().kill()
    for where in ("runs", "undisturbed"):
        child = start("train", *command(where, **changes))
        assert child.wait() == 0, child.output
    stopped, undisturbed = folder(tmp_path / "runs"), folder(tmp_path / "undisturbed")
    # metrics.jsonl and the weights' hash, bit for bit.
    assert outcome(stopped) == outcome(undisturbed)
    [session] = environment(stopped)["resumed"]
    assert session["at_step"] == 17
    assert "test/bleu" in lines(stopped)[-1] and "test/bleu" not in lines(stopped)[0]


def test_parts_of_a_batch_change_no_loss(start, command, tmp_path):
    """Without dropout, which draws other masks for other parts."""
    for parts in (1, 2, 5):
        dropout = {"task.model.dropout": 0.0, "accumulate": parts}
        child = start("train", *command(f"parts-{parts}", **dropout))
        assert child.wait() == 0, child.output
    whole, *others = (lines(folder(tmp_path / f"parts-{parts}")) for parts in (1, 2, 5))
    for other in others:
        assert [line["train/loss"] for line in other] == pytest.approx(
            [line["train/loss"] for line in whole], rel=1e-5
        )


def test_a_model_that_breaks_in_its_last_step_has_diverged(start, command, tmp_path):
    """The losses are finite until then, and nothing can be translated after."""
    changes = {"optim": "sgd", "optim.lr": 1e30, "task.steps": 1}
    child = start("train", *command("runs", **changes))
    assert child.wait() == 0, child.output
    assert summary(folder(tmp_path / "runs"))["status"] == "diverged"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("task.label_smoothing", "much", "task.label_smoothing=much: must be a number from 0 to 1"),
        ("task.beam", 0, "task.beam=0: must be a whole number above 0"),
        ("task.length_penalty", -1, "task.length_penalty=-1: must be a number, 0 or above"),
        ("task.max_tokens", 9, "task.max_tokens=9: must be at least"),
        ("task.model.heads", 0, "heads=0: must be 1 or more"),
        ("task.sources.sample.test", 0, "data=sample: test: 0 sentences: must be at least one"),
    ],
)
def test_bad_input_is_refused(capsys, command, tmp_path, key, value, says):
    done = run_here(capsys, "train", *command("runs", **{key: value}))
    assert done.code == 2 and says in done.last
    assert not list((tmp_path / "runs").rglob("config.yaml"))


def test_wmt_is_scored_on_all_sentences_of_its_set():
    """Table 2 has another test set than the task, of another size."""
    [config, *_] = [
        planned.config
        for planned in plan(find("madam/table2"), "paper", "full").runs
        if planned.cell.column == "WMT'16"
    ]
    source = config["task"]["sources"]["full"]
    assert (source["test_set"], source["test"]) == (source["valid_set"], source["valid"])
