"""The commands: train, sweep, report, list, bench, data.

Whatever else a process does with them, a worker of a sweep included, comes after these.
"""

from scripts import interrupt, packages
from scripts.console import print_anything
from scripts.openmp import wait_briefly

packages.find_ours()
wait_briefly()
print_anything()
interrupt.end_with_sweep()
