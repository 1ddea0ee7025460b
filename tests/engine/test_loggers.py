import json
import logging
import os
import select
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate

from engine.loggers import (
    Loggers,
    RunInfo,
    TensorBoardLogger,
    TrackioLogger,
    WandbLogger,
    describe,
    flatten,
)
from engine.loggers.replay import send_recorded
from engine.records import Record

ROOT = Path(__file__).parents[2]
FAKE_KEY = "0123456789abcdef0123456789abcdef01234567"
SUMMARY = {
    "status": "finished",
    "final": {"test/loss": 0.5, "test/accuracy": None},
    "best": {"test/loss": {"value": 0.25, "step": 3}},
    "wall_seconds": 1.5,
}


def info(folder, step=0, **changes):
    values = {
        "id": "0123456789ab",
        "name": "adam lr=0.001 seed=0",
        "group": "lp_adam/fc2",
        "tags": ["lp_adam", "mnist_fc2", "adam", "data:sample", "profile:smoke"],
        "settings": {"task": "mnist_fc2", "optim": "adam", "lr": 0.001, "betas.1": 0.9, "seed": 0},
        "made": {"id": "0123456789ab", "study": "lp_adam/fc2", "commit": "abc", "hardware": "A1"},
        "config": {"task": {"name": "mnist_fc2"}, "optim": {"lr": 0.001}},
        "folder": folder,
        "step": step,
    }
    return RunInfo(**{**values, **changes})


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def clean_environment(home, **more):
    """An environment that knows of no account; HOME is empty."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WANDB_", "TRACKIO_", "HF_")) and name != "NETRC"
    }
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def python(code, home, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=home,
        env=clean_environment(home, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


# One run from its start to its end; what the scripts below have in common.
RUN = f"""
import logging, pathlib, sys
from engine.loggers import *
logging.basicConfig(level=logging.WARNING, format="LOGGED %(message)s")
def info(step=0):
    return RunInfo(id="0123456789ab", name="adam", group="g", tags=["t"],
                   settings={{"optim": "adam", "lr": 0.1}}, made={{"id": "0123456789ab"}},
                   config={{"optim": {{"lr": 0.1}}}}, folder=pathlib.Path("run"), step=step)
def train(*loggers, start=0, stop=5, finish=True):
    run = Loggers(loggers, info(start))
    for step in range(start + 1, stop + 1):
        run.log({{"train/loss": 1 / step, "none": None, "nan": float("nan")}}, step)
    if finish:
        run.finish({SUMMARY!r})
