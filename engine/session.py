"""All that a run holds in memory while it trains, and how that is saved and loaded."""

import contextlib
import hashlib
import os
from typing import Any

import torch
from torch import Tensor

from engine import parallel
from engine.evaluation import Evaluations
from engine.make import make_optimizer, make_schedule, make_task
from engine.meters import Clock, Losses
from engine.metrics import metrics_of
from engine.optimizers import EvaluationWeights, members, needs_closure
from engine.run import LossBlock, Run
from optim import Observer
from tasks.seeds import derive

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Session:
    """Task, optimizer, schedule, gradient scaler and bookkeeping of one run.

    Attributes:
        step: optimizer steps done.
        parameters: the model's parameters, as a list.
        loss: computes the loss of a batch, or of this process's shard of it.
        needs_closure: whether the optimizer computes the loss itself, several times in a step.
        evaluation_weights: makes a context in which the model has the weights to evaluate.
    """

    def __init__(self, config: dict[str, Any], device: torch.device):
        if config["train"]["deterministic"]:
            # cuBLAS reads this when it is initialized.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Only if it changes something: the call imports the compiler, which takes seconds.
        if torch.are_deterministic_algorithms_enabled() != config["train"]["deterministic"]:
            torch.use_deterministic_algorithms(config["train"]["deterministic"])
        self.config = config
        self.device = device
        self.task = make_task(config, device)
        # Before modules may be replaced: groups choose parameters by their types.
        self.optimizer = make_optimizer(config, self.task.model)
        self.needs_closure = needs_closure(self.optimizer)
        self.evaluation_weights = EvaluationWeights(self.optimizer)
        self.task.model = parallel.sync_batch_norm(self.task.model, device)
        self.task.model.train()
        self.parameters = [p for p in self.task.model.parameters() if p.requires_grad]
        self.loss = parallel.objective(self.task)
        self.schedule = make_schedule(config, self.optimizer, self.task.steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config["precision"] == "fp16")
        self.step = 0
        metrics = metrics_of(self.task, members(self.optimizer))
        self.losses, self.clock, self.evaluations = Losses(), Clock(), Evaluations(metrics)
        # Dropout uses the global generator, with another seed in each process.
        rank = parallel.rank()
        torch.manual_seed(derive(config["seed"], "dropout", *([rank] if rank else [])))
        if config["train"]["compile"]:
            self.task.model.compile()

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        dtype = AUTOCAST[self.config["precision"]]
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype)

    def not_training(self) -> contextlib.AbstractContextManager[None]:
        """Do not count the time of the block as the steps'."""
        self.losses.values()  # waits until the device has finished the steps
        return self.clock.paused()

    def kept_losses(self) -> LossBlock | None:
        """The losses since the last evaluation that the run is to keep; None where it keeps none.

        They depend on the steps alone, and not on when the run was stopped or looked at.
        """
        every = self.config["train"].get("loss_every")
        if every is None:
            return None
        step, losses = self.losses.kept(self.step, every)
        return LossBlock(step, every, losses) if losses else None

    def evaluate(self, observer: Observer) -> dict[str, float]:
        """All metrics after the step that was observed."""
        self.clock.end_interval(self.step)
        values = self._values() | observer.metrics()
        metrics = self.evaluations.add(values, self.step)
        self.losses.clear()
        self.clock.start_interval(self.step)
        return metrics

    def evaluate_first(self) -> dict[str, float]:
        """The metrics before the first step, of which no training loss is known."""
        return self.evaluations.add(self._values(), 0)

    def _values(self) -> dict[str, Any]:
        """All metrics now but those of the optimizer's step."""
        values: dict[str, Any] = {
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "time/train_seconds": self.clock.train_seconds(),
        }
        if self.losses.values():
            values["train/loss"] = self.losses.mean()
        if steps_per_epoch := self.task.steps_per_epoch:
            values["epoch"] = self.step / steps_per_epoch
        self.task.model.eval()
        with torch.no_grad(), self.autocast(), self.evaluation_weights():
            values |= self.task.evaluate()
        self.task.model.train()
        return values

    def artifacts(self) -> list[tuple[str, bytes]]:
        """The artifacts of the last evaluation, by name; a second call returns none."""
        context = self.task.context
        artifacts, context.artifacts = context.artifacts, {}
        return list(artifacts.items()) if context.keeps_artifacts else []

    # -- saving and loading ------------------------------------------------------------------------

    def pause(self, run: Run, pause_at: float) -> None:
        """Save a checkpoint, and what the run is worth, by which searches compare runs.

        The checkpoint comes first, so that going on does not depend on this evaluation, which is
        none of the run's own. The session cannot be used any more.
        """
        self.save(run)
        if self.losses.values():
            self.evaluations.add(self._values(), self.step)
        worth = {"final": self.evaluations.final, "best": self.evaluations.best}
        run.record_pause(pause_at, {"step": self.step, "steps": self.task.steps, **worth})

    def state_dict(self) -> dict[str, Any]:
        cuda = self.device.type == "cuda"
        return {
            "step": self.step,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "processes": parallel.all_gather(
                {
                    "task": self.task.state_dict(),
                    "random": torch.get_rng_state(),
                    "random_cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
                }
            ),
            "losses": self.losses.values(),
            **self.evaluations.state_dict(),
            **self.clock.state_dict(),
            # With another number of threads, sums are rounded differently.
            "threads": torch.get_num_threads(),
        }

    def save(self, run: Run) -> None:
        """Write a checkpoint of the run."""
        self.task.context.checkpoint_requested = False
        state = self.state_dict()
        if parallel.call_on_rank_zero(lambda: run.save_checkpoint(state)):
            self.task.after_checkpoint()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned; after an error the session cannot be used any more."""
        self._warm_up_ddp()
        self.step = state["step"]
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self._load_process_state(state["processes"])
        self.losses = Losses(state["losses"])
        self.evaluations.load_state_dict(state)
        self.clock.load_state_dict(state)
        torch.set_num_threads(state["threads"])

    def _load_process_state(self, saved: list[dict[str, Any]]) -> None:
        """Load this process's own state; there may have been fewer processes when it was saved."""
        rank = parallel.rank()
        if rank >= len(saved):
            self.task.load_state_dict(saved[0]["task"])
            return
        process_state = saved[rank]
        self.task.load_state_dict(process_state["task"])
        torch.set_rng_state(process_state["random"])
        if process_state["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(process_state["random_cuda"], self.device)

    def _warm_up_ddp(self) -> None:
        """Compute one gradient and discard it, before a state is loaded.

        From its second step on, DDP sums gradients in another order, which rounds differently.
        """
        if parallel.world_size() == 1:
            return
        with self.autocast():
            shard, _ = parallel.shards(self.task, self.task.batch(0), 1)[0]
            loss = self.loss(shard)
        loss.backward()
        self.optimizer.zero_grad()

    # -- the end -----------------------------------------------------------------------------------

    def summary(self, status: str) -> dict[str, Any]:
        """The content of summary.json without the status."""
        diverged_at = self.diverged_at() if status == "diverged" else None
        evaluations = self.evaluations
        with self.evaluation_weights():
            sha256 = None
            if diverged_at is None:
                sha256 = fingerprint(self.task.model.state_dict())
        return {
            # Where the run diverged does not depend on the clock; when that is noticed does.
            "step": self.step if diverged_at is None else diverged_at,
            "steps": self.task.steps,
            "diverged_at": diverged_at,
            "final": evaluations.final,
            "best": evaluations.best,
            "trials": evaluations.trials if evaluations.all_finite else {},
            "wall_seconds": self.clock.elapsed(),
            "step_seconds": self.clock.step_seconds(),
            "parameters": sum(parameter.numel() for parameter in self.parameters),
            "model_sha256": sha256,
        }

    def diverged_at(self) -> int:
        """The first step whose loss or evaluation is not finite."""
        if not self.evaluations.all_finite:
            return self.step
        losses = self.losses.values()
        return self.step - len(losses) + self.losses.first_not_finite() + 1


def fingerprint(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes: equal if and only if the tensors are, bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(plain.numpy().tobytes())
    return digest.hexdigest()
