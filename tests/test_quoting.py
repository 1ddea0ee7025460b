"""Examples that are printed work as they are typed, in zsh as in bash."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What no shell looks into, and comments.
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\\[\s\S]|(?<!\S)#.*")
# Symbols that zsh or bash expand: a pattern, a list in braces, a home folder, a command's path.
EXPANDED = re.compile(r"[][{}*?()<>^]|^[~=]|=~")


def expanded(commands: str) -> list[str]:
    """The words of some command lines that a shell would change or refuse."""

    def neutral(found: re.Match[str]) -> str:
        return "" if found[0].startswith("#") else "_"

    return [word for word in QUOTED.sub(neutral, commands).split() if EXPANDED.search(word)]


@pytest.mark.parametrize(
    "line",
    [
        "train optim.betas=[0.9,0.95]",
        "train +optim.groups.a={dims: 1}",
        "train ~optim.groups",
        "train seed=range(0,3)",
        "train optim=glob(*)",
        "pip install adamily[track]",
        "train paths.runs=~/runs",
        "train =1",
        "train 'a=[1]' b=[2]",
    ],
)
def test_what_a_shell_expands_is_found(line):
    assert len(expanded(f"python -m scripts.{line}")) >= 1


@pytest.mark.parametrize(
    "line",
    [
        "train 'optim.betas=[0.9,0.95]' optim.lr=1e-3,1e-2  # [not] (of) it's ~concern",
        "train +optim.groups.a.lr=0.1 \\\n    '~optim.groups'",
        "sweep search='{halving:{eta:4,rungs:2}}' && export A=$PWD/b",
        "pip install -e '.[track]' 'setuptools>=77'",
    ],
)
def test_what_is_quoted_is_not(line):
    assert expanded(f"python -m scripts.{line}") == []


def blocks_of_examples(text: str) -> list[str]:
    """What stands under each line "Examples:", up to an empty line."""
    return re.findall(r"^ *[Ee]xamples?:\n((?: *\S.*\n)+)", text, flags=re.MULTILINE)


def files_with_help() -> list[Path]:
    files = [*ROOT.glob("scripts/*.py"), *ROOT.glob("scripts/bench/__init__.py")]
    return [*files, *ROOT.glob("conf/hydra/help/*.yaml")]


def test_examples_of_help():
    found = {path.name: blocks_of_examples(path.read_text()) for path in files_with_help()}
    commands = {"train", "sweep", "compare", "report", "export", "list", "data", "bench"}
    named = re.findall(r"python -m scripts\.(\w+)", str(found))
    assert set(named) == commands
    for name, examples in found.items():
        assert not expanded("\n".join(examples)), name


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_blocks_of_commands(name):
    text = (ROOT / name).read_text()
    commands = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert not expanded("\n".join(commands))


def test_overrides_within_lines():
    spans = re.findall(r"`([^`\n]+)`", (ROOT / "README.md").read_text())
    # KEY=VALUE, or ~KEY; what has spaces is a command with its synopsis, or YAML.
    overrides = [span for span in spans if re.match(r"'?(~|[+\w./]+=)\S*", span)]
    typed = [span for span in overrides if " " not in span or span.startswith("'")]
    assert "'~optim.groups'" in typed and len(typed) > 40
    assert [span for span in typed if expanded(span)] == []


# -- what commands say of an error ---------------------------------------------------------------

HINT = re.compile(r"""(?<!['\w.])(?:pip install [\w-]+\[|[+~]?[\w.]+=(?:\[|\w+\())""")


def said(path: Path) -> list[str]:
    """The texts in a file, without docstrings; a value that is filled in stands as a letter."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in ast.walk(node) if part is not node}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings | parts
    ]
    filled = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        for node in joined
    ]
    return texts + filled


def test_hints_of_errors():
    rooms = ("engine", "results", "scripts", "tasks", "models", "optim")
    paths = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    unquoted = [(path.name, text) for path in paths for text in said(path) if HINT.search(text)]
    assert unquoted == []
