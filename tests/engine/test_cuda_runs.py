"""Runs on a CUDA device: the numbers of the CPU, no waiting for it, exact resume after a kill."""

import pytest
import torch
from gates import in_step
from running import ROOT, environment, folder, outcome, spelled, summary

from engine import loop
from engine.config import compose
from engine.loggers import Loggers, RunInfo
from engine.loop import backward
from engine.run import Run
from engine.session import Session
from scripts.bench.loop import Silent
from tasks.sources import DataError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

DROPOUTS = ("word", "input", "between", "output", "weight")
NO_DROPOUT = ("sizes.hidden_dropout_prob=0", "sizes.attention_probs_dropout_prob=0")

# Samples that are large: a few files in the format of the full data stand for them.
FILES = ["data=full"]
SOURCES = {"imdb_lstm": "movie_reviews", "glue": "glue_source"}

# Of each family of tasks one, without dropout, whose masks a device draws for itself.
TASKS = {
    "mnist_fc2": [],
    "mnist_deep_fc": [],
    "cifar10_resnet20": [],
    "cifar10_vgg16": [],
    "ptb_lstm": ["task.layers=2"],
    "ptb_awd_lstm": [
        "task.model.embedding=40",
        "task.model.units=50",
        *(f"task.model.{name}_dropout=0" for name in DROPOUTS),
    ],
    "imdb_lstm": [*FILES, "task.batch_size=16", "task.model.words=8", "task.model.dimensions=4"],
    "glue": [*FILES, "task.batch_size=8", "task.name=rte", "task.max_tokens=24"],
    "roberta_pretrain": [
        "task.batch_size=4",
        "task.max_tokens=64",
        "task.valid_blocks=8",
        *(f"task.sources.sample.{name}" for name in NO_DROPOUT),
    ],
    "imagenet_resnet18": ["task.batch_size=8"],
    "iwslt14": ["task.model.dropout=0", "task.model.layers=2", "task.max_tokens=400"],
    "style_transfer": ["task.size=64"],
    "rosenbrock": ["task.trials=20"],
    "noisy_quadratic": [],
    "convex_example": [],
    "online_convex": ["schedule=online"],
    "nonconvex": ["optim=padam"],
    "quadratic_path": [],
    "gradients": ["optim@task.reference=lp_adam"],
    "dqn": ["task.learning_starts=100", "task.eval_episodes=1"],
    "atari_dqn": ["task.learning_starts=100", "task.capacity=2000", "task.eval_episodes=1"],
    "atari_rainbow": ["task.learning_starts=100", "task.capacity=2000", "task.eval_episodes=1"],
}
GAMES = ("dqn", "atari_dqn", "atari_rainbow")


