"""Records of runs in one compact file, and back into a folder of runs.

A file `<suite>/<optimizer>.<profile>.<data>.jsonl.xz` has a line for each run: its id and the texts
of the files that it is read from, but for the config, which the suite's studies say. So what others
have measured counts as runs that have ended here; those of this project are in `results/baselines`.
"""

import json
import lzma
from collections.abc import Iterable
from pathlib import Path

from engine.files import atomic_write, write_text
from engine.record_files import RECORD
from engine.records import Record
from engine.shared import make_folder
from engine.yaml_files import dump_yaml
from results.plan import Plan, Planned
from results.study import slug

HERE = Path(__file__).parent / "baselines"

# The config comes last: a folder without one is of no run.
FILES = (*(name for name in RECORD if name != "config.yaml"), "pauses.json")

# File name → text, by the run's id.
Texts = dict[str, dict[str, str]]


def file_name(optim: str, profile: str, data: str) -> str:
    return f"{slug(optim)}.{profile}.{data}.jsonl.xz"


def pack(records: Iterable[Record]) -> bytes:
    """The content of a file with these runs, the same for the same runs."""
    lines = []
    for record in sorted(records, key=lambda record: record.id):
        paths = [record.folder / name for name in FILES]
        texts = {path.name: path.read_text("utf-8") for path in paths if path.exists()}
        lines.append(json.dumps({"id": record.id, "files": texts}))
    return lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9)


def read_packed(path: Path) -> Texts:
    """What a file has; nothing where there is none."""
    if not path.exists():
        return {}
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    return {line["id"]: line["files"] for line in map(json.loads, lines)}


def unpack(packed: Texts, plan: Plan) -> None:
    """Put the runs for which a search asks into their folders, unless these are there.

    A search asks for its next runs by what the first have come to, so it is asked again until it
    wants none that is packed. Packed runs for which it never asks are of an older version of the
    task, or of the optimizer.
    """
    while wanted := [one for one in plan.due()[0] if one.run.id in packed and is_new(one)]:
        for planned in wanted:
            put(planned, packed[planned.run.id])


def is_new(planned: Planned) -> bool:
    return not (planned.run.folder / "config.yaml").exists()


def put(planned: Planned, texts: dict[str, str]) -> None:
    folder = planned.run.folder
    make_folder(folder)
    for name in FILES:
        if name in texts:
            write_text(folder / name, texts[name])
    train = planned.config["train"] | {"pause_at": None}
    write_text(folder / "config.yaml", dump_yaml(planned.config | {"train": train}))


def write_packed(path: Path, records: Iterable[Record]) -> None:
    make_folder(path.parent)
    with atomic_write(path) as file:
        file.write(pack(records))
