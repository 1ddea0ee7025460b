"""A name that is misspelt: the sentence that refuses it asks first whether another was meant."""

import pytest
from running import nothing_written, run_here, sentence

from engine.config import closest_key
from engine.texts import closest
from scripts import cli

# A command with a name that there is not, and the one that was meant.
NAMES = [
    ("train task=mnist_fc", "mnist_fc2"),
    ("train optim=LaProp", "laprop"),
    ("train schedule=cosin", "cosine"),
    ("train logger=wandbb", "wandb"),
    ("sweep profile=smoke study=fc2", "lp_adam/fc2"),
    ("compare optim=adam suite=laptpo", "laptop"),
]


@pytest.mark.parametrize(("line", "meant"), NAMES)
def test_a_name(capsys, tmp_path, line, meant):
    command, *typed = line.split()
    group, _, _ = typed[-1].partition("=")
    begins = f"error: {typed[-1]}: there is no such {group} (did you mean {meant}?); choose one of "
    assert sentence(run_here(capsys, command, *typed)).startswith(begins)
    assert nothing_written(tmp_path)


# A command with a key that there is not, as the sentence names it, and the one that was meant.
KEYS = [
    ("train optim.lrr=1", "optim.lrr", "optim.lr"),
    ("train task.stepss=3", "task.stepss", "task.steps"),
    ("train optim=padam optim.partal=.1", "optim.partal", "optim.partial"),
    ("train lr=1", "lr", "optim.lr"),
    ("train optm.lr=1", "optm", "optim.lr"),
    ("train optim.amsgrad=true", "optim.amsgrad", "+optim.amsgrad"),
    ("train ++seeed=1", "seeed", "seed"),
    ("sweep study=lp_adam/fc2 profile=smoke dryrun=true", "dryrun", "dry_run"),
    ("sweep study=lp_adam/fc2 profil=smoke", "profil", "profile"),
    ("compare optim=adam agianst=sgd", "agianst", "against"),
]


@pytest.mark.parametrize(("line", "key", "meant"), KEYS)
def test_a_key(capsys, tmp_path, line, key, meant):
    command, *typed = line.split()
    helper = "train" if "." in meant or meant == "seed" else command
    assert sentence(run_here(capsys, command, *typed)) == (
        f"error: {typed[-1]}: there is no key {key} (did you mean {meant}?); "
        f"see python -m scripts.{helper} --help"
    )
    assert nothing_written(tmp_path)


# A command, and the whole sentence about it.
OTHERS = [
    (
        "train ++train={devce:cpu}",
        "train.devce: there is no such key (did you mean train.device?); "
        "see python -m scripts.train --help",
    ),
    (
        "train schedule=step_halving +schedule.evry=1",
        "schedule.evry=1: there is no such key (did you mean schedule.every?); "
        "there are every, factor, of, scale_decay",
    ),
    ("train optim.z=1", "optim.z=1: there is no key optim.z; see python -m scripts.train --help"),
    (
        "train profile=smok",
        "profile=smok (did you mean smoke?): must be one of paper, short, smoke, custom",
    ),
    (
        "sweep study=lp_adam/fc2 data=sample profile=smok",
        "profile=smok (did you mean smoke?): study lp_adam/fc2 has paper, short, smoke",
    ),
    (
        "sweep study=lp_adam/fc2 profile=smoke data=sampel",
        "data=sampel (did you mean sample?): must be one of full, sample",
    ),
    ("cli trian", f"trian (did you mean train?): must be one of {', '.join(cli.COMMANDS)}"),
    # What cannot be left out.
    (
        "sweep",
        "study= is missing: write study=PAPER/NAME, as in study=lp_adam/fc2; "
        "python -m scripts.list studies shows all",
    ),
    (
        "sweep study=lp_adam/fc2",
        "profile= is missing: write one of paper, short, smoke, as in profile=smoke; "
        "python -m scripts.list studies shows how many runs each is",
    ),
    (
        "compare",
        "optim= is missing: write optim=NAME, as in optim=lion; "
        "python -m scripts.list optims shows all",
    ),
]


@pytest.mark.parametrize(("line", "said"), OTHERS)
def test_a_whole_sentence(capsys, tmp_path, line, said):
    command, *typed = line.split()
    assert sentence(run_here(capsys, command, *typed)) == f"error: {said}"
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("adamx", "adamax"),
        ("SGD", "sgd"),
        ("table1", "a/table1"),
        ("b/tabel1", "b/table1"),
        ("q", ""),
    ],
)
def test_closest(name, found):
    assert closest(name, ["sgd", "adamax", "a/table1", "b/table1"]) == found


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("optim.lrr", "optim.lr"),
        ("optim.steps", "task.steps"),
        ("steps", "task.steps"),
        ("tsak.steps", "task.steps"),
        # All keys of a part are like each other where its name is counted.
        ("optim.q", ""),
    ],
)
def test_closest_key(key, found):
    assert closest_key(key, ["seed", "task.steps", "task.seed", "optim.lr", "optim.eps"]) == found
