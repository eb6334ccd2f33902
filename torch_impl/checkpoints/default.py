"""Which checkpoint of a run is used where none is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.run_files import checkpoint_names, load_state

__all__ = ["BEST", "LAST", "default_checkpoint", "stands"]

LAST, BEST = "last", "best"


def default_checkpoint(folder: str | os.PathLike[str]) -> str:
    """ "best" while "last" says that it is the run's best round, or where it is alone; else "last".

    Nothing is raised for one that is damaged: loading it tells.
    """
    names = checkpoint_names(folder)
    if BEST not in names or LAST not in names:
        return BEST if BEST in names else LAST
    try:
        last = load_state(folder, LAST).get("run")
    except CheckpointError:
        return LAST
    if not isinstance(last, dict) or last.get("overall") is None:
        return LAST
    try:
        return BEST if stands(load_state(folder, BEST).get("run"), last) else LAST
    except CheckpointError:
        return BEST


def stands(best: Any, last: Mapping[str, Any]) -> bool:
    """Whether the checkpoint of which `best` is the state's part "run" is the best round that `last`, that of now,
    names: not one that is left of what was trained before, or saved from Python."""
    if not isinstance(best, dict) or last.get("overall") is None or best.get("overall") != last["overall"]:
        return False
    return bool(best.get("training") != last.get("training") or best.get("best") == last.get("best"))
