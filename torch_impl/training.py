"""Training: Adam as TensorFlow 1 computes it, on top of torch.optim.Adam, and a loop over given batches.

The same update is written a second time in `step_kernels`, for steps that are compiled as a whole; `Trainer` chooses,
and one set of tests holds both to the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.checks import INTEGER_DTYPES, check_lengths, check_tensor, shown
from torch_impl.conversion import Table, check_names, from_canonical, to_canonical
from torch_impl.models import AnyModel
from torch_impl.paths import chosen_path

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
        params: Any,
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
            group["steps"] += 1
            for name, beta in zip(("beta1_power", "beta2_power"), group["betas"], strict=True):
                group[name] = float(np.float32(group[name]) * np.float32(beta))
        return loss

    def _align(self, group: dict[str, Any]) -> None:
        """Keep torch's own count the same for all of a group: it skips a parameter that has no gradient this time."""
        for p in group["params"]:
            if p.grad is None:
                if p in self.state:
                    self.state[p]["step"] += 1
            elif group["steps"] and p not in self.state:
                self.state[p] = _moments(p, group, torch.zeros_like(p), torch.zeros_like(p))

    def load_moments(self, moments: Mapping[Any, tuple[Tensor, Tensor]], power1: float, power2: float) -> None:
        """Go on from given moments (m, v) of each parameter, and from the powers that the next step will use."""
        for group in self.param_groups:
            group["beta1_power"], group["beta2_power"] = float(np.float32(power1)), float(np.float32(power2))
            group["steps"] = _steps(group["beta2_power"], float(np.float32(group["betas"][1])))
            for p in group["params"]:
                self.state[p] = _moments(p, group, *moments[p])


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
    lr, beta1, beta2, eps = (float(np.float32(value)) for value in (group["lr"], *group["betas"], group["eps"]))
    count = group["steps"] + 1
    c1, c2 = 1.0 - beta1**count, math.sqrt(1.0 - beta2**count)
    lr_t = lr * math.sqrt(1.0 - group["beta2_power"]) / (1.0 - group["beta1_power"])
    return lr_t * c1 / c2, (beta1, beta2), eps / c2


