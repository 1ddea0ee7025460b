"""The measurements run and say what they measured; how fast things are is no test's business."""

import csv
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from running import ROOT, run_here, spelled

import optim
from engine import openmp
from engine.config import compose
from engine.session import Session
from optim.executors import BATCH
from scripts import bench
from scripts.bench import (
    bare,
    contenders,
    gpt,
    loading,
    loop,
    memory,
    page,
    quickstart,
    race,
    sets,
    step,
    tokens,
    train,
    waiting,
)

CPU = torch.device("cpu")
TINY = {"tiny": [(30, 20), (7,)]}


def test_loop_cost_names_both_times_and_their_ratio(monkeypatch, sample_root):
    monkeypatch.setattr(loop, "STEPS", 2)
    monkeypatch.setattr(loop, "TASK", [*bare.TASK, f"paths.data={sample_root}"])
    said = loop.loop_cost(CPU, rounds=2)
    alone, looped, ratio = map(
        float, re.findall(r"(\d+\.\d+) ms.*?(\d+\.\d+) ms; ratio (\d+\.\d+)", said)[0]
    )
    assert alone > 0 and looped > 0 and ratio > 0
    assert "2 rounds of 2 steps" in said


def test_start_up_measures_a_real_start(monkeypatch, sample_root):
    monkeypatch.setattr(loop, "STARTS", 1)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(loop, "TASK", [*bare.TASK, f"paths.data={sample_root}"])
    said = loop.start_up("cpu", "none")
    assert 0 < float(re.search(r"median (\d+\.\d+) s", said)[1]) < 600


def test_ways_to_wait_are_measured_alone_and_beside_a_busy_process(monkeypatch, sample_root):
    monkeypatch.setattr(waiting, "TASK", [*bare.TASK, f"paths.data={sample_root}"])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept = {
        waiting.OPENMP_DEFAULT: {"GOMP_SPINCOUNT": "300000"},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }
    monkeypatch.setattr(waiting, "wait_policies", lambda: kept)
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        waiting.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    about, *table = waiting.report(rounds=2).splitlines()
    assert "2 rounds of 20 steps" in about
    assert [line.split(" | ")[0].strip("| ") for line in table[2:]] == list(kept)
    for line in table[2:]:
        alone, beside = re.findall(r"(\d+\.\d+) ms", line)
        assert float(alone) > 0 and float(beside) > 0
    assert [child.args[-1] for child in started].count(waiting.BUSY) == 1
    assert all(child.poll() is not None for child in started), "nothing is left running"


def test_the_ways_to_wait():
    ways = waiting.wait_policies()
    assert ways[waiting.OPENMP_DEFAULT] == {"GOMP_SPINCOUNT": "300000"}
    (here,) = (way for name, way in ways.items() if name.endswith("here"))
    assert here == {"GOMP_SPINCOUNT": str(openmp.SPIN_COUNT)}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["walk"], "walk: must be one of loop, step, train"),
        (["loop", "device=foo"], "device=foo: must be auto, cpu, cuda or cuda:N"),
        (["step", "device=cuda:77"], "error: device=cuda:77: this machine has"),
        (["loop", "rounds=1"], "rounds=1: must be a whole number, 2 or above"),
        (["step", "rounds=many"], "rounds=many: must be a whole number, 2 or above"),
        (["train", "rounds=0"], "rounds=0: must be a whole number, 2 or above"),
        (["train", "device=tpu"], "device=tpu: must be auto, cpu, cuda or cuda:N"),
        (["train", "task=mnist_fc2"], "task=mnist_fc2: must be one of device, rounds, out"),
        (["step", "round=3"], "round=3: must be one of device, rounds, out, as KEY=VALUE"),
        (["loop", "out=tables"], "out=tables: must be one of device, rounds, as KEY=VALUE"),
        (["step", "out="], "out=: must be the path of a folder"),
        (["train", "out=[a]"], "out=[a]: must be one value"),
        (["step", "--rounds"], "--rounds: write KEY=VALUE; see python -m scripts.bench --help"),
    ],
)
def test_bench_refuses_in_one_sentence(capsys, typed, said):
    done = run_here(capsys, "bench", *typed)
    assert done.code == 2 and done.out == ""
    assert said in done.err and len(done.err.splitlines()) == 1


