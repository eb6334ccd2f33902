"""Register tiles for small matrix products in Numba: the part of `compiled_loops` that touches vector registers.

Numba has no vector type, and LLVM does not find this blocking by itself, so a tile is written as LLVM IR: `rows` x
`width` vectors of accumulators stay in registers while the whole depth of the product streams through them. Plain
multiply-add on IEEE numbers: nothing is reassociated, and NaN and infinity behave as in any other product.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from torch_impl.unrolling.jit import MAX_ROWS, MAX_WIDTH, VECTOR_BYTES, compiled, intrinsic

_INDEX = ir.IntType(64)

# For the arguments of `multiply`: Numba compiles a function anew for every combination of literal integers.
ZERO, ONE = np.int64(0), np.int64(1)


def _data(context: Any, builder: Any, signature: Any, args: Any, position: int) -> Any:
    """The data pointer of the array argument at `position`."""
    return context.make_array(signature.args[position])(context, builder, args[position]).data


def _emit_tile(rows: int, width: int, context: Any, builder: Any, signature: Any, args: Any) -> None:
    """The body of one tile: see `multiply` for the arguments."""
    _, c_at, c_row, add, _, a_at, a_row, a_step, depth, a2_at, depth2, _, b_at, b_row = args
    scalar = context.get_data_type(signature.args[0].dtype)
    lanes = VECTOR_BYTES // (signature.args[0].dtype.bitwidth // 8)
    vector = ir.VectorType(scalar, lanes)
    align = signature.args[0].dtype.bitwidth // 8
    c, a, b = (_data(context, builder, signature, args, i) for i in (0, 4, 11))
    zero = ir.Constant(vector, [0.0] * lanes)
    cells = [(r, v) for r in range(rows) for v in range(width)]

    def at(base: Any, offset: Any, kind: Any) -> Any:
        return builder.bitcast(builder.gep(base, [offset]), kind.as_pointer())

    def const(value: int) -> Any:
        return ir.Constant(_INDEX, value)

    c_cells = [
        at(c, builder.add(c_at, builder.add(builder.mul(c_row, const(r)), const(v * lanes))), vector) for r, v in cells
    ]
    a_rows = [builder.mul(a_row, const(r)) for r in range(rows)]

    kept = builder.icmp_signed("!=", add, const(0))
    start = [builder.select(kept, builder.load(cell, align=align), zero) for cell in c_cells]
    count = builder.add(depth, depth2)
    before = builder.block
    loop, after = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k, a_now, b_now = (builder.phi(_INDEX) for _ in range(3))
    sums = [builder.phi(vector) for _ in cells]
    b_values = [builder.load(at(b, builder.add(b_now, const(v * lanes)), vector), align=align) for v in range(width)]
    results = []
    for r in range(rows):
        value = builder.load(builder.gep(a, [builder.add(a_now, a_rows[r])]))
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        spread = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
        for v in range(width):
            term = builder.fmul(spread, b_values[v], flags=("contract",))
            results.append(builder.fadd(sums[r * width + v], term, flags=("contract",)))
    k_next = builder.add(k, const(1))
    a_next = builder.select(builder.icmp_signed("==", k_next, depth), a2_at, builder.add(a_now, a_step))
    for phi, first, following in zip(
        [k, a_now, b_now, *sums],
        [const(0), a_at, b_at, *start],
        [k_next, a_next, builder.add(b_now, b_row), *results],
        strict=True,
    ):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", k_next, count), loop, after)
    builder.position_at_end(after)
    for total, cell in zip(results, c_cells, strict=True):
        builder.store(total, cell, align=align)


def _make_tile(rows: int, width: int) -> Any:
    """The intrinsic of one tile, `rows` x `width` vectors."""

    @intrinsic
    def tile(
        typingctx: Any, c: Any, c_at: Any, c_row: Any, add: Any, a: Any, a_at: Any, a_row: Any, a_step: Any,
        depth: Any, a2_at: Any, depth2: Any, b: Any, b_at: Any, b_row: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(c, i, i, i, a, i, i, i, i, i, i, b, i, i)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _emit_tile(rows, width, context, builder, signature, args)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _make_column(width: int) -> Any:
    """A function over all rows of a panel `width` vectors wide, in tiles of as many rows as fit."""
    whole, half, pair, single = (_make_tile(min(rows, MAX_ROWS), width) for rows in (6, 3, 2, 1))

    def column(c, c_at, c_row, add, a, a_at, a_row, a_step, depth, a2_at, depth2, b, b_at, b_row, rows):
        done = 0
        while done < rows:
            left = rows - done
            to, fr, fr2 = c_at + done * c_row, a_at + done * a_row, a2_at + done * a_row
            if left >= MAX_ROWS:
                whole(c, to, c_row, add, a, fr, a_row, a_step, depth, fr2, depth2, b, b_at, b_row)
                done += MAX_ROWS
            elif left >= 3:
                half(c, to, c_row, add, a, fr, a_row, a_step, depth, fr2, depth2, b, b_at, b_row)
                done += 3
            elif left == 2:
                pair(c, to, c_row, add, a, fr, a_row, a_step, depth, fr2, depth2, b, b_at, b_row)
                done += 2
            else:
                single(c, to, c_row, add, a, fr, a_row, a_step, depth, fr2, depth2, b, b_at, b_row)
                done += 1

    # Machine code is linked by name. Numba tells functions of one name apart by a count that starts anew in every
    # process, so that code kept by two of them would call each other's columns.
    column.__name__ = column.__qualname__ = f"column_{VECTOR_BYTES}_{MAX_ROWS}x{width}"
    return compiled(column)


@intrinsic
def keep_apart(typingctx):
    """Keep the function it stands in from being copied into its callers, each of which would compile it anew."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


