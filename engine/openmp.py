"""How PyTorch's threads wait for each other."""

import os

# Turns that a waiting thread takes before it sleeps. By itself GNU's OpenMP, which PyTorch's builds
# bring along, lets it take 300,000, some milliseconds: where other processes use the machine, the
# one that is waited for often does not run because others wait. `python -m scripts.bench loop`
# measures what this number costs and saves.
SPIN_COUNT = 7_000

# With one of these, somebody has chosen.
CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Let waiting threads sleep early, in this process and its children.

    OpenMP reads this when PyTorch is imported: afterwards it comes too late.
    """
    if not any(name in os.environ for name in CHOICES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
