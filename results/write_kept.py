"""Reports on a folder of kept results: tables and figures of its files, and a page over them."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from engine.checks import BadInput
from results.analysis import Result
from results.kept import Kept, paths_in, read_all
from results.rendered import write
from results.report import PAGE, name_of, render_study
from results.smoothing import remark
from results.write import hash_of, page_of

log = logging.getLogger("adamily")

OLDER = (
    "Kept from before curves and values of single trials were: intervals and pictures are in the "
    "files beside the table, as they were made."
)


def write_kept(folder: Path, reports: Path, camera_ready: bool = False) -> Path:
    """Write the files of every kept result in `folder`, and the page over them; return its path.

    What the file of a result's runs does not hold comes as it was kept, such as its pictures of
    losses of single steps; of an older file, table and pictures do.

    Raises:
        BadInput: a file is damaged.
        OSError: a file could not be written.
    """
    source = hash_of_kept(folder)
    kept = read_all(folder)
    results: list[Result] = []
    for one in kept:
        try:
            result = one.plan().result(one.records)
        except BadInput as error:
            log.warning("%s is left out: %s", one.path, error)
            continue
        digest = hashlib.sha256(one.path.read_bytes()).hexdigest()
        files = files_of(one, result, camera_ready)
        write(reports, name_of(result), f"{source} {digest}", files)
        results.append(result if one.whole else with_note(result, OLDER))
    studies = list({result.study.name: result.study for result in results}.values())
    records = {id: record for one in kept for id, record in one.records.items()}
    content = page_of(studies, results, records, reports)
    [page] = write(reports, PAGE, source, content)
    return page


def hash_of_kept(folder: Path) -> str:
    """The hash of all that the page over kept results is made from."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths_in(folder)]
    return " ".join([hash_of(folder), hashlib.sha256("".join(digests).encode()).hexdigest()])


def files_of(kept: Kept, result: Result, camera_ready: bool = False) -> dict[str, bytes]:
    """A kept result's files, rendered anew where its runs are whole, else as they are kept."""
    beside = {
        f"{result.study.folder}/{path.name}": path.read_bytes()
        for path in sorted(kept.path.parent.glob(f"{kept.stem}.*"))
    }
    if not kept.whole:
        return beside
    rendered = render_study(result, camera_ready)
    # Losses of single steps are in no kept record: a picture of them stays as it was made.
    smoothed = [
        name for name, figure in result.study.figures.items() if remark(figure, result.records)
    ]
    as_made = {
        path: content
        for path, content in beside.items()
        if any(path.startswith(f"{name_of(result)}.{name}.") for name in smoothed)
    }
    return beside | rendered | as_made


def with_note(result: Result, note: str) -> Result:
    study = replace(result.study, notes=[note, *result.study.notes])
    return replace(result, study=study)