_widest, _double, _simple = (_make_column(min(width, MAX_WIDTH)) for width in (4, 2, 1))


@compiled
def multiply(c, c_at, c_row, add, a, a_at, a_row, a_step, depth, a2_at, depth2, b, b_at, b_row, rows, columns):
    """C = A B, or C += A B where `add` is not 0; all three are flat arrays of one dtype, places counted in elements.

    C [rows, columns] begins at c_at and its rows lie c_row apart; columns is a multiple of PADDING, and all of them are
    written. A [rows, depth + depth2] has element (r, k) at a_at + r a_row + k a_step for k < depth (at least 1), and at
    a2_at + r a_row + (k - depth) a_step after that. B [depth + depth2, columns] begins at b_at, its rows b_row apart.
    """
    keep_apart()
    lanes = VECTOR_BYTES // c.itemsize
    vectors = columns // lanes
    done = 0
    while done < vectors:
        left = vectors - done
        to, fr = c_at + done * lanes, b_at + done * lanes
        if left >= MAX_WIDTH:
            _widest(c, to, c_row, add, a, a_at, a_row, a_step, depth, a2_at, depth2, b, fr, b_row, rows)
            done += MAX_WIDTH
        elif left >= 2:
            _double(c, to, c_row, add, a, a_at, a_row, a_step, depth, a2_at, depth2, b, fr, b_row, rows)
            done += 2
        else:
            _simple(c, to, c_row, add, a, a_at, a_row, a_step, depth, a2_at, depth2, b, fr, b_row, rows)
            done += 1


# Columns are padded to a multiple of this many elements: whole vectors in float32, and in float64 too.
PADDING = VECTOR_BYTES // 4


def _control_word(name: str, builder: Any, value: Any) -> Any:
    """Call the x86 instruction that stores (stmxcsr) or loads (ldmxcsr) the control word of the vector unit."""
    word = ir.IntType(32)
    place = builder.alloca(word)
    if value is not None:
        builder.store(value, place)
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    function = builder.module.declare_intrinsic("llvm.x86.sse." + name, [], kind)
    builder.call(function, [builder.bitcast(place, ir.IntType(8).as_pointer())])
    return builder.load(place)


_X86 = platform.machine().lower() in ("x86_64", "amd64")
_FLUSH = 0x8040  # flush-to-zero, and denormals-are-zero


@intrinsic
def flush_denormals(typingctx):
    """Let this thread treat denormal numbers as zero (on x86); returns what `restore_denormals` takes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _X86:
            return ir.Constant(ir.IntType(32), 0)
        before = _control_word("stmxcsr", builder, None)
        _control_word("ldmxcsr", builder, builder.or_(before, ir.Constant(ir.IntType(32), _FLUSH)))
        return before

    return types.int32(), codegen


@intrinsic
def restore_denormals(typingctx, before):
    """Set denormal numbers back to what `flush_denormals` found."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _X86:
            _control_word("ldmxcsr", builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int32), codegen
