"""What the project logs while a run trains, kept in its folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("adamily")


class RunLog(logging.FileHandler):
    """Passes over what it cannot write, as on a full disk: standard error has the message."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: what went wrong is said elsewhere, too."""


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Add what the project logs in the block to this file, which is made where there is any."""
    handler = RunLog(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
