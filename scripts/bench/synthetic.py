"""Folders of runs that nobody has trained, to see what the page makes of thousands."""

import copy
import hashlib
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.config import compose
from engine.environment import environment
from engine.files import json_text
from engine.record_files import summary_hash
from engine.run import Run
from engine.yaml_files import dump_yaml

TASK = "mnist_fc2"
OPTIMS = ("adam", "adamw", "lp_adam", "laprop", "padam", "sgd")
SHORTEST, LONGEST = 50, 300  # evaluations of a run
SEEDS = 5
METRICS = ("train/loss", "train/eval_loss", "valid/loss", "test/loss")
SHARES = ("valid/accuracy", "test/accuracy")


def write_runs(root: Path, count: int, device: Any) -> None:
    """Write so many runs of different optimizers, learning rates and seeds into a folder.

    Each has ten metrics at 50 to 300 evaluations, noisy as those of a training are.
    """
    draw = random.Random(0)
    known = environment(device)
    configs = [compose([f"task={TASK}", "data=sample", f"optim={name}"]) for name in OPTIMS]
    for number in range(count):
        group, seed = divmod(number, SEEDS)
        config = copy.deepcopy(configs[group % len(OPTIMS)])
        config["seed"] = seed
        config["optim"]["lr"] = float(f"{10 ** random.Random(group).uniform(-4, -1):.6g}")
        write_run(root, config, draw, known)


def write_run(
    root: Path, config: dict[str, Any], draw: random.Random, known: dict[str, Any]
) -> None:
    folder = Run(root, config).folder
    folder.mkdir(parents=True)
    lines = list(evaluations(draw.randint(SHORTEST, LONGEST), draw))
    texts = {
        "metrics.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines),
        "environment.json": json_text(known),
    }
    final = {name: value for name, value in lines[-1].items() if name != "step"}
    summary = {
        "status": "finished",
        "step": lines[-1]["step"],
        "steps": lines[-1]["step"],
        "final": final,
        "best": {name: best(name, lines) for name in (*METRICS, *SHARES)},
        "wall_seconds": 1.25 * final["time/train_seconds"],
        "step_seconds": 0.01,
        "error": None,
    }
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts["summary.json"] = json_text(
        summary | {"sha256": hashes | {"summary.json": summary_hash(summary)}}
    )
    for name, text in {**texts, "config.yaml": dump_yaml(config)}.items():
        (folder / name).write_text(text, encoding="utf-8")


def best(name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = (max if name in SHARES else min)(lines, key=lambda line: line[name])
    return {"value": chosen[name], "step": chosen["step"]}


def evaluations(count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    speed, floor = draw.uniform(1, 5), draw.uniform(0.01, 0.1)
    for place in range(1, count + 1):
        loss = floor + 2.3 * math.exp(-speed * place / count)
        losses = {name: loss * draw.lognormvariate(0, 0.05) for name in METRICS}
        shares = {name: 1 - loss / 2.6 * draw.lognormvariate(0, 0.03) for name in SHARES}
        yield {
            "step": 100 * place,
            **losses,
            **shares,
            "lr": 1e-3 * (1 - place / (count + 1)),
            "optim/mean_abs_step": 1e-3 * loss * draw.lognormvariate(0, 0.2),
            "epoch": place / 4,
            "time/train_seconds": round(place * draw.uniform(1.0, 1.01), 3),
        }
