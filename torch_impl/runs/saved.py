"""What a run's checkpoint holds of a model and its trainer: how it gets in, and how it is read.

See `torch_impl.runs` for the form. Nothing here knows the command line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import exists, read_whole
from torch_impl.checkpoints.run_files import Checkpoint
from torch_impl.conversion import table_of
from torch_impl.model_parts import Headed, Reading
from torch_impl.models import Classifier, Regressor, Speller, Tagger
from torch_impl.training.trainer import Trainer
from unrolled.models import END, START, Dense, Model, to_plain
from unrolled.networks import below
from unrolled.reading import parse_json

__all__ = ["CONFIG", "counted_steps", "described", "kept_steps", "load_buffers", "optimizer_state", "parameters_of",
           "planned_step", "read_config", "set_steps", "slots_of", "weights_of"]  # fmt: skip

CONFIG = "config.json"
_MOST_CONFIG_BYTES = 1 << 24
_MOST_STEPS = 1 << 53  # what a float64 counts
OWN = "module"  # the kind of a model that is a module of the user's own
_HEADED: dict[type, str] = {Classifier: "classifier", Regressor: "regressor", Tagger: "tagger"}


def parameters_of(trainer: Trainer[Any]) -> dict[str, np.ndarray]:
    """The tensors: weights, slots, and the model's buffers that belong to its state."""
    tensors = {f"weights/{name}": array for name, array in trainer.weights().items()}
    tensors.update({f"slots/{name}": array for name, array in trainer.slots().items()})
    tensors.update({f"buffers/{name}": buffer.cpu().numpy() for name, buffer in _buffers(trainer.model).items()})
    return tensors


def optimizer_state(trainer: Trainer[Any]) -> dict[str, Any]:
    """What the state tells of the optimizer: "optimizer", its settings of now; "clip_norm" and "class_weights", as
    `Trainer` takes them; "step" and "adam_steps", which Adam has counted and its powers, which are rounded, do not
    tell."""
    (group,) = trainer.optimizer.param_groups
    (beta1, beta2), steps = group["betas"], int(group["steps"])
    settings = {"learning_rate": group["lr"], "beta1": beta1, "beta2": beta2, "epsilon": group["eps"]}
    chosen = {"clip_norm": trainer.clip_norm, "class_weights": trainer.class_weights}
    return {"optimizer": settings, **chosen, "step": steps, "adam_steps": steps}


def kept_steps(state: Mapping[str, Any]) -> int | None:
    """The steps that Adam had counted; None where the state does not tell."""
    run = state.get("run")
    known = state.get("adam_steps", run.get("adam_steps") if isinstance(run, dict) else None)
    return known if type(known) is int and 0 <= known <= _MOST_STEPS else None


def counted_steps(state: Mapping[str, Any]) -> int:
    """The same, or where the state does not tell, the steps that were taken, as far as these are known. It only rounds:
    the powers say how far Adam is."""
    known = kept_steps(state)
    return (kept_steps({"adam_steps": state.get("step")}) or 0) if known is None else known


def set_steps(trainer: Trainer[Any], steps: int) -> None:
    """Set Adam's count."""
    trainer.optimizer.param_groups[0]["steps"] = steps
    for moments in trainer.optimizer.state.values():
        moments["step"].fill_(float(steps))


def planned_step(state: Mapping[str, Any]) -> Any:
    """How far the plan of a run that `train` began is done: without the steps taken beside it, from Python.

    A checkpoint that does not tell the two apart is older than that; there "step" is it.
    """
    run = state.get("run")
    return run.get("step", state.get("step")) if isinstance(run, dict) else state.get("step")


def described(model: nn.Module) -> dict[str, Any]:
    """The state's "model": the fields of `unrolled.models.Model` for one that these say all of; for any other, a module
    of the user's own, which cannot be made from them, its class."""
    value, table = None, sorted(name for entry in table_of(model) for name in entry.parameters)
    if all(map(_ours, model.modules())) and table == sorted(name for name, _ in model.named_parameters()):
        with contextlib.suppress(ValueError):  # such as a wrapped projection of two directions, which no value says
            value = _value(model)
    if value is None:
        return {"kind": OWN, "class": f"{type(model).__module__}.{type(model).__qualname__}"}
    return to_plain(value)


def _ours(part: nn.Module) -> bool:
    return type(part) is nn.ModuleList or type(part).__module__.startswith("torch_impl.")


def _value(model: nn.Module) -> Model | None:
    """The value of one of this library's models; None for others, ValueError for what no value says."""
    if type(model) is Speller:
        if not _usual(model):
            return None
        size, most, width = model.decoder.vocabulary, model.max_steps, _embedding(model)
        return Model("speller", model.encoder.network, model.inputs, size, max_steps=most, embedding=width)
    if type(model) not in _HEADED:
        return None
    assert isinstance(model, Headed)
    hidden = tuple(Dense(layer.out_features, layer.activation) for layer in model.hidden)
    return Model(
        _HEADED[type(model)],
        model.rnn.network,
        model.inputs,
        model.dense.out_features,
        model.projection if isinstance(model, Regressor) else "stacked",
        embedding=_embedding(model),
        hidden=hidden,
        activation=getattr(model.dense, "activation", "linear"),
    )


def _embedding(model: Reading) -> int:
    """Its width; 0 for none."""
    return 0 if model.embedding is None else model.embedding.embedding_dim


def weights_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The canonical weights."""
    return below("weights/", checkpoint.tensors)


def slots_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The optimizer's state under TensorFlow 1's names; empty where it has none yet."""
    return below("slots/", checkpoint.tensors)


@torch.no_grad()
def load_buffers(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Set the model's buffers; raises ValueError that names the one that does not fit."""
    own, given = _buffers(model), below("buffers/", checkpoint.tensors)
    if set(own) != set(given):
        wanted, found = (", ".join(sorted(names)) or "none" for names in (own, given))
        raise ValueError(f"buffers must be exactly {wanted}, got {found}")
    for name, buffer in own.items():
        saved = torch.tensor(given[name])
        if saved.shape != buffer.shape or saved.dtype != buffer.dtype:
            shapes = (f"{str(each.dtype)[6:]} {list(each.shape)}" for each in (buffer, saved))
            raise ValueError("buffer {!r} must be {}, got {}".format(name, *shapes))
    for name, buffer in own.items():
        buffer.copy_(torch.tensor(given[name]))


def read_config(folder: Path) -> dict[str, Any]:
    """config.json in the folder, {} where there is none; CheckpointError for a damaged one."""
    path = folder / CONFIG
    if not exists(path):
        return {}
    try:
        config = parse_json(read_whole(path, _MOST_CONFIG_BYTES))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: truncated or altered: it is not a JSON object; use a copy of it, or remove it")
    return config


def _buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    """Those that a state_dict has."""
    state = model.state_dict()
    return {name: buffer for name, buffer in model.named_buffers() if name in state}


def _usual(model: Speller) -> bool:
    """Whether both networks are of one value, and the tokens are as `unrolled.models` has them."""
    decoder = model.decoder
    tokens = (decoder.start, decoder.end, decoder.embedding)
    return tokens == (START, END, None) and decoder.rnn.network == model.encoder.network
