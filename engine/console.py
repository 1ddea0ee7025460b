"""What a command says, and how it leaves."""

import io
import logging
import sys
from typing import NoReturn

from engine.world import rank

log = logging.getLogger("adamily")

BAD_INPUT = 2


def speaks() -> bool:
    """Whether this process speaks: of several that train one run, the first one does for all."""
    return rank() == 0


def print_anything() -> None:
    """Let standard output show what its encoding lacks, escaped, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def log_to_console() -> None:
    """Show what the project logs on standard error, once however often this is called."""
    if any(getattr(handler, "name", None) == "console" for handler in log.handlers):
        return
    console = logging.StreamHandler(sys.stderr)
    console.name = "console"
    console.setLevel(logging.INFO)
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.addHandler(console)
    # Tracebacks are logged as details, for the run's log.txt alone.
    log.setLevel(logging.DEBUG if speaks() else logging.ERROR)
    log.propagate = False


def say(message: object, error: bool = False) -> None:
    """Print a line, unless another process says the same."""
    if speaks():
        print(message, file=sys.stderr if error else sys.stdout, flush=True)


def refuse(message: object) -> NoReturn:
    """Say in one sentence what is wrong with what was asked, and exit with 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)
