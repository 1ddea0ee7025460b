"""The console command `adamily`: `adamily train …` is `python -m scripts.train …`."""

import importlib
import sys

from engine.console import refuse
from engine.texts import did_you_mean, shorten
from scripts.version import version_line

COMMANDS = {
    "train": "train one optimizer on one task",
    "sweep": "run what a study still misses, and render it",
    "compare": "say whether an optimizer is better than a tuned one",
    "report": "write all tables, figures and the page",
    "export": "send runs to a dashboard, or what a suite has measured to other tools",
    "list": "show tasks, optimizers, studies and suites",
    "data": "fetch and check a task's data",
    "bench": "time the training loop, or the optimizers' steps",
}


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    name = arguments[0]
    if name == "--version":
        print(version_line())
        return
    if name not in COMMANDS:
        meant = did_you_mean(name, COMMANDS)
        refuse(f"{shorten(name)}{meant}: must be one of {', '.join(COMMANDS)}")
    sys.argv = [f"adamily {name}", *arguments[1:]]
    importlib.import_module(f"scripts.{name}").main()


def usage() -> str:
    lines = [f"  adamily {name:7} {text}" for name, text in COMMANDS.items()]
    example = "  adamily sweep study=lp_adam/fc2 profile=smoke data=sample"
    return "\n".join(
        [
            "Usage:",
            *lines,
            "",
            "adamily COMMAND --help says more, adamily --version which one this is.",
            "",
            "Example:",
            example,
        ]
    )


if __name__ == "__main__":
    main()
