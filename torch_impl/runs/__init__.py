"""Runs: a trained model kept in a folder. `train`, `convert` and `save_run` make one, `load_run` opens it.

    last.json      the newest checkpoint; its tensors are in last-DIGEST.safetensors (torch_impl.checkpoints.run_files)
    NAME.json      further checkpoints, in the same form: best, epoch-0010, ...
    config.json    a JSON object with how the run was made, where there is one: options, seeds, versions

A checkpoint holds, as `load_checkpoint` gives them,

    tensors        "weights/NAME" the canonical weights, "slots/NAME" Adam's state under TensorFlow 1's names,
                   "buffers/NAME" those of a module of the user's own
    state          plain values: "model", as `unrolled.models.to_plain` gives it, or the class of a module of the user's
                   own; "optimizer" with the fields of `unrolled.programs.Adam`; "step", the optimizer steps taken, None
                   where a TensorFlow 1 checkpoint does not tell; where known "adam_steps", Adam's own count;
                   "program", its name; and "data", what the program says of its data: "classes", their names;
                   "scaling", the "shift" and "scale" by input that were applied (see `scaling`); its source, split,
                   columns, ...

One that `train` wrote can be resumed: `torch_impl.runs.progress` says what it holds for that. `train` also leaves
log.csv, a row for each round; results.json and a picture; and on request TensorBoard's events.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_impl.runs.load import Run, load_run, save_run

__all__ = ["Run", "load_run", "save_run"]


def __getattr__(name: str) -> Any:  # on first use, so that the command line's --help need not wait for PyTorch
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("torch_impl.runs.load"), name)
