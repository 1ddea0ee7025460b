"""The project as a library: every optimizer, and runs and sweeps as functions.

    import adamily

    optimizer = adamily.LaProp(model.parameters(), lr=4e-4)
    record = adamily.run(["task=mnist_fc2", "data=sample", "optim=laprop"])
    result = adamily.sweep("lp_adam/fc2", profile="smoke", data="sample")
    verdict = adamily.compare("lion")
    frame = adamily.load("runs")

Optimizers need torch alone. A function leaves its process as it was, signal handlers and random
generators included. Ctrl-C makes the run write a checkpoint and stop, and then raises
KeyboardInterrupt; the same call again goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optim
from engine.checks import BadInput
from optim import *  # noqa: F403

if TYPE_CHECKING:
    import pandas as pd

    from engine.records import Record
    from results.analysis import Result
    from results.verdict import Verdict

__all__ = ["BadInput", "RunFailed", "compare", "curves", "load", "run", "sweep"]
__all__ += optim.__all__


class RunFailed(Exception):
    """A run stopped before its end; the message says why, and where its log is."""


def run(
    overrides: Sequence[str] = (), config_dir: str | Path | Iterable[str | Path] = ()
) -> Record:
    """Train one optimizer on one task, as `python -m scripts.train` does.

    A run that has ended before is not trained again.

    Args:
        overrides: as on the command line, for example ["task=mnist_fc2", "optim.lr=1e-3"].
        config_dir: folders of further YAML files, laid out as conf/.

    Returns:
        The run's record: `record.status` is "finished" or "diverged", and
        `record.value("test/accuracy")` a metric of the last evaluation, or None where the run has
        none.

    Raises:
        BadInput: an argument or a config is wrong.
        tasks.sources.DataError: data cannot be had.
        RunFailed: the run stopped before its end.
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    with _called(config_dir):
        from engine import interrupt, world
        from engine.config import compose
        from engine.execute import execute
        from engine.overrides import quoted
        from engine.ready import check_ready, check_records, prepare, why_open
        from engine.records import load
        from engine.run import Run

        world.check_one_run("adamily.run")
        _check_overrides(overrides)
        config = compose([quoted(override) for override in overrides])
        run = Run(config["paths"]["runs"], config)
        check_records([run])
        check_ready([run])
        prepare([run])
        with interrupt.forwarding_to_workers(), interrupt.in_run():
            execute(run)
        if interrupt.received():
            raise interrupt.Interrupted
        record = load(run.folder, config)
        if not run.done or record is None:
            raise RunFailed(why_open(run))
        return record


def sweep(
    study: str,
    profile: str,
    data: str = "full",
    overrides: Sequence[str] = (),
    config_dir: str | Path | Iterable[str | Path] = (),
    search: str | dict[str, Any] | None = None,
) -> Result:
    """Run what a study still misses, and write its files, as `python -m scripts.sweep` does.

    Args:
        study: its name, for example "lp_adam/fc2".
        profile: "paper", "short" or "smoke".
        data: "full" or "sample".
        overrides: of every run, as on the command line.
        config_dir: folders of further YAML files, laid out as conf/.
        search: how to search, instead of as the study says: "grid", "halving", "extend", or a dict
            as in its YAML.

    Returns:
        The study's rows with their grid points, runs and statistics. Runs that failed are missing
        in it, and warned of.

    Raises:
        BadInput: an argument or a config is wrong.
        tasks.sources.DataError: data cannot be had.
        OSError: a file of the report cannot be written.
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    with _called(config_dir):
        from engine import interrupt, world
        from engine.overrides import quoted
        from results.plan import find
        from results.sweep import make_sweep

        world.check_one_run("adamily.sweep")
        _check_overrides(overrides)
        typed = [quoted(override) for override in overrides]
        study_sweep = make_sweep(find(study), profile, data, typed, search)
        study_sweep.prepare()
        study_sweep.run()
        if interrupt.received():
            raise interrupt.Interrupted
        result, source = study_sweep.read()
        study_sweep.write(result, source)
        return result


def compare(
    optim: str,
    suite: str = "laptop",
    against: str | None = None,
    profile: str = "short",
    overrides: Sequence[str] = (),
    config_dir: str | Path | Iterable[str | Path] = (),
    rerun: bool = False,
    data: str | None = None,
) -> Verdict:
    """Whether an optimizer is better than a tuned one, as `python -m scripts.compare` asks it.

    Args:
        optim: its name, as in conf/optim or a folder of `config_dir`, or the label of a row of the
            suite.
        suite: on whose tasks.
        against: the reference; None: the one that the suite says.
        profile: "short", which is the suite as it is meant, or "smoke".
        overrides: `optim.KEY=VALUE` and `schedule=NAME` of this optimizer alone; others of every
            run, as on the command line.
        config_dir: folders of further YAML files, laid out as conf/.
        rerun: whether to train the reference here, too, where its runs are committed.
        data: "full" or "sample"; None: what the suite says.

    Returns:
        The comparison on each task and over all; `results.verdict.sentences` says it in words.

    Raises:
        BadInput: an argument or a config is wrong, or the optimizer can train none of the tasks.
        tasks.sources.DataError: data cannot be had.
        OSError: a file of the report cannot be written.
        KeyboardInterrupt: stopped by Ctrl-C.
    """
    with _called(config_dir):
        from engine import interrupt, world
        from engine.overrides import quoted
        from results.suite import find_suite
        from results.suite_comparison import make_comparison
        from results.verdict_files import write_verdict

        world.check_one_run("adamily.compare")
        _check_overrides(overrides)
        typed = [quoted(override) for override in overrides]
        found_suite = find_suite(suite, data)
        comparison = make_comparison(found_suite, profile, optim, against, typed, rerun)
        comparison.prepare()
        comparison.run()
        if interrupt.received():
            raise interrupt.Interrupted
        results = comparison.results()
        others = comparison.committed()
        found = comparison.verdict(results, others)
        write_verdict(comparison, found, results, others)
        return found


def load(folder: str | Path = "runs") -> pd.DataFrame:
    """All runs in a folder, a row each; see `results.frames.load` for the columns.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    from results import frames

    return frames.load(folder)


def curves(folder: str | Path = "runs") -> pd.DataFrame:
    """All evaluations of all runs in a folder, a row each; see `results.frames.curves`.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    from results import frames

    return frames.curves(folder)


def _check_overrides(overrides: Sequence[str]) -> None:
    if isinstance(overrides, str):
        raise BadInput(f"overrides={overrides}: must be a list, as in ['task=mnist_fc2']")


@contextmanager
def _called(config_dir: str | Path | Iterable[str | Path]) -> Iterator[None]:
    """Use these folders of YAML files for a call, and leave the process as it was before."""
    from engine import search_path
    from engine.console import log_to_console
    from engine.guest import as_guest

    folders = [config_dir] if isinstance(config_dir, str | Path) else config_dir
    with as_guest(), search_path.added(folders):
        log_to_console()
        yield
