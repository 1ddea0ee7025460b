"""What a command prints and logs, and how it exits on bad input."""

import io
import logging
import sys
from typing import NoReturn

from engine.world import rank

log = logging.getLogger("adamily")

BAD_INPUT = 2


def is_rank_zero() -> bool:
    """Whether this is the process that prints, of those that train one run."""
    return rank() == 0


def print_anything() -> None:
    """Escape characters that standard output cannot encode, as standard error does."""
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
    log.setLevel(logging.DEBUG if is_rank_zero() else logging.ERROR)
    log.propagate = False


def say(message: object, error: bool = False) -> None:
    """Print a line, in the first of the processes that train one run."""
    if is_rank_zero():
        stream = sys.stderr if error else sys.stdout
        # On a terminal the line may take the place of a longer one, a sweep's overview.
        print(message, end="\x1b[K\n" if stream.isatty() else "\n", file=stream, flush=True)


def refuse(message: object) -> NoReturn:
    """Say in one sentence what is wrong with what was asked, and exit with 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)
