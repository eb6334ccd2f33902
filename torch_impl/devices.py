"""The device to compute on: found, made ready, described."""

from __future__ import annotations

import platform

import torch

__all__ = ["described", "prepared", "usable"]


def usable(name: str) -> torch.device:
    """The device of this name ("cpu", "cuda", "cuda:1", "mps"; "auto" for cuda or mps where there is one).

    Raises ValueError for one that is not there. Changes no setting.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise ValueError(f"device {name!r} cannot be used here ({reason}); 'cpu' always can") from None
    if device.type == "meta":
        raise ValueError("device 'meta' holds no values to compute with; 'cpu' always can be used")
    return device


def prepared(name: str, threads: int | None = None) -> torch.device:
    """The same, for a process that is for comparing numbers: on a GPU TF32 is switched off for all of it.

    threads: of PyTorch's CPU kernels, None to leave them. Raises ValueError also for a wrong number of them.
    """
    device = usable(name)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be an integer of at least 1, got {threads!r}")
        torch.set_num_threads(threads)
    return device


def described(device: torch.device) -> dict[str, str]:
    """Plain facts for the header of a run on a device that was `prepared`."""
    name = str(device)
    if device.type == "cuda":
        name += f" ({torch.cuda.get_device_name(device)}, TF32 off)"
    return {
        "framework": "PyTorch",
        "version": torch.__version__,
        "python": platform.python_version(),
        "device": name,
        "threads": str(torch.get_num_threads()),
    }
