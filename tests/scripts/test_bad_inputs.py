"""Whatever is typed: one sentence that names what is wrong, exit code 2, and nothing written."""

import pytest
from running import nothing_written, run_here, sentence

LONG = "9" * 5000
DEEP = "[" * 2000

# What is typed, and what the sentence must name: the key, the value, what is allowed.
TRAIN = [
    # The names of files, plain ones only: any other would lead to another folder, or another id.
    ("task=mnist", ["task=mnist", "mnist_fc2"]),
    ("task=mnist_fc2.yaml", ["task=mnist_fc2.yaml", "mnist_fc2"]),
    ("task=../task/mnist_fc2", ["task=../task/mnist_fc2", "mnist_fc2"]),
    ("task=./mnist_fc2", ["task=./mnist_fc2", "mnist_fc2"]),
    ("task=mnist_fc2/", ["task=mnist_fc2/", "no such task"]),
    ("task=/mnist_fc2", ["task=/mnist_fc2", "no such task"]),
    ("task=sources/mnist", ["task=sources/mnist", "no such task"]),
    ("task=images", ["task=images", "no such task"]),
    ("task=MNIST_FC2", ["task=MNIST_FC2", "no such task"]),
    ("task=", ["task=", "no such task"]),
    ("task=.", ["task=.", "no such task"]),
    ("task=..", ["task=..", "no such task"]),
    ("task=3", ["task=3", "no such task"]),
    ("task='ünï'", ["task=ünï", "no such task"]),
    ("task=ünï", ["task=ünï", "in quotes"]),
    ("task={a:1}", ["task=", "no such task"]),
    ("task=[mnist_fc2]", ["task=[mnist_fc2]", "one name"]),
    (f"task={'a' * 5000}", ["task=aaa", "no such task"]),
    ("task=/etc/passwd", ["task=/etc/passwd", "no such task"]),
    ("optim=adamx", ["optim=adamx", "adam", "adamax", "scripts.list optims"]),
    ("optim=laprop.yaml", ["optim=laprop.yaml", "laprop"]),
    ("optim=../optim/laprop", ["optim=../optim/laprop", "laprop"]),
    ("optim=../../conf/optim/laprop", ["optim=../../conf/optim/laprop", "laprop"]),
    ("optim=3", ["optim=3", "adam", "scripts.list optims"]),
    ("optim=true", ["optim=true", "adam"]),
    ("optim=[adam,sgd]", ["optim=[adam,sgd]", "one name"]),
    ("optim=[]", ["optim=[]", "one name"]),
    ("optim=???", ["optim=???", "adam"]),
    ("optim=${seed}", ["optim=${seed}", "adam"]),
    ("optim='adam '", ["optim=adam", "no such optim"]),
    ("optim\\adam=1", ["optim\\adam=1", "KEY=VALUE"]),
    ("optim@x=adam", ["optim@x"]),
    ("+optim@x=adam", ["+optim@x=adam", "no key"]),
    ("+optim@optim=laprop", ["optim"]),
    ("+optim=sgd", ["+optim=sgd", "write optim=NAME"]),
    ("~optim", ["~optim", "a run has one", "adamal, adamax"]),
    ("~optim=adam", ["~optim=adam", "a run has one"]),
    ("~task", ["~task", "a run has one"]),
    ("~schedule", ["~schedule", "a run has one"]),
    ("schedule=warm", ["schedule=warm", "constant", "cosine"]),
    ("schedule=null", ["schedule=null", "constant"]),
    ("schedule=cosine.yaml", ["schedule=cosine.yaml", "cosine"]),
    ("schedule=../schedule/cosine", ["schedule=../schedule/cosine", "cosine"]),
    ("logger=mlflow", ["logger=mlflow", "wandb", "none"]),
    ("logger=[none,mlflow]", ["logger=mlflow", "wandb", "none"]),
    ("logger=[wandb.yaml]", ["logger=wandb.yaml", "wandb"]),
    ("logger=[none,../logger/wandb]", ["logger=../logger/wandb", "wandb"]),
    ("logger=null", ["logger=null", "none"]),
    ("+logger.x._target_=os.getcwd", ["logger", "Logger"]),
    ("+logger.x=3", ["logger.x", "_target_"]),
    ("+logger.x._target_=zzz.Y", ["logger.x._target_=zzz.Y", "cannot be imported"]),
    ("task/sources@task.sources=../sources/mnist", ["task/sources", "no such"]),
    # Hydra's own keys.
    ("hydra/launcher=cloud", ["hydra/launcher=cloud", "basic", "joblib"]),
    ("hydra/launcher=../launcher/basic", ["hydra/launcher=../launcher/basic", "joblib"]),
    ("hydra/launcher=[basic]", ["hydra/launcher=[basic]", "one name"]),
    ("hydra/launcher=null", ["hydra/launcher=null", "joblib"]),
    ("hydra/sweeper=optuna", ["hydra/sweeper=optuna", "hydra/launcher=NAME"]),
    ("hydra/job_logging=zzz", ["hydra/job_logging=zzz", "hydra/launcher=NAME"]),
    ("hydra.mode=MULTIRUN", ["hydra.mode=MULTIRUN", "-m sweeps"]),
    ("hydra.run.dir=x", ["hydra.run.dir=x", "paths.runs"]),
    ("hydra.searchpath=[file:///nowhere]", ["hydra.searchpath", "hydra/launcher=NAME"]),
    ("hydra.job.chdir=true", ["hydra.job.chdir=true", "hydra/launcher=NAME"]),
    ("+hydra.callbacks.a._target_=x.Y", ["hydra.callbacks.a._target_", "hydra/launcher=NAME"]),
    ("hydra.launcher._target_=os.getcwd", ["hydra.launcher._target_", "hydra/launcher=NAME"]),
    ("hydra=1", ["hydra=1", "hydra/launcher=NAME"]),
    ("~hydra", ["~hydra", "hydra/launcher=NAME"]),
    # Keys that there are not, and those that are not to be set.
    ("learning_rate=1", ["learning_rate=1", "no key learning_rate", "--help"]),
    ("optim.lrr=1", ["optim.lrr=1", "no key optim.lrr", "--help"]),
    ("task.stepss=3", ["task.stepss=3", "no key task.stepss", "--help"]),
    ("+optim.rho=1", ["optim.rho=1", "no such key", "betas"]),
    ("+task.model.height=1", ["task.model.height=1", "no such key", "widths"]),
    ("+schedule.x=1", ["schedule.x=1", "no such key"]),
    ("+x=1", ["+x=1", "there is no key x"]),
    ("++seeed=1", ["++seeed=1", "there is no key seeed"]),
    ("+seed=1", ["+seed=1", "write seed=VALUE"]),
    ("++train.speed=1", ["++train.speed=1", "no key train.speed"]),
    ("++train={speed:1}", ["train.speed", "no such key"]),
    ("+train={device:cpu}", ["train"]),
    ("+study/lp_adam=fc2", ["+study/lp_adam=fc2", "there is no key"]),
    ("names.task=x", ["names.task=x", "no key"]),
    ("++names.task=../x", ["++names.task=../x", "no key"]),
    ("+defaults=[]", ["+defaults=[]", "no key"]),
    ("ünï=1", ["ünï=1"]),
    ("optim.x.y.z=1", ["optim.x.y.z=1", "no key optim.x"]),
    ("task/mnist_fc2=1", ["task/mnist_fc2=1", "no key"]),
    ("seed.x=1", ["seed.x=1"]),
    ("+task.seed=3", ["task.seed", "leave it out"]),
    ("+task.device=cpu", ["task.device", "leave it out"]),
    ("+task.root=elsewhere", ["task.root", "leave it out"]),
    ("+optim.params=3", ["optim.params", "leave it out"]),
    ("optim._partial_=false", ["optim._partial_", "not for a command line"]),
    ("+optim._convert_=all", ["optim._convert_", "not for a command line"]),
    ("task.data=full", ["task.data=full", "set data=full"]),
    # What cannot be read.
    ("optim.lr=[1e-3,", ["optim.lr=[1e-3,", "cannot be read", "KEY=VALUE"]),
    ("optim.lr", ["optim.lr", "KEY=VALUE"]),
    ("optim.lr='1", ["optim.lr='1", "KEY=VALUE"]),
    ("seed:1", ["seed:1", "KEY=VALUE"]),
    ("=1", ["=1", "KEY=VALUE"]),
    ("=", ["=", "KEY=VALUE"]),
    ("", ["KEY=VALUE"]),
    (" ", ["KEY=VALUE"]),
    ("~", ["~", "KEY=VALUE"]),
    ("+=1", ["+=1", "KEY=VALUE"]),
    ("@x=1", ["@x=1", "KEY=VALUE"]),
    ("a" * 5000, ["aaa", "KEY=VALUE"]),
    (f"{'a' * 5000}=1", ["aaa", "KEY=VALUE"]),
    (f"seed={DEEP}", ["seed=[[", "cannot be read"]),
    (f"seed={LONG}", ["seed=999", "cannot be read"]),
    ("seed=1\n", ["seed=1\\n", "cannot be printed"]),
    ("paths.runs='a\0b'", ["paths.runs=", "a\\x00b", "cannot be printed"]),
    ("group=\udcff", ["group=\\udcff", "cannot be printed"]),
    ("a\0b=1", ["a\\x00b=1", "cannot be printed"]),
    ("group=\u202e1", ["group=\\u202e1", "cannot be printed"]),
    # Several values are for -m.
    ("optim.lr=1e-3,1e-2", ["optim.lr=1e-3,1e-2", "-m"]),
    ("optim=adam,sgd", ["optim=adam,sgd", "-m"]),
    ("optim=glob(*)", ["optim=glob(*)", "-m"]),
    ("seed=range(0,3)", ["seed=range(0,3)", "-m"]),
    ("seed=interval(0,1)", ["seed=interval(0,1)", "-m"]),
    # Interpolations.
    ("optim.lr=${rate}", ["optim.lr", "rate"]),
    ("optim.lr=${optim.lr}", ["optim.lr"]),
    ("seed=${oc.env:ADAMILY_NOT_THERE}", ["seed", "ADAMILY_NOT_THERE"]),
    ("seed=${zzz:1}", ["seed", "zzz"]),
    ("seed=${now:%H}", ["seed", "whole number"]),
    ("optim.lr=${task}", ["optim.lr=", "a number above 0"]),
    ("optim.lr=???", ["optim.lr"]),
    # Values by the rules for their keys.
    ("~seed", ["seed is missing", "0 or above"]),
    ("~paths.runs", ["paths.runs is missing"]),
    ("train=3", ["train=3", "train."]),
    ("train=null", ["train=null", "train."]),
    ("paths=elsewhere", ["paths=elsewhere", "paths."]),
    ("optim.lr=0", ["optim.lr=0", "a number above 0"]),
    ("optim.lr=-0.1", ["optim.lr=-0.1", "a number above 0"]),
    ("optim.lr=fast", ["optim.lr=fast", "a number above 0"]),
    ("optim.lr='1e-3'", ["optim.lr=1e-3", "a number above 0"]),
    ("optim.lr=nan", ["optim.lr=NaN", "a number above 0"]),
    ("optim.lr=inf", ["optim.lr=Infinity", "a number above 0"]),
    ("optim.lr=1e400", ["optim.lr=Infinity", "a number above 0"]),
    ("optim.lr=1e-400", ["optim.lr=0", "a number above 0"]),
    ("optim.lr=null", ["optim.lr=null", "a number above 0"]),
    ("optim.lr=true", ["optim.lr=true", "a number above 0"]),
    ("optim.lr=[1e-3]", ["optim.lr=[0.001]", "a number above 0"]),
    ("optim.lr=", ["optim.lr=", "a number above 0"]),
    ("optim.betas=[0.9,1.0]", ["optim.betas=[0.9, 1.0]", "in [0, 1)"]),
    ("optim.betas=[-0.1,0.9]", ["optim.betas=[-0.1, 0.9]", "in [0, 1)"]),
    ("optim.betas=[nan,0.9]", ["optim.betas=[NaN, 0.9]", "in [0, 1)"]),
    ("optim.betas=[true,0.9]", ["optim.betas=[true, 0.9]", "in [0, 1)"]),
    ("optim.betas=0.9", ["optim.betas=0.9", "in [0, 1)"]),
    ("optim.betas=[0.9]", ["optim.betas=[0.9]", "two"]),
    ("optim.betas=[a,b]", ["optim.betas=", "in [0, 1)"]),
    ("optim.betas=[.9,.99,.999]", ["optim.betas=[0.9, 0.99, 0.999]", "a list of 2 values"]),
    ("optim.betas=[.9,[.9,.99]]", ["optim.betas=", "a list of 2 values"]),
    ("optim.eps=-1e-8", ["optim.eps=-1e-08", "0 or above"]),
    ("optim.weight_decay=-1", ["optim.weight_decay=-1", "0 or above"]),
    ("optim.weight_decay=[0]", ["optim.weight_decay=[0]", "0 or above"]),
    ("+optim.amsgrad=maybe", ["optim.amsgrad=maybe", "true or false"]),
    ("+optim.foreach=maybe", ["optim.foreach=maybe", "true or false, or null"]),
    ("+optim.maximize=2", ["optim.maximize=2", "true or false"]),
    ("optim._target_=nothing.There", ["optim._target_=nothing.There", "cannot be imported"]),
    ("optim._target_=3", ["optim=3", "_target_"]),
    ("optim._target_=os.getcwd", ["optim.lr", "no such key"]),
    ("task.steps=0", ["task.steps=0", "a whole number above 0"]),
    ("task.steps=1.5", ["task.steps=1.5", "a whole number above 0"]),
    ("task.steps=1e20", ["task.steps=1e+20", "a whole number above 0"]),
    ("task.steps=100000000000000000000", ["task.steps", "less than 2^63"]),
    ("task.epochs=0", ["task.epochs=0", "a whole number above 0"]),
    ("task.eval_every=-3", ["task.eval_every=-3", "a whole number above 0"]),
    ("task.batch_size=true", ["task.batch_size=true", "a whole number above 0"]),
    ("task.batch_size=4001", ["task.batch_size=4001", "at most the 4000"]),
    ("task.model=3", ["task.model=3"]),
    ("task.model.widths=wide", ["task.model.widths=wide", "a list"]),
    ("task.model.widths=[10]", ["task=mnist_fc2", "widths=[10]", "two numbers or more"]),
    ("task.model.widths=[784,1.5,10]", ["task.model.widths=[784, 1.5, 10]", "a whole number"]),
    ("task.model.widths=[784,true,10]", ["task.model.widths=[784, true, 10]", "a whole number"]),
    ("task.model.widths=[784,-1,10]", ["task=mnist_fc2"]),
    ("task.sources=3", ["task.sources=3", "KEY: VALUE pairs"]),
    ("seed=-1", ["seed=-1", "0 or above"]),
    ("seed=1.5", ["seed=1.5", "a whole number"]),
    ("seed=true", ["seed=true", "a whole number"]),
    ("seed=[1]", ["seed=[1]", "a whole number"]),
    ("seed={a:1}", ["seed={", "a whole number"]),
    ("seed=", ["seed=", "a whole number"]),
    ("seed=9223372036854775808", ["seed", "less than 2^63"]),
    ("precision=fp64", ["precision=fp64", "fp32, bf16, fp16"]),
    ("precision=[fp32]", ["precision=", "fp32, bf16, fp16"]),
    ("profile=long", ["profile=long", "paper, short, smoke"]),
    ("data=samples", ["data=samples", "full, sample"]),
    ("data=null", ["data=null", "full, sample"]),
    ("clip_norm=0", ["clip_norm=0", "a number above 0"]),
    ("clip_norm=nan", ["clip_norm=NaN", "a number above 0"]),
    ("train.device=tpu", ["train.device=tpu", "auto, cpu, cuda"]),
    ("train.device=cuda:99999999999999999999", ["train.device=cuda:9", "cuda:N"]),
    ("accumulate=0", ["accumulate=0", "a whole number above 0"]),
    ("accumulate=129", ["accumulate=129", "at most task.batch_size=128"]),
    ("group=[1,2]", ["group=[1, 2]", "a name"]),
    ("group=3", ["group=3", "in quotes where it is a number"]),
    ("group=", ["group=", "a name"]),
    ("train.compile=2", ["train.compile=2", "true or false"]),
    ("train.deterministic=null", ["train.deterministic=null", "true or false"]),
    ("train.checkpoint_seconds=-1", ["train.checkpoint_seconds=-1", "0 or above"]),
    ("sweep.jobs_per_device=0", ["sweep.jobs_per_device=0", "a whole number above 0, or auto"]),
    ("sweep.jobs_per_device=all", ["sweep.jobs_per_device=all", "or auto"]),
    ("sweep.runs_per_job=0", ["sweep.runs_per_job=0", "a whole number above 0, or auto"]),
    ("paths.runs=null", ["paths.runs=null", "the path of a folder"]),
    ("paths.runs=", ["paths.runs=", "the path of a folder"]),
    (f"paths.runs={'a' * 300}", ["paths.runs=aaa", "the path of a folder"]),
    (f"paths.runs={'a/' * 3000}", ["paths.runs=a/a", "the path of a folder"]),
    ("paths.runs=/proc/x", ["paths.runs=/proc/x", "cannot be written"]),
]


