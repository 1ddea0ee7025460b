"""Imported by the process that the tests fork commands from: what each would import by itself."""

import importlib

for command in ("train", "sweep"):
    importlib.import_module(f"scripts.{command}")
# Finds Hydra's plugins, and imports the task, the optimizer and the schedule.
importlib.import_module("engine.config").compose(["data=sample"])
# And the library transformers, which takes seconds.
for task in ("glue", "roberta_pretrain"):
    importlib.import_module("engine.config").compose([f"task={task}"])
