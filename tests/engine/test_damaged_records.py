"""Any damage to any file of a run: that run is left out, with what to do, and no other one is."""

import json
import os
import random

import pytest

from engine.identity import identity
from engine.record_files import RECORD
from engine.records import read_all
from engine.run import LossBlock, Run
from engine.yaml_files import dump_yaml, read_yaml
from results.payload_runs import runs_payload

HERE = {"device": "cpu", "started": "now", "threads": 1, "cpu": "One"}
SUMMARY = {
    "step": 3,
    "steps": 3,
    "final": {"train/loss": 0.25},
    "best": {"train/loss": {"value": 0.25, "step": 3}},
    "trials": {"train/loss": [0.25, 0.25]},
    "wall_seconds": 1.0,
    "step_seconds": 0.1,
}


def finished(root, config):
    run = Run(root, config)
    run.begin(HERE, None)
    for step in (1, 2, 3):
        run.record_losses(LossBlock(step, 1, [1 / (step + 1)]))
        run.record(step, {"train/loss": 1 / (step + 1)})
    run.end("finished", SUMMARY)
    return run


@pytest.fixture
def runs(tmp_path, make_config):
    """Three runs that have finished; the damage comes to the second one."""
    return [finished(tmp_path / "runs", make_config({"seed": seed})) for seed in range(3)]


def forget_hashes(run):
    """Make it a run of before there were hashes, of which the shapes alone can be looked at."""
    path = run.folder / "summary.json"
    summary = json.loads(path.read_text())
    del summary["sha256"]
    path.write_text(json.dumps(summary))


