"""Is an optimizer better than a tuned one? `python -m scripts.compare optim=NAME`."""

import sys
from collections.abc import Sequence
from typing import Any

from engine import interrupt, world
from engine.checks import BadInput, is_flag
from engine.console import log_to_console, refuse
from engine.overrides import settings
from engine.ready import leave
from engine.run import Run
from engine.texts import spell
from results.markup import markdown
from results.suite import find_suite
from results.suite_comparison import SuiteComparison, make_comparison
from results.verdict_files import said, verdict_tables, write_verdict
from scripts.flags import check_own_keys, quote_paths, take_config_dirs
from scripts.version import answered
from tasks.sources import DataError

HELP = """\
Tune an optimizer on each task of a suite, run what it chose with fresh seeds, and say whether it is
better than another one that was tuned with as many runs.

  python -m scripts.compare optim=NAME [suite=laptop] [against=adamw] [profile=short|smoke]
                            [data=full|sample] [rerun=true] [optim.KEY=VALUE ...] [KEY=VALUE ...]

  optim     any of python -m scripts.list optims, your own by --config-dir, or a row of the suite
  suite     laptop (default): eight small tasks; gpu: seven tasks of the papers and a GPT
  against   the reference: a row of the suite, or another optimizer; the suite says which by itself
  profile   short (default): the suite as it is meant; smoke: minutes, to see whether all works
  data      full: the papers' data; sample: small ones; the suite says which by itself
  rerun     true: train the reference here, too, and not use the runs of it that are committed;
            seconds can only be compared between runs of one machine

optim.KEY=VALUE and schedule=NAME change the optimizer, not the reference; with optim.lr=VALUE there
is no search. Any other KEY=VALUE goes to every run: train.device=cuda:1, logger=none,
paths.runs=elsewhere, sweep.jobs_per_device=2, hydra/launcher=ray.

--config-dir=FOLDER, several if you like, adds YAML files of your own, laid out as conf/.

Examples:
  python -m scripts.compare optim=lion
  python -m scripts.compare optim=adamw 'optim.betas=[0.9,0.95]'
  python -m scripts.compare optim=my_optimizer --config-dir=mine profile=smoke
"""


def main() -> None:
    if answered(HELP):
        return
    log_to_console()
    quote_paths()
    try:
        world.check_one_run("scripts.compare")
        options, overrides = parse(take_config_dirs(sys.argv[1:]))
        suite = find_suite(options["suite"], options["data"] or None)
        arguments = (options["profile"], options["optim"], options["against"] or None)
        comparison = make_comparison(suite, *arguments, overrides, options["rerun"])
        comparison.prepare()
        runs = comparison.run()
    except (BadInput, DataError, OSError) as error:
        refuse(error)
    finish(comparison, runs)


def parse(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split the command line into what the comparison reads itself and what goes to runs.

    Raises:
        BadInput: an argument is no KEY=VALUE, or a value is not allowed.
    """
    texts = {"optim": "", "suite": "laptop", "against": "", "profile": "short", "data": ""}
    defaults = texts | {"rerun": False}
    options, others = settings(arguments, defaults, "python -m scripts.compare")
    if not is_flag(options["rerun"]):
        raise BadInput(f"rerun={spell(options['rerun'])}: must be true or false")
    check_own_keys(others, defaults, "python -m scripts.compare")
    for key in texts:
        options[key] = spell(options[key])
    if not options["optim"]:
        raise BadInput(
            "optim= is missing: write optim=NAME, as in optim=lion; "
            "python -m scripts.list optims shows all"
        )
    return options, others


def finish(comparison: SuiteComparison, runs: Sequence[Run]) -> None:
    """Print the verdict, write what there is, and exit.

    Args:
        comparison: that was carried out.
        runs: all that it asked for.
    """
    if not interrupt.received():
        results = comparison.results()
        others = comparison.committed()
        found = comparison.verdict(results, others)
        print("\n".join(["", *said(comparison, found)]))
        for table in verdict_tables(comparison, found, results):
            print(f"\n{markdown(table)}", flush=True)
        try:
            files, page = write_verdict(comparison, found, results, others)
        except (BadInput, OSError) as error:
            refuse(f"the runs have ended, but not all can be rendered: {error}")
        print(f"Verdict: {', '.join(map(str, files))}")
        print(f"Page: {page}")
    leave(runs)


if __name__ == "__main__":
    main()
