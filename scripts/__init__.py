"""The commands: train, sweep, report, list, bench, data.

Whatever else a process does with them, a worker of a sweep included, comes after these.
"""

import sys
from importlib import import_module
from pathlib import Path

# `python -m` looks in the working folder first, which may have an `engine` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import_module("engine.openmp").wait_briefly()
import_module("engine.process").begin()
del sys.path[0]