@pytest.fixture(autouse=True)
def full_precision():
    """Convolutions as exact as the CPU's: in TF32 they keep 10 bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def data_folder():
    """Where `scripts.data prepare` puts what this needs, since the samples are no small files."""
    return ROOT / "data"


@pytest.fixture
def session(request, tmp_path):
    """`session(task, device, *overrides)`: as a run has it before its first step."""

    def make(task, device, *overrides):
        if task in GAMES:
            pytest.importorskip("gymnasium" if task == "dqn" else "cv2")
        if source := SOURCES.get(task):
            files = spelled(request.getfixturevalue(source))
            data = [f"task.sources.full={files}", f"paths.data={tmp_path / 'data'}"]
        else:
            data = ["data=sample", f"paths.data={data_folder()}"]
        common = [f"task={task}", "optim=laprop", "logger=none", *data]
        config = compose([*common, *TASKS[task], *overrides])
        try:
            made = Session(config, torch.device(device))
            made.task.prepare()
        except DataError as error:
            pytest.skip(str(error))
        return made

    return make


def learn(made, steps):
    losses = []
    for step in range(steps):
        losses.append(backward(made, made.task.batch(step)))
        made.optimizer.step()
        made.optimizer.zero_grad()
        made.task.after_step(step)
    return torch.stack(losses).tolist()


def evaluated(made):
    made.task.model.eval()
    with torch.no_grad():
        found = made.task.evaluate()
    return {name: float(torch.as_tensor(value).mean()) for name, value in found.items()}


@pytest.mark.parametrize("task", TASKS)
def test_the_gpu_learns_what_the_cpu_learns(session, task):
    here, there = session(task, "cpu"), session(task, "cuda")
    (first, second), (expected, after) = learn(there, 2), learn(here, 2)
    assert first == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # LaProp's first step goes by the signs of gradients, which rounding turns where they are tiny.
    assert second == pytest.approx(after, rel=5e-3, abs=1e-5)
    if task not in GAMES:  # which may turn at a rounding
        assert evaluated(there) == pytest.approx(evaluated(here), rel=2e-2, abs=5e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("task", [task for task in TASKS if task not in GAMES])
def test_no_step_waits_for_the_device(session, task, precision):
    made = session(task, "cuda", f"precision={precision}")
    learn(made, 2)  # reads the data, and chooses algorithms
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(2, 5):
            loss = backward(made, made.task.batch(step))
            # GradScaler reads from the device whether to take the step.
            if precision != "fp16":
                torch.nn.utils.clip_grad_norm_(made.parameters, 1.0)
                made.optimizer.step()
            made.losses.add(loss)
    finally:
        torch.cuda.set_sync_debug_mode("default")


WHOLE = {
    "clipped": ["clip_norm=1"],
    "accumulated, bf16": ["accumulate=2", "precision=bf16"],
    "compile=True": ["optim.compile=true"],
    "tensor by tensor": ["+optim.foreach=false"],
    "torch's": ["optim=adam"],
    "several optimizers": ["optim=muon"],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_the_whole_loop_waits_for_nothing_between_ticks(session, monkeypatch, tmp_path, kind):
    sizes = ["schedule=cosine", "task.steps=40", "task.eval_every=40", f"paths.runs={tmp_path}"]
    made = session("mnist_fc2", "cuda", *sizes, *WHOLE[kind])
    monkeypatch.setattr(loop, "TICK_SECONDS", 1e9)
    batch = made.task.batch

    def watched(step):
        # The first steps load and compile, and the last one is evaluated.
        torch.cuda.set_sync_debug_mode("error" if 3 <= step < 39 else "default")
        return batch(step)

    made.task.batch = watched
    run = Run(tmp_path, made.config)
    run.folder.mkdir(parents=True)
    loggers = Loggers([], RunInfo("", "", "", [], {}, {}, {}, run.folder))
    try:
        assert loop.train(made, run, loggers, Silent()) == "finished"
    finally:
        torch.cuda.set_sync_debug_mode("default")


RESUMED = {
    "mnist_fc2": ["precision=fp16"],
    "cifar10_resnet20": ["precision=bf16"],
    "ptb_lstm": ["task.layers=2", "task.model.units=50"],
    "iwslt14": ["task.model.layers=1", "task.max_tokens=400", "task.decode_every=100"],
}


@pytest.mark.parametrize("task", RESUMED)
def test_killed_and_resumed_bit_for_bit(session, start, tmp_path, task):
    made = session(task, "cpu")
    made.task.prepare()
    command = [
        f"task={task}",
        *RESUMED[task],
        "optim=laprop",
        "data=sample",
        "task.steps=60",
        "task.eval_every=20",
        "logger=none",
        "train.device=cuda",
        "train.deterministic=true",
        "train.checkpoint_seconds=0",
        f"paths.data={data_folder()}",
    ]

    runs = tmp_path / "runs"
    start("train", *command, f"paths.runs={runs}", hold=in_step(25)).held().kill()
    for where in (runs, tmp_path / "undisturbed"):
        child = start("train", *command, f"paths.runs={where}")
        assert child.wait() == 0, child.output
    assert outcome(folder(runs)) == outcome(folder(tmp_path / "undisturbed"))
    [resumed] = environment(folder(runs))["resumed"]
    assert resumed["at_step"] == 25
    assert environment(folder(runs))["gpu"] == torch.cuda.get_device_name()


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_sweep_shares_the_gpu(start, tmp_path, jobs):
    child = start(
        "sweep",
        "study=lp_adam/fc2",
        "profile=smoke",
        "data=sample",
        "task.steps=4",
        "logger=none",
        "train.device=cuda",
        f"sweep.jobs_per_device={jobs}",
        f"paths.data={data_folder()}",
        f"paths.runs={tmp_path / 'runs'}",
        f"paths.reports={tmp_path / 'reports'}",
    )
    assert child.wait() == 0, child.output
    found = [summary(path.parent) for path in (tmp_path / "runs").glob("*/*/*/summary.json")]
    assert len(found) == 100 and {each["status"] for each in found} == {"finished"}
