"""Fetch and check a task's data ahead of time: `python -m scripts.data prepare task=T data=…`."""

import sys
from pathlib import Path

from engine.checks import BadInput
from engine.config import compose
from engine.console import log_to_console, refuse
from engine.make import meta_task
from engine.texts import shorten
from scripts.flags import quote_paths, take_config_dirs
from scripts.version import show_version
from tasks.sources import DataError

HELP = """\
Fetch what a task learns from into the data folder, and check it against its SHA-256.
Training does the same at its start; this is for machines whose workers have no network.
--config-dir=FOLDER adds tasks of your own, laid out as conf/.

  python -m scripts.data prepare task=TASK data=full|sample [paths.data=data]

Examples:
  python -m scripts.data prepare task=mnist_fc2 data=sample
  python -m scripts.data prepare task=mnist_fc2 data=full paths.data=data
"""


def main() -> None:
    if show_version():
        return
    quote_paths()
    if not sys.argv[1:] or {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    log_to_console()
    try:
        arguments = take_config_dirs(sys.argv[1:])
        if arguments[:1] != ["prepare"]:
            command = shorten(" ".join(arguments[:1]))
            raise BadInput(f"{command}: must be prepare; see python -m scripts.data --help")
        config = compose(arguments[1:])
        meta_task(config).prepare()
    except (BadInput, DataError) as error:
        refuse(error)
    folder = Path(config["paths"]["data"]).resolve()
    print(f"{config['names']['task']}: {config['data']} data are whole, in {folder}")


if __name__ == "__main__":
    main()
