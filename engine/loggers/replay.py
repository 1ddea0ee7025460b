"""A run that ended before, sent to a dashboard as if it trained now."""

from engine.loggers.info import RunInfo, ending
from engine.loggers.logger import Logger, is_shown
from engine.records import Record
from engine.run import artifacts_of


def replay(record: Record, info: RunInfo, logger: Logger) -> None:
    """Send all evaluations of a run, what they left to be looked at, and how it ended.

    Raises:
        Exception: whatever the logger raises.
    """
    logger.start(info)
    send_recorded(record, logger)
    logger.finish(ending(record.config, record.summary))


def send_recorded(record: Record, logger: Logger, last: int | None = None) -> None:
    """Send the evaluations of a run, up to the step `last` if it is given."""
    for line in record.lines:
        step = line["step"]
        if last is not None and step > last:
            return
        logger.log({name: value for name, value in line.items() if name != "step"}, step)
        for artifact in artifacts_of(record.folder, step):
            if is_shown(artifact):
                logger.show(artifact, step)
