"""Training: a loop over given batches, with Adam as TensorFlow 1 computes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torch_impl.arrays import in_chunks
from torch_impl.checks import INTEGER_DTYPES, check_lengths, shown
from torch_impl.conversion import Entry, Table, canonical_weights, check_names, from_canonical, table_of, to_canonical
from torch_impl.training.adam import Adam, Settings
from torch_impl.training.classes import ClassWeights, numbered
from torch_impl.training.clipping import GlobalNorm
from torch_impl.training.cuda_graph import DeviceSteps, capturable
from torch_impl.training.protocol import Trainable, check_inputs, check_model, check_targets, evaluating
from torch_impl.training.whole_steps import whole_steps
from torch_impl.types import Lengths

__all__ = ["PRECISIONS", "Trainer"]

PRECISIONS = ("fp32", "bf16")
Model = TypeVar("Model", bound=Trainable)


class Trainer(Generic[Model]):
    """Runs a model's optimizer over batches of rows; the data become tensors once, batches are row numbers.

    The model is one of torch_impl.models, or any nn.Module that keeps `torch_impl.training.protocol`.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Settings,
        inputs: Tensor,
        targets: Any,
        lengths: Lengths = None,
        slots: Mapping[str, np.ndarray] | None = None,
        precision: str = "fp32",
        clip_norm: float | None = None,
        class_weights: Sequence[float] | str | None = None,
    ) -> None:
        """optimizer: settings with the attributes learning_rate, beta1, beta2 and epsilon.

        inputs [rows, steps, inputs], or tokens [rows, steps] of a model with an embedding; targets (labels [rows], of a
        classifier also as text, whose sorted names are then `classes`, or [rows, steps], values [rows, steps, outputs]
        or tokens [rows, any steps])
        and lengths [rows], on the model's device; all are checked here, once. slots: as `slots` gives them, to go on
        from there. precision: one of PRECISIONS; "fp32" computes in the weights' own dtype, "bf16", for
        weights in float32, has the matrix products in bfloat16 (torch.autocast), and the weights, loss and Adam not.
        clip_norm: scale larger gradients down to this norm, together, as tf.clip_by_global_norm does; None: do not.
        class_weights: of a Classifier, what a row's loss is multiplied by, by class, or "balanced": rows / (classes x
        rows of the class). Raises TypeError or ValueError that names the argument.
        """
        self._module, self.model = check_model(model), model
        targets, self.classes = numbered(model, targets)
        self.inputs = check_inputs(model, inputs)
        self.lengths = None if lengths is None else check_lengths(lengths, *inputs.shape[:2])
        self.targets = check_targets(model, targets, inputs, self.lengths)
        self._like = next(model.parameters())
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be {' or '.join(map(repr, PRECISIONS))}, got {precision!r}")
        if precision == "bf16" and self._like.dtype != torch.float32:
            raise ValueError(f"precision 'bf16' needs weights in float32, got {str(self._like.dtype)[6:]}")
        self.precision = precision
        self._clip = None if clip_norm is None else GlobalNorm(self._module, clip_norm)
        self._weighted = None if class_weights is None else ClassWeights(model, class_weights, self.targets)
        self._on_device: dict[tuple[int, str], DeviceSteps] = {}
        if not all(hasattr(optimizer, name) for name in ("learning_rate", "beta1", "beta2", "epsilon")):
            found = type(optimizer).__name__
            raise TypeError(f"optimizer must be settings, as unrolled.programs.Adam(learning_rate=0.001), got {found}")
        betas = (optimizer.beta1, optimizer.beta2)
        fused = self._like.device.type in ("cpu", "cuda")
        self.optimizer = Adam(model.parameters(), optimizer.learning_rate, betas, optimizer.epsilon, fused=fused)
        if slots is not None:
            self._load_slots(slots)

    def run(self, batches: Tensor | npt.ArrayLike) -> np.ndarray:
        """One optimizer step per row of batches, integer row numbers [iterations, batch], in order.

        The model's parts drop in it what they drop in the mode that they are in, see nn.Module.train.
        Returns the losses [iterations], each before its step, in the model's dtype.
        """
        batches = self._checked(batches)
        optimizer, lengths = self.optimizer, self.lengths
        whole = self._whole_steps(batches.shape[1])
        if whole is not None:
            return whole(batches)
        losses = self._like.new_empty(len(batches))
        chosen = None
        for i, (rows, here) in enumerate(zip(batches, batches.to(self.inputs.device), strict=True)):
            if lengths is not None:
                chosen = lengths.index_select(0, rows)
            optimizer.zero_grad()
            with self.clipping():
                with self.cast():
                    loss = self.batch_loss(
                        self.inputs.index_select(0, here), self.targets.index_select(0, here), chosen
                    )
                loss.backward()
            optimizer.step()
            losses[i] = loss.detach()
        return losses.cpu().numpy()

    def batch_loss(self, inputs: Tensor, targets: Tensor, lengths: Lengths = None) -> Tensor:
        """What a step minimises, of some rows: the model's own mean loss, or that with weights for the classes."""
        loss = self.model.training_loss if self._weighted is None else self._weighted.loss
        return loss(inputs, targets, lengths)

    @property
    def class_weights(self) -> list[float] | None:
        """By class; None for none."""
        return None if self._weighted is None else self._weighted.values

    def cast(self) -> contextlib.AbstractContextManager[Any]:
        """The context of a forward pass in this precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self._like.device.type, torch.bfloat16)

    @property
    def clip_norm(self) -> float | None:
        """The norm that gradients are scaled down to; None for none."""
        return None if self._clip is None else self._clip.most

    def clipping(self, **shared: Any) -> contextlib.AbstractContextManager[Any]:
        """The context of a step's forward and backward passes, at whose end the gradients are clipped; see
        `GlobalNorm.clipped`."""
        return contextlib.nullcontext() if self._clip is None else self._clip.clipped(**shared)

    def _whole_steps(self, batch: int) -> Callable[[Tensor], np.ndarray] | None:
        """Whole steps without Python in between, where nothing asks for autograd: compiled code on the CPU, a CUDA
        graph on a GPU."""
        if self._clip is not None or self._weighted is not None:
            return None
        given = (self._module, self.optimizer, self.inputs, self.targets)
        if not self.inputs.is_cuda:
            return whole_steps(*given, self.lengths, batch) if self.precision == "fp32" else None
        if self.lengths is not None or not capturable(self._module, self.optimizer, self.inputs):
            return None
        if (batch, self.precision) not in self._on_device:
            self._on_device[batch, self.precision] = DeviceSteps(*given, batch, self.cast)
        return self._on_device[batch, self.precision]

    @torch.no_grad()
    def forward(self, inputs: Tensor, lengths: Lengths = None, rows: int = 5000) -> Tensor:
        """The model's logits or predictions for any inputs, `rows` at a time, without a graph and in evaluation mode,
        which is left again."""
        with self.cast(), evaluating(self._module):
            return in_chunks(self.model, check_inputs(self.model, inputs), lengths, rows).to(self._like.dtype)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the weights in canonical form."""
        return canonical_weights(self._module)

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
        """How the first and the second moments map to slots: TF1's, but under the parameters' own names where these
        are not just what the weights are made of."""
        table, names = table_of(self._module), [name for name, _ in self.model.named_parameters()]
        if sorted(name for entry in table for name in entry.parameters) != sorted(names):
            table = tuple(Entry(name.replace(".", "/"), (name,), False) for name in names)
        first, second = (
            tuple(entry._replace(name=f"{entry.name}/{slot}") for entry in table) for slot in ("Adam", "Adam_1")
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
