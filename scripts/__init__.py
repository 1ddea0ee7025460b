"""The commands: train, sweep, report, list, bench, data."""

from scripts.console import print_anything
from scripts.openmp import wait_briefly

wait_briefly()
print_anything()
