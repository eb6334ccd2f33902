"""How this library uses Numba: its decorators, and machine code kept on disk that processes can share.

Numba keeps the machine code of a function beside its source, and leaves three things to its user:

- It takes the code for fresh as long as the function's own file is unchanged. Here it is, as long as no file changes
  from which compiled code is drawn, and none of the sizes that tiles have on this machine.
- Two processes that compile different signatures of a function at the same time may write them to one file, and a
  third would then run the wrong one. Here the file's name follows from what it holds.
- Code that was kept by several processes is linked by the names of functions, of which only those of closures are not
  unique: whoever compiles a closure must name it (`torch_impl.unrolling.tiles`).
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
from numba import njit
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic as _intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()
_WIDE = _FEATURES.get("avx512f", False)

# Bytes of a vector, and the largest tile whose accumulators fit the registers: 32 of 64 bytes with AVX-512, else 16 of
# 32 bytes (AVX2; elsewhere LLVM splits each in two). One vector each is left for the two factors.
VECTOR_BYTES = 64 if _WIDE else 32
MAX_ROWS = 6 if _WIDE else 4
MAX_WIDTH = 4 if _WIDE else 2

# Every file whose code ends in the cached functions.
SOURCES = (
    *(f"unrolling/{name}.py" for name in ("jit", "tiles", "activations", "layout", "compiled_loops")),
    "training/compiled_steps.py",
)
ROOM = Path(__file__).resolve().parents[1]

# Numba's decorators as this library uses them, typed Any since what they decorate is no longer Python: without the
# interpreter's lock, with IEEE division, and nothing reassociated.
compiled: Any = njit(nogil=True, error_model="numpy")
intrinsic: Any = _intrinsic


def sources() -> str:
    """A hash of the files in SOURCES and of the sizes of this machine's tiles."""
    total = hashlib.sha256(repr((VECTOR_BYTES, MAX_ROWS, MAX_WIDTH)).encode())
    for name in SOURCES:
        total.update((ROOM / name).read_bytes())
    return total.hexdigest()


_STAMP = sources()  # once: every cached function has the same


class CacheFile(IndexDataCacheFile):
    """Numba's index and data files of one function, safe for processes that fill them at the same time."""

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of one signature; where it cannot be written, this process alone has it."""
        with contextlib.suppress(OSError):
            name = self._name_of(key)
            self._save_data(name, data)  # before the index, which never points to what is not there
            self._save_index({**self._load_index(), key: name})

    def load(self, key: Any) -> Any:
        """What was saved under the key, or None; None too where a file is damaged, which is then written anew."""
        try:
            name = self._load_index().get(key)
            return None if name is None else self._load_data(name)
        except Exception:  # whatever unpickling a damaged file may raise
            return None

    def _name_of(self, key: Any) -> str:
        content = repr((self._version, self._source_stamp, key))
        return f"{Path(self._index_name).stem}.{hashlib.sha256(content.encode()).hexdigest()[:20]}.nbc"


def cached(function: Any) -> Any:
    """`compiled`, for what is called from Python: the machine code is kept on disk."""
    dispatcher: Any = njit(nogil=True, error_model="numpy", cache=True)(function)
    cache = dispatcher._cache
    cache._cache_file = CacheFile(cache._cache_path, cache._impl.filename_base, _STAMP)
    return dispatcher
