"""Imported by the process that the tests fork commands from: what each would import by itself."""

import scripts.sweep
import scripts.train
from scripts.config import compose

# Finds Hydra's plugins, and imports the task, the optimizer and the schedule.
compose(["data=sample"])
