"""A run opened to be used: its model with the trained weights, and predictions for NumPy arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torch_impl.adapter import _model, backend
from torch_impl.arrays import dtype_of
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import exists, read_whole
from torch_impl.checkpoints.run_files import Checkpoint, load_checkpoint
from torch_impl.conversion import from_canonical
from torch_impl.export.scaled import Scaling
from torch_impl.models import AnyModel, Classifier, Regressor
from torch_impl.runs.scaling import scaling_of
from torch_impl.training.adam import Settings
from torch_impl.training.trainer import Trainer

__all__ = ["CONFIG", "Run", "load_run", "read_config"]

CONFIG = "config.json"
_MOST_CONFIG_BYTES = 1 << 24
_MOST_SIZE = 1 << 20  # units, inputs, outputs: far beyond what fits into memory as a kernel


class Cell(NamedTuple):
    """As unrolled.programs.Cell."""

    kind: str
    units: int
    activation: str


class Model(NamedTuple):
    """As unrolled.programs.Model."""

    kind: str
    cell: Cell
    inputs: int
    outputs: int
    projection: str
    max_steps: int


@dataclass(frozen=True)
class Run:
    """A trained model and where it came from.

    folder, checkpoint: from where it was loaded. model: a Classifier, Regressor or Speller with the trained weights, in
    evaluation mode. program: the name of what was trained, None where the checkpoint does not tell. step: optimizer
    steps taken, None if unknown. data: what the program says of its data, plain values. state: all of the checkpoint's.
    config: config.json's contents, empty where there is none. scaling: what was applied to the data before training,
    None where nothing was. slots: the optimizer's state under TensorFlow 1's names, empty where there is none.

    The methods take the values of the user's own data, and scale them as the training did; a regressor that continues
    its own inputs predicts in their units again (float64 then, else the dtype of the weights).
    """

    folder: Path
    checkpoint: str
    model: AnyModel
    program: str | None
    step: int | None
    data: dict[str, Any]
    state: dict[str, Any]
    config: dict[str, Any]
    scaling: Scaling | None = None
    slots: Mapping[str, np.ndarray] = field(default_factory=dict)

    def trainer(self, inputs: Any, targets: Any, lengths: Any = None) -> Trainer:
        """A Trainer that goes on with `model`, in place, where the run stopped: Adam's settings, moments and powers are
        the run's, so that its next step on a batch is the one that would have come next.

        inputs [rows, steps, inputs]; targets: labels [rows], values [rows, steps, outputs] or tokens [rows, any];
        lengths [rows] or None; arrays or tensors, values in the user's own units. Raises CheckpointError where the
        checkpoint does not tell Adam's settings, TypeError or ValueError that names the argument.
        """
        weight, wanted = self.model.input_cell.weight_ih, torch.as_tensor(targets)
        if isinstance(self.model, Regressor):
            if self.scaling is not None and self.scaling.target_scale is not None:
                wanted = (wanted.to("cpu", torch.float64) - self.scaling.target_shift) / self.scaling.target_scale
            wanted = wanted.to(weight.dtype)
        x = self._scaled(torch.as_tensor(inputs)).to(weight.device, weight.dtype)
        settings = _adam_of(self.state, self.folder)
        return Trainer(self.model.train(), settings, x, wanted.to(weight.device), lengths, self.slots or None)

    def logits(self, inputs: Any, lengths: Any = None, rows: int = 5000) -> np.ndarray:
        """What the model's `forward` gives: a classifier's logits [batch, classes], a regressor's predictions [batch,
        steps, outputs], a speller's logits [batch, max_steps, vocabulary].

        inputs: array or tensor [batch, steps, inputs] of any real dtype, lengths: integers [batch] or None. `rows` are
        computed at a time. Raises TypeError or ValueError that names the argument.
        """
        return self._rescaled(self._rows(self.model, inputs, lengths, rows))

    def predict(self, inputs: Any, lengths: Any = None, rows: int = 5000) -> np.ndarray:
        """A classifier's classes, int64 [batch]; a regressor's predictions [batch, steps, outputs]; a speller's tokens,
        int64 [batch, max_steps]. Arguments as for `logits`."""
        return self._rescaled(self._rows(self.model.predict, inputs, lengths, rows))

    def probabilities(self, inputs: Any, lengths: Any = None, rows: int = 5000) -> np.ndarray:
        """A classifier's probabilities [batch, classes], softmax of the logits. Raises TypeError for other models."""
        if not isinstance(self.model, Classifier):
            raise TypeError(f"only a classifier has probabilities, this run holds a {type(self.model).__name__}")
        return self._rows(lambda *given: self.model(*given).softmax(1), inputs, lengths, rows)

    @torch.no_grad()
    def _rows(self, function: Any, inputs: Any, lengths: Any, rows: int) -> np.ndarray:
        weight = self.model.input_cell.weight_ih
        values = torch.as_tensor(inputs)
        if values.ndim != 3 or values.is_complex() or len(values) == 0:
            raise ValueError(
                f"inputs must be real numbers [batch, steps, inputs], batch at least 1, got {list(values.shape)}"
            )
        limits = None if lengths is None else torch.as_tensor(lengths)
        parts: list[Tensor] = []
        for start in range(0, len(values), rows):
            part = slice(start, start + rows)
            chosen = None if limits is None else limits[part]
            parts.append(function(self._scaled(values[part]).to(weight.device, weight.dtype), chosen))
        return torch.cat(parts).cpu().numpy()

    def _scaled(self, values: Tensor) -> Tensor:
        if self.scaling is None or values.shape[2] != len(self.scaling.shift):  # the model names a wrong width
            return values
        shift, scale = (torch.from_numpy(part) for part in (self.scaling.shift, self.scaling.scale))
        return (values.to("cpu", torch.float64) - shift) / scale

    def _rescaled(self, predictions: np.ndarray) -> np.ndarray:
        if self.scaling is None or self.scaling.target_scale is None or not isinstance(self.model, Regressor):
            return predictions
        return predictions.astype(np.float64) * self.scaling.target_scale + self.scaling.target_shift