@pytest.mark.parametrize(("bad", "named"), TRAIN, ids=[ascii(bad)[1:40] for bad, _ in TRAIN])
def test_train_refuses(train, runs, tmp_path, bad, named):
    before = set(tmp_path.iterdir())
    said = sentence(train(bad))
    for word in named:
        assert word in said
    assert nothing_written(runs) and not runs.exists() and set(tmp_path.iterdir()) == before


# Of other tasks and optimizers, which have settings of their own.
OTHERS = [
    ("optim=laprop optim.betas=[.9,.99,.999]", ["optim.betas=", "a list of 2 values"]),
    ("optim=laprop +optim.foreach=3", ["optim.foreach=3", "true or false, or null"]),
    ("optim=laprop optim.decoupled=maybe", ["optim.decoupled=maybe", "true or false"]),
    ("optim=laprop optim.variant=mine", ["variant", "mine", "paper, authors"]),
    ("optim=madam optim.betas=[.9,.99]", ["optim.betas=[0.9, 0.99]", "a list of 2 values"]),
    ("optim=lp_adam optim.p=two", ["optim.p=two", "a number"]),
    ("optim=lp_adam optim.p=0", ["optim=lp_adam", "Invalid p value: 0"]),
    ("optim=padam optim.partial=2", ["optim=padam", "Invalid partial value: 2"]),
    ("optim=nadam optim.betas=[.9,.99,.999]", ["optim.betas=", "a list of 2 values"]),
    ("optim=sgd optim.momentum=x", ["optim.momentum=x", "a number"]),
    ("optim=sgd optim.nesterov=maybe", ["optim.nesterov=maybe", "true or false"]),
    ("optim=adam optim.fused=true +optim.foreach=true", ["optim=adam", "foreach"]),
    ("schedule=multistep schedule.milestones=x", ["schedule.milestones=x", "a list"]),
    ("schedule=linear ++schedule.warmup=-1", ["schedule=linear", "warmup", "-1"]),
    ("task=rosenbrock task.trials=1.5", ["task.trials=1.5", "a whole number above 0"]),
    ("task=rosenbrock accumulate=2", ["accumulate=2", "no batch to cut"]),
    ("task=rosenbrock sweep.devices_per_run=2", ["task=rosenbrock", "one process"]),
    ("task=rosenbrock task.trials=9000000000000", ["task=rosenbrock", "of memory", "smaller"]),
    ("task=style_transfer accumulate=2", ["accumulate=2", "no batch to cut"]),
    ("task=style_transfer task.size=200000", ["task=style_transfer", "of memory", "smaller"]),
    ("task=noisy_quadratic task.curvature=[a]", ["task.curvature=", "a list of numbers"]),
    ("task=quadratic_path task.first=x", ["task.first=x", "a list"]),
    ("task=gradients task.dtype=float16", ["task.dtype=float16", "float32, float64"]),
    ("task=mnist_fc2 task.model.widths=[784,100000000000,10]", ["optim=adam", "GB of memory"]),
    ("task=ptb_lstm task.layers=0", ["task.layers=0", "a whole number above 0"]),
    ("task=atari_dqn task.game=chess", ["task.game=chess", "video_chess"]),
    ("task=dqn task.environment=Acrobot", ["task.environment=Acrobot", "Acrobot-v1"]),
    ("task=dqn task.environment=Pendulum-v1", ["its actions are a Box", "must be Discrete"]),
    ("task=dqn task.environment=FrozenLake-v1", ["its observations", "Box of one dimension"]),
    ("task=dqn task.model.hidden=[0]", ["hidden=[0]", "numbers above 0"]),
    ("task=dqn sweep.devices_per_run=2", ["task=dqn", "one process"]),
    ("task=glue task.name=zzz", ["task.name=zzz", "mnli"]),
]


