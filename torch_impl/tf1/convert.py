"""A TensorFlow 1 checkpoint becomes a run's; `back` is the other way. TensorFlow itself is not needed.

What a run's checkpoint (see torch_impl.runs) that was converted has in its state besides: "tf1_names", canonical name
-> variable, for each that is one variable; "tf1_step_dtype"; and "tf1", all else of where it came from: see `Origin`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import parts_of
from torch_impl.checkpoints.run_files import checkpoint_names, save_checkpoint
from torch_impl.checkpoints.tensor_file import Later
from torch_impl.tf1.bundle import BundleEntry
from torch_impl.tf1.inferred import Inferred, TrainedAs
from torch_impl.tf1.listing import network
from torch_impl.tf1.locate import find_prefix
from torch_impl.tf1.slots import POWERS
from torch_impl.tf1.sources import Source
from torch_impl.tf1.understand import Understood, understand
from torch_impl.tf1.variables import HALF, Variables
from unrolled.models import to_plain
from unrolled.networks import shapes as shapes_of
from unrolled.programs import Adam

__all__ = ["CARRIED", "Converted", "Origin", "TrainedAs", "check_target", "convert_from_tf1", "more_than_known",
           "origin_of", "run_of", "write_run"]  # fmt: skip

Shapes = Mapping[str, tuple[int, ...]]
CARRIED = "tf1/"  # before the name of a variable that is kept for the way back
GLOBAL_STEP = "global_step"
_MOST_STEPS = 10_000_000
_SMALLEST = np.finfo(np.float32).tiny  # TensorFlow flushes what is below it to zero


class Converted(NamedTuple):
    """state: the run's, as it was saved. found: what was found. uncarried: variables that cannot be kept."""

    state: dict[str, Any]
    found: Inferred
    uncarried: list[str]


@dataclass
class Origin:
    """Where a run's tensors came from, as its state has it under "tf1".

    sources: canonical name -> Source, of those that are not one variable as it is. dtypes, shapes: variable -> what it
    was there, where the run has it otherwise. slices: variable -> its partitions, each as [start, length] by axis.
    """

    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[int]] = field(default_factory=dict)
    slices: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, entry: BundleEntry, dtype: np.dtype[Any]) -> None:
        """Keep of a variable what its array, of this dtype, does not show."""
        if entry.dtype != dtype.name:
            self.dtypes[name] = entry.dtype
        if entry.partitioned:
            self.slices[name] = [[list(pair) for pair in extents] for extents in entry.slices]


