"""Fetch and check a task's data ahead of time: `python -m scripts.data prepare task=T data=…`."""

import sys
from pathlib import Path

import torch

from scripts.checks import BadInput, shorten
from scripts.config import compose, make_task
from scripts.console import log_to_console, refuse
from scripts.paths import quote_paths
from tasks.sources import DataError

HELP = """\
Fetch what a task learns from into the data folder, and check it against its SHA-256.
Training does the same at its start; this is for machines whose workers have no network.

  python -m scripts.data prepare task=TASK data=full|sample [paths.data=data]

Examples:
  python -m scripts.data prepare task=mnist_fc2 data=sample
  python -m scripts.data prepare task=mnist_fc2 data=full paths.data=data
"""


def main() -> None:
    quote_paths()
    arguments = sys.argv[1:]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
        return
    log_to_console()
    try:
        if arguments[0] != "prepare":
            raise BadInput(
                f"{shorten(arguments[0])}: must be prepare; see python -m scripts.data --help"
            )
        config = compose(arguments[1:])
        make_task(config, torch.device("meta")).prepare()
    except (BadInput, DataError) as error:
        refuse(error)
    where = Path(config["paths"]["data"]).resolve()
    print(f"{config['names']['task']}: {config['data']} data are whole, in {where}")


if __name__ == "__main__":
    main()
