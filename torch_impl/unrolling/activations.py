"""tanh and sigmoid for Numba loops, in arithmetic that LLVM turns into vector instructions (calls of the C library it
cannot).

tanh(x) = -e / (2 + e) with e = exp(-2|x|) - 1, and the sign of x. e is computed without cancellation (Cody & Waite
1980): -2|x| = n ln 2 + r with |r| <= ln 2 / 2, then e = 2^n p + (2^n - 1), where p = exp(r) - 1 by its Taylor series,
cut where a further term lies below half a unit in the last place. Where the machine has fused multiply-add, products
are added without being rounded first. With it the error was measured as at most 2.5 units in the last place in float32
(over its whole range, that of sigmoid too); the tests hold 4, in float64 too. Zeros keep their sign, NaN stays NaN.

sigmoid(x) is 1 / (1 + q) with q = exp(-|x|) = 2^n p + 2^n, and for x below 0 that times q: accurate where
it is small, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import overload

from torch_impl.unrolling.jit import CONTRACTED, contracted, intrinsic

# x + ROUND rounds x to an integer, which the sum's lowest bits then hold: 1.5 * 2**(bits of the fraction).
# LN2_HIGH has zeros at its end, so that n * LN2_HIGH is exact; LN2_LOW is the rest of ln 2.
# LIMIT: beyond it tanh rounds to 1. LEAST: the exponential of it is about the least normal number.
F = np.float32
ROUND32, LOG2E32 = F(1.5 * 2.0**23), F(1.4426950408889634)
LIMIT32, LEAST32 = F(-20.0), F(-87.0)
LN2_HIGH32, LN2_LOW32 = F(0.693359375), F(-2.12194440e-4)
SERIES32 = tuple(F(1.0 / c) for c in (40320, 5040, 720, 120, 24, 6, 2))

ROUND64, LOG2E64 = 1.5 * 2.0**52, 1.4426950408889634
LIMIT64, LEAST64 = -40.0, -708.0
LN2_HIGH64, LN2_LOW64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SERIES64 = tuple(
    1.0 / c for c in (6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2)
)  # 13! down to 2!


@intrinsic
def power_of_two(typingctx, rounded):
    """2**n as a float, from n + ROUND: n moves from the lowest bits into the exponent."""
    width, fraction, one = (32, 23, 0x3F800000) if rounded == types.float32 else (64, 52, 0x3FF0000000000000)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(width)
        bits = builder.bitcast(args[0], integer)
        shifted = builder.add(builder.shl(bits, ir.Constant(integer, fraction)), ir.Constant(integer, one))
        return builder.bitcast(shifted, args[0].type)

    return rounded(rounded), codegen


@intrinsic
def with_sign(typingctx, magnitude, sign):
    """The magnitude with the sign of the other, -0.0 included."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        function = builder.module.declare_intrinsic("llvm.copysign", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, args)

    return magnitude(magnitude, magnitude), codegen


def tanh(x: Any) -> Any:
    """tanh of a float32 or float64 scalar, in Numba code only."""
    raise NotImplementedError("torch_impl.unrolling.activations.tanh is for compiled code; call numpy.tanh")


@overload(tanh, jit_options=CONTRACTED)
def _tanh(x):
    return tanh32 if x == types.float32 else tanh64


def sigmoid(x: Any) -> Any:
    """The logistic function of a float32 or float64 scalar, in Numba code only."""
    raise NotImplementedError("torch_impl.unrolling.activations.sigmoid is for compiled code; call torch.sigmoid")


@overload(sigmoid, jit_options=CONTRACTED)
def _sigmoid(x):
    return sigmoid32 if x == types.float32 else sigmoid64


@contracted
def reduced32(y):
    """p and the scale 2^n for y <= 0, of which exp(y) = 2^n p + 2^n."""
    rounded = y * LOG2E32 + ROUND32
    n = rounded - ROUND32
    r = (y - n * LN2_HIGH32) - n * LN2_LOW32
    c8, c7, c6, c5, c4, c3, c2 = SERIES32
    p = r + r * r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * (c7 + r * c8))))))
    return p, power_of_two(rounded)


def tanh32(x):
    y = np.float32(-2.0) * abs(x)
    p, scale = reduced32(LIMIT32 if y < LIMIT32 else y)
    e = scale * p + (scale - np.float32(1.0))
    return with_sign(-e / (np.float32(2.0) + e), x)


def sigmoid32(x):
    one, y = np.float32(1.0), -abs(x)
    p, scale = reduced32(LEAST32 if y < LEAST32 else y)
    q = scale * p + scale
    return (q if x < np.float32(0.0) else one) / (one + q)


@contracted
def reduced64(y):
    """The same in float64."""
    rounded = y * LOG2E64 + ROUND64
    n = rounded - ROUND64
    r = (y - n * LN2_HIGH64) - n * LN2_LOW64
    c13, c12, c11, c10, c9, c8, c7, c6, c5, c4, c3, c2 = SERIES64
    p = c8 + r * (c9 + r * (c10 + r * (c11 + r * (c12 + r * c13))))
    p = r + r * r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * (c7 + r * p))))))
    return p, power_of_two(rounded)


def tanh64(x):
    y = -2.0 * abs(x)
    p, scale = reduced64(LIMIT64 if y < LIMIT64 else y)
    e = scale * p + (scale - 1.0)
    return with_sign(-e / (2.0 + e), x)


def sigmoid64(x):
    y = -abs(x)
    p, scale = reduced64(LEAST64 if y < LEAST64 else y)
    q = scale * p + scale
    return (q if x < 0.0 else 1.0) / (1.0 + q)
