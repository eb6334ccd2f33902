"""Runs: what training with this library leaves behind, and how it goes on. `load_run` opens one.

A run is a folder. `train` makes it (its --output), and `convert` makes one from a TensorFlow 1 checkpoint:

    config.json           program, all options of the command line, seed, versions, machine; absent after `convert`
    last.json             the newest checkpoint; its tensors are in last-DIGEST.safetensors (see checkpoints.run_files)
    best.json             the checkpoint with the best figure of the validation set; the least loss where there is none
    step-N.json           further checkpoints, where they were asked for
    log.jsonl             one JSON object per epoch, or per report of a program without epochs
    results.json, *.png   the results and the picture that both implementations leave (data.doors)
    events.out.tfevents*  for TensorBoard, on request

A checkpoint holds, as `load_checkpoint` gives them,

    tensors   "weights/NAME" the canonical weights, "slots/NAME" Adam's state under TensorFlow 1's names; a run of
              `train` also has "losses", those of the iterations since the newest line of the log
    state     plain values: "model" and "optimizer" with the fields of `data.programs.Model` and `Adam`, and "step", the
              optimizer steps taken (None where a TensorFlow 1 checkpoint does not tell). A run of `train` also has
              "program"; "data", what the program says of its data (names of the classes, scaling, ...); "options";
              "stream", the position in the batch stream; "records", the log so far; "random", PyTorch's random state;
              "stopping", the best figure so far and since when
"""

from torch_impl.runs.load import Run, load_run

__all__ = ["Run", "load_run"]
