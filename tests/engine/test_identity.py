"""What decides a run's outcome decides its id, and nothing else does."""

import copy
import json

import pytest
from running import ROOT

from engine.config import compose
from engine.identity import (
    YOUNGER,
    YOUNGER_OF_OPTIM,
    hash_identity,
    run_id,
    run_path,
)

KEPT = sorted((ROOT / "results" / "reproduced").glob("*/*.jsonl"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.lr", 0.002),
        ("optim.betas", [0.001, 0.9]),
        ("optim._target_", "torch.optim.AdamW"),
        ("schedule._target_", "optim.schedules.cosine"),
        ("task.epochs", 4),
        ("task.batch_size", 4),
        ("task.valid", 0.1),
        ("task._target_", "tasks.Other"),
        ("task.sources.sample.sha256.w", "2" * 64),
        ("task.sources.sample.train", 5),
        ("seed", 1),
        ("precision", "bf16"),
        ("clip_norm", 1.0),
        ("accumulate", 2),
        ("profile", "paper"),
        # Two names for one class and its settings are two folders.
        ("names.optim", "my_adam"),
    ],
)
def test_what_decides_the_outcome_changes_the_id(make_config, key, value):
    assert run_id(make_config({key: value})) != run_id(make_config())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.device", "cuda:1"),
        ("train.checkpoint_seconds", 0),
        ("logger", {}),
        ("group", "lp_adam/fc2"),
        ("paths.runs", "/elsewhere"),
        ("paths.data", "/elsewhere"),
        ("sweep.jobs_per_device", 4),
        # A key that is younger than runs that people keep.
        ("task.valid", None),
        # What is kept beside the record.
        ("train.artifacts", True),
        # Where data come from, and the source that this run does not use.
        ("task.sources.sample.package", "toy==2"),
        ("task.sources.full.mirrors", ["https://b.example"]),
        ("task.sources.full.sha256.f", "3" * 64),
        ("task.sources.full.train", 61),
    ],
)
def test_how_it_is_carried_out_does_not_change_the_id(make_config, key, value):
    assert run_id(make_config({key: value})) == run_id(make_config())


def test_the_source_of_the_data_changes_the_id(make_config):
    full = make_config({"data": "full", "task.data": "full"})
    assert run_id(full) != run_id(make_config())
    moved = copy.deepcopy(full)
    moved["task"]["sources"]["full"]["mirrors"] = ["https://b.example"]
    assert run_id(moved) == run_id(full)
    moved["task"]["sources"]["full"]["sha256"]["f"] = "4" * 64
    assert run_id(moved) != run_id(full)


def test_a_number_has_one_spelling(make_config):
    assert run_id(make_config({"optim.lr": 1})) == run_id(make_config({"optim.lr": 1.0}))
    assert run_id(make_config({"optim.betas": (0.9, 1)})) == run_id(
        make_config({"optim.betas": [0.9, 1.0]})
    )
    # But a switch is no number, and a number no text.
    ids = {run_id(make_config({"optim.lr": value})) for value in (1, True, "1", None)}
    assert len(ids) == 4


def test_the_order_of_keys_is_no_difference(make_config):
    config = make_config()
    turned = {key: config[key] for key in reversed(config)}
    turned["optim"] = {key: config["optim"][key] for key in reversed(config["optim"])}
    assert list(turned) != list(config)
    assert run_id(turned) == run_id(config)


def test_the_config_is_left_as_it_was(make_config):
    config = make_config()
    before = copy.deepcopy(config)
    run_id(config)
    assert config == before


def test_a_task_without_data_has_an_id(make_config):
    config = make_config()
    del config["task"]["sources"]
    assert run_id(config) != run_id(make_config())


def test_an_id_of_today_is_one_of_tomorrow(make_config):
    """Where this fails, every finished run of every user would be run again."""
    assert run_id(make_config()) == "d642edcab2c9"


# What conf/ composes to, by the id that it had when people began to keep runs of it.
COMPOSED = {
    "task=mnist_fc2": "fa51e30e1fb3",
    "task=cifar10_resnet20": "338d6b26e5b2",
    "task=imagenet_resnet18": "e818afab67f4",
    "task=imdb_lstm": "6e0a5975fbf8",
    "task=ptb_awd_lstm": "2c2edda12fce",
    "task=ptb_lstm optim=sgd": "1b860f235e7b",
    "task=gradients": "814d97e3f080",
    "task=convex_example": "e8e2a60a6616",
    "task=atari_dqn task.game=pong": "a3a9e212850a",
    "task=atari_rainbow task.game=pong": "d685bb8ac9b6",
    "task=dqn": "83a56a2fcd19",
    "optim=adamal": "fd6503f28727",
    "optim=madam schedule=cosine": "f6c59cf3b052",
    "schedule=multistep": "10e6620475f2",
}


@pytest.mark.parametrize("typed", COMPOSED)
def test_a_new_key_of_conf_leaves_the_ids_of_runs_as_they_were(typed):
    assert run_id(compose(typed.split())) == COMPOSED[typed]


def younger_keys():
    """What else a config needs, a key, and the value of before."""
    for key, value in YOUNGER.items():
        if not isinstance(value, dict):
            yield {}, key, value
    for key, value in YOUNGER["task"].items():
        if key != "model":
            yield {}, f"task.{key}", value
    yield {"task.model": {"depth": 20}}, "task.model.shortcut", "padding"
    for key, value in YOUNGER["schedule"].items():
        yield {}, f"schedule.{key}", value
    for target, keys in YOUNGER_OF_OPTIM.items():
        for key, value in keys.items():
            yield {"optim._target_": target}, f"optim.{key}", value


@pytest.mark.parametrize(("also", "key", "before"), list(younger_keys()))
def test_a_younger_key_counts_only_where_it_changes_the_run(make_config, also, key, before):
    as_before = run_id(make_config(also))
    assert run_id(make_config(also | {key: before})) == as_before
    assert run_id(make_config(also | {key: 80_000})) != as_before


def test_epochs_that_steps_stand_in_for_do_not_count(make_config):
    ids = {run_id(make_config({"task.steps": 2, "task.epochs": epochs})) for epochs in (5, 6)}
    assert len(ids) == 1
    assert run_id(make_config({"task.steps": 3})) not in ids


def test_places_in_a_source_of_several_files_change_no_id(make_config):
    def made(mirror, digest):
        source = {"reviews": {"mirrors": [mirror], "sha256": {"f": digest}}, "train": 4}
        return run_id(make_config({"task.sources.sample": source}))

    assert made("https://a.example", "1") == made("https://b.example", "1")
    assert made("https://a.example", "1") != made("https://a.example", "2")


@pytest.mark.parametrize("part", ["task", "optim"])
@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/a", "a\\b", "a/"])
def test_a_name_that_leads_elsewhere_makes_no_folder(make_config, part, name):
    with pytest.raises(ValueError, match="is no name for a folder of runs"):
        run_path(make_config({f"names.{part}": name}))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_ids_of_kept_runs_come_out_of_their_configs(path):
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        assert hash_identity(line["identity"]) == line["id"]


def test_the_order_of_groups_decides_who_takes_a_parameter(make_config):
    groups = {"a": {"dims": 1, "lr": 0.1}, "b": {"dims": [1, 2], "lr": 0.5}}
    other = dict(reversed(groups.items()))
    ids = {run_id(make_config({"optim.groups": order})) for order in (groups, other)}
    assert len(ids) == 2
