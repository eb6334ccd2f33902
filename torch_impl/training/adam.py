"""Adam as TensorFlow 1 computes it, on top of torch.optim.Adam.

The same update is written again where no optimizer object can be called: in `compiled_steps`, for steps that are
compiled as a whole, and in `cuda_graph`, for steps that a GPU repeats by itself; `Trainer` chooses, and one set of
tests holds all to the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from unrolled.programs import Adam as Settings  # as `Trainer` takes them, with TF1's defaults

__all__ = ["Adam", "Settings"]

# The step itself, without the wrapper that PyTorch puts around an optimizer's own `step`: that would run hooks twice.
_step = torch.optim.Adam.step
_TORCH_STEP = _step.__wrapped__ if getattr(_step, "hooked", False) else _step  # type: ignore[attr-defined]


class Adam(torch.optim.Adam):
    """Adam as tf.train.AdamOptimizer of TensorFlow 1 computes it: eps is the "epsilon hat" of Kingma & Ba 2015, sec. 2.

        lr_t = lr * sqrt(1 - beta2_power) / (1 - beta1_power);   weight -= lr_t * m / (sqrt(v) + eps)

    torch.optim.Adam adds its eps to sqrt(v) / sqrt(1 - beta2**t) instead, so that it is weaker by sqrt(1 - beta2**t):
    31.6 times at the first step. TF1 also rounds lr, betas and eps to float32 and accumulates the powers of the betas
    in float32, also for float64 weights. Both are followed here by handing torch.optim.Adam, at each step, the lr and
    eps with which its own formula gives that update; `param_groups` keeps the lr that the user or a scheduler sets.

    The powers advance at every step for all of a group, also for a parameter without a gradient, as in TF1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        """The defaults are TF1's. foreach, maximize, fused: as for torch.optim.Adam."""
        super().__init__(params, lr, betas, eps, foreach=foreach, maximize=maximize, fused=fused)
        # A fused step may skip itself when a GradScaler finds an infinity, unseen from here; let the scaler skip it.
        self._step_supports_amp_scaling = False

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self._complete(self.param_groups[-1])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also reached by load_state_dict: a state of plain torch.optim.Adam has steps, but no float32 powers."""
        super().__setstate__(state)
        self._step_supports_amp_scaling = False
        for group in self.param_groups:
            self._complete(group)

    def _complete(self, group: dict[str, Any]) -> None:
        """Fill in how many steps a group has taken, and the powers that its next step will use."""
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= np.float32(beta) < 1.0:
                raise ValueError(
                    f"betas[{i}] must be from 0 to below 1 in float32, as TensorFlow 1 keeps it, got {beta}"
                )
        if "steps" not in group:
            group["steps"] = max((int(self.state[p]["step"]) for p in group["params"] if p in self.state), default=0)
        for name, beta in zip(("beta1_power", "beta2_power"), group["betas"], strict=True):
            if name not in group:
                group[name] = _power(np.float32(beta), group["steps"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step. closure: as in any torch optimizer, evaluated once, and its result returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kept = [(group, group["lr"], group["betas"], group["eps"]) for group in self.param_groups]
        try:
            for group in self.param_groups:
                self._align(group)
                group["lr"], group["betas"], group["eps"] = _settings(group)
            _TORCH_STEP(self)
        finally:
            for group, lr, betas, eps in kept:
                group["lr"], group["betas"], group["eps"] = lr, betas, eps
        for group in self.param_groups:
            count_step(group)
        return loss

    def _align(self, group: dict[str, Any]) -> None:
        """Keep torch's own count the same for all of a group: it skips a parameter that has no gradient this time."""
        for p in group["params"]:
            if p.grad is None:
                if p in self.state:
                    self.state[p]["step"] += 1
            elif group["steps"]:
                self.ensure_moments(p)

    def ensure_moments(self, p: Tensor) -> None:
        """Give a parameter that has none moments of zero, as of the step that its group has reached."""
        if not self.state.get(p):
            group = next(group for group in self.param_groups if any(p is other for other in group["params"]))
            self.state[p] = _moments(p, group, torch.zeros_like(p), torch.zeros_like(p))

    def load_moments(self, moments: Mapping[Any, tuple[Tensor, Tensor]], power1: float, power2: float) -> None:
        """Go on from given moments (m, v) of each parameter, and from the powers that the next step will use."""
        for group in self.param_groups:
            group["beta1_power"], group["beta2_power"] = float(np.float32(power1)), float(np.float32(power2))
            group["steps"] = _steps(group["beta2_power"], float(np.float32(group["betas"][1])))
            for p in group["params"]:
                self.state[p] = _moments(p, group, *moments[p])


def count_step(group: dict[str, Any]) -> None:
    """Advance a group's count and its powers of the betas, which TF1 accumulates in float32, by one step."""
    group["steps"] += 1
    for name, beta in zip(("beta1_power", "beta2_power"), group["betas"], strict=True):
        group[name] = float(np.float32(group[name]) * np.float32(beta))


def step_size(group: Mapping[str, Any]) -> float:
    """lr_t of a group's next step."""
    return float(np.float32(group["lr"])) * math.sqrt(1.0 - group["beta2_power"]) / (1.0 - group["beta1_power"])


def _power(beta: np.float32, steps: int) -> float:
    """beta ** (steps + 1), accumulated in float32."""
    power = beta
    for _ in range(steps):
        power = np.float32(power * beta)
        if power == 0.0:
            break
    return float(power)


def _steps(power: float, beta: float) -> int:
    """How many steps came before `power` = beta ** (steps + 1); some large number where they no longer matter."""
    if not 0.0 < beta < 1.0:
        return 0
    return max(0, round(math.log(power) / math.log(beta)) - 1) if power > 0.0 else 1_000_000


def _moments(p: Tensor, group: dict[str, Any], m: Tensor, v: Tensor) -> dict[str, Tensor]:
    """torch.optim.Adam's state of one parameter."""
    step = torch.tensor(float(group["steps"]), dtype=torch.float32, device=p.device if group["fused"] else "cpu")
    return {"step": step, "exp_avg": m, "exp_avg_sq": v}


def _settings(group: dict[str, Any]) -> tuple[float, tuple[float, float], float]:
    """The lr, betas and eps with which torch.optim.Adam's next step is TF1's.

    torch computes lr / c1 * m / (sqrt(v) / c2 + eps), with c1 = 1 - beta1**t and c2 = sqrt(1 - beta2**t) in float64.
    """
    if isinstance(group["lr"], Tensor):
        raise TypeError("lr must be a number, got a tensor: TF1's step size is computed on the CPU")
    beta1, beta2, eps = (float(np.float32(value)) for value in (*group["betas"], group["eps"]))
    count = group["steps"] + 1
    c1, c2 = 1.0 - beta1**count, math.sqrt(1.0 - beta2**count)
    return step_size(group) * c1 / c2, (beta1, beta2), eps / c2