def _adam_of(state: Mapping[str, Any], folder: Path) -> Settings:
    found = state.get("optimizer")
    values: list[Any] = [found.get(name) for name in Settings._fields] if isinstance(found, dict) else [None]
    if not all(type(value) in (int, float) and 0 <= value < 1e300 for value in values):
        raise CheckpointError(f"{folder}: its checkpoint does not tell Adam's settings; make a Trainer with your own")
    return Settings(*map(float, values))


def load_run(path: str | os.PathLike[str], checkpoint: str = "last", device: str = "cpu") -> Run:
    """Open the run in the folder `path`, such as `convert` makes.

    checkpoint: its name, "last" for the newest. device: "cpu", "cuda", "mps". Every byte of the checkpoint is verified.
    Raises CheckpointError, one sentence, when it is missing, truncated, altered or of another kind, and ValueError for
    a device that is not there.
    """
    folder = Path(path)
    adapter = backend(device)
    found = load_checkpoint(folder, checkpoint)
    config = read_config(folder)
    where = f"{folder}, checkpoint {checkpoint!r}"
    program, step, data = (found.state.get(name) for name in ("program", "step", "data"))
    data = data if isinstance(data, dict) else {}
    try:
        described, weights = model_of(found.state), weights_of(found)
        check_weights(described, weights)
        model = adapter._loaded(described, weights)
        scaling = scaling_of(data, model)
    except ValueError as error:
        raise CheckpointError(f"{where}: does not fit its own model ({error}); use another checkpoint") from None
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from None
    return Run(
        folder,
        checkpoint,
        model.eval(),
        program if isinstance(program, str) else None,
        step if isinstance(step, int) else None,
        data,
        found.state,
        config,
        scaling,
        slots_of(found),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json in the folder, {} where there is none; CheckpointError for a damaged one."""
    path = folder / CONFIG
    if not exists(path):
        return {}
    try:
        config = json.loads(read_whole(path, _MOST_CONFIG_BYTES))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: truncated or altered: it is not a JSON object; use a copy of it, or remove it")
    return config


def weights_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The canonical weights."""
    return _part(checkpoint, "weights/")


def slots_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The optimizer's state under TensorFlow 1's names; empty where it has none yet."""
    return _part(checkpoint, "slots/")


def _part(checkpoint: Checkpoint, prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix) :]: array for name, array in checkpoint.tensors.items() if name.startswith(prefix)}


def check_weights(model: Model, weights: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError that names the weight unless the canonical weights are those of the model described.

    Nothing of the described size is allocated: a checkpoint may claim any.
    """
    first = "encoder/kernel" if model.kind == "speller" else "kernel"
    module = _model(model, dtype_of(weights, first), torch.device("meta"))
    from_canonical(module.table, weights, dict(module.named_parameters()))


def model_of(state: Mapping[str, Any]) -> Model:
    """The description of the model in a checkpoint's state; CheckpointError for one that is none."""
    model = state.get("model")
    cell = model.get("cell") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(cell, dict):
        raise CheckpointError('its state has no "model" with a "cell", so it is no checkpoint of a model')
    found = Model(
        _text(model, "kind", ("classifier", "regressor", "speller")),
        Cell(
            _text(cell, "kind", ("basic_rnn",)),
            _size(cell, "units"),
            _text(cell, "activation", ("tanh", "relu")),
        ),
        _size(model, "inputs"),
        _size(model, "outputs"),
        _text({"projection": "stacked", **model}, "projection", ("stacked", "wrapped")),
        _size(model, "max_steps") if model.get("kind") == "speller" else 0,
    )
    return found


def _text(values: Mapping[str, Any], name: str, expected: tuple[str, ...]) -> str:
    value = values.get(name)
    if value not in expected:
        raise CheckpointError(f"its model's {name} is {value!r:.60}, expected {' or '.join(expected)}")
    return str(value)


def _size(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_SIZE:
        raise CheckpointError(f"its model's {name} is {value!r:.60}, expected an integer from 1 to {_MOST_SIZE}")
    return value
