"""The commands: train, sweep, report, list, bench, data."""