"""


# -- Loggers ---------------------------------------------------------------------------------------


class Recorder:
    def __init__(self):
        self.calls = []

    def start(self, info):
        self.calls.append("start")

    def log(self, metrics, step):
        self.calls.append(("log", step))

    def finish(self, summary):
        self.calls.append("finish")


class Failing(Recorder):
    def __init__(self, method):
        super().__init__()
        setattr(self, method, self.fail)

    def fail(self, *args):
        raise OSError("no space left")


@pytest.mark.parametrize("method", ["start", "log", "finish"])
def test_a_failure_is_one_warning_and_the_others_go_on(method, tmp_path, caplog):
    before, failing, after = Recorder(), Failing(method), Recorder()
    loggers = Loggers([before, failing, after], info(tmp_path))
    loggers.log({"a": 1.0}, 1)
    loggers.log({"a": 1.0}, 2)
    loggers.finish(SUMMARY)
    (warning,) = warnings_of(caplog)
    assert "Failing" in warning
    assert f"{method}: OSError: no space left" in warning
    assert before.calls == after.calls == ["start", ("log", 1), ("log", 2), "finish"]


def test_an_interrupt_is_no_failure_of_a_logger(tmp_path):
    logger = Recorder()
    loggers = Loggers([logger], info(tmp_path))

    def interrupt(metrics, step):
        raise KeyboardInterrupt

    logger.log = interrupt
    with pytest.raises(KeyboardInterrupt):
        loggers.log({}, 1)


def test_finish_twice_is_finish_once(tmp_path):
    logger = Recorder()
    loggers = Loggers([logger], info(tmp_path))
    loggers.finish(SUMMARY)
    loggers.finish(SUMMARY)
    loggers.log({}, 1)
    assert logger.calls == ["start", "finish"]


def test_flatten():
    assert flatten(SUMMARY) == {
        "status": "finished",
        "wall_seconds": 1.5,
        "final/test/loss": 0.5,
        "best/test/loss": 0.25,
        "best_step/test/loss": 3,
    }
    assert flatten({"status": "failed"}) == {"status": "failed"}


def test_describe_hides_credentials(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", FAKE_KEY)
    text = describe(ValueError(f"bad key {FAKE_KEY} for http://h/?write_token=abc&x=1"))
    assert text == "ValueError: bad key *** for http://h/?write_token=***&x=1"


@pytest.mark.parametrize(
    ("logger", "package"),
    [(WandbLogger, "wandb"), (TrackioLogger, "trackio"), (TensorBoardLogger, "tensorboard")],
)
def test_a_missing_package_is_one_warning_that_says_what_to_install(
    logger, package, tmp_path, caplog, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    Loggers([logger()], info(tmp_path)).log({"a": 1.0}, 1)
    (warning,) = warnings_of(caplog)
    assert package in warning
    assert "pip install 'adamily[track]'" in warning


def test_an_unwritable_folder_is_one_warning_for_each_logger(tmp_path):
    (tmp_path / "run").write_text("a file where the folder should be")
    script = RUN + 'train(WandbLogger(), TrackioLogger(dir="run/db"), TensorBoardLogger("run/tb"))'
    done = python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    logged = [line for line in done.stderr.splitlines() if line.startswith("LOGGED")]
    assert [line.split()[6].rstrip(",") for line in logged] == [
        "WandbLogger",
        "TrackioLogger",
        "TensorBoardLogger",
    ]
    assert done.stdout == ""


def test_nothing_is_imported_before_it_is_used(tmp_path):
    code = """
    import sys
    import engine.loggers
    engine.loggers.WandbLogger(), engine.loggers.TrackioLogger()
    for name in ("wandb", "trackio", "tensorboard", "torch", "hydra"):
        assert name not in sys.modules, name
    """
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


# -- credentials -----------------------------------------------------------------------------------


def test_a_key_reaches_no_file_and_no_output(tmp_path):
    pytest.importorskip("wandb")
    pytest.importorskip("trackio")
    pytest.importorskip("tensorboard")
    code = """
    class Telltale:
        def start(self, info):
            import os
            raise ValueError("refused: " + os.environ["WANDB_API_KEY"])
    train(WandbLogger(), TrackioLogger(dir="db"), TensorBoardLogger(dir="tb"), Telltale())
    """
    done = python(
        RUN + textwrap.dedent(code),
        tmp_path,
        WANDB_API_KEY=FAKE_KEY,
        WANDB_MODE="offline",
        TRACKIO_WRITE_TOKEN=FAKE_KEY,
    )
    assert done.returncode == 0, done.stderr
    assert "refused: ***" in done.stderr
    assert FAKE_KEY not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {".wandb", ".db"} <= {path.suffix for path in files}
    for path in files:
        assert FAKE_KEY.encode() not in path.read_bytes(), path


def test_no_key_is_offline_without_a_prompt_on_a_terminal(tmp_path):
    pytest.importorskip("wandb")
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    try:
        # The mode in which W&B itself would ask, if it sees a terminal on all three.
        done = subprocess.run(
            [sys.executable, "-c", RUN + "train(WandbLogger())"],
            cwd=tmp_path,
            env=clean_environment(tmp_path, WANDB_MODE="online", TERM="xterm"),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            timeout=300,
        )
        printed = os.read(leader, 10_000) if select.select([leader], [], [], 0)[0] else b""
    finally:
        os.close(follower)
        os.close(leader)
    assert (done.returncode, printed) == (0, b"")
    assert list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))
    # Nothing in the working directory but the run's folder and what is hidden (HOME is here).
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"run"}


def test_no_key_and_no_stdin_is_offline_without_a_prompt(tmp_path):
    pytest.importorskip("wandb")
    pytest.importorskip("trackio")
    code = "import os; os.close(0)" + RUN + 'train(WandbLogger(), TrackioLogger(dir="db"))'
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))


def test_a_server_that_does_not_answer_means_offline_and_one_warning(tmp_path):
    pytest.importorskip("wandb")
    netrc = tmp_path / "keys"
    netrc.write_text(f"machine 127.0.0.1:9\n login user\n password {FAKE_KEY}\n")
    # A second run of the process does not wait for the server again.
    code = RUN + "train(WandbLogger(init_timeout=1))\ntrain(WandbLogger(init_timeout=50))"
    done = python(code, tmp_path, NETRC=str(netrc), WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("LOGGED W&B goes on offline: CommError") == 1
    assert done.stderr.count("LOGGED") == 1
    # The second is the same run from its start, and takes the place of the first.
    assert len(list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))) == 1
    assert FAKE_KEY not in done.stdout + done.stderr


def test_a_malformed_key_means_offline_and_one_warning(tmp_path):
    pytest.importorskip("wandb")
    done = python(RUN + "train(WandbLogger())", tmp_path, WANDB_API_KEY="too-short-a-key")
    assert done.stderr.count("LOGGED W&B goes on offline: AuthenticationError") == 1
    assert done.stderr.count("LOGGED") == 1
    assert "too-short-a-key" not in done.stderr
    assert list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))


# -- each tracker ----------------------------------------------------------------------------------


def test_artifacts_reach_all_trackers_byte_for_byte(tmp_path):
    pytest.importorskip("wandb")
    pytest.importorskip("trackio")
    pytest.importorskip("tensorboard")
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pictures = [Image.new("RGB", (16, 8), (10 * n, 0, 90)) for n in range(5)]
    path = tmp_path / "000000004.game.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=60)
    still = path.with_name("000000004.image.png")
    pictures[0].save(still)
    code = """
    trackers = [WandbLogger(), TrackioLogger(dir="db"), TensorBoardLogger(dir="tb")]
    run = Loggers(trackers, info())
    run.log({"train/loss": 1.0}, 4)
    for name in ("game.gif", "image.png", "of_no_picture.txt"):
        run.show(pathlib.Path(f"000000004.{name}"), 4)
    run.finish({"status": "finished"})
    """
    done = python(RUN + textwrap.dedent(code), tmp_path, WANDB_MODE="offline")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for place in ("run/wandb", "db"):
        (copy,) = (tmp_path / place).rglob("*.gif")
        assert copy.read_bytes() == path.read_bytes()
        (copy,) = (tmp_path / place).rglob("*.png")
        assert Image.open(copy).tobytes() == pictures[0].tobytes()
    rows = trackio_rows(tmp_path / "db/adamily.db")
    for name in ("artifacts/game", "artifacts/image"):
        (row,) = [row for row in rows if name in row[2]]
        assert row[1] == 4
    events = EventAccumulator(str(tmp_path / "tb/g/adam")).Reload()
    for name, shown in (("artifacts/game", path), ("artifacts/image", still)):
        (image,) = events.Images(name)
        assert (image.step, image.encoded_image_string) == (4, shown.read_bytes())


def test_wandb_offline(tmp_path, caplog, capfd):
    pytest.importorskip("wandb")
    first = Loggers([WandbLogger(mode="offline")], info(tmp_path))
    for step in range(6):
        first.log({"train/loss": 1.0, "none": None, "inf": float("inf")}, step)
    # Interrupted: never finished. It goes on from step 3 and logs 4 and 5 again.
    recorded = [{"step": step, "test/loss": 0.625 + step} for step in (1, 3, 5)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in recorded))
    time.sleep(1.1)  # parts are named by the second in which they start
    second = Loggers([WandbLogger(mode="offline")], info(tmp_path, step=3))
    for step in range(4, 104):
        second.log({"train/loss": 1.0}, step)
    second.finish(SUMMARY)

    assert warnings_of(caplog) == []
    assert capfd.readouterr() == ("", "")
    # What is uploaded is whole, whatever became of the first part; and is nothing twice.
    files = sorted(tmp_path.glob("wandb/offline-run-*/run-0123456789ab.wandb"))
    assert len(files) == 1
    texts = (b"lp_adam/fc2", b"profile:smoke", b"final/test/loss", b"best/test/loss")
    texts += (b"1.625", b"3.625")
    # W&B's own process writes the last block after `finish`.
    while not all(text in b"".join(map(Path.read_bytes, files)) for text in texts):
        time.sleep(0.1)
    assert b"5.625" not in files[0].read_bytes(), "recorded after the checkpoint, and so anew"


def test_wandb_long_names_and_tags_do_not_stop_it(tmp_path, caplog):
    pytest.importorskip("wandb")
    run = info(tmp_path, name="n" * 300, tags=["t" * 100, ""])
    Loggers([WandbLogger(mode="offline")], run).finish({"status": "failed"})
    assert warnings_of(caplog) == []


class WandbRun:
    def __init__(self):
        self.steps = []

    def log(self, metrics, step):
        self.steps.append(step)


def test_wandb_is_sent_what_it_missed(tmp_path):
    # A server that has all up to step 3, of a run that goes on from step 8.
    text = "".join(f'{{"step": {step}, "test/loss": 1.0}}\n' for step in (2, 4, 6, 8, 10))
    (tmp_path / "metrics.jsonl").write_text(text)
    logger = WandbLogger()
    logger._run, logger._step = WandbRun(), 4
    logger._by_epochs = False
    send_recorded(Record(tmp_path, {}), logger, 8)
    assert logger._run.steps == [4, 6, 8]


def test_wandb_steps_that_are_there_already_are_left_out():
    logger = WandbLogger()
    logger._run, logger._step, logger._by_epochs = WandbRun(), 6, False
    for step in (4, 5, 6, 6, 7, 3, 8):
        logger.log({"a": 1.0}, step)
    assert logger._run.steps == [6, 6, 7, 8]


def test_wandb_disabled(tmp_path, caplog):
    pytest.importorskip("wandb")
    loggers = Loggers([WandbLogger(mode="disabled")], info(tmp_path, step=3))
    loggers.log({"a": 1.0}, 4)
    loggers.finish(SUMMARY)
    assert warnings_of(caplog) == []
    assert not (tmp_path / "wandb").exists()


def trackio_configs(database):
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_name, config FROM configs ORDER BY id")
        return [(name, json.loads(config)) for name, config in rows]


def trackio_rows(database):
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_id, step, metrics FROM metrics ORDER BY id")
        return [(run, step, json.loads(metrics)) for run, step, metrics in rows]


def test_trackio(tmp_path):
    pytest.importorskip("trackio")
    code = """
    train(TrackioLogger(dir="db"), stop=5, finish=False)
    train(TrackioLogger(dir="db"), start=3, stop=7)
    train(TrackioLogger(dir="elsewhere"))
    """
    done = python(RUN + textwrap.dedent(code), tmp_path)
    assert done.returncode == 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "TrackioLogger" in line
    assert "elsewhere" in line
    rows = trackio_rows(tmp_path / "db/adamily.db")
    assert len({run for run, _, _ in rows}) == 1
    assert [step for _, step, _ in rows] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert rows[3][2] == {"train/loss": 0.25, "nan": "NaN"}
    assert rows[-1][2] == {"best/test/loss": 0.25}
    ((name, config),) = trackio_configs(tmp_path / "db/adamily.db")
    assert (name, config["status"], config["lr"]) == ("adam", "finished", 0.1)


def test_trackio_folder_from_the_environment_and_a_run_afresh(tmp_path):
    pytest.importorskip("trackio")
    code = """
    train(TrackioLogger(dir="db"), stop=2)
    train(TrackioLogger(dir="db"), stop=2)
    import os, trackio
    assert os.environ["TRACKIO_DIR"] == "chosen"
    runs = trackio.Api().runs("adamily")
    print(len(runs), runs[0].name, runs[0].config["optim"], runs[0].config["tags"])
    """
    done = python(RUN + textwrap.dedent(code), tmp_path, TRACKIO_DIR="chosen")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 adam adam ['t']\n"
    assert len(trackio_rows(tmp_path / "chosen/adamily.db")) == 3
    assert not (tmp_path / "db").exists()


def test_tensorboard(tmp_path, caplog):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path / "tb")
    first = Loggers([logger], info(tmp_path))
    for step in range(6):
        first.log({"train/loss": 1.0, "none": None}, step)
    logger._writer.close()  # interrupted; the file is what was flushed
    assert logger.logged([tmp_path.with_name("0123456789ab")]) == set()
    # It is called otherwise in another sweep, and goes on where it is.
    second = Loggers([TensorBoardLogger(tmp_path / "tb")], info(tmp_path, step=3, name="new"))
    for step in (4, 5, 6):
        second.log({"train/loss": 2.0, "inf": float("inf")}, step)
    second.finish(SUMMARY)

    assert warnings_of(caplog) == []
    assert logger.logged([tmp_path.with_name("0123456789ab")]) == {"0123456789ab"}
    events = events_of(tmp_path / "tb/lp_adam/fc2/adam lr=0.001 seed=0")
    points = [(point.step, point.value) for point in events.Scalars("train/loss")]
    assert points == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0)]
    assert "none" not in events.Tags()["scalars"]
    config, summary = (
        events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()
        for tag in ("config", "summary")
    )
    assert "commit: abc" in config
    assert "best/test/loss: 0.25" in summary
    found = hparams_of(events)
    assert found == {"task": "mnist_fc2", "optim": "adam", "lr": 0.001, "betas.1": 0.9, "seed": 0.0}


def events_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def hparams_of(events):
    """What the plugin for hyperparameters reads."""
    from tensorboard.plugins.hparams import metadata

    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in values.items()}


def test_tensorboard_a_run_afresh_and_another_of_the_same_name(tmp_path):
    pytest.importorskip("tensorboard")
    for step in (1, 2):
        again = Loggers(
            [TensorBoardLogger(tmp_path)], info(tmp_path, started="2026-01-01T00:00+00:00")
        )
        again.log({"train/loss": 0.5, "time/train_seconds": 7.0}, step)
        again.finish(SUMMARY | {"status": "diverged", "diverged_at": 9})
    Loggers([TensorBoardLogger(tmp_path)], info(tmp_path, id="ba9876543210")).finish(SUMMARY)
    folders = sorted(path.name for path in (tmp_path / "lp_adam/fc2").iterdir())
    assert folders == ["adam lr=0.001 seed=0", "adam lr=0.001 seed=0 ba9876543210"]
    events = events_of(tmp_path / "lp_adam/fc2" / folders[0])
    (point,) = events.Scalars("train/loss")
    assert (point.step, point.wall_time) == (2, 1767225607.0)
    (diverged,) = events.Scalars("diverged")
    assert (diverged.step, diverged.value) == (9, 1.0)


# -- conf/logger -----------------------------------------------------------------------------------


@pytest.fixture
def compose(tmp_path):
    """Compose a small primary config whose defaults list has `logger: [wandb]`."""
    shutil.copytree(ROOT / "conf/logger", tmp_path / "conf/logger")
    (tmp_path / "conf/train.yaml").write_text(
        f"defaults:\n  - _self_\n  - logger: [wandb]\npaths:\n  runs: {tmp_path}/runs\n"
    )
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        yield lambda *overrides: hydra.compose("train", list(overrides))


@pytest.mark.parametrize(
    ("override", "names"),
    [
        (None, ["wandb"]),
        ("logger=wandb", ["wandb"]),
        ("logger=none", []),
        ("logger=[none]", []),
        ("logger=trackio", ["trackio"]),
        ("logger=[wandb,tensorboard]", ["wandb", "tensorboard"]),
        ("logger=[wandb,trackio,tensorboard]", ["wandb", "trackio", "tensorboard"]),
    ],
)
def test_loggers_are_chosen_by_name(compose, override, names):
    config = compose(*([override] if override else []))
    assert list(config.logger) == names
    classes = {"wandb": WandbLogger, "trackio": TrackioLogger, "tensorboard": TensorBoardLogger}
    for name, node in config.logger.items():
        assert type(instantiate(node)) is classes[name]


def test_logger_options_can_be_overridden(compose, tmp_path):
    config = compose("logger=[wandb,trackio]", "logger.wandb.project=mine")
    assert instantiate(config.logger.wandb).project == "mine"
    assert instantiate(config.logger.trackio).dir == f"{tmp_path}/runs/.trackio"


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_yaml_file_states_the_defaults_of_its_class(compose, name):
    node = compose(f"logger={name}").logger[name]
    stated = vars(instantiate(node))
    default = vars(instantiate({"_target_": node["_target_"]}))
    if name != "wandb":
        del stated["dir"], default["dir"]
    assert stated == default
