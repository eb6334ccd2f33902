"""A run becomes a TensorFlow 1 checkpoint that tf.train.Saver restores, byte for byte the one that it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torch_impl.checkpoints.default import default_checkpoint
from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import exists
from torch_impl.checkpoints.run_files import load_checkpoint
from torch_impl.tf1.bundle import index_path
from torch_impl.tf1.convert import CARRIED, GLOBAL_STEP
from torch_impl.tf1.module_file import is_module, read_module
from torch_impl.tf1.slots import POWERS
from torch_impl.tf1.sources import Source
from torch_impl.tf1.state_file import STATE_FILE, write_state_file
from torch_impl.tf1.writing import write_variables
from unrolled.models import Model, from_plain
from unrolled.networks import GRU, Bidirectional, Dropout, Layers, Network, Residual, below
from unrolled.networks import shapes as shapes_of
from unrolled.programs import Adam

__all__ = ["STYLES", "convert_to_tf1", "default_names"]

# Scope and names of the last dense layer.
STYLES = {
    "fully_connected": ("fully_connected", "weights", "biases"),
    "dense": ("dense", "kernel", "bias"),
    "wrapped": ("rnn/output_projection_wrapper", "kernel", "bias"),
}
_SLOTS = ("Adam", "Adam_1")
_SCOPES = {
    "basic_rnn": "basic_rnn_cell", "lstm": "lstm_cell", "gru": "gru_cell",
    "layer_norm_lstm": "layer_norm_basic_lstm_cell",
    "keras_lstm": "lstm", "keras_gru": "gru",
}  # fmt: skip


def convert_to_tf1(
    folder: str | os.PathLike[str],
    prefix: str | os.PathLike[str],
    names: Mapping[str, str] | None = None,
    dense: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Write the run's checkpoint `name` in `folder`, by default the one that `load_run` takes, or the weights of a
    module that `modules` wrote (FILE.py), as PREFIX.index and PREFIX.data-00000-of-00001.

    The file `checkpoint` beside them then points to it, as Saver would have it. names: canonical name -> the variable's
    name in the TensorFlow graph, for some or all; the slots follow their weight. The others keep the names that they
    came with, else they get those of the model's kind, with the dense layer of contrib (dense "fully_connected", the
    default) or of tf.layers ("dense"). Without Adam's state a fresh one is written, so that Saver finds every variable,
    unless the run came from a checkpoint without one. What came with a run and is no part of its model goes back too.
    Returns the shapes written, by variable. Raises CheckpointError.
    """
    prefix = Path(prefix)
    if not prefix.name:
        raise CheckpointError(f"{prefix}: a folder, expected a prefix such as {prefix / 'model'}")
    if not overwrite and exists(index_path(prefix)):
        raise CheckpointError(f"{index_path(prefix)}: exists; name another prefix, or overwrite it (--force)")
    if not overwrite and exists(prefix.with_name(STATE_FILE)):
        raise CheckpointError(
            f"{prefix.with_name(STATE_FILE)}: says which checkpoint is the latest there, and would be replaced; name "
            "another folder, or replace it (--force)"
        )
    if is_module(Path(folder)):
        tensors, state = read_module(Path(folder))
    else:
        tensors, state = load_checkpoint(folder, name or default_checkpoint(folder))[:2]
    try:
        run = _Run(tensors, state, names or {}, dense)
        variables, slices = run.variables()
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    write_variables(prefix, variables, run.dtypes, slices)
    write_state_file(prefix)
    return {variable: variables[variable].shape for variable in sorted(variables)}