def changed(name, **changes):
    """Other values for some keys of a JSON file."""

    def damage(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return name, damage


def with_config(**changes):
    def damage(path):
        path.write_text(dump_yaml(read_yaml(path) | changes))

    return "config.yaml", damage


def written(name, content):
    def damage(path):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return name, damage


def replaced(name, place):
    def damage(path):
        path.unlink()
        place(path)

    return name, damage


def appended(name, text):
    def damage(path):
        with open(path, "a") as file:
            file.write(text)

    return name, damage


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
IN_THE_WAY = {
    "folder": lambda path: path.mkdir(),
    "full folder": lambda path: (path / "in" / "it").mkdir(parents=True),
    "loop": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}
NAMES = RECORD

DAMAGES = {
    **{
        f"{name}: {what}": replaced(name, place)
        for name in NAMES
        for what, place in IN_THE_WAY.items()
    },
    **{f"{name}: cut": written(name, b'{"a') for name in NAMES},
    **{f"{name}: zeros": written(name, b"\0" * 100 + b"\n") for name in NAMES},
    **{f"{name}: latin-1": written(name, b'{"step": "caf\xe9"}\n') for name in NAMES},
    **{f"{name}: brackets": written(name, "[" * 200_000 + "\n") for name in NAMES},
    **{f"{name}: maps": written(name, '{"a":' * 200_000 + "\n") for name in NAMES},
    **{f"{name}: digits": written(name, f'{{"step": {"9" * 6000}}}\n') for name in NAMES},
    **{f"{name}: many digits": written(name, f'{{"step": {"9" * 4000}}}\n') for name in NAMES},
    **{f"{name}: a list": written(name, "[1]\n") for name in NAMES},
    **{f"{name}: null": written(name, "null\n") for name in NAMES},
    **{f"{name}: text": written(name, '"text"\n') for name in NAMES},
    **{f"{name}: empty": written(name, "") for name in NAMES if not name.endswith(".jsonl")},
    "config: date": appended("config.yaml", "when: 2026-13-45\nseed: 1"),
    "config: digits": appended("config.yaml", "x: " + "9" * 6000),
    "config: recursive": appended("config.yaml", "x: &a [*a]"),
    "config: bomb": appended("config.yaml", BOMB),
    "config: tag": appended("config.yaml", "x: !!python/name:os.system"),
    "config: twice": appended("config.yaml", "seed: 1"),
    "config: data": with_config(data="full"),
    "config: data of another kind": with_config(data=["sample"]),
    "config: seed": with_config(seed=7),
    "config: names": with_config(names=None),
    "config: a name": with_config(names={"task": 1, "optim": [], "schedule": {}}),
    "config: task": with_config(task=[1]),
    "config: sources": with_config(task={"data": "sample", "sources": 1}),
    "config: optim": with_config(optim=None),
    "lines: no object": appended("metrics.jsonl", "7\n"),
    "lines: no step": appended("metrics.jsonl", '{"train/loss": 1}\n'),
    "lines: step back": appended("metrics.jsonl", '{"step": 2}\n'),
    "lines: step text": appended("metrics.jsonl", '{"step": "4"}\n'),
    "lines: text": appended("metrics.jsonl", '{"step": 4, "train/loss": "0.5"}\n'),
    "lines: NaN": appended("metrics.jsonl", '{"step": 4, "train/loss": NaN}\n'),
    "lines: too large": appended("metrics.jsonl", '{"step": 4, "train/loss": 1e999}\n'),
    "lines: a list": appended("metrics.jsonl", '{"step": 4, "train/loss": [1]}\n'),
    "lines: cut off": appended("metrics.jsonl", '{"step": 4'),
    "losses: no object": appended("losses.jsonl", "7\n"),
    "losses: no step": appended("losses.jsonl", '{"every": 1, "losses": [1]}\n'),
    "losses: steps back": appended("losses.jsonl", '{"step": 4, "every": 1, "losses": [1, 1]}\n'),
    "losses: every 0": appended("losses.jsonl", '{"step": 4, "every": 0, "losses": [1]}\n'),
    "losses: none": appended("losses.jsonl", '{"step": 4, "every": 1, "losses": []}\n'),
    "losses: text": appended("losses.jsonl", '{"step": 4, "every": 1, "losses": ["1"]}\n'),
    "losses: more": appended("losses.jsonl", '{"step": 4, "every": 1, "losses": [1], "x": 1}\n'),
    "losses: cut off": appended("losses.jsonl", '{"step": 4'),
    **{
        f"nulls for {key}": changed("summary.json", **{key: None})
        for key in sorted(SUMMARY.keys() - {"step_seconds"})
    },
    "status": changed("summary.json", status="ended"),
    "status of another kind": changed("summary.json", status=["finished"]),
    "final": changed("summary.json", final={"train/loss": "0.1"}),
    "final of another kind": changed("summary.json", final=[0.1]),
    "best": changed("summary.json", best={"train/loss": 0.1}),
    "best without value": changed("summary.json", best={"train/loss": {"step": 1}}),
    "trials": changed("summary.json", trials={"train/loss": [0.1, None]}),
    "trials of another kind": changed("summary.json", trials={"train/loss": 0.1}),
    "times": changed("summary.json", step_seconds="1"),
    "other id": changed("summary.json", id="0123456789ab"),
    "deep": changed("summary.json", more=json.loads("[" * 100 + "]" * 100)),
    "cpu": changed("environment.json", cpu=None),
    "threads": changed("environment.json", threads="2"),
    "device": changed("environment.json", device=None),
    "packages": changed("environment.json", packages=["torch"]),
    "resumed": changed("environment.json", resumed={"at_step": 1}),
    "sessions": changed("environment.json", resumed=[None]),
}


@pytest.mark.parametrize("hashed", [True, False], ids=["hashed", "of before"])
@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run_is_left_out_alone(runs, heard, what, hashed):
    name, damage = DAMAGES[what]
    bad = runs[1]
    if not hashed:
        forget_hashes(bad)
        assert bad.ended and bad.id in read_all(bad.root)
    damage(bad.folder / name)
    records = read_all(bad.root)
    assert records.keys() == {runs[0].id, runs[2].id}
    [said] = [record.getMessage() for record in heard.records]
    assert "\n" not in said and len(said) < 600
    assert str(bad.folder) in said and name in said
    assert "put it back, or remove" in said or f"{name} is gone" in said
    # What a sweep asks.
    again = Run(bad.root, bad.config)
    assert (again.ended, again.begun) in ((False, True), (False, False))


def test_a_whole_run_of_before_is_read_in_silence(runs, heard):
    for run in runs:
        forget_hashes(run)
    (runs[0].folder / "environment.json").unlink()
    assert len(read_all(runs[0].root)) == 3
    assert heard.text == ""


def swap(runs, name):
    first, second = (run.folder / name for run in runs[:2])
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])


