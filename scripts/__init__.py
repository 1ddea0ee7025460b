"""The commands: train, sweep, report, list, bench, data."""

from scripts.openmp import wait_briefly

wait_briefly()