class Trainer:
    """Runs a model's optimizer over batches of rows; the data become tensors once, batches are row numbers."""

    def __init__(
        self,
        model: AnyModel,
        optimizer: Any,
        inputs: Tensor,
        targets: Tensor,
        lengths: Any = None,
        slots: Mapping[str, Any] | None = None,
    ) -> None:
        """optimizer: settings with the attributes learning_rate, beta1, beta2 and epsilon.

        inputs [rows, steps, inputs], targets (labels [rows], values [rows, steps, outputs] or tokens [rows, any steps])
        and lengths [rows], on the model's device; all are checked here, once. slots: as `slots` gives them, to go on
        from there.
        Raises TypeError or ValueError that names the argument.
        """
        cell = model.input_cell
        check_tensor("inputs", inputs, ("rows", "steps", cell.inputs), cell.weight_ih)
        rows, steps, _ = inputs.shape
        model.check_targets(targets, model.prediction_shape(rows, steps))
        self.model = model
        self.inputs = inputs
        self.targets = targets if targets.is_floating_point() else targets.long()
        self.lengths = None if lengths is None else check_lengths(lengths, rows, steps)
        betas = (optimizer.beta1, optimizer.beta2)
        fused = cell.weight_ih.device.type in ("cpu", "cuda")
        self.optimizer = Adam(model.parameters(), optimizer.learning_rate, betas, optimizer.epsilon, fused=fused)
        if slots is not None:
            self._load_slots(slots)

    def run(self, batches: Any) -> np.ndarray:
        """One optimizer step per row of batches, integer row numbers [iterations, batch], in order.

        Returns the losses [iterations], each before its step, in the model's dtype.
        """
        batches = self._checked(batches)
        model, optimizer, lengths = self.model, self.optimizer, self.lengths
        compiled = self._whole_steps(batches.shape[1])
        if compiled is not None:
            return compiled(batches)
        losses = self.inputs.new_empty(len(batches))
        chosen = None
        for i, (rows, here) in enumerate(zip(batches, batches.to(self.inputs.device), strict=True)):
            if lengths is not None:
                chosen = lengths.index_select(0, rows)
            loss = model._training_loss(self.inputs.index_select(0, here), self.targets.index_select(0, here), chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[i] = loss.detach()
        return losses.cpu().numpy()

    def _whole_steps(self, batch: int) -> Callable[[Tensor], np.ndarray] | None:
        """Whole steps in compiled code, where that is the path and nothing asks for autograd."""
        weights = list(self.model.parameters())
        if self.lengths is not None or chosen_path(weights[1], self.inputs[:batch], *weights) != "compiled":
            return None
        from torch_impl.steps import whole_steps  # imports Numba

        return whole_steps(self.model, self.optimizer, self.inputs, self.targets, batch)

    @torch.no_grad()
    def forward(self, inputs: Tensor, lengths: Any = None, rows: int = 5000) -> Tensor:
        """The model's logits or predictions for any inputs, `rows` at a time and without a graph."""
        cell = self.model.input_cell
        check_tensor("inputs", inputs, ("batch", "steps", cell.inputs), cell.weight_ih)
        if lengths is not None:
            lengths = check_lengths(lengths, *inputs.shape[:2])
        parts = []
        for start in range(0, len(inputs), rows):
            part = slice(start, start + rows)
            parts.append(self.model(inputs[part], None if lengths is None else lengths[part]))
        return torch.cat(parts)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the weights in canonical form."""
        return self.model.canonical_weights()

    def slots(self) -> dict[str, np.ndarray]:
        """A copy of the optimizer's state under TF1's names.

        "<weight>/Adam" and "<weight>/Adam_1" are the first and second moments; "beta1_power" and "beta2_power", float32
        scalars, are the powers that the next step will use.
        """
        slots: dict[str, np.ndarray] = {}
        for table, key in zip(self._slot_tables(), ("exp_avg", "exp_avg_sq"), strict=True):
            moments = {
                name: self.optimizer.state[p][key] if p in self.optimizer.state else torch.zeros_like(p)
                for name, p in self.model.named_parameters()
            }
            slots.update(to_canonical(table, moments))
        (group,) = self.optimizer.param_groups
        slots.update({name: np.array(group[name], np.float32) for name in ("beta1_power", "beta2_power")})
        return slots

    def _slot_tables(self) -> tuple[Table, Table]:
        """How the first and the second moments map to TF1's slots."""
        first, second = (
            tuple(entry._replace(name=f"{entry.name}/{slot}") for entry in self.model.table)
            for slot in ("Adam", "Adam_1")
        )
        return first, second

    def _load_slots(self, slots: Mapping[str, Any]) -> None:
        powers = []
        for name in ("beta1_power", "beta2_power"):
            power = np.asarray(slots.get(name))
            if power.dtype != np.float32 or power.shape != () or not 0.0 <= power < 1.0:
                raise ValueError(
                    f"slot {name!r} must be a float32 scalar from 0 to below 1, got {slots.get(name)!r:.60}"
                )
            powers.append(float(power))
        arrays = {name: array for name, array in slots.items() if name not in ("beta1_power", "beta2_power")}
        parameters = dict(self.model.named_parameters())
        table = [entry for part in self._slot_tables() for entry in part]
        check_names(table, arrays, "slots")
        first, second = (
            from_canonical(part, {entry.name: arrays[entry.name] for entry in part}, parameters)
            for part in self._slot_tables()
        )
        moments = {p: (first[name], second[name]) for name, p in parameters.items()}
        self.optimizer.load_moments(moments, powers[0], powers[1])

    def _checked(self, batches: Any) -> Tensor:
        rows = len(self.inputs)
        wanted = f"batches must be integers [iterations, batch], batch at least 1, each from 0 to {rows - 1}"
        if not isinstance(batches, Tensor):
            try:
                batches = torch.as_tensor(np.array(batches))
            except (TypeError, ValueError, RuntimeError):
                raise TypeError(f"{wanted}, got {shown(batches)}") from None
        if batches.dtype not in INTEGER_DTYPES:
            raise TypeError(f"{wanted}, got {shown(batches)}")
        if batches.ndim != 2 or batches.shape[1] == 0:
            raise ValueError(f"{wanted}, got {shown(batches)}")
        batches = batches.to("cpu", torch.int64)
        outside = ((batches < 0) | (batches >= rows)).nonzero()
        if len(outside):
            i, j = outside[0].tolist()
            raise ValueError(f"{wanted}, got batches[{i}, {j}] = {int(batches[i, j])}")
        return batches
