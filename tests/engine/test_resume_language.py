"""Models of language stopped anywhere go on with the state, the masks and the weights they had."""

import pytest
from gates import in_step
from running import environment, folder, outcome, spelled, typed

AWD = {"task": "ptb_awd_lstm", "task.model.embedding": 4, "task.model.units": 6}
SMALL = {"task.batch_size": 4, "task.bptt": 9}  # epochs of 27 steps

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
ROBERTA = {
    "data": "sample",
    "task.sources.sample.words": 270,
    "task.max_tokens": 24,
    "task.batch_size": 6,
    **{f"task.sources.sample.sizes.{name}": size for name, size in SIZES.items()},
}

TINY_GPT = {
    "data": "sample",
    "task.context": 8,
    "task.batch_size": 3,
    "task.eval_tokens": 100,
    "task.model.dropout": 0.1,
    **{f"task.sources.sample.sizes.{name}": 2 for name in ("layers", "heads")},
    "task.sources.sample.sizes.width": 8,
}

# Hidden states in the middle of the second epoch; masks drawn in every step; first weights that are
# read from files; micro-batches of unequal weights.
KINDS = {
    "ptb_lstm": {"task": "ptb_lstm", "task.model.units": 6, "task.layers": 2, **SMALL},
    "ptb_awd_lstm, accumulated": {**AWD, "accumulate": 2, "clip_norm": 0.25, **SMALL},
    "ptb_awd_lstm, random lengths": {
        **AWD,
        "task.random_lengths": True,
        "task.activation_penalty": 2,
        "task.change_penalty": 1,
        **SMALL,
    },
    "imdb_lstm": {
        "task": "imdb_lstm",
        "task.model.words": 8,
        "task.model.dimensions": 4,
        "task.model.units": 6,
        "task.flip_probability": 0.2,
        "task.batch_size": 8,
    },
    "glue, accumulated": {
        "task": "glue",
        "task.name": "rte",
        "task.max_tokens": 24,
        "task.model.head_dropout": 0.1,
        "accumulate": 3,
    },
    "roberta_pretrain, accumulated": {"task": "roberta_pretrain", "accumulate": 2, **ROBERTA},
    "gpt, accumulated": {"task": "gpt", "accumulate": 2, **TINY_GPT},
}

SOURCES = {
    "ptb_lstm": "penn_treebank",
    "ptb_awd_lstm": "penn_treebank",
    "imdb_lstm": "movie_reviews",
    "glue": "glue_source",
    "roberta_pretrain": "text_files",
    "gpt": "sample_root",
}


@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_the_middle(start, request, tmp_path, kind):
    source = request.getfixturevalue(SOURCES[KINDS[kind]["task"]])
    of_source = {"task.sources.full": spelled(source)}
    if kind.startswith("roberta"):
        of_source = {"task.files": spelled(source)}
    if kind.startswith("gpt"):
        of_source = {"paths.data": source}
    command = typed(
        {
            "data": "full",
            "optim": "adam",
            "optim.lr": 0.01,
            "task.steps": 60,
            "task.eval_every": 20,
            "logger": "none",
            "train.device": "cpu",
            "train.checkpoint_seconds": 0,
            "paths.data": tmp_path / "data",
        }
        | of_source
        | KINDS[kind]
    )
    runs = tmp_path / "runs"

    start("train", *command, f"paths.runs={runs}", hold=in_step(33)).held().kill()
    for where in (runs, tmp_path / "undisturbed"):
        child = start("train", *command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    # metrics.jsonl and the weights' hash, bit for bit.
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    [session] = environment(folder(runs))["resumed"]
    assert session["at_step"] == 33
