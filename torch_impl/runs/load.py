"""A run opened, to predict with and to train on; and begun from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torch_impl import build, devices
from torch_impl.arrays import in_chunks
from torch_impl.checkpoints.default import LAST, default_checkpoint
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import held
from torch_impl.checkpoints.run_files import Checkpoint, checkpoint_names, load_checkpoint, save_checkpoint
from torch_impl.checks import check_finite
from torch_impl.conversion import load_canonical
from torch_impl.export.scaled import Scaling
from torch_impl.model_parts import Reading
from torch_impl.models import Classifier, Regressor
from torch_impl.runs.saved import (
    OWN,
    counted_steps,
    described,
    load_buffers,
    optimizer_state,
    parameters_of,
    planned_step,
    read_config,
    set_steps,
    slots_of,
    weights_of,
)
from torch_impl.runs.scaling import scaling_of
from torch_impl.training.protocol import evaluating
from torch_impl.training.trainer import Trainer
from unrolled.models import from_plain
from unrolled.programs import adam_from_plain

__all__ = ["Run", "load_run", "save_run"]

_MOST_STEPS = 1 << 20  # at a time, of all rows together: each takes memory for what its model computes there


@dataclass(frozen=True)
class Run:
    """A trained model and where it came from.

    folder, checkpoint: from where it was loaded. model: a Classifier, Regressor, Tagger or Speller, or the user's own
    module, with the trained weights, in evaluation mode. program: the name of what was trained, None where the
    checkpoint does not tell. step: optimizer steps taken, None if unknown. data: what the program says of its data,
    plain values. state, tensors: all of the checkpoint's, but for the weights. config: config.json's contents, empty
    where there is none. scaling: what was applied to the data before training, None where nothing was.

    The methods take the values of the user's own data, and scale them as the training did; a regressor that continues
    its own inputs predicts in their units again (float64 then, else the dtype of the weights).
    """

    folder: Path
    checkpoint: str
    model: Any
    program: str | None
    step: int | None
    data: dict[str, Any]
    state: dict[str, Any]
    config: dict[str, Any]
    scaling: Scaling | None = None
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def trainer(self, inputs: Any, targets: Any, lengths: Any = None) -> Trainer[Any]:
        """A Trainer that goes on with `model`, in place, from the checkpoint that was opened: Adam's settings, moments,
        powers and count are those, and so are the norm that gradients are clipped to and the weights of the classes, so
        that its next step on a batch is the one that would have come next, but for dropout, which draws from torch's
        generator here.

        inputs [rows, steps, inputs]; targets: labels [rows], numbers or the names of the run's classes, values [rows,
        steps, outputs] or tokens [rows, any]; lengths [rows] or None; arrays or tensors, values in one's own units.
        Raises CheckpointError where the checkpoint does not tell Adam's settings, TypeError or ValueError that names
        the argument, also for a value that is not finite within its row's length.
        """
        weight, wanted = next(self.model.parameters()), torch.as_tensor(self._numbered(targets))
        if isinstance(self.model, Regressor):
            if self.scaling is not None:
                wanted = self.scaling.wanted(wanted.to("cpu", torch.float64), torch.as_tensor(inputs).to("cpu"))
            wanted = wanted.to(weight.dtype)
        wanted = wanted.to(weight.device, weight.dtype if wanted.is_floating_point() else wanted.dtype)
        check_finite(torch.as_tensor(inputs), lengths)
        rows, slots = self._taken(torch.as_tensor(inputs)), slots_of(Checkpoint(dict(self.tensors), self.state))
        try:
            adam = adam_from_plain(self.state.get("optimizer"))
        except ValueError:
            reason = "its checkpoint does not tell Adam's settings; make a Trainer with your own"
            raise CheckpointError(f"{self.folder}: {reason}") from None
        trainer = Trainer(
            self.model.train(),
            adam,
            rows,
            wanted,
            lengths,
            slots or None,
            clip_norm=self._clip_norm,
            class_weights=self.state.get("class_weights"),
        )
        set_steps(trainer, counted_steps(self.state))
        return trainer

    def save(self, trainer: Trainer[Any], checkpoint: str = LAST) -> Path:
        """Save what `trainer`, of this run's model, has reached: the weights and Adam's state. As often as wanted.

        checkpoint: its name; "last", by default, is replaced, and what the run is used by from then on: `load_run`,
        `train --resume` and `convert --to-tf1` go on from it. A "best" there stays, by its name, and no round is the
        run's best until `train --resume` finds one. `step` grows by the steps taken. They come beside the plan of a run
        that `train` began, which is as in the checkpoint that was opened: its place in the batch stream, its rounds,
        and whether it is finished. So `train --resume` goes on with the batch that would have come next there, from the
        new weights; in a finished run it has nothing to do but what it is asked for beyond.

        Returns the path of the checkpoint's JSON file. Raises ValueError for a trainer of another model,
        CheckpointError where the folder cannot be written to, or a training is in it.
        """
        if trainer.model is not self.model:
            raise ValueError("trainer must train this run's own model, as Run.trainer makes it; else use save_run")
        state = {**self.state, **optimizer_state(trainer)}
        state["step"] = None if self.step is None else self.step + state["adam_steps"] - counted_steps(self.state)
        if isinstance(self.state.get("run"), dict):
            state["run"] = {**self.state["run"], "step": planned_step(self.state), "best": None, "overall": None}
        tensors = {name: array for name, array in self.tensors.items() if name.startswith(("losses/", "tf1/", "data/"))}
        tensors.update(parameters_of(trainer))
        with held(self.folder):
            return save_checkpoint(self.folder, tensors, state, checkpoint)

    def logits(self, inputs: Any, lengths: Any = None, rows: int = 5000) -> np.ndarray:
        """What the model's `forward` gives: a classifier's logits [batch, classes], a regressor's predictions [batch,
        steps, outputs], a speller's logits [batch, max_steps, vocabulary].

        inputs: array or tensor [batch, steps, inputs] of any real dtype, or tokens [batch, steps]; lengths: integers
        [batch] or None. `rows` are computed at a time, fewer where they are long. Raises TypeError or ValueError that
        names the argument.
        """
        return self._rescaled(self._rows(self.model, inputs, lengths, rows), inputs)

    def predict(self, inputs: Any, lengths: Any = None, rows: int = 5000, names: bool = False) -> np.ndarray:
        """A classifier's classes, int64 [batch]; a tagger's [batch, steps]; a regressor's predictions; a speller's
        tokens, int64 [batch, max_steps]; a module's own `predict` or `forward`. Arguments as for `logits`.

        names: of a classifier whose data name its classes, these instead, text [batch]; ValueError where they do not.
        """
        known = np.array(self._classes()) if names else None
        found = self._rescaled(self._rows(getattr(self.model, "predict", self.model), inputs, lengths, rows), inputs)
        return found if known is None else known[found]

    def probabilities(self, inputs: Any, lengths: Any = None, rows: int = 5000) -> np.ndarray:
        """A classifier's probabilities [batch, classes], softmax of the logits. Raises TypeError for other models."""
        if not isinstance(self.model, Classifier):
            raise TypeError(f"only a classifier has probabilities, this run holds a {type(self.model).__name__}")
        return self._rows(lambda *given: self.model(*given).softmax(1), inputs, lengths, rows)

    @torch.no_grad()
    def _rows(self, function: Any, inputs: Any, lengths: Any, rows: int) -> np.ndarray:
        values = torch.as_tensor(inputs)
        if self._tokens:
            values = self.model.check_inputs(values)
        elif values.ndim != 3 or values.is_complex() or len(values) == 0:
            raise ValueError(
                f"inputs must be real numbers [batch, steps, inputs], batch at least 1, got {list(values.shape)}"
            )
        else:
            check_finite(values, lengths)
        rows = max(1, min(rows, _MOST_STEPS // max(1, values.shape[1])))
        with evaluating(self.model):
            found = in_chunks(lambda part, limits: function(self._taken(part), limits), values, lengths, rows)
        return found.cpu().numpy()

    def _taken(self, values: Tensor) -> Tensor:
        """Inputs in the user's own units as the model takes them. The model names a wrong width."""
        weight = next(self.model.parameters())
        if self._tokens:
            return values.to(weight.device)
        if self.scaling is not None and values.shape[-1] == len(self.scaling.shift):
            values = self.scaling.read(values.to("cpu", torch.float64))
        return values.to(weight.device, weight.dtype)

    @property
    def _tokens(self) -> bool:
        """Whether the inputs are tokens, integers [batch, steps]."""
        return isinstance(self.model, Reading) and self.model.embedding is not None

    def _rescaled(self, predictions: np.ndarray, inputs: Any) -> np.ndarray:
        if self.scaling is None or self.scaling.target_scale is None or not isinstance(self.model, Regressor):
            return predictions
        made = torch.from_numpy(predictions).to(torch.float64)
        return self.scaling.undo(made, torch.as_tensor(inputs).to("cpu", torch.float64)).numpy()

    def _classes(self) -> list[str]:
        found = self.data.get("classes")
        if not (
            isinstance(found, list) and len(found) == getattr(getattr(self.model, "dense", None), "out_features", 0)
        ):
            raise ValueError("names: the run's data do not name its classes; predict numbers")
        return [str(name) for name in found]

    def _numbered(self, targets: Any) -> Any:
        """Names of classes as their numbers; anything else as it is."""
        if isinstance(targets, Tensor) or np.asarray(targets).dtype.kind != "U":
            return targets
        places = {name: place for place, name in enumerate(self._classes())}
        for row, name in enumerate(np.asarray(targets).ravel()):
            if str(name) not in places:
                raise ValueError(f"targets[{row}] = {str(name)!r:.80} must be one of the classes {', '.join(places)}")
        return np.vectorize(lambda name: places[str(name)], otypes=[np.int64])(targets)

    @property
    def _clip_norm(self) -> float | None:
        found = self.state.get("clip_norm")
        if found is not None and (type(found) not in (int, float) or not 0 < found < 1e300):
            raise CheckpointError(
                f"{self.folder}: its checkpoint has clip_norm {found!r:.60}, expected a number above 0; make a Trainer "
                "with your own"
            )
        return found


def load_run(
    path: str | os.PathLike[str],
    checkpoint: str | None = None,
    device: str | None = None,
    model: nn.Module | None = None,
) -> Run:
    """Open the run in the folder `path`, such as `train`, `convert` and `save_run` make.

    checkpoint: its name, such as "last" for the newest; by default "best" where that is the best round that "last"
    names, else "last". device: "cpu", "cuda", "mps"; by default the CPU, or where `model` is.
    model: what the weights are put into; needed for a module of the user's own, made as it was when it was saved.
    Every byte of the checkpoint is verified; no setting of PyTorch changes. Raises CheckpointError, one sentence, when
    it is missing, truncated, altered or of another kind, and ValueError for a device that is not there.
    """
    folder = Path(path)
    place = None if device is None else devices.usable(device)
    if checkpoint is None:
        checkpoint = default_checkpoint(folder)
    found = load_checkpoint(folder, checkpoint)
    config = read_config(folder)
    try:
        return _opened(folder, checkpoint, found, _model(found, model, place).eval(), config)
    except ValueError as error:
        reason = f"does not fit {'its own' if model is None else 'the given'} model ({error}); use another checkpoint"
    except CheckpointError as error:
        reason = str(error)
    raise CheckpointError(f"{folder}, checkpoint {checkpoint!r}: {reason}")


def save_run(
    path: str | os.PathLike[str],
    trainer: Trainer[Any],
    program: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Run:
    """Begin a run in the folder `path`, which is made if need be, with what `trainer` has reached; its `save` goes on.

    The model is one of torch_impl.models, or any nn.Module that keeps `torch_impl.training.protocol`: to open a run of
    the latter, `load_run` is given such a module. Kept are weights, buffers and Adam's state; not the random state, for
    a module that draws numbers. program: what to call what was trained. data: plain values; "scaling", with "shift" and
    "scale" by input, was applied to the inputs, and the run applies it to what it is given; "classes" are the names of
    a classifier's, by default those of the trainer's text labels. Raises CheckpointError
    where the folder cannot be written to or holds a run, TypeError or ValueError for data that JSON cannot hold.
    """
    folder = Path(path)
    state = {"model": described(trainer.model), **optimizer_state(trainer), "data": dict(data or {})}
    if trainer.classes is not None:
        state["data"] = {"classes": trainer.classes, **state["data"]}
    if program is not None:
        state["program"] = program
    if checkpoint_names(folder):
        raise CheckpointError(f"{folder}: holds a run; name another folder, or open it with load_run and use its save")
    found = Checkpoint(parameters_of(trainer), state)
    run = _opened(folder, LAST, found, trainer.model, {})
    save_checkpoint(folder, found.tensors, state)
    return run


def _model(found: Checkpoint, given: nn.Module | None, device: torch.device | None) -> nn.Module:
    """The model with the checkpoint's weights; ValueError where they do not fit, CheckpointError where it needs one."""
    weights, description = weights_of(found), found.state.get("model")
    if given is not None:
        load_canonical(given, weights)
        load_buffers(given, found)
        return given if device is None else given.to(device)
    if isinstance(description, dict) and description.get("kind") == OWN:
        own = description.get("class")
        raise CheckpointError(f"holds a module of your own, {own!r:.100}; make one and give it as load_run's model")
    return build.loaded(from_plain(description), weights, device or "cpu")


def _opened(folder: Path, name: str, found: Checkpoint, model: nn.Module, config: dict[str, Any]) -> Run:
    program, step, data = (found.state.get(key) for key in ("program", "step", "data"))
    data = data if isinstance(data, dict) else {}
    return Run(
        folder,
        name,
        model,
        program if isinstance(program, str) else None,
        step if type(step) is int else None,
        data,
        found.state,
        config,
        scaling_of(data, model),
        {name: array for name, array in found.tensors.items() if not name.startswith("weights/")},
    )
