"""CRC-32C, the checksum of TensorFlow's files, sixteen bytes at a time.

CRC-32C (Castagnoli) is the CRC with the reflected polynomial 0x82F63B78 (RFC 3720, appendix B.4). TensorFlow stores it
masked: rotated right by 15 bits, plus 0xA282EAD8 (tensorflow/core/lib/hash/crc32c.h), so that the checksum of data
which holds checksums stays a good one.

A CRC without its first and last complement is linear over GF(2): the state after sixteen bytes is the sum of what each
of them, with nothing but zeros behind it, makes of it. So there is a table for each place ("slicing-by-16", after
Kounavis and Berry 2005), and Numba compiles the loop when data are first long enough to be worth it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

__all__ = ["crc32c", "mask", "unmask"]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF

_SMALL = 1 << 16  # below this many bytes the plain loop is fast enough
_SLICE = 16


def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1)
    return values


_TABLE = _table()
_TABLE_LIST = _TABLE.tolist()


def crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    """The CRC-32C of `data`, an unsigned 32-bit integer; `crc` is that of what comes before it, to go on from there."""
    state = crc ^ _ONES
    array = np.frombuffer(data, dtype=np.uint8)
    words = array.size // _SLICE * 2 if array.size >= _SMALL else 0
    if words:
        loop, tables = _compiled()
        state = int(loop(array[: 8 * words].view("<u8").astype(np.uint64, copy=False), tables, state))
    return _plain(array[8 * words :].tobytes(), state) ^ _ONES


def mask(crc: int) -> int:
    """A CRC as TensorFlow stores it."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def unmask(masked: int) -> int:
    """The CRC that `mask` made `masked` of."""
    rotated = (masked - _MASK_DELTA) & _ONES
    return ((rotated >> 17) | (rotated << 15)) & _ONES


def _plain(data: bytes, state: int) -> int:
    table = _TABLE_LIST
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


@cache
def _compiled() -> tuple[Any, np.ndarray]:
    """(The loop over 64-bit words, whose number is even; its tables [16, 256]).

    Entry b of table k: the state after byte b and k zeros.
    """
    from numba import njit

    tables = [_TABLE]
    for _ in range(_SLICE - 1):
        tables.append(_TABLE[tables[-1] & np.uint32(0xFF)] ^ (tables[-1] >> np.uint32(8)))
    signature = "uint64(Array(uint64, 1, 'C', readonly=True), uint32[:, ::1], uint64)"
    return njit(signature)(_loop), np.array(tables, np.uint32)


def _loop(words: Any, tables: Any, state: Any) -> Any:
    for place in range(0, words.size, 2):
        first, second = words[place] ^ state, words[place + 1]
        found = np.uint32(0)
        for byte in range(8):
            shift = np.uint64(8 * byte)
            found ^= tables[15 - byte, (first >> shift) & np.uint64(0xFF)]
            found ^= tables[7 - byte, (second >> shift) & np.uint64(0xFF)]
        state = np.uint64(found)
    return state