def test_what_is_typed_reaches_the_measurement(monkeypatch):
    heard = []
    monkeypatch.setattr(loop, "report", lambda *given: heard.append(given))
    monkeypatch.setattr(step, "report", lambda *given: heard.append(given))
    monkeypatch.setattr(train, "report", lambda *given: heard.append(given))
    bench.measure(["loop", "device=cpu", "rounds=7"])
    bench.measure(["step"])
    bench.measure(["train", "rounds=3", "device=cpu", "out=a/b"])
    assert heard == [("cpu", CPU, 7), (CPU, 30, None), (CPU, 3, "a/b")]


def test_training_needs_torchvision(capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda package: None)
    done = run_here(capsys, "bench", "train")
    assert done.code == 2 and "pip install 'adamily[vision]'" in done.err


def test_atari_needs_the_games(capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda package: None)
    done = run_here(capsys, "bench", "atari")
    assert done.code == 2 and "pip install 'adamily[atari]'" in done.err


@pytest.fixture
def small_atari(monkeypatch, tmp_path):
    """Rounds and memories that take a moment."""
    pytest.importorskip("ale_py")
    from scripts.bench import atari, replay

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(atari, "STEPS", 2)
    monkeypatch.setattr(atari, "MEMORY", 1200)
    monkeypatch.setattr(replay, "CAPACITY", 800)
    monkeypatch.setattr(replay, "ADDED", 80)
    return replay


@pytest.mark.usefixtures("small_atari")
def test_atari_writes_the_rates_of_both_loops_and_the_times_of_a_memory(capsys, tmp_path):
    done = run_here(capsys, "bench", "atari", "device=cpu", "rounds=2", "out=tables")
    assert done.code == 0, done
    (page,) = (tmp_path / "tables").glob("atari.*.md")
    text = page.read_text()
    assert "python -m scripts.bench atari device=cpu rounds=2" in text
    rate, spread = r"\d+\.\d \(\d+\)", r"\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\)"
    for games in (1, 8):
        assert re.search(rf"\| {games} +\| 2 +\| {rate} +\| {rate} +\| {spread} +\|", text)
    for what in ("a batch, uniform", "priorities drawn and set", "a batch, prioritised"):
        assert re.search(rf"\| {what} +\| \d+\.\d\d ms +\|", text)
    for what in ("all frames new", "no frame new", "80 frames new"):
        assert re.search(rf"\| save, {what} +\| \d+\.\d\d s +\|", text)
    assert "A full memory of 800 transitions" in text
    for table in text.split("## ")[1:]:
        assert table in done.out


def test_a_disk_that_is_too_small_for_the_memory(capsys, small_atari, tmp_path, monkeypatch):
    monkeypatch.setattr(small_atari, "CAPACITY", 10**12)
    monkeypatch.setattr("scripts.bench.atari.loops", lambda *_: "## Loops\n")
    done = run_here(capsys, "bench", "atari", "device=cpu", "rounds=2", "out=tables")
    assert done.code == 0, done
    assert "Not measured: the replay memory needs 7" in done.out
    (page,) = (tmp_path / "tables").glob("atari.*.md")
    assert "## Loops" in page.read_text()


