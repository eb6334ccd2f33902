"""A checkpoint understood: from the graph that lies beside it, or from names, and held against what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.graphs.meta import MALFORMED, Graph, read_graph
from torch_impl.tf1.inferred import Inferred, TrainedAs
from torch_impl.tf1.names import infer_from_names
from torch_impl.tf1.recipes import OBJECT_GRAPH, of_objects
from torch_impl.tf1.slots import find_slots
from torch_impl.tf1.variables import Variables
from unrolled import networks

__all__ = ["Understood", "understand"]


class Understood(NamedTuple):
    """variables: the checkpoint, opened. found: what it holds. averages: variable -> its average, where these count."""

    variables: Variables
    found: Inferred
    averages: dict[str, str]

    def read(self, name: str) -> np.ndarray:
        """A variable's values, or its average's."""
        return self.variables.read(self.averages.get(name, name))


def understand(
    prefix: Path, told: TrainedAs, overrides: Mapping[str, str | None] | None = None, force: bool = False
) -> Understood:
    """What the checkpoint holds. overrides: see `names.infer_from_names`. force: also leave out what was trained.

    Raises CheckpointError that names the checkpoint, what was found, what was expected and what to do.
    """
    variables, overrides = Variables(prefix), overrides or {}
    if OBJECT_GRAPH in variables.entries:
        raise of_objects(prefix)
    slots = find_slots(variables.entries)
    averages = slots.averages() if told.averages else {}
    if told.averages and not averages:
        raise CheckpointError(f"{prefix}: has no moving averages (…/ExponentialMovingAverage); leave --ema out")
    graph = read_graph(prefix.with_name(prefix.name + ".meta")) if told.graph else None
    whole = Understood(variables, Inferred(None, {}), averages)
    try:
        found = _found(whole, graph, told, overrides)
        _check_ignored(found, overrides, force)
        if graph is not None:
            _check_told(found, told)
        found.left = [name for name in found.left if overrides.get(name, "") is not None]
    except CheckpointError as error:
        raise CheckpointError(f"{prefix}: {error}") from None
    variables.release()
    if told.averages:
        found.slots, found.facts = {}, [*found.facts, "weights are their moving averages: training starts Adam afresh"]
    return whole._replace(found=found)


def _found(whole: Understood, graph: Graph | None, told: TrainedAs, overrides: Mapping[str, str | None]) -> Inferred:
    entries = whole.variables.entries
    if graph is None:
        return _with_left(infer_from_names(entries, told, overrides), entries)
    mapped = [name for name, canonical in overrides.items() if canonical is not None]
    missing = [name for name in overrides if name not in entries]
    if missing:
        raise CheckpointError(f"has no variable {missing[0]} to map or ignore; --list shows what it has")
    if mapped:
        raise CheckpointError(
            f"the graph (.meta) beside it says what {mapped[0]} is: leave --map out, or the graph with --no-graph"
        )
    blind = next((op for op in ("While", "StatelessWhile", "CudnnRNN", "CudnnRNNV2") if graph.of(op)), None)
    if blind is not None:
        found = _with_left(infer_from_names(entries, told, overrides), entries)
        return replace(found, unjudged=f"its graph has {blind}, which is not computed here")
    from torch_impl.tf1.graphs.infer import infer  # it needs PyTorch

    try:
        return infer(graph, entries, whole.read, told.scope, told.kind)
    except MALFORMED as error:
        raise CheckpointError(
            f"its graph (.meta) does not hang together ({type(error).__name__}: {error}); get the file again, or go by "
            "names alone with --no-graph"
        ) from None


def _with_left(found: Inferred, entries: Mapping[str, object]) -> Inferred:
    used = found.used
    return replace(found, left=[name for name in entries if name not in used and name != found.step])


def _check_ignored(found: Inferred, overrides: Mapping[str, str | None], force: bool) -> None:
    """What was trained is not left out by the way: without it, the model is another."""
    for name, canonical in overrides.items():
        if canonical is None and name in found.trained and not force:
            raise CheckpointError(
                f"{name} was trained (it has an optimizer's slots, or the output depends on it): without it the model "
                "would compute something else; --force leaves it out all the same"
            )


def _check_told(found: Inferred, told: TrainedAs) -> None:
    """What the user says and the graph says otherwise is an error of one of them."""
    if told.residual is not None:
        raise CheckpointError("its graph says which layers are residual: leave --residual out, or it with --no-graph")
    heads = found.whole
    cells = [each for one in (*(head.network for head in heads), *found.parts) for each in networks.within(one)]
    there = {
        option: {getattr(each, option) for each in cells if hasattr(each, option)}
        for option in ("activation", "recurrent_activation", "forget_bias", "cell_clip", "projection_clip")
    }
    there["hidden_activation"] = {each.activation for head in heads for each in head.hidden}
    there["head_activation"] = {head.activation for head in heads}
    there["projection"] = {head.projection for head in heads}
    for option, values in there.items():
        value = getattr(told, option)
        if value is not None and values and values != {value}:
            what = {"head_activation": "last dense layer's activation"}.get(option, option)
            raise CheckpointError(
                f"its graph says that the {what} is {', '.join(sorted(map(str, values)))}, not {value}; leave "
                f"--{option.replace('_', '-')} out, or the graph with --no-graph"
            )
