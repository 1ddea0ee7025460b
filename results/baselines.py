"""Records of runs in one compact file, which count as those of runs that have ended here.

A file `<suite>/<optimizer>.<profile>.<data>.jsonl.xz` has a line for each run: its id and the texts
of the files that it is read from, but for the config, which the suite's studies say. Those of this
project are in `results/baselines`. Nothing of them is written into a folder of runs.
"""

import json
import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checks import BadInput
from engine.record_files import RECORD
from engine.records import Record, recalled
from results.study import slug

if TYPE_CHECKING:
    from results.suite import Suite

HERE = Path(__file__).parent / "baselines"

FILES = (*(name for name in RECORD if name not in ("config.yaml", "losses.jsonl")), "pauses.json")

# File name → text, by the run's id.
Texts = Mapping[str, dict[str, str]]


def file_name(optim: str, profile: str, data: str) -> str:
    return f"{slug(optim)}.{profile}.{data}.jsonl.xz"


def pack(records: Iterable[Record], packed: Texts) -> bytes:
    """The content of a file with these runs, the same for the same runs.

    Args:
        records: of the runs.
        packed: those that came from such a file; of one that has a folder, too, that counts.
    """
    lines = [
        json.dumps({"id": record.id, "files": texts_of(record) or packed[record.id]})
        for record in sorted(records, key=lambda record: record.id)
    ]
    return lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9)


def texts_of(record: Record) -> dict[str, str]:
    paths = [record.folder / name for name in FILES]
    return {path.name: path.read_text("utf-8") for path in paths if path.exists()}


def read_packed(path: Path) -> dict[str, dict[str, str]]:
    """What a file has; nothing where there is none.

    Raises:
        BadInput: it is damaged.
    """
    if not path.exists():
        return {}
    try:
        lines = lzma.decompress(path.read_bytes()).decode().splitlines()
        packed = {line["id"]: line["files"] for line in map(json.loads, lines)}
        for texts in packed.values():
            parsed(texts)
    except (lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: is damaged: fetch it again, or give rerun=true") from error
    return packed


def parsed(texts: Mapping[str, str]) -> dict[str, Any]:
    """What the files of a run hold."""
    return {
        "summary": json.loads(texts.get("summary.json", "{}")),
        "environment": json.loads(texts.get("environment.json", "{}")),
        "lines": [json.loads(line) for line in texts.get("metrics.jsonl", "").splitlines()],
        "pauses": json.loads(texts.get("pauses.json", "{}")),
    }


def committed_runs(suite: "Suite", label: str, profile: str) -> dict[str, dict[str, str]]:
    """Those of a suite's row; none where there is no file of it."""
    return read_packed(HERE / suite.name / file_name(label, profile, suite.data))


@dataclass(frozen=True)
class Baselines:
    """Runs that are in such files."""

    packed: Texts

    def record(self, folder: Path, config: dict[str, Any]) -> Record | None:
        """That of the run that would be in this folder; None where there is none."""
        texts = self.packed.get(folder.name)
        if texts is None:
            return None
        return recalled(folder, config, **parsed(texts))
