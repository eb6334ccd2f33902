"""Which code runs a cell over a whole sequence, and how to force it.

    compiled  torch_impl.unrolling.compiled: Numba, for the CPU
    bptt      torch_impl.unrolling.bptt: torch alone, one node of autograd for the sequence
    native    PyTorch's own kernel where there is one: cuDNN on CUDA, oneDNN for an LSTM without lengths on the CPU,
              else a C++ loop over the steps; for other cells, step by step

Without a choice, "native" runs wherever the other two do not apply: cells of no kind in torch_impl.unrolling.kinds (an
LSTM with peepholes, say), off the CPU, in other dtypes than float32 and float64, under autocast, torch.compile,
tracing, torch.func transforms, forward-mode derivatives and fake tensors, and for subclasses of Tensor. Elsewhere it is
"compiled", but

- "bptt" for a batch below 8 of more than 512 units, where the weights no longer fit the cache and the bare
  matrix-vector product decides;
- "native" without lengths on fewer than 4 rows times steps, such as one step of a stream, where what any call costs
  decides; and for an LSTM, which oneDNN runs, where its weights no longer fit the cache and few rows share them, or
  where Numba is missing.

Measured: forward and backward pass against PyTorch's own layer with 28 inputs,
float32, one thread, AVX-512; ratios of minima, the paths interleaved, on a machine that others used too. The plain
cell with tanh against nn.RNN:

                        16 steps            100 steps           400 steps
    batch  units    bptt  compiled      bptt  compiled      bptt  compiled
        1     16     2.0       3.3       3.1      11.6       3.5      23.2
        1    150     2.0       2.8       2.6       6.1       3.0       8.8
        1    256     2.1       2.6       2.7       4.9       2.9       6.8
        8    150     1.7       2.6       1.9       3.4       2.0       3.6
       32     64     1.6       2.6       1.8       3.5       1.9       3.8
       32    256     1.3       1.7       1.3       1.7       1.3       2.0
      150     64     1.6       3.1       1.4       2.1       1.0       1.7
      150    256     1.3       1.6       0.9       1.5       1.3       1.6

    at 16 steps:    batch 1    512 units 1.8, 2.1    1024 units 2.6, 1.1
                    batch 8                          1024 units 2.1, 2.1
                    batch 150  512 units 1.0, 1.4    1024 units 1.0, 1.1

Gated cells, "bptt" and "compiled", processor time: the LSTM without lengths against nn.LSTM (oneDNN), TF1's GRU (reset
gate before the product) against nn.GRU (after it), the nearest that PyTorch has, and the GRU that is the same:

                         LSTM                   GRU                  GRU, reset after
    batch  units    16 steps  100 steps   16 steps  100 steps    16 steps  100 steps
        1     16    0.2, 1.1   0.1, 1.1   1.0, 3.8  0.9, 19.2    1.1, 6.1  1.1, 23.9
        1    150    0.3, 0.8   0.2, 1.0   1.0, 2.8  1.0,  8.7    1.0, 2.8  0.8,  5.4
        1    256    0.5, 0.9   0.3, 1.0   1.3, 3.2  1.8, 10.0    1.7, 2.8  1.6,  8.2
        8     64    0.3, 1.1   0.2, 1.0   0.8, 3.7  0.9, 10.3    1.0, 3.6  1.0, 11.1
        8    256    0.6, 1.0   0.4, 1.1   1.3, 2.6  1.6,  4.1    1.4, 2.5  1.6,  4.9
       32     64    0.4, 1.1   0.4, 1.2   0.9, 2.9  1.1,  4.8    1.1, 3.3  1.2,  5.3
       32    256    0.7, 1.1   0.8, 1.5   1.2, 2.2  1.3,  2.7    1.4, 2.1  1.2,  2.8
      150    150    0.8, 1.2   0.8, 1.3   1.2, 2.2              1.0, 2.1  1.0,  1.7
      150    256    0.9, 1.2   0.9, 1.2   1.1, 1.6              1.0, 1.7  1.1,  1.5

An LSTM of few rows without lengths on one thread, time by that of nn.LSTM (processor time, warm, a busy machine),
"native" (whose way to the kernel costs some 60 microseconds forward) and "compiled":

    units           16           64          150          256
    1 x 16    1.5, 0.9     1.4, 1.0     1.2, 1.1     1.1, 1.3
    1 x 100   1.4, 0.7     1.4, 0.8     1.2, 1.0     1.1, 0.9
    8 x 16    1.5, 0.8     1.3, 0.7     1.2, 1.2     1.2, 1.1
    8 x 100   1.2, 0.6     1.2, 0.9     1.1, 0.9     1.0, 1.0

Two threads share the rows of a batch wherever that is worth a hand-over (`threads.WORTH_A_THREAD`); torch's own
thread count is obeyed.

Force a path for a block with `forced_path("bptt")`, or for a process with the environment variable UNROLLED_PATH. What
a forced path cannot run at all (see above) still runs natively.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor, nn

from torch_impl.checks import transformed
from torch_impl.unrolling.kinds import Kind

__all__ = ["PATHS", "chosen_path", "forced_path"]

PATHS = ("compiled", "bptt", "native")
VARIABLE = "UNROLLED_PATH"

_forced: ContextVar[str | None] = ContextVar("forced_path", default=None)


@contextmanager
def forced_path(name: str | None) -> Iterator[None]:
    """Within the block, run every sequence by this path, one of PATHS; None: let the shapes decide.

    Raises ValueError for another name, and ModuleNotFoundError for "compiled" where Numba is missing.
    """
    token = _forced.set(None if name is None else _checked(name, "the path"))
    try:
        yield
    finally:
        _forced.reset(token)


def _checked(name: str, source: str) -> str:
    if name not in PATHS:
        raise ValueError(f"{source} must be one of {', '.join(PATHS)}, got {name!r}")
    if name == "compiled":
        reason = missing_compiler()
        if reason is not None:
            raise ModuleNotFoundError(f"{source} is 'compiled', but {reason}")
    return name


@lru_cache(maxsize=1)
def missing_compiler() -> str | None:
    """Why the compiled path cannot run here, and what to do; or None. Imports Numba."""
    try:
        import torch_impl.unrolling.compiled  # noqa: F401
    except ImportError as error:
        return f"Numba is missing ({error}); install it (pip install numba)"
    return None


def wanted_path() -> str | None:
    """The path that is forced, or None."""
    name = _forced.get()
    if name is None and os.environ.get(VARIABLE):
        name = _checked(os.environ[VARIABLE], f"the environment variable {VARIABLE}")
    return name


def chosen_path(kind: Kind, units: int, places: int, batch: int, lengths: bool, *tensors: Tensor) -> str:
    """The path, one of PATHS, for so many units, rows times steps and rows, with lengths or without; tensors: the
    weights, inputs and state of the call."""
    if torch.compiler.is_compiling():  # first: what follows cannot be traced
        return "native"
    if not all(map(_plain, tensors)) or _transformed():
        return "native"
    wanted = wanted_path()
    if wanted is not None:
        return wanted
    by_onednn = kind.name == "lstm" and not lengths
    if not lengths and (places < 4 or (by_onednn and units > 300 and batch < 64)):
        return "native"
    if units > 512 and batch < 8:
        return "bptt"
    if _compiler_or_warning():
        return "compiled"
    return "native" if by_onednn else "bptt"


@lru_cache(maxsize=1)
def _compiler_or_warning() -> bool:
    reason = missing_compiler()
    if reason is not None:
        warnings.warn(
            f"training runs without compiled code, at a half to a tenth of its speed: {reason}; or set "
            f"{VARIABLE}=bptt to silence this",
            RuntimeWarning,
            stacklevel=2,
        )
    return reason is None


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor is ordinary memory on the CPU that Python code may read."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.is_cpu
        and tensor.dtype in (torch.float32, torch.float64)
        and tensor.layout is torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def _transformed() -> bool:
    """Whether the call is being traced, transformed, or cast."""
    return (
        torch.is_autocast_enabled("cpu")
        or torch._C._get_tracing_state() is not None
        or transformed()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
    )
