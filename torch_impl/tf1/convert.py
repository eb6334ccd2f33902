"""A TensorFlow 1 checkpoint becomes a run's, and a run's becomes one that TensorFlow 1 restores.

TensorFlow itself is not needed. A run's checkpoint (see torch_impl.runs) that was converted has in its state besides
"tf1_names", what each variable was called in the TensorFlow 1 checkpoint it came from, and "tf1_step_dtype".
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import exists
from torch_impl.checkpoints.run_files import checkpoint_names, load_checkpoint, save_checkpoint
from torch_impl.tf1.bundle import Bundle, BundleEntry, index_path, write_bundle
from torch_impl.tf1.names import GLOBAL_STEP, POWERS, SLOTS, WEIGHTS, Names, complete_names, default_names, match_names
from torch_impl.tf1.state_file import latest_checkpoint, write_state_file
from unrolled import networks
from unrolled.models import Model, to_plain
from unrolled.networks import BasicRNN
from unrolled.programs import Adam

__all__ = ["TrainedAs", "convert_from_tf1", "convert_to_tf1"]

Shapes = Mapping[str, tuple[int, ...]]
_MOST_STEPS = 10_000_000
_SMALLEST = np.finfo(np.float32).tiny  # TensorFlow flushes what is below it to zero


class TrainedAs(NamedTuple):
    """What a TensorFlow 1 checkpoint does not hold.

    kind: "classifier" or "regressor". activation: "tanh" or "relu". projection: a regressor's, "stacked" or "wrapped";
    None for what the variables' names say. program: the chapter's program that was trained, where it was one of them.
    """

    kind: str = "classifier"
    activation: str = "tanh"
    projection: str | None = None
    optimizer: Adam = Adam()
    program: str | None = None


def convert_from_tf1(
    prefix: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    overrides: Mapping[str, str | None] | None = None,
    settings: TrainedAs | None = None,
    shapes: Shapes | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Convert the checkpoint PREFIX.index, PREFIX.data-… to a run's checkpoint "last" in `folder`; returns its state.

    prefix: also PREFIX.index itself, or the folder in which Saver keeps its file `checkpoint`: then the latest there.
    overrides: a variable's name -> what it is, or None to leave it out (see `names.match_names`).
    shapes: what the canonical weights must have; None takes any that fit together.
    Arrays keep their dtype and every bit. Raises CheckpointError that names the file or variable, what was found and
    what was expected; nothing is written then.
    """
    settings, names_there = settings or TrainedAs(), checkpoint_names(folder)
    if (Path(folder) / "config.json").exists() or set(names_there) - {"last"}:
        raise CheckpointError(f"{folder}: holds a run that `train` made, which stays; name another folder")
    if not overwrite and names_there:
        raise CheckpointError(f"{folder}: holds a run already; name another folder, or overwrite it (--force)")
    bundle = Bundle(_prefix(Path(prefix)))
    try:
        names = match_names(bundle.entries, overrides)
        _check_entries(bundle.entries, names, shapes)
        model = _model(_shapes(bundle.entries, names), names, settings)
    except CheckpointError as error:
        raise CheckpointError(f"{bundle.prefix}: {error}") from None
    weights = {name: bundle.read(source) for name, source in names.weights.items()}
    slots = {name: bundle.read(source) for name, source in names.slots.items()}
    state = {
        "model": to_plain(model),
        "optimizer": settings.optimizer._asdict(),
        "step": _steps(bundle, names, slots, settings.optimizer),
        "tf1_names": {**names.weights, **names.slots, **({GLOBAL_STEP: names.step} if names.step else {})},
        "tf1_step_dtype": bundle.entries[names.step].dtype if names.step else "int64",
    }
    if settings.program is not None:
        state["program"] = settings.program
    tensors = {f"weights/{name}": array for name, array in weights.items()}
    tensors.update({f"slots/{name}": array for name, array in slots.items()})
    save_checkpoint(folder, tensors, state)
    return state


