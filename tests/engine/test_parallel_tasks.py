"""Tasks of every architecture give the same losses by one process and by two."""

import pytest
from gates import in_step
from rounding import as_rounded
from running import environment, evaluations, folder, outcome, spelled, typed
from small import TRANSLATION

COMMON = {
    "optim": "sgd",
    "task.steps": 6,
    "task.eval_every": 3,
    "logger": "none",
    "train.device": "cpu",
}
PTB = {"data": "full", "optim.lr": 1.0, "task.batch_size": 4, "task.bptt": 9, "task.model.units": 6}
# Processes draw masks of their own.
DROPOUTS = ("word", "input", "between", "output", "weight")

KINDS = {
    # Convolutions with batch norm, but no dropout.
    "cifar10_resnet20": {
        "data": "sample",
        "task.batch_size": 12,
        "task.model._target_": "odd.ImagesNet",
        "+task.model.dropout": 0.0,
    },
    "ptb_lstm": PTB | {"task.layers": 2, "accumulate": 2},
    "ptb_awd_lstm": PTB
    | {"task.model.embedding": 4, "clip_norm": 0.25}
    | {f"task.model.{name}_dropout": 0.0 for name in DROPOUTS},
    "imdb_lstm": {
        "data": "full",
        "task.model.words": 8,
        "task.model.dimensions": 4,
        "task.model.units": 6,
        "task.batch_size": 9,
    },
    "iwslt14": TRANSLATION
    | {
        "task.model.dropout": 0.0,
        "task.beam": 2,
        "task.decode_every": 2,
    },
}


@pytest.fixture
def command(penn_treebank, movie_reviews, images_root, tmp_path):
    def overrides(task, **changes):
        chosen = {"task": task, "paths.data": images_root}
        if KINDS[task]["data"] == "full":
            source = movie_reviews if task == "imdb_lstm" else penn_treebank
            chosen["task.sources.full"] = spelled(source)
            chosen["paths.data"] = tmp_path / "data"
        return typed(COMMON | chosen | KINDS[task] | changes)

    return overrides


@pytest.mark.parametrize("task", KINDS)
def test_two_processes_change_no_loss(train_by, command, tmp_path, task):
    for count in (1, 2):
        train_by(count, *command(task), f"paths.runs={tmp_path}/{count}")
    one, two = (folder(tmp_path / str(count)) for count in (1, 2))
    assert evaluations(two) == [as_rounded(line) for line in evaluations(one)]
    assert two.relative_to(tmp_path / "2") == one.relative_to(tmp_path / "1")


def test_parts_of_a_batch_in_two_processes_change_no_loss(train_by, command, tmp_path):
    """Some parts are of one sentence, of which the second process has nothing; of 50, all are."""
    train_by(1, *command("iwslt14"), f"paths.runs={tmp_path}/1")
    whole = [as_rounded(line) for line in evaluations(folder(tmp_path / "1"))]
    for parts in (3, 50):
        train_by(2, *command("iwslt14", accumulate=parts), f"paths.runs={tmp_path}/{parts}")
        assert evaluations(folder(tmp_path / str(parts))) == whole


def test_hidden_states_go_on_in_the_processes_that_hold_them(
    start_all, train_by, command, runs, tmp_path
):
    typed = command("ptb_lstm", **{"task.steps": 20})
    often = ["train.checkpoint_seconds=0", f"paths.runs={runs}"]
    children = start_all(2, *typed, *often, hold=in_step(11))
    for child in [child.held() for child in children]:
        child.kill()
    train_by(2, *typed, f"paths.runs={runs}")
    train_by(2, *typed, f"paths.runs={tmp_path}/undisturbed")
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    assert environment(folder(runs))["resumed"][-1]["at_step"] == 11
