"""Pairs to train fairseq on, and its commands as people type them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from num2words import num2words

ROOT = Path(__file__).parents[2]

# fairseq's recipe for IWSLT'14 German-English, but for its length and the size of its batches.
RECIPE = shlex.split("""
    --source-lang de --target-lang en --arch transformer_iwslt_de_en
    --share-decoder-input-output-embed --adam-betas '(0.9, 0.98)' --clip-norm 0.0 --lr 5e-4
    --lr-scheduler inverse_sqrt --warmup-updates 4 --dropout 0.3 --weight-decay 0.0001 --criterion
    label_smoothed_cross_entropy --label-smoothing 0.1 --max-tokens 512 --update-freq 2 --cpu
    --num-workers 0 --disable-validation --log-format json --log-interval 1
""")

SMALL = [
    f"--{side}-{size}"
    for side in ("encoder", "decoder")
    for size in ("layers=1", "embed-dim=32", "ffn-embed-dim=64", "attention-heads=2")
]


def fairseq(command: str, *arguments: object) -> str:
    """What `fairseq-COMMAND ARGUMENTS` prints, from the root of the project."""
    done = subprocess.run(
        [Path(sys.executable).with_name(f"fairseq-{command}"), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers spelled in German, letter by letter, and in English, as fairseq preprocesses them."""
    folder = tmp_path_factory.mktemp("numbers")
    parts = {"train": range(0, 2400, 3), "valid": range(1, 300, 10), "test": range(2, 300, 10)}
    for part, numbers in parts.items():
        german = [" ".join(num2words(number, lang="de")) for number in numbers]
        english = [num2words(number, lang="en") for number in numbers]
        (folder / f"{part}.de").write_text("\n".join(german) + "\n")
        (folder / f"{part}.en").write_text("\n".join(english) + "\n")
    prefixes = [word for part in parts for word in (f"--{part}pref", folder / part)]
    fairseq("preprocess", "-s", "de", "-t", "en", *prefixes, "--destdir", folder / "bin")
    return folder / "bin"