@pytest.mark.parametrize("name", sorted({*RECORD} - {"config.yaml"}))
def test_files_of_two_runs_that_were_swapped_are_noticed(tmp_path, make_config, heard, name):
    runs = []
    for seed in range(3):
        run = Run(tmp_path / "runs", make_config({"seed": seed}))
        run.begin(HERE | {"started": str(seed)}, None)
        run.record_losses(LossBlock(1, 1, [seed]))
        run.record(1, {"train/loss": seed})
        run.end("finished", SUMMARY)
        runs.append(run)
    swap(runs, name)
    assert read_all(tmp_path / "runs").keys() == {runs[2].id}
    assert len(heard.records) == 2 and heard.text.count(f"its {name} ") == 2


@pytest.mark.parametrize("name", ["metrics.jsonl", "losses.jsonl"])
def test_an_emptied_or_lost_file_of_lines_of_a_finished_run_is_noticed(runs, heard, name):
    (runs[0].folder / name).write_text("")
    (runs[1].folder / name).unlink()
    assert read_all(runs[0].root).keys() == {runs[2].id}
    assert f"{name} was changed since the run has ended; put it back" in heard.text
    assert f"{name} is gone; put it back" in heard.text


@pytest.mark.usefixtures("heard")
def test_every_flipped_bit_of_a_record_is_noticed_or_changes_nothing(runs):
    """But for the name of the hashes in summary.json, which is then read as one of before, and what
    config.yaml says beside what decides the outcome.
    """
    run, draw = runs[1], random.Random(0)
    whole = read_all(run.root)[run.id]
    for name in NAMES:
        path = run.folder / name
        content = path.read_bytes()
        for place in range(0, len(content), 3):
            flipped = bytearray(content)
            flipped[place] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            found = read_all(run.root).get(run.id)
            assert found is None or name in ("config.yaml", "summary.json")
            if found is not None:
                assert (found.status, found.curves) == ("finished", whole.curves)
                assert found.losses == whole.losses
                assert {key: found.summary[key] for key in SUMMARY} == SUMMARY
                assert identity(found.config) == identity(whole.config)
                assert found.config["data"] == whole.config["data"]
        path.write_bytes(content)
    assert read_all(run.root).keys() == {each.id for each in runs}


@pytest.mark.usefixtures("heard")
def test_random_bytes_harm_no_reader(runs):
    """Pieces of a file lost, doubled, swapped or overwritten, in runs that no hash protects."""
    bad, draw = runs[1], random.Random(1)
    forget_hashes(bad)
    for turn in range(200):
        name = draw.choice(NAMES)
        path = bad.folder / name
        content = path.read_bytes()
        a, b = sorted(draw.randrange(len(content) + 1) for _ in range(2))
        noise = bytes(draw.randrange(256) for _ in range(draw.randrange(20)))
        piece = draw.choice([b"", content[a:b] * 2, noise, b"null", b"[]", b"-1e999", b'"\\ud800"'])
        path.write_bytes(content[:a] + piece + content[b:])
        records = read_all(bad.root)
        assert {runs[0].id, runs[2].id} <= records.keys(), turn
        json.dumps(runs_payload(records.values()).index, allow_nan=False)
        assert Run(bad.root, bad.config).ended in (True, False)
        path.write_bytes(content)


def test_the_environment_of_an_unfinished_run_is_written_anew_whatever_it_is(runs, heard):
    run = runs[1]
    (run.folder / "summary.json").unlink()
    for content in (b"[1]", b'{"device": null}', b"\0", b'{"resumed": 1}'):
        (run.folder / "environment.json").write_bytes(content)
        run.begin(HERE, {"step": 1, "metrics_bytes": 0})
        assert json.loads((run.folder / "environment.json").read_text()) == HERE
    assert heard.text.count("it is written anew") == 4
