"""Runs: a trained model kept in a folder. `load_run` opens one; so far `convert` makes them, and `train` does not yet.

    last.json      the newest checkpoint; its tensors are in last-DIGEST.safetensors (torch_impl.checkpoints.run_files)
    NAME.json      further checkpoints, in the same form
    config.json    a JSON object with how the run was made, where there is one

A checkpoint holds, as `load_checkpoint` gives them,

    tensors        "weights/NAME" the canonical weights, "slots/NAME" Adam's state under TensorFlow 1's names
    state          plain values: "model" and "optimizer" with the fields of `data.programs.Model` and `Adam`; "step",
                   the optimizer steps taken, None where a TensorFlow 1 checkpoint does not tell; where known "program",
                   its name, and "data", what the program says of its data: "classes", their names; "scaling", the
                   "shift" and "scale" by input that were applied (see `scaling`); its source, split, columns, ...
"""

from torch_impl.runs.load import Run, load_run

__all__ = ["Run", "load_run"]
