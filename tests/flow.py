"""How far one reads to follow a command: `make flow`.

Of the project's functions that a command calls, each counts at its first call. Printed are how many
files they lie in, and how often one function lies in another file than the one before.
"""

import contextlib
import inspect
import io
import sys
import tempfile
from importlib import import_module
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TINY = ["data=sample", "profile=smoke", "logger=none", "task.steps=2", "train.device=cpu"]
COMMANDS = {
    "train": ["task=mnist_fc2", *TINY],
    "sweep": ["study=lp_adam/fc2", "hydra/launcher=basic", *TINY],
}


def first_calls(command: str, arguments: list[str]) -> list[str]:
    """The file of each function of the project that is called, in the order of first calls."""
    main = import_module(f"scripts.{command}").main
    seen: dict[tuple[str, int], str] = {}

    def note(frame, event, argument):
        code = frame.f_code
        ours = code.co_filename.startswith(str(ROOT)) and ".venv" not in code.co_filename
        # Bodies of modules and classes are no functions.
        if event == "call" and ours and code.co_flags & inspect.CO_OPTIMIZED:
            seen.setdefault((code.co_filename, code.co_firstlineno), code.co_filename)

    sys.argv = [f"scripts.{command}", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        sys.setprofile(note)
        try:
            main()
        finally:
            sys.setprofile(None)
    return list(seen.values())


def main() -> None:
    command = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"paths.runs={folder}/runs", f"paths.reports={folder}/reports"]
        files = first_calls(command, [*COMMANDS[command], *paths])
    switches = sum(one != other for one, other in pairwise(files))
    print(f"scripts.{command}: {len(set(files))} files, {switches} switches of file")


if __name__ == "__main__":
    main()
