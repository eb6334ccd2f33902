"""A run's checkpoints: safetensors and JSON, written atomically and verified on load."""

from torch_impl.checkpoints.errors import CheckpointError

__all__ = ["CheckpointError"]
