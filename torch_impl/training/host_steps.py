"""Whole training steps on the CPU: their memory, and the calls of compiled code that run them.

The numbers are those of the other paths to rounding, and the optimizer's state stays where `Adam` keeps it, so that a
run may change between the two. It imports Numba, so nothing imports it before it is used: see `whole_steps`.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_impl.models import Classifier
from torch_impl.training import compiled_steps
from torch_impl.unrolling import compiled_loops, tables
from torch_impl.unrolling.arrangement import Arrangement
from torch_impl.unrolling.jit import PADDING
from torch_impl.unrolling.kinds import kind_of
from torch_impl.unrolling.memory import DTYPES, Tables, layout_of, padded
from torch_impl.unrolling.threads import at_once, give_way, parts_of, shares

__all__ = ["ROWS", "UNITS", "HostSteps"]

# What one call runs, between two looks at the keyboard: so many steps, or of long ones about so many multiply-adds.
STEPS_PER_CALL, WORK_PER_CALL = 64, 5e9

# The kernels of a step: what belongs to the rows of the batch, and what to the units.
ROWS = (compiled_loops.forward, compiled_steps.head, compiled_loops.backward)
UNITS = (compiled_loops.weight_gradients, compiled_steps.update, tables.pack, compiled_steps.pack_dense)


class HostSteps:
    """The memory of the steps of one model with one size of batch, and the calls that run them."""

    def __init__(
        self, model: Any, optimizer: Any, inputs: Tensor, targets: Tensor, lengths: Tensor | None, batch: int
    ) -> None:
        cell, dense = model.rnn.cell, model.dense
        found = kind_of(cell)
        assert found is not None
        kind, shifts = found
        self.optimizer, self.lengths, self.batch = optimizer, lengths, batch
        self.parameters = (*(getattr(cell, part.name) for part in kind.parts), dense.weight, dense.bias)
        self.classifier, self.steps, self.units = isinstance(model, Classifier), inputs.shape[1], cell.network.units
        self.dtype = inputs.dtype
        layout = self.layout = layout_of(kind, self.units, cell.inputs, DTYPES[inputs.dtype])
        given = self.tables = Tables(layout, batch, self.steps, self.steps, Arrangement(batch, self.steps).offsets)
        given.set_ints(
            {
                tables.LABELS: targets.contiguous() if self.classifier else None,
                tables.ROW_LOSSES: torch.empty(batch, dtype=torch.float64),
            }
        )
        given.set({tables.INPUTS: inputs.detach().contiguous(), tables.ADDED: layout.added(shifts)})
        given.set({tables.TARGETS: None if self.classifier else targets.detach().contiguous()})
        given.set(self._buffers(dense.out_features))
        sizes = given.sizes
        sizes[tables.OUTPUTS], sizes[tables.EVERY] = dense.out_features, int(not self.classifier)
        sizes[tables.STATE_ROW] = layout.width
        sizes[tables.STEP], sizes[tables.STEP_BACK] = layout.address(False), layout.address(True)
        self.pieces = array("q", [layout.piece(function).address for function in (*ROWS, *UNITS)])
        given.ints[tables.PIECES] = self.pieces.buffer_info()[0]
        self.train = layout.piece(compiled_steps.train)
        self._work = batch * self.steps * float(layout.gates_row) * (layout.width + padded(1 + layout.inputs))

    def _buffers(self, outputs: int) -> dict[int, Tensor | None]:
        """See `torch_impl.unrolling.tables` and `torch_impl.training.compiled_steps`."""
        layout, batch = self.layout, self.batch
        rows, width, columns = self.steps * batch, layout.width, padded(outputs)

        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=self.dtype)

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=self.dtype)

        return {
            tables.HISTORY: empty(rows + batch, layout.row),
            tables.GATES: empty(rows, layout.gates_row),
            tables.PACKED: zeros(layout.packed_size),
            tables.BACK: zeros(layout.back_size),
            tables.SUMS: zeros(layout.sums_size),
            tables.BELOW: empty(batch, width),
            tables.CARRY: empty(batch, width),
            tables.MIDDLE: empty(batch, width) if layout.kind.stages == 2 else None,
            tables.BY_STATE: empty(batch, width) if self.classifier else None,
            tables.DENSE_PACKED: zeros(self.units + 1, columns),
            tables.DENSE_BACK: zeros(outputs, width),
            tables.DENSE: empty(batch * (1 if self.classifier else self.steps), columns),
            tables.DENSE_SUMS: empty(outputs, width + PADDING),
            tables.LAST: zeros(batch, width + PADDING),
        }

    def run(self, batches: Tensor) -> np.ndarray:
        """One step per row of batches, int64 row numbers [iterations, batch] -> losses [iterations], each before its
        step."""
        (group,) = self.optimizer.param_groups
        settings, rates, powers = _adam(group, len(batches), torch.empty(0, dtype=self.dtype).numpy().dtype)
        losses = np.empty(len(batches), rates.dtype)
        held: dict[int, Tensor | None] = {
            tables.SETTINGS: torch.from_numpy(settings),
            tables.RATES: torch.from_numpy(rates),
            tables.LOSSES: torch.from_numpy(losses),
        }
        for number, (p, m, v) in enumerate(zip(self.parameters, *self._moments(), strict=True)):
            held.update({tables.PARAMETERS + 3 * number + i: t.detach() for i, t in enumerate((p, m, v))})
        self.tables.set(held)
        for function in (tables.pack, compiled_steps.pack_dense):
            self.tables.call(self.layout.piece(function), 0, self.units)
        done = 0
        try:
            while done < len(batches):
                done = self._some(batches, done)
        finally:
            self._finish(group, powers[done], done)
        return losses

    def _some(self, batches: Tensor, done: int) -> int:
        """Run some steps, on several threads where that is worth it; how many are done then."""
        work = self._work
        last = min(len(batches), done + max(1, min(STEPS_PER_CALL, int(WORK_PER_CALL / work))))
        lengths = self._place(batches[done:last], done)
        parts = min(parts_of(self.batch, work), self.units)
        weights = [None] * (last - done) if lengths is None else lengths.tolist()
        rows = np.array([shares(self.batch, parts, weigh) for weigh in weights])
        units, met, given = shares(self.units, parts), array("q", [0]), self.tables
        own = []  # of each thread: its tables, of which it writes the turn, and its rows
        for i in range(parts):
            sizes, ints, mine = array("q", given.sizes), array("q", given.ints), rows[:, i : i + 2].copy()
            sizes[tables.THREADS], sizes[tables.GIVE_WAY] = parts, give_way()
            sizes[tables.FIRST_UNIT], sizes[tables.LAST_UNIT] = units[i : i + 2]
            ints[tables.SIZES], ints[tables.MET] = sizes.buffer_info()[0], met.buffer_info()[0]
            ints[tables.SHARES] = mine.ctypes.data
            own.append((ints, sizes, mine))
        floats = given.floats.buffer_info()[0]
        at_once(parts, lambda i: self.train.call(own[i][0].buffer_info()[0], floats, done, last))
        return last

    def _place(self, batches: Tensor, done: int) -> Tensor | None:
        """Hand the rows of the batches from `done` on to the tables, longest first; their lengths."""
        ints, lengths, size = self.tables.ints, None, self.batch
        rows = batches.contiguous()
        if self.lengths is not None:
            lengths, order = self.lengths[rows].sort(dim=1, descending=True, stable=True)
            rows = rows.gather(1, order)
            counts = (lengths[:, None, :] > torch.arange(self.steps)[:, None]).sum(2)
            offsets = torch.cat([counts.new_zeros(len(counts), 1), counts.new_full((len(counts), 1), size), counts], 1)
            self._offsets = offsets.cumsum(1)
            self.tables.sizes[tables.OFFSETS_ROW] = self.steps + 2
            ints[tables.OFFSETS] = self._offsets.data_ptr() - 8 * done * (self.steps + 2)
            ints[tables.LENGTHS] = lengths.data_ptr() - 8 * done * size
        ints[tables.ROWS] = rows.data_ptr() - 8 * done * size
        self._rows = rows, lengths
        return lengths

    def _moments(self) -> tuple[list[Tensor], list[Tensor]]:
        """The optimizer's own first and second moments, created where it has none yet."""
        for p in self.parameters:
            self.optimizer.ensure_moments(p)
        state = self.optimizer.state
        first, second = ([state[p][name] for p in self.parameters] for name in ("exp_avg", "exp_avg_sq"))
        return first, second

    def _finish(self, group: dict[str, Any], powers: tuple[np.float32, np.float32], done: int) -> None:
        """Leave model and optimizer as `Adam` would after that many steps."""
        group["steps"] += done
        group["beta1_power"], group["beta2_power"] = float(powers[0]), float(powers[1])
        for p in self.parameters:
            self.optimizer.state[p]["step"] += done
            torch.autograd.graph.increment_version(p)
            p.grad = None


def _adam(group: dict[str, Any], count: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """SETTINGS; lr_t of the next steps, and the powers of the betas before each and after the last, which TF1
    accumulates in float32."""
    beta1, beta2 = map(np.float32, group["betas"])
    settings = np.array([beta1, beta2, np.float32(group["eps"]), 1], dtype)
    lr, one = dtype.type(np.float32(group["lr"])), dtype.type(1)
    power1, power2 = np.float32(group["beta1_power"]), np.float32(group["beta2_power"])
    rates, powers = np.empty(count, dtype), [(power1, power2)]
    for i in range(count):
        rates[i] = lr * np.sqrt(one - one * power2) / (one - one * power1)
        power1, power2 = power1 * beta1, power2 * beta2
        powers.append((power1, power2))
    return settings, rates, powers
