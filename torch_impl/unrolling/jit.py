"""How this library uses Numba: its decorators, and machine code kept on disk that processes can share.

A `Kernel` is a function that has pointers and integers for arguments and is called by its address, from Python and from
other kernels. So each is compiled once for a dtype, and no other holds a copy of it: most of the time that Numba takes
for functions that call each other goes into compiling the inner ones again within the outer.

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
import ctypes
import hashlib
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding  # type: ignore[import-untyped]
from llvmlite import ir
from numba import njit, types
from numba.core import ccallback, cgutils
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic as _intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()
_WIDE = _FEATURES.get("avx512f", False)

# Bytes of a vector, and the largest tile whose accumulators fit the registers: 32 of 64 bytes with AVX-512, else 16 of
# 32 bytes (AVX2; elsewhere LLVM splits each in two). One vector each is left for the two factors.
VECTOR_BYTES = 64 if _WIDE else 32
MAX_ROWS = 6 if _WIDE else 4
MAX_WIDTH = 4 if _WIDE else 2

# Columns are padded to a multiple of this many elements: whole vectors in float32, and in float64 too.
PADDING = VECTOR_BYTES // 4

# Every file whose code ends in the kernels.
SOURCES = (
    *(f"unrolling/{name}.py" for name in ("jit", "tiles", "activations", "tables", "compiled_loops")),
    *(f"unrolling/pointwise/{name}.py" for name in ("plain", "lstm", "gru")),
    "training/compiled_steps.py",
)
ROOM = Path(__file__).resolve().parents[1]

# Numba's decorators as this library uses them, typed Any since what they decorate is no longer Python: with IEEE
# division, nothing reassociated, and no way to call a `compiled` function from Python, which would take as long again.
_OPTIONS = {"error_model": "numpy", "no_rewrites": True}
compiled: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)
# `contracted`: a product may be added without being rounded first (FMA).
CONTRACTED = {"fastmath": {"contract"}}
contracted: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **CONTRACTED, **_OPTIONS)
intrinsic: Any = _intrinsic


def sources() -> str:
    """A hash of the files in SOURCES and of the sizes of this machine's tiles."""
    total = hashlib.sha256(repr((VECTOR_BYTES, MAX_ROWS, MAX_WIDTH)).encode())
    for name in SOURCES:
        total.update((ROOM / name).read_bytes())
    return total.hexdigest()


_STAMP = sources()  # once: every kernel has the same


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


_CFunc: Any = ccallback.CFunc


class _Code(_CFunc):
    """Numba's function with an address, its code in a `CacheFile`; says so once where it is not there yet."""

    def enable_caching(self) -> None:
        try:
            super().enable_caching()
        except RuntimeError:  # of Numba, which finds no folder that it could write to: each process compiles anew then
            announce(kept=False)
            return
        cache: Any = self._cache
        cache._cache_file = CacheFile(cache._cache_path, cache._impl.filename_base, _STAMP)

    def _compile_uncached(self) -> Any:
        announce()
        return super()._compile_uncached()


@lru_cache(maxsize=1)
def _announced(kept: bool) -> None:
    then = "the code is kept" if kept else "there is no folder to keep it in, so name one with NUMBA_CACHE_DIR"
    text = f"unrolled: compiling for this machine, about 5 seconds, once for a kind of cell; {then}"
    print(text, file=sys.stderr, flush=True)


def announce(kept: bool = True) -> None:
    """Say on stderr, once, that compiling takes a while; kept: whether for other processes too."""
    if not _announced.cache_info().currsize:
        _announced(kept)


class Kernel(NamedTuple):
    """A compiled function: its address, for other kernels, and a function that calls it from Python.

    A call lets other threads run. Pointers are given as integers, such as a tensor's data_ptr().
    """

    address: int
    call: Callable[..., None]


SCALARS: dict[str, Any] = {"float32": types.float32, "float64": types.float64}
INTEGER = types.int64


@cache
def kernel(function: Any, scalar: str, arguments: str = "IFii") -> Kernel:
    """The function compiled for float32 or float64, whichever `scalar` says; it returns nothing and raises nothing.

    arguments: a letter for each: i int64, f a pointer to scalars, I and F tables of pointers to int64 and scalars.
    """
    number = SCALARS[scalar]
    pointer = types.CPointer
    kinds = {"i": INTEGER, "f": pointer(number), "I": pointer(pointer(INTEGER)), "F": pointer(pointer(number))}
    code: Any = _Code(function, (tuple(kinds[letter] for letter in arguments), types.void), {}, dict(_OPTIONS))
    code.enable_caching()
    code.compile()
    _KEPT.append(code)
    plain = (ctypes.c_int64 if letter == "i" else ctypes.c_void_p for letter in arguments)
    return Kernel(code.address, ctypes.CFUNCTYPE(None, *plain)(code.address))


_KEPT: list[Any] = []  # the memory of machine code belongs to these


@intrinsic
def at(typingctx, pointer, offset):
    """The pointer moved on by so many elements."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


@intrinsic
def missing(typingctx, pointer):
    """Whether a pointer is null."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.is_null(builder, args[0])

    return types.boolean(pointer), codegen


@intrinsic
def one_of(typingctx, pointer):
    """1 as one of the scalars that it points to; a plain 1 would make sums in float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(args[0].type.pointee, 1.0)

    return pointer.dtype(pointer), codegen


@intrinsic
def doubles(typingctx, pointer):
    """The pointer as one to float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(pointer), codegen


@intrinsic
def call(typingctx, address, arguments):
    """Call a kernel by its address with a tuple of arguments."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [builder.extract_value(args[1], i) for i in range(len(signature.args[1]))]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), codegen


@intrinsic
def add_one(typingctx, pointer):
    """Add 1 to an int64 that threads share; what it was before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", args[0], ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(types.CPointer(types.int64)), codegen


@intrinsic
def shared_value(typingctx, pointer):
    """An int64 that threads share."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(args[0], "seq_cst", 8)

    return types.int64(types.CPointer(types.int64)), codegen


@intrinsic
def distinct(typingctx):
    """Promise that the pointers which the function is given are to memory apart, so that LLVM may use vectors.

    As wide ones as tiles do: by itself LLVM halves those of AVX-512.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for argument in builder.function.args[2:]:  # after the places for a result and an exception
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        wanted = f'"prefer-vector-width"="{8 * VECTOR_BYTES}"'
        set.add(builder.function.attributes, wanted)  # llvmlite's own `add` knows only attributes without a value
        return context.get_dummy_value()

    return types.void(), codegen
