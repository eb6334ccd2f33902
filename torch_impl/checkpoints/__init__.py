"""Checkpoints: a run's own, written atomically and verified on load, and TensorFlow 1's, read and written without it.

run_files    a run's checkpoint: safetensors and JSON
tf1_bundle   a TensorFlow 1 Saver checkpoint (the V2 format): names and arrays
names        which of its variables is which canonical weight
convert      from the one to the other, both ways
"""

from torch_impl.checkpoints.errors import CheckpointError

__all__ = ["CheckpointError"]