@pytest.mark.parametrize(("typed", "named"), OTHERS, ids=[typed[:60] for typed, _ in OTHERS])
def test_train_refuses_other_settings(capsys, runs, sample_root, typed, named):
    paths = [f"paths.runs={runs}", f"paths.data={sample_root}", "logger=none", "train.device=cpu"]
    said = sentence(run_here(capsys, "train", "data=sample", *paths, *typed.split()))
    for word in named:
        assert word in said
    assert not runs.exists()


MULTIRUN = [
    ("optim.lr=1e-3,1e-2,-1", ["optim.lr=-1", "a number above 0"]),
    ("optim.lr=[1e-3,", ["optim.lr=[1e-3,", "KEY=VALUE"]),
    ("optim=adam,adamx", ["optim=adamx", "adamax"]),
    ("optim=adam,../optim/sgd", ["optim=../optim/sgd", "sgd"]),
    ("optim=glob(zz*)", ["optim=glob(zz*)", "no such value"]),
    ("seed=glob(*)", ["seed=glob(*)", "no such value"]),
    ("seed=interval(0,1)", ["seed=interval(0,1)", "no end of values"]),
    ("seed=range(0,100000000)", ["seed=range(0,100000000)", "100,000,000 runs"]),
    ("seed=range(0,1,0)", ["seed=range(0,1,0)", "STEP"]),
    ("seed=range(1,0)", ["seed=range(1,0)", "no such value"]),
    ("optim.lr=range(0,1,1e-12)", ["optim.lr=range", "runs; at most 10,000"]),
    ("optim.lr=range(0,inf)", ["optim.lr=range(0,inf)"]),
    ("seed=choice(0,-1)", ["seed=-1", "0 or above"]),
    ("seed=range(0,3),4", ["seed=range(0,3),4", "one range"]),
    ("seed=0,", ["seed=0,", "KEY=VALUE"]),
    ("seed=foo(1)", ["seed=foo(1)", "KEY=VALUE"]),
    ("+x=1,2", ["+x=1", "no key x"]),
    ("data=sample,zzz", ["data=zzz", "full, sample"]),
    ("hydra/launcher=cloud", ["hydra/launcher=cloud", "joblib"]),
    ("hydra/launcher=basic,joblib", ["hydra/launcher=basic,joblib"]),
    ("~hydra/launcher", ["~hydra/launcher", "hydra/launcher=NAME"]),
    ("hydra.launcher.n_jobs=many", ["hydra.launcher.n_jobs", "many"]),
    ("hydra.launcher.n_jobs=0", ["hydra.launcher", "n_jobs == 0"]),
    ("hydra.launcher.speed=3", ["hydra.launcher.speed"]),
    ("+hydra.launcher.speed=3", ["hydra.launcher.speed", "no such key"]),
    ("hydra.sweeper.max_batch_size=0", ["hydra.sweeper.max_batch_size=0"]),
    ("hydra.sweep.dir=/proc/x", ["hydra.sweep.dir=/proc/x", "paths.runs"]),
    ("sweep.devices_per_run=3", ["sweep.devices_per_run=3"]),
]


