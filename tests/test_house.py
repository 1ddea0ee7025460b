"""The house looks like its plan: which room imports which, and that everything in conf/ builds."""

import ast
import inspect
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from engine.checks import SOURCES
from engine.config import compose, names
from engine.make import make_optimizer, make_schedule, meta_task
from engine.optimizers import EvaluationWeights
from engine.run import Run
from engine.yaml_files import read_yaml
from results.plan import find, plan
from results.planner import Shelf
from results.published import published
from results.study import PROFILES

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "optim": set(),
    "models": set(),
    "tasks": {"models"},
    "engine": {"tasks", "models", "optim"},
    "results": {"engine", "tasks", "models", "optim"},
    "scripts": {"tasks", "models", "optim", "engine", "results"},
    "fairseq_plugin": {"optim"},
}
MODULES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMED = {name_of(path): path for path in [*MODULES, ROOT / "adamily.py"]}


def imported_modules(path):
    """All that a module imports, wherever in it and also by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield ast.unparse(node.args[0]).strip("f'\"")


def imported(path):
    """The first parts of all that a module imports."""
    return (name.split(".")[0] for name in imported_modules(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_between_rooms_run_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    others = set(imported(path)) & MAY_IMPORT.keys() - {room}
    assert others <= MAY_IMPORT[room], f"{room} must not import {others - MAY_IMPORT[room]}"
    assert not set(imported(path)) & {"tests", "conftest"}


def imported_files(path):
    """The project's modules that a module imports, wherever in it; for its types alone is none."""
    for node in ast.walk(WithoutTypes().visit(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in NAMED else node.module for name in whole)


def test_what_hydra_does_not_offer_comes_from_one_file():
    """So that a new Hydra is met in one place; hydra.core.override_parser is for its plugins."""
    private = re.compile(
        r"hydra\._internal|hydra\.(initialize|version)\b"
        r"|hydra\.core\.(override_parser|config_search_path)|omegaconf\._"
    )
    users = [path for path in MODULES if any(map(private.match, imported_modules(path)))]
    assert [name_of(path) for path in users] == ["engine.hydra_internals"]


class WithoutTypes(ast.NodeTransformer):
    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def circle(files):
    """Modules of which each imports the next and the last the first; empty if there are none."""
    imports = {
        name: {*imported_files(path)} & files.keys() - {name} for name, path in files.items()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_files_import_each_other_in_a_circle():
    """Not within a function either: what two files need of each other belongs into a third."""
    assert circle(NAMED) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import b", True),
        ("from b import x", True),
        ("def later():\n    import b", True),
        ("if TYPE_CHECKING:\n    import b", False),
        ("import c", False),
    ],
)
def test_a_circle_of_imports_is_found(tmp_path, line, found):
    files = {name: tmp_path / f"{name}.py" for name in "abc"}
    for path, text in zip(files.values(), [line, "import a", ""], strict=True):
        path.write_text(text)
    assert bool(circle(files)) is found


def test_every_module_says_what_it_is_for_in_its_name_and_in_its_first_line():
    vague = {"utils", "util", "helpers", "misc", "common", "tools"}
    assert not [path for path in MODULES if path.stem in vague]
    assert not [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]


def is_test_or_fixture(node):
    decorators = map(ast.unparse, getattr(node, "decorator_list", []))
    return isinstance(node, ast.FunctionDef) and (
        node.name.startswith("test_") or any("fixture" in text for text in decorators)
    )


def test_tests_use_what_they_are_given():
    """A test that is run for several values must depend on them; `usefixtures` asks for effects."""
    unused = [
        f"{path.relative_to(ROOT)}: {node.name}: {given.arg}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_test_or_fixture(node)
        for given in [*node.args.args, *node.args.kwonlyargs]
        if given.arg not in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    ]
    assert not unused


def test_every_public_class_has_a_docstring():
    """Its own: `inspect.getdoc` would take the base class's."""
    missing = [
        f"{name_of(path)}.{node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name[0] != "_" and not ast.get_docstring(node)
    ]
    assert missing == []


# Calls that take the encoding of the user's locale, and where among their arguments it can be said.
TEXT_CALLS = {"open": 3, "read_text": 0, "write_text": 1, "FileHandler": 2, "TextIOWrapper": 1}


def takes_the_locales_encoding(call):
    name = ast.unparse(call.func)
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    if any(ast.unparse(said.get(key, call)) == "True" for key in ("text", "universal_newlines")):
        return "encoding" not in said
    # Methods of this name open archives and pictures; the function `write_text` is our own.
    if name.endswith(".open") or name == "write_text":
        return False
    modes = [*call.args[1:2], *filter(None, [said.get("mode")])]
    if name == "open" and any("b" in ast.unparse(mode) for mode in modes):
        return False
    place = TEXT_CALLS.get(name.rpartition(".")[2])
    return place is not None and "encoding" not in said and len(call.args) <= place


@pytest.mark.parametrize(
    ("code", "taken"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, mode='a')", True),
        ("open(p, 'rb')", False),
        ("open(p, mode='ab')", False),
        ("open(p, encoding='utf-8')", False),
        ("Path(p).read_text()", True),
        ("p.read_text('utf-8')", False),
        ("p.write_text(t)", True),
        ("p.write_text(t, encoding='utf-8')", False),
        ("write_text(p, t)", False),
        ("logging.FileHandler(p, delay=True)", True),
        ("run(command, text=True)", True),
        ("run(command, text=True, encoding='utf-8')", False),
    ],
)
def test_calls_that_take_the_locales_encoding_are_known(code, taken):
    assert takes_the_locales_encoding(ast.parse(code, mode="eval").body) is taken


def test_text_is_in_utf_8_whatever_the_locale():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and takes_the_locales_encoding(node)
    ]
    assert found == []


