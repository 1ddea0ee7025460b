"""The setup of a process before its first run, be it a command's or a launcher's worker."""

from engine import interrupt, packages
from engine.console import print_anything

# Whether this process was started for runs, and is not another program that calls this library.
for_runs_only = False


def begin() -> None:
    """Find this project's packages, print any character, and end with the sweep.

    Further calls change nothing.
    """
    global for_runs_only
    for_runs_only = True
    packages.find_project_packages()
    print_anything()
    interrupt.end_with_sweep()