@pytest.mark.parametrize(("bad", "named"), MULTIRUN, ids=[bad for bad, _ in MULTIRUN])
def test_multirun_refuses(train, runs, bad, named):
    said = sentence(train("-m", bad))
    for word in named:
        assert word in said
    assert not runs.exists()


FLAGS = [
    ("--config-name=x", ["--config-name", "conf/train.yaml"]),
    ("--config-path=/tmp", ["--config-path", "--config-dir"]),
    ("--config-dir=/nowhere", ["--config-dir=/nowhere", "no such folder"]),
    ("--config-dir", ["--config-dir", "--help"]),
    ("--experimental-rerun=x.pickle", ["--experimental-rerun", "again"]),
    ("--package=optim", ["--package", "--cfg"]),
    ("--resolve", ["--resolve", "--cfg"]),
    ("--run --multirun", ["--run --multirun", "only one"]),
    ("--cfg job -m", ["--multirun --cfg", "only one"]),
    ("--cfg", ["--cfg", "--help"]),
    ("--cfg=foo", ["--cfg", "foo", "--help"]),
    ("--info=foo", ["--info", "foo", "--help"]),
    ("--cfg job optim=adamx", ["optim=adamx", "adamax"]),
    ("--cfg job optim.lr=fast", ["optim.lr=fast", "a number above 0"]),
    ("--info defaults optim=adamx", ["optim=adamx", "adamax"]),
    ("--help optim=adamx", ["optim=adamx", "adamax"]),
    ("--hydra-help optim=adam", ["--hydra-help", "KEY=VALUE"]),
    ("-sc", ["--shell-completion", "install"]),
    ("--frob", ["--frob", "--help"]),
    ("-x", ["-x", "--help"]),
    ("--dry-run seed=1", ["--dry-run", "--help"]),
]


