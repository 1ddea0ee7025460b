"""Runs that choose the same files are composed once, and come out as if each had been by itself."""

import pickle

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from engine.composing import Loader
from results.plan import find, plan


@pytest.fixture
def load(conf):
    """`load(overrides)`: a run's whole config by Hydra's own loader, and by a copy of ours."""
    with initialize_config_dir(str(conf), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        settings = ["hydra.mode=MULTIRUN", "hydra.launcher.n_jobs=2"]
        shared = hydra.compose_config("train", settings, RunMode.MULTIRUN)
        loader = Loader(hydra.config_loader.get_search_path())

        def both(overrides, ours=loader):
            copy = pickle.loads(pickle.dumps(ours))
            loaders = (hydra.config_loader, copy)
            return [
                OmegaConf.to_container(each.load_sweep_config(shared, list(overrides)))
                for each in loaders
            ]

        both.another = lambda: Loader(hydra.config_loader.get_search_path())
        yield both


@pytest.fixture(params=["lp_adam/fc2", "laprop/fig7", "madam/table1"])
def cells(request):
    """Overrides of some runs of a study, which is planned before `load` takes Hydra's place."""
    runs = plan(find(request.param), "smoke", "sample").runs
    return [planned.overrides for planned in (runs[0], runs[1], runs[-1])]


def test_the_runs_of_a_study(cells, load):
    for overrides in cells:
        theirs, ours = load(overrides)
        assert ours == theirs


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3", "seed=4", "optim.lr=1e-5"],
        ["optim=laprop", "optim.betas=[0.5,0.9]", "+optim.extra={a: 1}", "optim.extra.a=2"],
        ["logger=[wandb,tensorboard]", "logger.wandb.project='a b'", "~optim.eps"],
        ["task=ptb_lstm", "task.layers=2", "schedule=cosine", "hydra.sweep.subdir=deep"],
    ],
)
def test_other_overrides(load, overrides):
    theirs, ours = load(overrides)
    assert ours == theirs
    assert ours["hydra"]["overrides"]["task"]


def test_an_edited_file_counts_for_the_next_launch(load, conf):
    path = conf / "optim" / "sgd.yaml"
    before = load(["optim=sgd"])[1]["optim"]
    path.write_text(path.read_text() + "nesterov_: true\n")
    theirs, ours = load(["optim=sgd", "seed=9"])
    assert theirs["optim"] == before | {"nesterov_": True}
    assert ours["optim"] == before and ours["seed"] == 9
    assert load(["optim=sgd"], load.another())[1]["optim"] == theirs["optim"]