def test_tables_are_printed_and_written_where_asked_only(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = [lambda: "one\n", lambda: "two\n"]
    assert page.publish("Title", "train", CPU, 3, ["numpy", "none"], sections, None) is None
    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().out
    path = page.publish("Title", "train", CPU, 3, ["numpy", "none"], sections, "a/b")
    text = path.read_text()
    assert path.parent == Path("a/b")
    assert "\n- none: not installed\n" in text and "train device=cpu rounds=3" in text
    assert text.endswith("\none\n\ntwo\n") and printed.endswith("\none\n\ntwo\n\n")


def test_what_was_measured_stays_when_a_measurement_fails(tmp_path):
    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        page.publish("Title", "train", CPU, 3, [], [lambda: "one\n", fails], str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert path.read_text().endswith("\none\n")


@pytest.mark.usefixtures("tiny")
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_measured(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_here(capsys, "bench", "step", "rounds=2", "out=file")
    assert done.code == 2 and "file" in done.err and len(done.err.splitlines()) == 1
    assert "resnet" not in done.out


# -- steps -----------------------------------------------------------------------------------------


def test_sets_have_the_sizes_that_they_claim():
    sizes = {
        name: (len(shapes), step.elements(shapes))
        for name, shapes in (step.SETS | step.LARGE_SETS).items()
    }
    assert sizes["resnet"] == (62, 11_173_962)
    assert sizes["lstm"][0] == 11 and 13e6 < sizes["lstm"][1] < 14e6
    assert sizes["many"][0] == 400 and 12e6 < sizes["many"][1] < 14e6
    assert 99e6 < sizes["resnet, three times as wide"][1] < 102e6
    assert all(1024 <= size <= 64 * 1024 for (size,) in sets.many())
    assert sets.many() == sets.many()


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Sets and rules that take a moment, without a compiler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step, "SETS", {"resnet": TINY["tiny"]})
    monkeypatch.setattr(contenders, "EXECUTORS", {"loop": {"foreach": False}, "foreach": {}})
    monkeypatch.setattr(step, "installed", lambda package: package == "timm")
    monkeypatch.setattr(contenders, "installed", lambda package: False)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_step_writes_every_optimizer_in_every_way(tiny, capsys):
    done = run_here(capsys, "bench", "step", "rounds=2", "out=tables")
    assert done.code == 0, done
    assert "pytorch_optimizer is not installed and left out: pip install 'adamily[bench]'" in (
        done.out
    )
    assert "timm is not installed" not in done.out
    (table,) = tiny.glob("tables/step.*.md")
    text = table.read_text()
    for said in (
        "command: python -m scripts.bench step device=cpu rounds=2",
        "PyTorch: ",
        "commit",
    ):
        assert said in text
    with table.with_suffix(".csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * len(contenders.RULES) + len(step.ADAMS)
    for line in lines:
        assert (line["set"], line["floor"]) == ("resnet", "")
        assert line["rule"] in text and line["contender"] in text
        low, middle, high = (float(line[f"to_fused_{part}"]) for part in race.Spread._fields)
        assert 0 < low <= middle <= high
        assert f"{middle:.2f} ({low:.2f} to {high:.2f})" in text


def test_every_rule_of_optim_takes_part():
    classes = {make for make, _ in contenders.RULES.values()}
    assert {make.__name__ for make in classes} == set(optim.__all__) - {"Observation", "Observer"}


def test_ratios_are_of_the_same_round():
    assert race.ratio([2.0, 40.0, 6.0], [1.0, 20.0, 3.0]) == (2.0, 2.0, 2.0)


def test_a_race_goes_as_many_rounds_as_asked():
    begins = {"a": contenders.YARDSTICKS["F"], "b": contenders.YARDSTICKS["U"]}
    racers = {name: race.Racer(TINY["tiny"], CPU, begin) for name, begin in begins.items()}
    times = race.race(racers, race.draw_gradients(TINY["tiny"], CPU), rounds=4, steps=2)
    assert {name: len(column) for name, column in times.items()} == {"a": 4, "b": 4}
    (state, *_) = racers["a"].optimizer.state.values()
    assert state["step"] == 2 * (4 + race.WARM_UP)


@pytest.mark.parametrize(
    ("make", "moved"),
    [(torch.optim.Adam, 7), (optim.LaProp, 7), (optim.Padam, 9), (optim.MAdam, 11)],
)
def test_words_that_a_rule_moves(make, moved):
    racer = race.Racer(TINY["tiny"], CPU, make)
    racer.take(race.draw_gradients(TINY["tiny"], CPU)[0], 1)
    assert memory.words(racer.optimizer) == moved


def test_the_share_of_the_floor():
    # 7 words of 4 bytes for each of 1e9 elements take 28 ms at 1e12 bytes a second.
    assert memory.floor_share(7, 10**9, 0.056, 1e12) == pytest.approx(0.5)
    assert memory.copy_bandwidth(CPU, elements=1 << 16, times=2) > 0


def test_the_table_says_which_share_of_the_floor_is_reached():
    spread = race.Spread(1.0, 2.0, 3.0)
    line = step.Line("LaProp", "optim, foreach", spread, spread, spread, spread, 0.5)
    assert step.table([line]).splitlines()[-1].split()[-4:] == ["2.000", "|", "50%", "|"]


@pytest.mark.parametrize("rule", contenders.RULES)
def test_a_default_step_holds_a_batch_and_no_copy_of_the_model(rule):
    """At most five temporaries of a batch and some numbers, however large the model is."""
    shapes = [(3 * BATCH,), (5 * BATCH, 2), (100, 100), (100,)]
    racer = race.Racer(shapes, CPU, contenders.ours(rule)["optim, foreach"])
    racer.take(race.draw_gradients(shapes, CPU)[0], 1)
    assert 0 < memory.peak_of_step(racer.optimizer) < 5 * 4 * BATCH + 1000


@pytest.mark.parametrize("package", contenders.PACKAGES)
def test_peers_take_steps(package):
    pytest.importorskip(package)
    for rule in ("LaProp", "AdaBelief"):
        racer = race.Racer(TINY["tiny"], CPU, contenders.peers(rule, compiled=True)[package])
        assert racer.take(race.draw_gradients(TINY["tiny"], CPU)[0], 2) > 0


# -- training --------------------------------------------------------------------------------------

# Not pytest.importorskip, which would import it without what a PyTorch for CPUs needs.
with_torchvision = pytest.mark.skipif(not find_spec("torchvision"), reason="needs torchvision")

GPT_SIZES = {"layers": 1, "heads": 2, "width": 8}
SMALL = ["task=mnist_fc2", "task.model.widths=[784,4,10]", "task.batch_size=2000"]


@pytest.fixture
def small(monkeypatch, sample_root, glue_source, tmp_path):
    """Networks that take a moment; of images, on two batches an epoch."""
    of_glue = [f"task.sources.full={spelled(glue_source)}", f"paths.data={tmp_path}"]
    monkeypatch.setattr(tokens, "TASK", ["task=glue", "data=full", "optim=adamw", *of_glue])
    monkeypatch.setattr(tokens, "WORK", {"cpu": (2, ["task.batch_size=4", "task.max_tokens=24"])})
    of_gpt = [f"task.sources.sample.sizes={spelled(GPT_SIZES)}", "task.batch_size=2"]
    monkeypatch.setattr(gpt, "TASK", [*gpt.TASK, *of_gpt, f"paths.data={sample_root}"])
    monkeypatch.setattr(gpt, "STEPS", {"cpu": 2})
    monkeypatch.setattr(train, "DATA", [*train.DATA, f"paths.data={sample_root}", *SMALL[1:]])
    monkeypatch.setattr(train, "LOOPS", {"cpu": {"mnist_fc2": train.Work(2)}})
    monkeypatch.setattr(train, "LOADED", ["mnist_fc2"])


def cells(text):
    """The rows of all tables on a page, their titles and rules apart."""
    named = ("| mnist", "| cifar", "| glue", "| gpt")
    lines = [line for line in text.splitlines() if line.startswith(named)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@with_torchvision
@pytest.mark.usefixtures("small")
def test_train_writes_its_tables(capsys, tmp_path):
    done = run_here(capsys, "bench", "train", "device=cpu", "rounds=2", "out=tables/new")
    assert done.code == 0, done
    (page,) = tmp_path.glob("tables/new/train.*.md")
    text = page.read_text()
    for said in (
        "command: python -m scripts.bench train device=cpu rounds=2",
        "PyTorch: ",
        "commit: ",
        "torchvision: ",
        "## The training loop",
        "## Images trained on in a second",
        "## Memory of the data",
        "## Tokens trained on in a second",
        "## Tokens of a decoder-only transformer trained on in a second",
    ):
        assert said in text
    looped, loaded, held, *raced, of_gpt = cells(text)
    assert of_gpt[:2] == ["gpt", "2"] and all(float(rate) > 0 for rate in of_gpt[2:4])
    assert looped[:2] == ["mnist_fc2", "2"] and len(looped) == 5
    assert loaded[:2] == ["mnist_fc2", "2000"] and len(loaded) == 7
    assert all(float(number) > 0 for number in [*looped[2:4], *loaded[2:6]])
    for ratio in (looped[-1], loaded[-1]):
        assert re.fullmatch(r"\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\)", ratio)
    assert held[:6] == ["mnist_fc2", "5000", "784", "uint8", "3.92", "1"]
    assert cells(done.out) == [looped, loaded, held, *raced, of_gpt]
    if find_spec("accelerate"):
        [[task, steps, ours, theirs, ratio]] = raced
        assert (task, steps) == ("glue task.batch_size=4 task.max_tokens=24", "2")
        assert float(ours) > 0 and float(theirs) > 0 and float(ratio.split()[0]) > 0
    else:
        assert "pip install 'adamily[text,bench]'" in text


@pytest.mark.usefixtures("small")
def test_the_loop_beside_trains_on_windows_of_the_text():
    session = Session(compose([*gpt.TASK, *bare.ENDLESS]), CPU)
    text, length = session.task.rows["train"], session.task.context_tokens
    tokens, targets = gpt.windows(text, session.task, CPU)
    assert tokens.shape == targets.shape == (2, length)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    everywhere = torch.from_numpy(text.astype("int64")).unfold(0, length, 1)
    assert all((everywhere == window).all(1).any() for window in tokens)
    before = [parameter.clone() for parameter in session.parameters]
    assert gpt.nano_steps(session, 3) > 0 and session.step == 3
    assert all((a != b).any() for a, b in zip(before, session.parameters, strict=True))


@pytest.mark.usefixtures("small")
def test_the_trainer_takes_the_steps_of_the_loop(tmp_path):
    """The same batches and losses, and so the same weights."""
    pytest.importorskip("accelerate")
    config = compose([*tokens.TASK, "task.batch_size=4", "task.max_tokens=24", *bare.ENDLESS])
    ours, theirs = Session(config, CPU), Session(config, CPU)
    bare.bare_steps(ours, 3, ours.task.batch)
    assert tokens.trainer_steps(theirs, 3, tmp_path) > 0
    assert (ours.step, theirs.step) == (3, 3)
    for one, other in zip(ours.parameters, theirs.parameters, strict=True):
        torch.testing.assert_close(one, other)


def test_the_bare_loop_repeats_a_resident_batch(sample_root):
    session = Session(compose([*SMALL, "data=sample", f"paths.data={sample_root}"]), CPU)
    given = []
    first = session.task.batch(0)

    def batches(step):
        given.append(step)
        return first

    assert bare.bare_steps(session, 3, batches) > 0
    assert bare.bare_steps(session, 2, batches) > 0
    assert given == [0, 1, 2, 3, 4] and session.step == 5


@with_torchvision
def test_an_epoch_of_the_loader_is_the_tasks_images(sample_root):
    """Normalised as the task does it, each image once, in an order of its own."""
    config = compose([*SMALL, "data=sample", f"paths.data={sample_root}"])
    task = Session(config, CPU).task
    got = list(loading.epoch(loading.loader(task, config["task"]), CPU))
    assert [tuple(images.shape) for images, _ in got] == [(2000, 784)] * 2
    images = torch.cat([images for images, _ in got])
    ours, labels = zip(*task.batches("train"), strict=True)
    wanted, labels = torch.cat(ours), torch.cat(labels)
    assert torch.cat([some for _, some in got]).bincount().tolist() == labels.bincount().tolist()
    torch.testing.assert_close(images.sum(1).sort()[0], wanted.sum(1).sort()[0])
    assert not torch.allclose(images, wanted)


@with_torchvision
def test_colour_images_are_normalised_one_by_one(images_root):
    plain = ["task=cifar10_resnet20", "task.crop_padding=0", "task.flip=false", "data=sample"]
    config = compose([*plain, f"paths.data={images_root}"])
    task = Session(config, CPU).task
    given, label = loading.cifar(task, config["task"])[7]
    some, labels = next(task.batches("train"))
    assert label == labels[7]
    both = torch.stack([some[7], some[7].flip(2)])  # the transform may have mirrored it
    assert (both - given).abs().amax((1, 2, 3)).min() < 1e-5


def test_the_bytes_of_nested_tensors():
    bytes_, floats = torch.zeros(3, 2, dtype=torch.uint8), torch.zeros(5)
    found = train.tensors({"a": (bytes_, [floats]), "b": 3, "model": torch.nn.Linear(2, 2)})
    assert [tensor.nbytes for tensor in found] == [6, 20]


# -- a sweep ---------------------------------------------------------------------------------------

INERTIA = ["study=lp_adam/inertia", "profile=smoke", "data=full", "train.device=cpu"]


def test_bare_processes_train_and_evaluate_the_cells_of_a_sweep(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    typed = ["task=gradients", "task.zeros_after=5", "task.steps=10", "task.eval_every=5"]
    config = compose([*typed, "optim=lp_adam", "optim.p=1"])
    session = Session(config, CPU)
    quickstart.bare_run(session)
    assert session.optimizer.state[session.parameters[0]]["step"] == 10
    assert 0 < quickstart.bare_seconds([config, config, config], 2) < 600


@pytest.mark.slow
def test_a_sweep_is_timed_beside_bare_processes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    said = quickstart.table(INERTIA, busy_counts=(0, 1))
    assert f"6 runs of `{' '.join(INERTIA)}`" in said
    idle, busy = (line.split("|")[1:-1] for line in said.splitlines()[-2:])
    assert [idle[0].strip(), busy[0].strip()] == ["0", "1"]
    whole, bare_time, ratio = (float(idle[place].strip(" s")) for place in (1, 3, 4))
    assert ratio == pytest.approx(bare_time / whole, abs=0.06)