@pytest.mark.parametrize(("typed", "named"), FLAGS, ids=[typed for typed, _ in FLAGS])
def test_train_refuses_flags(capsys, tmp_path, typed, named):
    before = set(tmp_path.iterdir())
    said = sentence(run_here(capsys, "train", *typed.split()))
    for word in named:
        assert word in said
    assert set(tmp_path.iterdir()) == before


def test_many_runs_by_torchrun_are_refused(train, monkeypatch, runs):
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    ranks = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in (address | ranks).items():
        monkeypatch.setenv(name, value)
    assert "sweep.devices_per_run=2" in sentence(train("-m", "seed=0,1"))
    assert not runs.exists()


SMOKE = ["study=lp_adam/fc2", "profile=smoke", "data=sample"]

# Typed behind SMOKE, or in place of a key of it.
SWEEP = [
    ("study=lp_adam/fc9", ["study=lp_adam/fc9", "lp_adam/fc2"]),
    ("study=", ["study=", "python -m scripts.list studies"]),
    ("study=3", ["study=3", "no such study"]),
    ("study=lp_adam/fc2.yaml", ["study=lp_adam/fc2.yaml", "lp_adam/fc2"]),
    ("study=../study/lp_adam/fc2", ["study=../study/lp_adam/fc2", "lp_adam/fc2"]),
    ("study=lp_adam//fc2", ["study=lp_adam//fc2", "lp_adam/fc2"]),
    ("study=lp_adam/fc2/", ["study=lp_adam/fc2/", "lp_adam/fc2"]),
    ("study=/lp_adam/fc2", ["study=/lp_adam/fc2", "lp_adam/fc2"]),
    ("study=[lp_adam/fc2,lp_adam/table2]", ["study=[", "one value"]),
    ("study=lp_adam/fc2,lp_adam/table2", ["study=", "one value"]),
    ("+study=lp_adam/fc2", ["+study=lp_adam/fc2", "write study=VALUE"]),
    ("++study=lp_adam/fc2", ["++study=lp_adam/fc2", "write study=VALUE"]),
    ("~study", ["~study", "write study=VALUE"]),
    ("study@x=lp_adam/fc2", ["study@x=", "write study=VALUE"]),
    (f"study={'a' * 5000}", ["study=aaa", "no such study"]),
    ("profile=tiny", ["profile=tiny", "paper, short, smoke"]),
    ("profile=", ["profile=", "paper, short, smoke"]),
    ("profile=[smoke]", ["profile=[smoke]", "one value"]),
    ("data=samples", ["data=samples", "full, sample"]),
    ("data=null", ["data=null", "full, sample"]),
    ("dry_run=yes", ["dry_run=yes", "true or false"]),
    ("dry_run=1", ["dry_run=1", "true or false"]),
    ("dry_run=", ["dry_run=", "true or false"]),
    ("+dry_run=true", ["+dry_run=true", "write dry_run=VALUE"]),
    ("dry_run=true dry_run=false", ["dry_run=false", "twice"]),
    ("dry_run", ["dry_run", "KEY=VALUE"]),
    ("seed=3", ["seed=3", "lp_adam/fc2 sets seed"]),
    ("++seed=3", ["++seed=3", "lp_adam/fc2 sets seed"]),
    ("~seed", ["~seed", "lp_adam/fc2 sets seed"]),
    ("optim.lr=1,1.0", ["optim.lr=1,1.0: optim.lr: a value is there twice"]),
    ("optim.lr=-1", ["optim.lr=-1", "a number above 0"]),
    ("+optim.lr=1", ["+optim.lr=1", "lp_adam/fc2 sets optim.lr"]),
    ("optim.lr.0=1", ["optim.lr.0=1", "lp_adam/fc2 sets optim.lr"]),
    ("optim=adam", ["optim=adam", "lp_adam/fc2 sets optim"]),
    ("task=mnist_fc2", ["task=mnist_fc2", "lp_adam/fc2 sets task"]),
    ("task.epochs=1", ["task.epochs=1", "lp_adam/fc2 sets task.epochs"]),
    ("group=mine", ["group=mine", "lp_adam/fc2 sets group"]),
    ("speed=3", ["speed=3", "no key speed"]),
    ("optim.momentum=0.9", ["optim.momentum=0.9", "no key optim.momentum"]),
    ("task.batch_size=0", ["task.batch_size=0", "a whole number above 0"]),
    ("precision=fp32,fp64", ["precision=fp64", "one of fp32, bf16, fp16"]),
    ("logger=none,wandb", ["logger=none,wandb", "must be one value"]),
    ("accumulate=[1,", ["accumulate=[1,", "KEY=VALUE"]),
    ("accumulate=1000", ["accumulate=1000", "at most task.batch_size"]),
    ("schedule=../schedule/constant", ["schedule=../schedule/constant", "constant"]),
    ("logger=[none,zzz]", ["logger=zzz", "wandb"]),
    ("-m", ["-m", "KEY=VALUE"]),
    ("--dry-run", ["--dry-run", "KEY=VALUE"]),
    ("--config-name=x", ["--config-name=x", "KEY=VALUE"]),
    ("=1", ["=1", "KEY=VALUE"]),
    ("a\0b=1", ["a\\x00b=1", "cannot be printed"]),
    ("paths.reports=/proc/x", ["paths.reports=/proc/x", "cannot be written"]),
    ("paths.runs=", ["paths.runs=", "the path of a folder"]),
    ("hydra/launcher=cloud", ["hydra/launcher=cloud", "joblib"]),
    ("hydra/launcher=[basic,joblib]", ["hydra/launcher=[basic,joblib]", "one name"]),
    ("hydra/launcher=", ["hydra/launcher=", "joblib"]),
    ("hydra.launcher.speed=3", ["hydra.launcher.speed"]),
    ("hydra.launcher.n_jobs=many", ["hydra.launcher.n_jobs", "many"]),
    ("hydra.mode=RUN", ["hydra.mode=RUN", "hydra/launcher=NAME"]),
    ("sweep.devices_per_run=0", ["sweep.devices_per_run=0", "a whole number above 0"]),
    # A dry run says what the sweep would say.
    ("dry_run=True hydra/launcher=cloud", ["hydra/launcher=cloud", "joblib"]),
    ("dry_run=true hydra.launcher.speed=3", ["hydra.launcher.speed"]),
    ("dry_run=true paths.runs=/proc/x", ["paths.runs=/proc/x", "cannot be written"]),
    ("dry_run=true paths.reports=/proc/x", ["paths.reports=/proc/x", "cannot be written"]),
]