class _Run:
    """A run's tensors on their way back. dtypes: variable -> what it is saved as, where the run has it otherwise."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray], state: Mapping[str, Any], names: Mapping[str, str], dense: str | None
    ) -> None:
        self.tensors, self.state, self.given = tensors, state, names
        self.model = None
        if not state.get("module"):
            try:
                self.model = from_plain(state.get("model"))
                self.wanted = shapes_of(self.model.weights())
            except ValueError as error:
                raise CheckpointError(f"its model is none that is known: {error}") from None
        else:
            self.wanted = {name: array.shape for name, array in below("weights/", tensors).items()}
        origin = _object(state, "tf1")
        self.sources = _sources(origin, names)
        self.dtypes = {str(key): str(value) for key, value in _object(origin, "dtypes").items()}
        self.shapes = {str(key): tuple(value) for key, value in _object(origin, "shapes").items()}
        self.slices = dict(_object(origin, "slices"))
        self.converted = bool(state.get("module") or _object(state, "tf1_names"))
        self.names = self._names(dense)

    def variables(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Every variable by name, and the partitions of those that have some."""
        found: dict[str, np.ndarray] = {}
        for canonical, array in self._complete().items():
            source = self.sources.get(canonical)
            if source is None and canonical not in self.names:
                continue  # Adam's state, of a run that came with another optimizer's
            if source is not None and not source.names and array.any():
                raise CheckpointError(
                    f"{canonical} was trained here, and there is no variable that could hold it: it was zeros there"
                )
            own = {self.names[canonical]: array} if source is None else source.variables(array, self.shapes)
            for name, values in own.items():
                if name in found and not np.array_equal(found[name], values):
                    raise CheckpointError(f"two variables would have one name: {name}")
                found[name] = values
        for name, array in self.tensors.items():
            if name.startswith(CARRIED):
                found.setdefault(name[len(CARRIED) :], array)
        return found, {name: each for name, each in self.slices.items() if name in found}

    def _complete(self) -> dict[str, np.ndarray]:
        """Weights, slots, powers and global step by canonical name, for a checkpoint in which nothing is missing."""
        weights = {}
        for name, shape in self.wanted.items():
            array = self.tensors.get(f"weights/{name}")
            if array is None:
                raise CheckpointError(f"the run lacks the weight {name}; expected {', '.join(self.wanted)}")
            _check(f"weights/{name}", array, shape, ("float32", "float64"))
            weights[name] = array
        return {**weights, **self._adam(weights), **self._step()}

    def _adam(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [f"{weight}/{slot}" for weight in weights for slot in _SLOTS] + list(POWERS)
        found = {name: self.tensors[f"slots/{name}"] for name in names if f"slots/{name}" in self.tensors}
        if found and len(found) < len(names):
            absent = [name for name in names if name not in found]
            raise CheckpointError(f"the run lacks the slots {', '.join(absent)}; expected all of Adam's state or none")
        for name, array in found.items():
            weight = weights.get(name.rsplit("/", 1)[0])
            _check(f"slot {name}", array, () if weight is None else weight.shape,
                   ("float32",) if weight is None else (weight.dtype.name,))  # fmt: skip
        if found or (self.converted and not any(name in self.names for name in POWERS)):
            return found
        return self._fresh(weights)

    def _fresh(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Adam's state before its first step."""
        found = {f"{name}/{slot}": np.zeros_like(array) for name, array in weights.items() for slot in _SLOTS}
        optimizer = _object(self.state, "optimizer")
        for power, name in zip(POWERS, ("beta1", "beta2"), strict=True):
            beta = optimizer.get(name, getattr(Adam(), name))
            if type(beta) not in (int, float) or not 0 <= beta < 1:
                raise CheckpointError(f"its {name} is {beta!r:.60}, expected a number from 0 to below 1")
            found[power] = np.array(beta, np.float32)
        return found

    def _step(self) -> dict[str, np.ndarray]:
        """What came without a global step goes back without one; its graph has no variable of that name."""
        step = self.state.get("step")
        if type(step) is not int or (self.converted and GLOBAL_STEP not in self.names):
            return {}
        dtype = np.dtype("int32" if self.state.get("tf1_step_dtype") == "int32" else "int64")
        if not 0 <= step <= np.iinfo(dtype).max:
            raise CheckpointError(f"its step is {step!r:.60}, expected what {dtype} holds, from 0")
        return {GLOBAL_STEP: np.array(step, dtype)}

    def _names(self, dense: str | None) -> dict[str, str]:
        """Canonical name -> the name to write, for everything that is one variable."""
        known = [*self.wanted, *(f"{weight}/{slot}" for weight in self.wanted for slot in _SLOTS), *POWERS, GLOBAL_STEP]
        unknown = [name for name in self.given if name not in known]
        if unknown:
            raise CheckpointError(f"{unknown[0]} cannot be named; expected one of {', '.join(known)}")
        original = {} if dense else _object(self.state, "tf1_names")
        came = {name: variable for name, variable in original.items() if name in known and isinstance(variable, str)}
        if self.converted and not dense and set(self.wanted) <= {*came, *self.sources}:
            base: dict[str, str] = {}
        else:
            if self.model is None:
                unknown = [name for name in self.wanted if name not in {*came, *self.sources}]
                raise CheckpointError(
                    "a module has the names that its variables came with: leave --dense out" if dense else
                    f"it does not say which variable {unknown[0]} was; convert the checkpoint again"
                )  # fmt: skip
            base = default_names(self.model, dense)
        weights = {**base, **{name: each for name, each in {**came, **self.given}.items() if name in self.wanted}}
        # A weight with a new name takes its slots along: the names that they came with no longer hold.
        kept = {name: each for name, each in came.items() if name.rsplit("/", 1)[0] not in self.given}
        slots = {f"{name}/{slot}": f"{each}/{slot}" for name, each in weights.items() for slot in _SLOTS}
        others = {} if self.converted and not dense else {name: name for name in (*POWERS, GLOBAL_STEP)}
        if self.converted and not any(name in came for name in POWERS):
            slots = slots if dense or self.given else {}
        return {**others, **slots, **weights, **kept, **self.given}


def _sources(origin: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Source]:
    """Canonical name -> Source, of what is not one variable as it is."""
    found = {}
    for canonical, plain in _object(origin, "sources").items():
        if canonical in names:
            continue
        try:
            values = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
            found[str(canonical)] = Source(**values)  # type: ignore[arg-type]  # a file that says otherwise is told
        except (TypeError, AttributeError):
            raise CheckpointError(f"its state says of {canonical!r:.60} what cannot be read") from None
    return found


def default_names(model: Model, style: str | None = None) -> dict[str, str]:
    """Canonical name -> the name that TensorFlow 1.15.5 gives it. style: of the last dense layer, a key of STYLES."""
    wrapped = model.projection == "wrapped"
    scope, kernel, bias = STYLES[style or ("wrapped" if wrapped else "fully_connected")]
    outer = "rnn/output_projection_wrapper/" if (style or wrapped) in ("wrapped", True) else "rnn/"
    found = {}
    network = dict.fromkeys(model.network.weights(model.network_inputs)) if model.kind != "speller" else {}
    for name in model.weights():
        if name == "embedding" or name.startswith("hidden_"):
            found[name] = name
        elif name.startswith("dense/"):
            found[name] = f"{scope}/{kernel if name.endswith('kernel') else bias}"
        elif name in network:
            found[name] = _path(model.network, name, outer)
        else:
            side, _, own = name.partition("/")  # a speller's encoder or decoder
            found[name] = own if own == "embedding" else f"{side}/{_path(model.network, own, 'rnn/')}"
    return found


def _path(network: Network, name: str, prefix: str) -> str:
    """A network's weight as TensorFlow names it below `prefix`."""
    if isinstance(network, (Dropout, Residual)):
        return _path(network.network, name, prefix)
    first, _, rest = name.partition("/")
    if isinstance(network, Layers):
        layer = network.layers[int(first[len("cell_") :])]
        if isinstance(layer, Bidirectional):
            return _path(layer, rest, f"stack_bidirectional_rnn/{first}/")
        return _path(layer, rest, f"{prefix}multi_rnn_cell/{first}/")
    if isinstance(network, Bidirectional):
        side = network.forward if first == "fw" else network.backward
        outer = "" if prefix == "rnn/" else prefix
        return _path(side, rest, f"{outer}bidirectional_rnn/{first}/")
    scope = _SCOPES[network.kind]
    if isinstance(network, GRU) and network.reset_after:
        scope = "cudnn_compatible_gru_cell"
    return f"{prefix}{scope}/{name}"


def _check(what: str, array: np.ndarray, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    if array.shape != shape or array.dtype.name not in dtypes:
        raise CheckpointError(
            f"{what} is {array.dtype} {list(array.shape)}, expected {' or '.join(dtypes)} {list(shape)}"
        )


def _object(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the state that holds further values; empty when there is none."""
    value = state.get(name)
    return value if isinstance(value, dict) else {}