@pytest.mark.parametrize("room", ["models", "optim", "tasks"])
def test_what_a_room_offers_is_there(room):
    module = import_module(room)
    for name in getattr(module, "__all__", []):
        assert inspect.getdoc(getattr(module, name))


# What starts quickly must not wait for what it does not need.
SLOW = ("torch", "torchvision", "hydra", "matplotlib", "plotly", "wandb", "trackio", "numpy")


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("scripts.cli", SLOW),
        ("engine.loggers", SLOW),
        ("engine.run", SLOW),
        ("engine.records", SLOW),
        ("results.study", SLOW),
        ("results.figures", ("torch", "matplotlib", "plotly", "wandb")),
        ("results.report", ("matplotlib", "plotly", "wandb", "hydra")),
        (
            "tasks",
            (
                "torchvision",
                "transformers",
                "datasets",
                "tokenizers",
                "gymnasium",
                "ale_py",
                "cv2",
                "hydra",
                "matplotlib",
                "plotly",
                "wandb",
            ),
        ),
        (
            "tasks.mnist",
            ("tasks.atari", "tasks.q_learning", "tasks.glue", "tasks.imagenet", "tasks.ptb"),
        ),
        (
            "scripts.train",
            ("torchvision", "transformers", "matplotlib", "plotly", "wandb", "trackio", "ray"),
        ),
    ],
)
def test_importing_one_thing_does_not_import_everything(module, spared):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({spared!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


STUDIES = [find(name) for name in names("study")]

# No test here edits a YAML file.
SHELF: Shelf = {}


def own_profiles(study):
    """One of a study that is like another, whose runs are otherwise the other's."""
    text = (ROOT / "conf" / "study" / f"{study.name}.yaml").read_text()
    return ["smoke"] if "like:" in text else list(study.profiles)


# -- everything in conf/ ---------------------------------------------------------------------------


def test_every_yaml_is_read_strictly_and_as_hydra_reads_it():
    """Hydra's own reader lets through some of what ours refuses."""
    for path in [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "results").rglob("*.yaml")]:
        assert read_yaml(path) == OmegaConf.to_container(OmegaConf.load(path)), path


@pytest.mark.parametrize("name", names("task"))
@pytest.mark.parametrize("data", SOURCES)
def test_every_task_is_built_without_its_data(name, data, tmp_path):
    config = compose([f"task={name}", f"data={data}", f"paths.data={tmp_path / 'none'}"])
    task = meta_task(config)
    assert task.steps > 0 and 0 < task.eval_every <= task.steps
    assert all(parameter.is_meta for parameter in task.model.parameters())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", names("optim"))
def test_every_optimizer_takes_steps_downhill(name):
    # In float64, since Prodigy's first steps are small, and with a hidden matrix, which Muon wants.
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).double()
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)
    parameter = model.get_parameter("0.bias")
    parameter.data = parameter.data.new_tensor([3.0, -2.0])
    optimizer = make_optimizer(compose([f"optim={name}", "optim.lr=0.01"]), model)
    assert isinstance(optimizer, torch.optim.Optimizer)
    EvaluationWeights(optimizer)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(20):
        optimizer.zero_grad()
        sum(p.square().sum() for p in model.parameters()).backward()
        optimizer.step()
    for p, start in zip(model.parameters(), before, strict=True):
        assert p.isfinite().all() and p.norm() < start.norm()
    assert (parameter.abs() < before[1].abs()).all()


@pytest.mark.parametrize("name", names("schedule"))
def test_every_schedule_runs_its_course(name):
    config = compose([f"schedule={name}", "optim=adam", "optim.lr=0.1"])
    optimizer = make_optimizer(config, torch.nn.Linear(1, 1))
    schedule = make_schedule(config, optimizer, 40)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)
    assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize("name", names("logger"))
def test_every_logger_is_made(name):
    config = compose([f"logger={name}"])
    for logger in config["logger"].values():
        assert all(hasattr(instantiate(logger), call) for call in ("start", "log", "finish"))


def test_loggers_may_be_several():
    assert set(compose(["logger=[wandb,tensorboard]"])["logger"]) == {"wandb", "tensorboard"}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
@pytest.mark.parametrize("data", SOURCES)
def test_every_study_can_be_planned(study, data):
    """Every run's config composes, its classes take their settings, and no two are the same run."""
    # What reproduces nothing, as a suite's tasks, has no paper's budget.
    assert set(PROFILES) - set(study.profiles) <= ({"paper"} if not study.reproduces else set())
    for profile in own_profiles(study):
        runs = plan(study, profile, data, shelf=SHELF).runs
        assert len({planned.run.id for planned in runs}) == len(runs)
        for planned in runs:
            config = planned.config
            assert (config["profile"], config["data"]) == (profile, data)
            assert (config["seed"], config["group"]) == (planned.cell.seed, study.name)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_stands_beside_the_numbers_of_its_paper(study):
    tables = published(study.paper)["tables"]
    for table in (tables[name] for name in study.published):
        parts = [part for group in table.get("stands_for", {}).values() for part in group]
        assert study.rows.keys() <= table["rows"].keys()
        assert study.columns.keys() <= {*table["columns"], *parts}
        assert table["value"] in {*study.keys, *study.report}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_planned_run_is_the_run_that_its_worker_will_train(study):
    """The plan sets values in a composed config; the worker composes all of the overrides anew."""
    for profile in own_profiles(study):
        runs = plan(study, profile, "sample", shelf=SHELF).runs
        for planned in runs[:: len(study.rows) * 7]:
            config = compose(planned.overrides)
            assert config == planned.config
            assert Run(config["paths"]["runs"], config).id == planned.run.id