@pytest.mark.parametrize(("typed", "named"), SWEEP, ids=[ascii(t)[1:50] for t, _ in SWEEP])
def test_sweep_refuses(sweep, runs, typed, named):
    bad = typed.split(" ")
    keys = {word.lstrip("+~").partition("=")[0].partition("@")[0] for word in bad}
    smoke = [word for word in SMOKE if word.partition("=")[0] not in keys]
    said = sentence(sweep(*smoke, "task.steps=1", *bad))
    for word in named:
        assert word in said
    assert not runs.exists()


# Of the other commands.
COMMANDS = [
    ("sweep", [], ["study=", "scripts.list studies"]),
    ("sweep", ["lp_adam/fc2", "smoke"], ["lp_adam/fc2", "KEY=VALUE"]),
    ("sweep", [*SMOKE, "study=lp_adam/fc2"], ["study=lp_adam/fc2", "twice"]),
    ("report", ["paths.runs="], ["paths.runs=", "the path of a folder"]),
    ("report", ["paths.runs=[a]"], ["paths.runs=[a]", "no such folder"]),
    ("report", ["paths.runs=null"], ["paths.runs=null", "the path of a folder"]),
    ("report", ["paths.runs=/nowhere"], ["paths.runs=/nowhere", "no such folder"]),
    ("report", ["paths.runs=.", "paths.runs=."], ["paths.runs=.", "twice"]),
    ("report", ["paths.runs=.", "paths.reports=/proc/x"], ["paths.reports=/proc/x", "written"]),
    ("report", [f"paths.runs={'a' * 5000}"], ["paths.runs=aaa"]),
    ("report", ["paths.runs=a\0b"], ["paths.runs=", "a\\x00b", "cannot be printed"]),
    ("report", ["+paths.runs=runs"], ["+paths.runs=runs", "write paths.runs=VALUE"]),
    ("report", ["paths.data=x"], ["paths.data=x", "paths.runs, paths.reports"]),
    ("report", ["runs"], ["runs", "KEY=VALUE"]),
    ("report", ["--json"], ["--json", "KEY=VALUE"]),
    ("report", [""], ["KEY=VALUE"]),
    ("export", [], ["format=", "rliable, algoperf"]),
    ("export", ["format=pandas"], ["format=pandas", "rliable, algoperf"]),
    ("export", ["format=rliable", "suite=lptop"], ["suite=lptop", "laptop"]),
    ("export", ["format=rliable", "suite="], ["suite=", "laptop"]),
    ("export", ["format=rliable", "profile=paper"], ["profile=paper", "short, smoke"]),
    ("export", ["format=rliable", "profile=tiny"], ["profile=tiny", "paper, short, smoke"]),
    ("export", ["format=rliable", "out="], ["out=", "the path of a folder"]),
    ("export", ["format=rliable", "out=/proc/x"], ["out=/proc/x", "cannot be written"]),
    ("export", ["format=rliable", "paths.runs="], ["paths.runs=", "the path of a folder"]),
    ("export", ["format=rliable", "format=algoperf"], ["format=algoperf", "twice"]),
    ("export", ["format=rliable", "optim=adam"], ["optim=adam", "format, suite"]),
    ("export", ["format=rliable,algoperf"], ["format=rliable,algoperf", "one value"]),
    ("export", ["rliable"], ["rliable", "KEY=VALUE"]),
    ("list", ["zzz"], ["zzz", "--help"]),
    ("list", [""], ["--help"]),
    ("list", ["tasks", "optims"], ["optims", "--help"]),
    ("list", ["--jsn"], ["--jsn", "--help"]),
    ("list", ["--json=3"], ["--json", "--help"]),
    ("data", ["fetch"], ["fetch", "prepare"]),
    ("data", ["task=mnist_fc2"], ["task=mnist_fc2", "prepare"]),
    ("data", ["prepare", "task=mnist"], ["task=mnist", "mnist_fc2"]),
    ("data", ["prepare", "task=../task/mnist_fc2"], ["task=../task/mnist_fc2", "mnist_fc2"]),
    ("data", ["prepare", "data=sample,full"], ["data=sample,full", "one value"]),
    ("data", ["prepare", "paths.data="], ["paths.data=", "the path of a folder"]),
    ("data", ["prepare", "-m"], ["-m", "KEY=VALUE"]),
    ("data", ["prepare", ""], ["KEY=VALUE"]),
    ("bench", ["zzz"], ["zzz", "loop, step, train, atari"]),
    ("bench", ["loop", "rounds=0"], ["rounds=0", "2 or above"]),
    ("bench", ["loop", "rounds=many"], ["rounds=many", "2 or above"]),
    ("bench", ["loop", "rounds=1.5"], ["rounds=1.5", "2 or above"]),
    ("bench", ["loop", "rounds=²"], ["rounds=²", "KEY=VALUE"]),
    ("bench", ["loop", "rounds="], ["rounds=", "2 or above"]),
    ("bench", ["loop", f"rounds={LONG}"], ["rounds=999", "cannot be read"]),
    ("bench", ["loop", "rounds=2", "rounds=3"], ["rounds=3", "twice"]),
    ("bench", ["loop", "device=tpu"], ["device=tpu", "cuda:N"]),
    ("bench", ["loop", "device="], ["device=", "cuda:N"]),
    ("bench", ["loop", "speed=3"], ["speed=3", "device, rounds"]),
    ("bench", ["loop", "loop"], ["loop", "KEY=VALUE"]),
    ("bench", ["loop", "--frob"], ["--frob", "KEY=VALUE"]),
    ("cli", ["tune"], ["tune", "sweep"]),
    ("cli", [""], ["train, sweep"]),
    ("cli", ["--versions"], ["--versions", "train, sweep"]),
    ("cli", ["../train"], ["../train", "train, sweep"]),
    ("cli", ["a\0b"], ["a\\x00b", "train, sweep"]),
    ("cli", ["x" * 5000], ["xxx", "train, sweep"]),
    ("cli", ["train", "optim=adamx"], ["optim=adamx", "adamax"]),
    ("cli", ["sweep", "--frob"], ["--frob", "KEY=VALUE"]),
]


@pytest.mark.parametrize(
    ("command", "typed", "named"),
    COMMANDS,
    ids=[ascii(" ".join([command, *typed]))[1:50] for command, typed, _ in COMMANDS],
)
def test_other_commands_refuse(capsys, tmp_path, command, typed, named):
    before = set(tmp_path.iterdir())
    said = sentence(run_here(capsys, command, *typed))
    for word in named:
        assert word in said
    assert set(tmp_path.iterdir()) == before
