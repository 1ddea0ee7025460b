"""What a command says, and how it leaves."""

import logging
import sys
from typing import NoReturn

log = logging.getLogger("adamily")

BAD_INPUT = 2


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
    log.setLevel(logging.DEBUG)
    log.propagate = False


def refuse(message: object) -> NoReturn:
    """Say in one sentence what is wrong with what was asked, and exit with 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)
