"""Waiting threads sleep early, unless somebody has chosen how they wait."""

import os
import subprocess
import sys

import pytest
from running import ROOT

from engine.openmp import CHOICES, SPIN_COUNT


def python(code, **more):
    """What a fresh interpreter says in which nobody has chosen, but for `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"PYTHONPATH": str(ROOT)} | more,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


TOLD = "import os, scripts, engine.openmp as o; print([os.environ.get(n) for n in o.CHOICES])"


def test_a_choice_stands():
    assert python(TOLD) == f"['{SPIN_COUNT}', None]\n"
    assert python(TOLD, GOMP_SPINCOUNT="5") == "['5', None]\n"
    assert python(TOLD, OMP_WAIT_POLICY="ACTIVE") == "[None, 'ACTIVE']\n"


def test_it_is_made_before_openmp_is_there():
    code = "import sys, scripts; sys.exit('torch' in sys.modules)"
    assert python(code) == ""
    if "libgomp" not in python("import torch; print(open('/proc/self/maps').read())"):
        pytest.skip("this PyTorch brings another OpenMP than GNU's")
    shown = python("import scripts.train", OMP_DISPLAY_ENV="VERBOSE")
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in shown
