"""What a process does before its first run: one of a command, or a worker of a launcher."""

from engine import interrupt, packages
from engine.console import print_anything

# Whether it is there for runs alone, and not another program that calls this one as a library.
is_own = False


def begin() -> None:
    """Find this project's packages, print whatever characters there are, and end with the sweep.

    A second call changes nothing.
    """
    global is_own
    is_own = True
    packages.find_ours()
    print_anything()
    interrupt.end_with_sweep()
