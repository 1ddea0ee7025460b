"""The compiler stays away until it is really used."""

import subprocess
import sys

from running import ROOT, child_environment

LOOKS_AROUND = """
import inspect, sys
import torch
from engine.startup import StandIn, defer_compiler

defer_compiler()
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]).step()
inspect.getmodule(sys._getframe())  # asks every module for its file
assert isinstance(sys.modules["torch._dynamo"], StandIn)
import torch._dynamo.config
assert not isinstance(sys.modules["torch._dynamo"], StandIn)
assert torch._dynamo.__file__.endswith("__init__.py")
"""


def test_who_goes_through_all_modules_does_not_bring_the_compiler():
    command = [sys.executable, "-c", LOOKS_AROUND]
    done = subprocess.run(
        command, cwd=ROOT, env=child_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