def convert_to_tf1(
    folder: str | os.PathLike[str],
    prefix: str | os.PathLike[str],
    names: Mapping[str, str] | None = None,
    dense: str | None = None,
    name: str = "last",
    overwrite: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Write the run's checkpoint `name` in `folder` as PREFIX.index and PREFIX.data-00000-of-00001.

    The file `checkpoint` beside them then points to it, as Saver would have it. names: canonical name -> the variable's
    name in the TensorFlow graph, for some or all; the slots follow their weight. The others keep the names that they
    came with, else they get those of the model's kind, with the dense layer of contrib (dense "fully_connected", the
    default) or of tf.layers ("dense"). Without Adam's state a fresh one is written, so that Saver finds every variable.
    Returns the shapes written, by variable. Raises CheckpointError.
    """
    prefix = Path(prefix)
    if not prefix.name:
        raise CheckpointError(f"{prefix}: a folder, expected a prefix such as {prefix / 'model'}")
    if not overwrite and exists(index_path(prefix)):
        raise CheckpointError(f"{index_path(prefix)}: exists; name another prefix, or overwrite it (--force)")
    checkpoint = load_checkpoint(folder, name)
    try:
        tensors = _complete(checkpoint.tensors, checkpoint.state)
        target = _target_names(checkpoint.state, names or {}, dense)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    variables = {target[canonical]: array for canonical, array in tensors.items()}
    if len(variables) < len(tensors):
        raise CheckpointError(f"{prefix}: two variables would have one name: {', '.join(sorted(variables))}")
    write_bundle(prefix, variables)
    write_state_file(prefix)
    return {variable: variables[variable].shape for variable in sorted(variables)}


def _prefix(source: Path) -> Path:
    """The prefix that the user means."""
    if exists(source, folder=True):
        return latest_checkpoint(source)
    if source.suffix == ".index" and exists(source):
        return source.with_suffix("")
    return source


def _check_entries(entries: Mapping[str, BundleEntry], names: Names, shapes: Shapes | None) -> None:
    """Shapes and dtypes, before any data are read."""
    expected = shapes or _consistent(_shapes(entries, names), names)
    first = names.weights[WEIGHTS[0]]
    dtype = entries[first].dtype
    if dtype not in ("float32", "float64"):
        raise CheckpointError(f"variable {first} is {dtype}, expected float32 or float64")
    for canonical, variable in {**names.weights, **names.slots}.items():
        if canonical in POWERS:
            _check_entry(variable, entries[variable], (), ("float32",))
        else:
            weight = canonical if canonical in WEIGHTS else canonical.rsplit("/", 1)[0]
            _check_entry(variable, entries[variable], expected[weight], (dtype,))
    if names.step is not None:
        _check_entry(names.step, entries[names.step], (), ("int32", "int64"))


def _shapes(entries: Mapping[str, BundleEntry], names: Names) -> Shapes:
    """Those of the weights, by canonical name."""
    return {name: entries[variable].shape for name, variable in names.weights.items()}


def _check_entry(variable: str, entry: BundleEntry, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    if entry.shape != shape or entry.dtype not in dtypes:
        raise CheckpointError(
            f"variable {variable} is {entry.dtype} {list(entry.shape)}, expected {' or '.join(dtypes)} {list(shape)}"
        )


def _consistent(found: Shapes, names: Names) -> Shapes:
    """The shapes that the weights must have to fit together, given the kernel's and the dense kernel's."""
    kernel, dense = found["kernel"], found["dense/kernel"]
    if len(kernel) != 2 or not 0 < kernel[1] < kernel[0]:
        raise CheckpointError(
            f"variable {names.weights['kernel']} is {list(kernel)}, expected a cell's [inputs + units, units]"
        )
    units = kernel[1]
    if len(dense) != 2 or dense[0] != units or dense[1] < 1:
        raise CheckpointError(
            f"variable {names.weights['dense/kernel']} is {list(dense)}, expected [{units}, outputs], "
            f"since the cell has {units} units"
        )
    return networks.shapes(_model(found, names, TrainedAs()).weights())


def _model(found: Shapes, names: Names, settings: TrainedAs) -> Model:
    """The model whose weights have these shapes, which fit together; CheckpointError where they are too large."""
    (rows, units), (_, outputs) = found["kernel"], found["dense/kernel"]
    # A classifier on an OutputProjectionWrapper takes the last projected output: a dense layer on the final state.
    wrapped = names.wrapped and settings.kind == "regressor"
    projection = settings.projection or ("wrapped" if wrapped else "stacked")
    try:
        return Model(settings.kind, BasicRNN(units, settings.activation), rows - units, outputs, projection)
    except ValueError as error:
        raise CheckpointError(f"its model cannot be had: {error}") from None


def _steps(bundle: Bundle, names: Names, slots: Mapping[str, np.ndarray], optimizer: Adam) -> int | None:
    """The optimizer steps taken; raises CheckpointError when the powers are not those of the given betas."""
    counts: list[int | None] = [] if slots else [0]
    for power, option in zip(POWERS, ("beta1", "beta2"), strict=True):
        if slots:
            what = f"{bundle.prefix}: {names.slots[power]}"
            counts.append(_count(what, float(slots[power]), getattr(optimizer, option), option))
    known = sorted({count for count in counts if count is not None})
    if len(known) > 1:
        raise CheckpointError(
            f"{bundle.prefix}: {' and '.join(names.slots[power] for power in POWERS)} tell of {counts[0]} and "
            f"{counts[1]} steps, expected one number: give the beta1 and beta2 of the training"
        )
    if names.step is not None:
        return int(bundle.read(names.step))
    return known[0] if known else None


def _count(what: str, power: float, beta: float, option: str) -> int | None:
    """How many steps came before `power`, beta multiplied by itself in float32; None where it is too small to tell."""
    if not 0.0 <= power < 1.0:
        raise CheckpointError(f"{what} is {power}, expected a power of {option}, from 0 to below 1")
    if power < _SMALLEST:
        return None
    needed = math.log(_SMALLEST) / math.log(max(beta, 1e-3)) + 2 if beta < 1.0 else math.inf
    steps = int(min(_MOST_STEPS, needed))
    powers = np.multiply.accumulate(np.full(steps, beta, np.float32))
    (found,) = np.nonzero(powers == np.float32(power))
    if len(found):
        return int(found[0])
    if steps == _MOST_STEPS:
        return None
    raise CheckpointError(
        f"{what} is {power:.7g}, which is no power of {option} = {beta}; give the {option} of the training (--{option})"
    )


def _complete(tensors: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights, slots, powers and global step by canonical name, for a checkpoint in which nothing is missing."""
    model = _object(state, "model")
    kind = _object(model, "network" if "network" in model else "cell").get("kind", BasicRNN.kind)
    if kind != BasicRNN.kind:
        raise CheckpointError(
            f"holds a network of kind {kind!r:.60}; only {BasicRNN.kind!r} is written for TensorFlow 1 yet"
        )
    missing = [name for name in WEIGHTS if f"weights/{name}" not in tensors]
    if missing:
        raise CheckpointError(f"the run lacks the weights {', '.join(missing)}; expected {', '.join(WEIGHTS)}")
    complete = {name: tensors[f"weights/{name}"] for name in WEIGHTS}
    found = [name for name in (*SLOTS, *POWERS) if f"slots/{name}" in tensors]
    if len(found) not in (0, len(SLOTS) + len(POWERS)):
        absent = [name for name in (*SLOTS, *POWERS) if name not in found]
        raise CheckpointError(f"the run lacks the slots {', '.join(absent)}; expected all of Adam's state or none")
    _check_weights(complete)
    for slot in SLOTS:
        zeros = np.zeros_like(complete[slot.rsplit("/", 1)[0]])
        complete[slot] = tensors.get(f"slots/{slot}", zeros)
        if complete[slot].shape != zeros.shape or complete[slot].dtype != zeros.dtype:
            is_now, wanted = (f"{array.dtype} {list(array.shape)}" for array in (complete[slot], zeros))
            raise CheckpointError(f"slot {slot} is {is_now}, expected {wanted}")
    optimizer = _object(state, "optimizer")
    for power, name in zip(POWERS, ("beta1", "beta2"), strict=True):
        beta = optimizer.get(name, getattr(Adam(), name))
        if type(beta) not in (int, float) or not 0 <= beta < 1:
            raise CheckpointError(f"its {name} is {beta!r:.60}, expected a number from 0 to below 1")
        complete[power] = tensors.get(f"slots/{power}", np.array(beta, np.float32))
        if complete[power].shape != () or complete[power].dtype != np.float32:
            shown = f"{complete[power].dtype} {list(complete[power].shape)}"
            raise CheckpointError(f"slot {power} is {shown}, expected float32 []")
    step, original = state.get("step"), _object(state, "tf1_names")
    # What came without a global step goes back without one; its graph has no variable of that name.
    if type(step) is int and (GLOBAL_STEP in original or not original):
        dtype = np.dtype("int32" if state.get("tf1_step_dtype") == "int32" else "int64")
        if not 0 <= step <= np.iinfo(dtype).max:
            raise CheckpointError(f"its step is {step!r:.60}, expected what {dtype} holds, from 0")
        complete[GLOBAL_STEP] = np.array(step, dtype)
    return complete


