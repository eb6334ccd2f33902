"""Training: a loop over given batches, with Adam as TensorFlow 1 computes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.checks import INTEGER_DTYPES, check_lengths, check_tensor, shown
from torch_impl.conversion import Table, check_names, from_canonical, to_canonical
from torch_impl.models import AnyModel
from torch_impl.training.adam import Adam
from torch_impl.training.cuda_graph import DeviceSteps, capturable
from torch_impl.unrolling.paths import chosen_path

__all__ = ["PRECISIONS", "Trainer"]

PRECISIONS = ("fp32", "bf16")


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
        precision: str = "fp32",
    ) -> None:
        """optimizer: settings with the attributes learning_rate, beta1, beta2 and epsilon.

        inputs [rows, steps, inputs], targets (labels [rows], values [rows, steps, outputs] or tokens [rows, any steps])
        and lengths [rows], on the model's device; all are checked here, once. slots: as `slots` gives them, to go on
        from there. precision: one of PRECISIONS; "fp32" computes in the weights' own dtype, "bf16", for
        weights in float32, has the matrix products in bfloat16 (torch.autocast), and the weights, loss and Adam not.
        Raises TypeError or ValueError that names the argument.
        """
        cell = model.input_cell
        check_tensor("inputs", inputs, ("rows", "steps", cell.inputs), cell.weight_ih)
        rows, steps, _ = inputs.shape
        model.check_targets(targets, model.prediction_shape(rows, steps))
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be {' or '.join(map(repr, PRECISIONS))}, got {precision!r}")
        if precision == "bf16" and cell.weight_ih.dtype != torch.float32:
            raise ValueError(f"precision 'bf16' needs weights in float32, got {str(cell.weight_ih.dtype)[6:]}")
        self.model = model
        self.inputs = inputs
        self.precision = precision
        self._on_device: dict[tuple[int, str], DeviceSteps] = {}
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
            with self.cast():
                loss = model._training_loss(
                    self.inputs.index_select(0, here), self.targets.index_select(0, here), chosen
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[i] = loss.detach()
        return losses.cpu().numpy()

    def cast(self) -> contextlib.AbstractContextManager[Any]:
        """The context of a forward pass in this precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.inputs.device.type, torch.bfloat16)

    def _whole_steps(self, batch: int) -> Callable[[Tensor], np.ndarray] | None:
        """Whole steps without Python in between, where nothing asks for autograd: compiled code on the CPU, a CUDA
        graph on a GPU."""
        if self.lengths is not None:
            return None
        weights = list(self.model.parameters())
        if self.inputs.is_cuda:
            if not capturable(self.model, self.optimizer, self.inputs):
                return None
            if (batch, self.precision) not in self._on_device:
                given = (self.model, self.optimizer, self.inputs, self.targets, batch, self.cast)
                self._on_device[batch, self.precision] = DeviceSteps(*given)
            return self._on_device[batch, self.precision]
        if self.precision != "fp32" or chosen_path(weights[1], self.inputs[:batch], *weights) != "compiled":
            return None
        from torch_impl.training.whole_steps import whole_steps  # imports Numba

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
            with self.cast():
                found = self.model(inputs[part], None if lengths is None else lengths[part])
            parts.append(found.to(inputs.dtype))
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
