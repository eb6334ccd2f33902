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
  decides; and for an LSTM that oneDNN runs (float32, without lengths) of more than 300 units on fewer than 64 rows,
  where the weights no longer fit the cache and few rows share them; or, where Numba is missing, of any size.

Measured: forward and backward pass with 28 inputs, float32, AVX-512 with 2 MiB of second-level cache, milliseconds of
"compiled", "bptt" and PyTorch's own layer (for the LSTM oneDNN's, for TF1's GRU nn.GRU), least of three turns. Up to
256 units "compiled" is slower than that layer on none of the shapes that were tried (PERFORMANCE.md); beyond that:

    rows x steps x units           one thread           two threads
    plain    1 x  16 x  512     1.2,  1.6,  3.5      1.1,  1.3,  2.0
             1 x  16 x 1024     8.8,  8.0,   17      7.2,  4.3,  8.1
             4 x  16 x 1024      11,   12,   21      6.8,  6.2,   10
             8 x  16 x 1024      13,   16,   23      8.3,  7.8,   12
    GRU      1 x  16 x  512     6.2,  7.2,   13      5.3,  3.7,  7.2
             1 x  16 x 1024      28,   23,   47       25,   15,   27
             8 x  16 x 1024      44,   47,   67       34,   29,   43
            32 x  16 x 1024      90,   93,  120       56,   56,   70
    LSTM     1 x  16 x  384     3.9,  5.1,  3.6      3.4,  2.8,  2.3
             8 x 100 x  384      34,   54,   34       24,   29,   17
            32 x  16 x  384      18,   20,   17       10,   14,   10
             1 x  16 x  512      10,  9.7,  8.8      8.2,  5.2,  4.4
             8 x  16 x  512      12,   17,   12      8.6,  9.5,  6.9
            32 x  16 x  512      30,   31,   28       18,   24,   18
           150 x  16 x  512     124,  121,  133       66,   70,   75

Threads share the rows of a batch, and the units where it comes to the weights, wherever that is worth a hand-over
(`teams`); torch's own thread count is obeyed.

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
from torch_impl.unrolling import threads  # noqa: F401 (imported before a fork, it knows of it)
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
    by_onednn = kind.name == "lstm" and not lengths and _onednn(tensors[0])
    if not lengths and (places < 4 or (by_onednn and units > 300 and batch < 64)):
        return "native"
    if units > 512 and batch < 8:
        return "bptt"
    if _compiler_or_warning():
        return "compiled"
    return "native" if by_onednn else "bptt"


def _onednn(inputs: Tensor) -> bool:
    """Whether PyTorch runs an LSTM of these inputs by oneDNN."""
    return inputs.dtype == torch.float32 and torch._C._has_mkldnn and torch._C._get_mkldnn_enabled()


@lru_cache(maxsize=1)
def _compiler_or_warning() -> bool:
    reason = missing_compiler()
    if reason is not None:
        warnings.warn(
            f"training runs without compiled code, at down to a tenth of its speed: {reason}; or set "
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