def convert_from_tf1(
    prefix: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    overrides: Mapping[str, str | None] | None = None,
    settings: TrainedAs | None = None,
    shapes: Shapes | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Convert the checkpoint PREFIX.index, PREFIX.data-… to a run's checkpoint "last" in `folder`; returns its state.

    prefix: whatever `locate.find_prefix` takes. Where PREFIX.meta lies beside it, the model is what that says, else
    what names and `settings` say. overrides: a variable's name -> what it is, or None to leave it out with its slots.
    shapes: what the canonical weights must have; None takes any that fit together. overwrite: replace a run, and leave
    out what was trained.
    Weights and moments keep every bit, half precision as float32. Raises CheckpointError that names the file or
    variable, what was found and what was expected; nothing is written then.
    """
    settings = settings or TrainedAs()
    check_target(folder, overwrite)
    whole = understand(find_prefix(Path(prefix)), settings, overrides, overwrite)
    return write_run(whole, folder, settings, shapes).state


def check_target(folder: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise CheckpointError where the folder holds a run that is not to be replaced."""
    names_there = checkpoint_names(folder)
    if (Path(folder) / "config.json").exists() or set(names_there) - {"last"}:
        raise CheckpointError(f"{folder}: holds a run that `train` made, which stays; name another folder")
    if not overwrite and names_there:
        raise CheckpointError(f"{folder}: holds a run already; name another folder, or overwrite it (--force)")


def write_run(
    whole: Understood, folder: str | os.PathLike[str], settings: TrainedAs, shapes: Shapes | None = None
) -> Converted:
    """Save what was understood as a run's checkpoint "last"; CheckpointError where it is no model of this library."""
    if whole.found.model is None:
        raise CheckpointError(f"{whole.variables.prefix}: {more_than_known(whole.found)}")
    tensors, state, uncarried = run_of(whole, settings, shapes)
    save_checkpoint(folder, tensors, state)
    return Converted(state, whole.found, uncarried)


def more_than_known(found: Inferred) -> str:
    """Why there is no run of it, and what there is."""
    if found.heads:
        return found.why
    parts = "; ".join(map(network, found.parts))
    writes = "--as-module FILE.py writes them, with all other variables, for a module of your own"
    rest = f"its recurrent parts are {parts}; {writes}" if parts else "none of its recurrent parts is known here"
    return f"it is more than one of the models here: {found.why}; {rest}"


def run_of(
    whole: Understood, settings: TrainedAs, shapes: Shapes | None = None
) -> tuple[dict[str, np.ndarray | Later], dict[str, Any], list[str]]:
    """(tensors, state, variables that cannot be carried) of the run that a checkpoint becomes.

    Tensors are read, and their checksums verified, when they are written.
    """
    variables, found = whole.variables, whole.found
    assert found.model is not None
    expected = shapes or shapes_of(found.model.weights())
    try:
        dtype = _dtype(variables, found)
        weights = {
            name: _later(whole, name, source, dtype, expected.get(name)) for name, source in found.weights.items()
        }
        slots = {name: _slot(whole, name, source, dtype, weights) for name, source in found.slots.items()}
        optimizer = settings.optimizer or found.optimizer or Adam()
        step = _steps(variables, found, slots, optimizer)
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(
            text if text.startswith(str(variables.prefix)) else f"{variables.prefix}: {text}"
        ) from None
    _, origin, names, carried, uncarried = origin_of(whole)
    state = {
        "model": to_plain(found.model),
        "optimizer": optimizer._asdict(),
        "clip_norm": found.clip_norm if settings.clip_norm is None else settings.clip_norm,
        "step": step,
        "tf1_names": names,
        "tf1_step_dtype": variables.entries[found.step].dtype if found.step else "int64",
        "tf1": {name: value for name, value in vars(origin).items() if value},
    }
    if settings.program is not None:
        state["program"] = settings.program
    tensors: dict[str, np.ndarray | Later] = {f"weights/{name}": array for name, array in weights.items()}
    tensors.update({f"slots/{name}": array for name, array in slots.items()})
    tensors.update(carried)
    return tensors, state, uncarried


def origin_of(
    whole: Understood,
) -> tuple[np.dtype[Any], Origin, dict[str, str], dict[str, Later], list[str]]:
    """(the dtype of the weights here, where they came from, canonical name -> variable, what is carried along for the
    way back, and what cannot be)."""
    variables, found = whole.variables, whole.found
    dtype = _dtype(variables, found)
    origin = _origin(variables, found, dtype)
    return dtype, origin, _names(found), *_carried(variables, found, origin)


def _dtype(variables: Variables, found: Inferred) -> np.dtype[Any]:
    """The run's: float64 where any weight is, else float32, which holds half precision."""
    kinds = {}
    for source in found.weights.values():
        for name in source.names:
            kinds[variables.entries[name].dtype] = name
    odd = [kind for kind in kinds if kind not in ("float32", "float64", "float16", "bfloat16")]
    if odd:
        raise CheckpointError(f"variable {kinds[odd[0]]} is {odd[0]}, expected float32 or float64")
    return np.dtype(np.float64 if "float64" in kinds else np.float32)


def _later(whole: Understood, canonical: str, source: Source, dtype: np.dtype[Any], shape: Any) -> Later:
    """A tensor of this dtype and shape that is read when it is written; CheckpointError where its shape is another."""
    entries = {name: whole.variables.entries[whole.averages.get(name, name)] for name in source.names}
    try:
        found = source.shape({name: entry.shape for name, entry in entries.items()})
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if found != shape:
        wanted = "nothing" if shape is None else list(shape)
        name = source.names[0] if source.names else canonical
        raise CheckpointError(f"variable {name} is {dtype} {list(found)}, expected {dtype} {wanted}")
    if entries and source == Source(source.names[:1]) and entries[source.names[0]].dtype == dtype.name:
        (name,) = source.names
        return Later(dtype, found, partial(whole.variables.parts, whole.averages.get(name, name)))
    return Later(dtype, found, lambda: parts_of(source.array(whole.read).astype(dtype, copy=False)))


def _slot(
    whole: Understood, canonical: str, source: Source, dtype: np.dtype[Any], weights: Mapping[str, Later]
) -> np.ndarray | Later:
    if canonical in POWERS:
        found, name = source.array(whole.variables.read), source.names[0]
        if found.shape != () or found.dtype != np.float32:
            raise CheckpointError(f"variable {name} is {found.dtype} {list(found.shape)}, expected float32 []")
        return found
    for name in source.names:
        if (kind := whole.variables.entries[name].dtype) not in (str(dtype), *HALF, "float32"):
            raise CheckpointError(f"variable {name} is {kind}, expected {dtype}")
    return _later(whole, canonical, source, dtype, weights[canonical.rsplit("/", 1)[0]].shape)


def _names(found: Inferred) -> dict[str, str]:
    names = {
        name: source.names[0] for name, source in {**found.weights, **found.slots}.items() if len(source.names) == 1
    }
    return {**names, **({GLOBAL_STEP: found.step} if found.step else {})}


def _origin(variables: Variables, found: Inferred, dtype: np.dtype[Any]) -> Origin:
    origin = Origin()
    for canonical, source in {**found.weights, **found.slots}.items():
        if len(source.names) != 1 or source.transposed or source.interleaved:
            origin.sources[canonical] = source.plain()
        for name in source.names:
            entry = variables.entries[name]
            origin.add(name, entry, np.dtype(np.float32) if canonical in POWERS else dtype)
            if len(source.names) > 1:
                origin.shapes[name] = list(entry.shape)
    return origin


def _carried(variables: Variables, found: Inferred, origin: Origin) -> tuple[dict[str, Later], list[str]]:
    """What is no part of the model, for the way back: other optimizers' state, averages, counters."""
    used = found.used
    carried, uncarried = {}, []
    for name, entry in variables.entries.items():
        if name in used or name == found.step:
            continue
        if entry.dtype in ("float32", "float64", "int32", "int64", "bool", "float16", "bfloat16"):
            dtype = variables.dtype(name)
            carried[CARRIED + name] = Later(dtype, entry.shape, partial(variables.parts, name))
            origin.add(name, entry, dtype)
        else:
            uncarried.append(name)
    return carried, uncarried


def _steps(variables: Variables, found: Inferred, slots: Mapping[str, Any], optimizer: Adam) -> int | None:
    """The optimizer steps taken, None where nothing tells; CheckpointError when the powers are not the betas'."""
    counts: list[int | None] = []
    for power, option in zip(POWERS, ("beta1", "beta2"), strict=True):
        if power in slots:
            name = found.slots[power].names[0]
            counts.append(_count(name, float(variables.read(name)), getattr(optimizer, option), option))
    known = sorted({count for count in counts if count is not None})
    if len(known) > 1:
        raise CheckpointError(
            f"{' and '.join(found.slots[power].names[0] for power in POWERS)} tell of {counts[0]} and "
            f"{counts[1]} steps, expected one number: give the beta1 and beta2 of the training"
        )
    if found.step is not None:
        entry = variables.entries[found.step]
        if entry.dtype not in ("int32", "int64") or entry.shape != ():
            raise CheckpointError(
                f"variable {found.step} is {entry.dtype} {list(entry.shape)}, expected int32 or int64 []"
            )
        step = int(variables.read(found.step))
        if step < 0:
            raise CheckpointError(f"{found.step} is {step}, expected a count from 0; leave it out with --ignore")
        return step
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
