"""PyTorch as the command line's training loop sees it: NumPy in and out, and what saving and resuming need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from torch_impl import build, devices
from torch_impl.arrays import floats, inputs_of, integers, optional_lengths, targets_of, to_numpy
from torch_impl.losses import in_top_k
from torch_impl.runs.eager import PLAIN, EagerTrainer, StepOptions
from torch_impl.runs.processes import ALONE, Processes
from torch_impl.runs.saved import set_steps
from torch_impl.training.numpy_trainer import NumpyTrainer
from torch_impl.training.trainer import Trainer
from torch_impl.unrolling.paths import wanted_path
from unrolled.models import Model

__all__ = ["RunBackend", "RunTrainer", "Snapshot"]

Arrays = dict[str, np.ndarray]


class RunBackend:
    """A device, with what `unrolled.command_line` asks of an implementation for `train`."""

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        """Prepares the process, see `torch_impl.devices.prepared`; raises ValueError for what is not there."""
        self.device = devices.prepared(device, threads)
        wanted_path()  # a wrong UNROLLED_PATH is found here, not in the middle of a training

    def describe(self) -> dict[str, str]:
        """Plain facts for the header of a run."""
        return devices.described(self.device)

    def initial_weights(self, model: Model, seed: int) -> Arrays:
        """Freshly drawn float32 weights, TF1's defaults; drawn on the CPU, so that a seed means the same everywhere."""
        module = build.model(model, dtype=torch.float32)
        module.reset_parameters(torch.Generator().manual_seed(seed))
        return module.canonical_weights()

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        """logits [batch, classes], targets [batch] -> bool [batch]."""
        labels = integers("targets", targets).to(self.device)
        return to_numpy(in_top_k(floats("logits", logits, self.device), labels, k))

    def trainer(
        self,
        model: Model,
        weights: Arrays,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Mapping[str, Any] | None = None,
        precision: str = "fp32",
        options: StepOptions = PLAIN,
        processes: Processes = ALONE,
        seed: int = 0,
    ) -> RunTrainer:
        """Steps by autograd only where the options or the number of processes ask for them. seed: of what is dropped.

        Raises ValueError for weights, slots or data that do not fit the model, and for options that do not.
        """
        module = build.loaded(model, weights, self.device)
        rows = inputs_of(module, inputs)
        limits = optional_lengths(lengths)
        data = rows, targets_of(module, targets, rows, limits), limits
        given = (module, optimizer, *data, slots, precision)
        drops = (seed, processes.rank) if model.network.masks(model.network_inputs) else None
        if options == PLAIN and processes.world == 1:
            return RunTrainer(Trainer(*given), drops)
        return RunTrainer(EagerTrainer(*given, options=options, processes=processes), drops)


class RunTrainer(NumpyTrainer):
    """With what only a run asks of a trainer.

    What is dropped at a step hangs on the seed, the process and the number of the step alone, so that a run that is
    resumed drops what it would have dropped, and a checkpoint holds no random state.
    """

    def __init__(self, trainer: Trainer[Any], drops: tuple[int, int] | None = None) -> None:
        """drops: the seed and the process's rank, where the network has dropout."""
        super().__init__(trainer)
        self._drops = drops

    def run(self, batches: np.ndarray) -> np.ndarray:
        if self._drops is None:
            return super().run(batches)
        losses = []
        for rows in batches:
            with self._drawing():
                losses.append(super().run(rows[None]))
        return np.concatenate(losses)

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        """In it torch's generators are at the beginning of this step's own numbers; then they are where they were."""
        if self._drops is None:
            yield
            return
        step = int(self.inner.optimizer.param_groups[0]["steps"])
        device = self.inner.inputs.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence([*self._drops, step]).generate_state(1, np.uint64)[0]))
            yield

    def set_learning_rate(self, rate: float) -> None:
        """From the next step on."""
        self.inner.optimizer.param_groups[0]["lr"] = rate

    def set_steps(self, steps: int) -> None:
        """See `saved.set_steps`."""
        set_steps(self.inner, steps)

    def finite(self) -> bool:
        """Whether every weight is."""
        return all(bool(p.detach().isfinite().all()) for p in self.inner.model.parameters())

    def gradient_norm(self, rows: np.ndarray) -> float:
        """The 2-norm of the loss's gradient by all weights, of one batch of rows, with the weights of now."""
        trainer = self.inner
        here = torch.from_numpy(rows).to(trainer.inputs.device)
        lengths = None if trainer.lengths is None else trainer.lengths[torch.from_numpy(rows)]
        trainer.optimizer.zero_grad()
        with self._drawing(), trainer.cast():
            loss = trainer.batch_loss(trainer.inputs[here], trainer.targets[here], lengths)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in trainer.model.parameters() if p.grad is not None])
        trainer.optimizer.zero_grad()
        return float(norm)


class Snapshot:
    """A trainer's weights and optimizer state at one moment, to return to."""

    def __init__(self, trainer: Trainer) -> None:
        optimizer = trainer.optimizer
        self._weights = [p.detach().clone() for p in trainer.model.parameters()]
        self._group = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        self._moments = [
            {name: value.clone() for name, value in optimizer.state.get(p, {}).items()}
            for p in trainer.model.parameters()
        ]

    @torch.no_grad()
    def restore(self, trainer: Trainer) -> None:
        """Put the trainer back; its tensors stay the same objects."""
        optimizer = trainer.optimizer
        optimizer.param_groups[0].update(self._group)
        for p, weight, moments in zip(trainer.model.parameters(), self._weights, self._moments, strict=True):
            p.copy_(weight)
            for name, tensor in optimizer.state.get(p, {}).items():
                tensor.copy_(moments[name] if moments else torch.zeros_like(tensor))
