"""A run's log.txt: what the project logs while the run trains."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("adamily")


class RunLog(logging.FileHandler):
    """Ignores errors of writing, as on a full disk: the message is also on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Do nothing, for the same reason."""


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Append what the project logs in the block to a file, which is created by the first entry."""
    handler = RunLog(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
