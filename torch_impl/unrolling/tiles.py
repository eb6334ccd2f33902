"""Register tiles for small matrix products in Numba: the part of `compiled_loops` that touches vector registers.

Numba has no vector type, and LLVM does not find this blocking by itself, so a tile is written as LLVM IR: `rows` x
`width` vectors of accumulators stay in registers while the whole depth of the product streams through them. Plain
multiply-add on IEEE numbers: nothing is reassociated, and NaN and infinity behave as in any other product.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from torch_impl.unrolling.jit import MAX_ROWS, MAX_WIDTH, VECTOR_BYTES, at, compiled, intrinsic

_INDEX = ir.IntType(64)


def _emit_tile(rows: int, width: int, builder: Any, signature: Any, args: Any) -> None:
    """The body of one tile: see `multiply` for the arguments."""
    c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row = args
    bits = signature.args[0].dtype.bitwidth
    scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
    lanes, align = VECTOR_BYTES * 8 // bits, bits // 8
    vector = ir.VectorType(scalar, lanes)
    zero = ir.Constant(vector, [0.0] * lanes)
    cells = [(r, v) for r in range(rows) for v in range(width)]

    def const(value: int) -> Any:
        return ir.Constant(_INDEX, value)

    def vector_at(base: Any, offset: Any) -> Any:
        return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

    c_rows = [builder.mul(c_row, const(r)) for r in range(rows)]
    c_cells = [vector_at(c, builder.add(c_rows[r], const(v * lanes))) for r, v in cells]
    a_rows = [builder.mul(a_row, const(r)) for r in range(rows)]

    kept = builder.icmp_signed("!=", add, const(0))
    start = [builder.select(kept, builder.load(cell, align=align), zero) for cell in c_cells]
    count = builder.add(depth, depth2)
    before = builder.block
    loop, after = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k, a_now, b_now = (builder.phi(kind) for kind in (_INDEX, a.type, b.type))
    sums = [builder.phi(vector) for _ in cells]
    b_values = [builder.load(vector_at(b_now, const(v * lanes)), align=align) for v in range(width)]
    results = []
    for r in range(rows):
        value = builder.load(builder.gep(a_now, [a_rows[r]]))
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        spread = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
        for v in range(width):
            term = builder.fmul(spread, b_values[v], flags=("contract",))
            results.append(builder.fadd(sums[r * width + v], term, flags=("contract",)))
    k_next = builder.add(k, const(1))
    a_next = builder.select(builder.icmp_signed("==", k_next, depth), a2, builder.gep(a_now, [a_step]))
    for phi, first, following in zip(
        [k, a_now, b_now, *sums],
        [const(0), a, b, *start],
        [k_next, a_next, builder.gep(b_now, [b_row]), *results],
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
        typingctx: Any, c: Any, c_row: Any, add: Any, a: Any, a_row: Any, a_step: Any, depth: Any, a2: Any,
        depth2: Any, b: Any, b_row: Any,
    ) -> Any:  # fmt: skip
        i = types.int64
        signature = types.void(c, i, i, a, i, i, i, a, i, b, i)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _emit_tile(rows, width, builder, signature, args)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _make_column(width: int) -> Any:
    """A function over all rows of a panel `width` vectors wide, in tiles of as many rows as fit."""
    whole, half, pair, single = (_make_tile(min(rows, MAX_ROWS), width) for rows in (6, 3, 2, 1))

    def column(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row, rows):
        while rows > 0:
            if rows >= MAX_ROWS:
                whole(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row)
                done = MAX_ROWS
            elif rows >= 3:
                half(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row)
                done = 3
            elif rows == 2:
                pair(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row)
                done = 2
            else:
                single(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row)
                done = 1
            c, a, a2 = at(c, done * c_row), at(a, done * a_row), at(a2, done * a_row)
            rows -= done

    # Machine code is linked by name. Numba tells functions of one name apart by a count that starts anew in every
    # process, so that code kept by two of them would call each other's columns.
    column.__name__ = column.__qualname__ = f"column_{VECTOR_BYTES}_{MAX_ROWS}x{width}"
    return compiled(column)


_COLUMNS = [_make_column(width) for width in range(1, MAX_WIDTH + 1)]
_simple, _double, _triple, _widest = (_COLUMNS[min(width, MAX_WIDTH) - 1] for width in (1, 2, 3, 4))


@intrinsic
def lanes_of(typingctx, pointer):
    """How many of what it points to are in a vector."""
    lanes = VECTOR_BYTES * 8 // pointer.dtype.bitwidth

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_INDEX, lanes)

    return types.int64(pointer), codegen


MULTIPLY = "fiifiiififiiii"  # its arguments: see `jit.kernel`


def multiply(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, b_row, b_depth, rows, columns):
    """C = A B, or C += A B where `add` is not 0; strides are counted in elements.

    C [rows, columns], its rows c_row apart; columns is a multiple of PADDING, and all of them are written.
    A [rows, depth + depth2] has element (r, k) at a + r a_row + k a_step for k < depth (at least 1), and at
    a2 + r a_row + (k - depth) a_step after that. B [depth + depth2, columns] has its rows b_row apart; or where b_depth
    is not 0, it lies in panels of MAX_WIDTH vectors (the last may have fewer), one after the other, each of b_depth
    rows without gaps: read in order, and free of the conflicts in the cache that rows a power of two apart have.
    """
    lanes = lanes_of(c)
    vectors = columns // lanes
    while vectors > 0:
        width = MAX_WIDTH if vectors > MAX_WIDTH else vectors
        stride = width * lanes if b_depth else b_row
        if width >= 4:
            _widest(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, stride, rows)
        elif width == 3:
            _triple(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, stride, rows)
        elif width == 2:
            _double(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, stride, rows)
        else:
            _simple(c, c_row, add, a, a_row, a_step, depth, a2, depth2, b, stride, rows)
        c, b = at(c, width * lanes), at(b, width * lanes * (b_depth if b_depth else 1))
        vectors -= width


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