def _check_weights(weights: Mapping[str, np.ndarray]) -> None:
    """Shapes and dtypes that one cell and one dense layer can have."""
    shapes = {name: weights[name].shape for name in WEIGHTS}
    expected = _consistent(shapes, Names({name: f"weights/{name}" for name in WEIGHTS}, {}, None))
    dtype = weights[WEIGHTS[0]].dtype
    if dtype.name not in ("float32", "float64"):
        raise CheckpointError(f"variable weights/{WEIGHTS[0]} is {dtype}, expected float32 or float64")
    for name in WEIGHTS:
        entry = BundleEntry(weights[name].dtype.name, shapes[name], 0, 0, 0, 0, False)
        _check_entry(f"weights/{name}", entry, expected[name], (dtype.name,))


def _target_names(state: Mapping[str, Any], names: Mapping[str, str], dense: str | None) -> dict[str, str]:
    """Canonical name -> the name to write, for everything."""
    known = complete_names(default_names("dense"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CheckpointError(f"{unknown[0]} cannot be named; expected one of {', '.join(known)}")
    original = {} if dense else _object(state, "tf1_names")
    given = {name: variable for name, variable in original.items() if name in known and isinstance(variable, str)}
    weights = {name: variable for name, variable in names.items() if name in WEIGHTS}
    # A weight with a new name takes its slots along: the names that they came with no longer hold.
    given = {name: variable for name, variable in given.items() if name.rsplit("/Adam", 1)[0] not in weights}
    style = dense or ("wrapped" if _object(state, "model").get("projection") == "wrapped" else "fully_connected")
    base = {name: default_names(style)[name] for name in WEIGHTS}
    return complete_names({**base, **given, **names})


def _object(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the state that holds further values; empty when there is none."""
    value = state.get(name)
    return value if isinstance(value, dict) else {}
