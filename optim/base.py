"""What the update rules of this room share: they work on each element by itself.

A subclass says what its numbers are (`numbers`, `options`), which tensors it keeps (`state_names`)
and how they change (`update`), once; this class does all that makes it an optimizer of torch's
kind. The ways to run it are in `optim/executors.py`.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer

from optim.checks import check_betas, check_flag, check_range
from optim.compiled import run_compiled
from optim.executors import Operands, Rule, run_batched, run_each
from optim.observation import Observation
from optim.operands import Misfit, is_plain, operands_of, whole, wide
from optim.state import Group, State, name_of, read, zeros_for


class Common(TypedDict, total=False):
    """Arguments that every rule takes beside its own; `ElementwiseOptimizer` explains them."""

    decoupled: bool
    maximize: bool
    foreach: bool | None
    compile: bool


class ElementwiseOptimizer(Optimizer):
    """An optimizer that treats every element of every parameter alike.

    Arguments that all subclasses have, beside those of the rule:
        lr: learning rate, a float or a tensor of one element.
        weight_decay: how much the parameters decay, 0 for not at all.
        decoupled: decay the parameters, θ ← θ·(1 - lr·weight_decay) before the update (AdamW), and
            not, as the L2 penalty does, g ← g + weight_decay·θ.
        maximize: climb instead of descend: g ← -g.
        foreach: False runs the rule tensor by tensor; None and True in batches.
        compile: run the rule through `torch.compile`. Numbers agree to rounding. The first step
            takes seconds; where there is no compiler, a warning is given and foreach is used. This
            is the way to compile a step: `torch.compile(optimizer.step)`, or a compiled function
            that calls `step`, runs it as it is, outside of its graph, and `fullgraph=True` cannot.

    State, one dict per parameter and the same for every way to run: `step`, the number of updates
    of this parameter, an int; numbers and tensors that the rule names. Tensors have the
    parameter's shape and memory layout and its dtype, float32 for bfloat16 and float16, whose
    updates are computed in float32 and rounded once. Complex parameters are treated as pairs of
    real ones. A gradient of another dtype than its parameter (`grad_dtype`) counts in the dtype of
    the state, rounded to it where it is wider. Groups have, beside their options, `rule`, which
    names the class in a state dict.

    Parameters may be DTensors (FSDP2, tensor parallelism), also beside plain ones in a group. Their
    state is laid out over the processes as they are, and each process updates its own part. A
    gradient in other placements is redistributed. Other subclasses of Tensor are updated tensor by
    tensor, by their own operations, where these are not simply those of their memory.

    A NaN in a gradient makes its element NaN for good, as in torch.optim.Adam, and an infinity does
    so by the next step (but see `SignSGDM`); other elements are untouched. A gradient whose square
    overflows (from 1.8e19 on in float32) counts in the denominator as very large or infinite, and
    leaves its element finite.

    Raises:
        ValueError: a hyperparameter that is not allowed, in the arguments or in a group.
        RuntimeError: in `step`, a sparse gradient, a gradient or state that does not go with its
            parameter (complex with real, DTensor with plain, of another shape, mesh or device), or
            while a CUDA graph is captured; nothing has been changed then.
    """

    # Whether decoupled decay comes after the update, and whether lr is no factor of it.
    decays_after: ClassVar[bool] = False
    decay_without_lr: ClassVar[bool] = False
    observations: ClassVar[Mapping[str, Observation]] = {}

    def __init__(
        self,
        params: Any,
        defaults: Group,
        *,
        decoupled: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        compile: bool = False,
    ):
        defaults = defaults | Common(
            decoupled=decoupled, maximize=maximize, foreach=foreach, compile=compile
        )
        self.check(defaults)
        super().__init__(params, defaults)

    # -- what a rule says --------------------------------------------------------------------------

    def check(self, group: Group) -> None:
        """Raise ValueError where a hyperparameter is not allowed; subclasses add their own."""
        check_range("learning rate", group["lr"], 0.0)
        check_range("weight_decay value", group["weight_decay"], 0.0)
        if "eps" in group:
            check_range("epsilon value", group["eps"], 0.0)
        for name in ("decoupled", "maximize", "compile"):
            check_flag(name, group[name])
        if group["foreach"] is not None:
            check_flag("foreach", group["foreach"])
        if group["foreach"] and group["compile"]:
            raise ValueError("`foreach` and `compile` cannot be `True` together.")
        if "betas" in group:
            self.check_betas(group["betas"])

    def check_betas(self, betas: Any) -> None:
        """Raise ValueError unless they are two numbers in [0, 1), or what a subclass has."""
        check_betas(betas)

    def state_names(self, group: Group) -> tuple[str, ...]:
        """Names of the state tensors, in this group."""
        raise NotImplementedError

    def counters(self, group: Group) -> dict[str, int | float]:
        """What else a parameter's state holds, before the first step: plain numbers."""
        return {"step": 0}

    def new_state(self, p: Tensor, group: Group) -> State:
        """The state before the first step: zeros."""
        return self.counters(group) | {name: zeros_for(p) for name in self.state_names(group)}

    def advance(self, state: State, group: Group) -> None:
        """Change what is a plain number in a parameter's state, at the beginning of a step."""
        state["step"] += 1

    def numbers(self, group: Group, state: State) -> dict[str, float]:
        """What `update` finds in `hyper`, computed from hyperparameters and numbers in the state.

        It finds there too `tiny`, the smallest number > 0 that has full precision, and `huge`, one
        whose eightfold is still finite.
        """
        raise NotImplementedError

    def options(self, group: Group, state: State) -> dict[str, Any]:
        """What else it finds there: bool, str or tuples of them, which decide the lines run."""
        return {}

    @staticmethod
    def update(hyper: Any, p: Any, g: Any, **state: Any) -> None:
        """Change p and the state in place, given the gradient; all Tensors or all TensorLists.

        It may add to p but not read it, and must leave g alone.
        """
        raise NotImplementedError

    # -- the step ----------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one update of every parameter that has a gradient.

        Args:
            closure: computes the loss anew and returns it.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update()
        return loss

    # A compiled program that holds a step would be compiled anew for every number that changes.
    @torch._disable_dynamo
    def _update(self) -> None:
        self._refuse_capture()
        groups = [(group, self._entries(group)) for group in self.param_groups]
        if self._only_begins():
            self.state.update({p: state for _, entries in groups for p, state, _ in entries})
            return
        for group, entries in groups:
            # Once, since to read one from a GPU is to wait for all that it has to do.
            group = group | {"lr": float(group["lr"])}
            for state, work in self._together(group, entries):
                rule, numbers = self.rule(group, state, work[0])
                run = executor(group) if is_plain(work[0]) else run_each
                run(rule, numbers, work)

    def _refuse_capture(self) -> None:
        # Step counts and learning rates are Python numbers: a replay would repeat those of now.
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"{type(self).__name__}.step cannot be captured in a CUDA graph: take the step "
                f"outside of it"
            )

    def _only_begins(self) -> bool:
        """Whether this step is there just to make the state, as torch.distributed.checkpoint's is.

        It is the first, with lr 0 and all gradients 0. Counted, it would change all that follow.
        """
        if any(self.state.values()) or any(float(group["lr"]) for group in self.param_groups):
            return False
        parameters = [p for group in self.param_groups for p in group["params"]]
        # Not only up to the first, since all processes must ask for what is laid out over them.
        moving = [bool(whole(p.grad.any())) for p in parameters if p.grad is not None]
        return not any(moving)

    def _entries(self, group: Group) -> list[tuple[Tensor, State, Operands]]:
        """Each parameter with a gradient, its state, new or old, and operands; changes nothing."""
        names = self.state_names(group)
        entries = []
        for index, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            try:
                state = self.state.get(p) or self.new_state(p, group)
                entries.append((p, state, operands_of(p, state, names)))
            except Misfit as misfit:
                before = itertools.takewhile(lambda other: other is not group, self.param_groups)
                start = sum(len(other["params"]) for other in before)
                who = name_of(start, index, group.get("param_names", []))
                raise RuntimeError(f"{type(self).__name__} {misfit}: {who}") from None
        return entries

    def _together(
        self, group: Group, entries: Iterable[tuple[Tensor, State, Operands]]
    ) -> Iterable[tuple[State, list[Operands]]]:
        """What can be run in one call, with the state of one of its parameters.

        Parameters that had no gradient at times are at an earlier step than others.
        """
        together: dict[tuple[Any, ...], tuple[State, list[Operands]]] = {}
        for p, state, operands in entries:
            self.state[p] = state
            self.advance(state, group)
            theta, g, *_ = operands
            if theta.numel() == 0:
                continue
            counts = [value for value in state.values() if type(value) in (int, float)]
            key = (is_plain(operands), theta.device, theta.dtype, g.dtype, *counts)
            together.setdefault(key, (state, []))[1].append(operands)
        return together.values()

    def rule(
        self, group: Group, state: State, operands: Operands
    ) -> tuple[Rule, tuple[float, ...]]:
        """The arithmetic of this step on operands like these, and its numbers."""
        theta, g, *_ = operands
        weight_decay = group["weight_decay"]
        when = "after" if self.decays_after else "before"
        # Decay that a schedule moves stays a part of the rule where it reaches 0.
        decays = weight_decay != 0 or group.get("initial_weight_decay", 0) != 0
        decay = None if not decays else when if group["decoupled"] else "l2"
        dtype = wide(theta.dtype)
        limits = torch.finfo(dtype)
        numbers = self.numbers(group, state) | {
            "weight_decay": weight_decay,
            "decay_factor": self.decay_factor(group),
            "tiny": limits.tiny,
            "huge": limits.max / 8,
        }
        options = self.options(group, state) | {
            "decay": decay,
            "maximize": group["maximize"],
            "wide": dtype,
            "widen": theta.dtype != dtype,
            "cast": g.dtype != dtype,
        }
        names = self.state_names(group)
        rule = Rule(type(self).update, names, tuple(numbers), tuple(options.items()))
        return rule, tuple(numbers.values())

    def decay_factor(self, group: Group) -> float:
        """What decoupled decay multiplies parameters by in a step; 1 where lr is 0.

        A step with lr 0 is there to change nothing, as the one is by which
        torch.distributed.checkpoint gives an optimizer its state, also where decay has no lr in it.
        """
        lr, weight_decay = float(group["lr"]), group["weight_decay"]
        return 1 - (weight_decay if self.decay_without_lr and lr else lr * weight_decay)

    # -- groups and state dicts --------------------------------------------------------------------

    @property
    def rule_name(self) -> str:
        """The name of the class whose `update` this is; a subclass may have other defaults."""
        return next(c.__name__ for c in type(self).__mro__ if "update" in vars(c))

    def add_param_group(self, param_group: Group) -> None:
        self.check({**self.defaults, **param_group})
        param_group["rule"] = self.rule_name
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill in, from this optimizer's own, the options that an older state lacks."""
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            group["rule"] = self.rule_name
        for each in self.state.values():
            if "step" in each:
                each["step"] = int(each["step"])  # torch's own keep a tensor

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a copy of `state_dict`, on the parameters' devices; executors stay as they are.

        It is one of the same class, whose options it brings along (what an older one lacks stays as
        it is), or of torch.optim.Adam or AdamW: `LpAdam` with p = 2 and `AdaBound` go on from it,
        `Padam` with partial = 1/2 from one with amsgrad (see `optim/state.py`, and why no other
        rule does). Their lr, betas, eps, weight_decay and maximize are taken over, decoupled is
        AdamW's; amsgrad and how they are run (fused, capturable, differentiable) are not. A
        parameter that has no state in it begins anew.

        Raises:
            ValueError: something in it is not what this optimizer keeps: state of another shape, of
                another optimizer, of other parameters, or an option that is not allowed. The
                optimizer is as it was then.
        """
        states: dict[Tensor, State] = {}

        def check_all(_: Any, loaded: Any) -> dict[str, Any]:
            loaded, read_states = read(self, loaded)
            states.update(read_states)
            return loaded

        hooks = [
            # Registered last, it sees what other hooks made of the state dict.
            self.register_load_state_dict_pre_hook(check_all),
            # Torch has rounded all state to the dtype of the parameter.
            self.register_load_state_dict_post_hook(
                lambda _: self.state.update(states), prepend=True
            ),
        ]
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()


def executor(group: Group) -> Callable[..., None]:
    if group["compile"]:
        return run_compiled
    return run_each if group["foreach"] is False else run_batched
