"""CRC-32C, the checksum of TensorFlow's files, vectorised with NumPy.

CRC-32C (Castagnoli) is the CRC with the reflected polynomial 0x82F63B78 (RFC 3720, appendix B.4). TensorFlow stores it
masked: rotated right by 15 bits, plus 0xA282EAD8 (tensorflow/core/lib/hash/crc32c.h), so that the checksum of data
which holds checksums stays a good one.

A CRC without its first and last complement is linear over GF(2). So the data is cut into equal lanes, all lanes advance
together one byte at a time, and neighbours are then joined: crc(A B) = advance(crc(A), length of B) xor crc(B).
"""

from __future__ import annotations

import numpy as np

__all__ = ["crc32c", "mask", "unmask"]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF

_LANES = 4096  # a power of two: lanes are joined in pairs
_CHUNK = _LANES << 10  # bytes taken at a time, so that memory stays bounded
_SMALL = 1 << 16  # below this many bytes the plain loop is faster


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
    start = 0
    while array.size - start >= _SMALL:
        lane = min(array.size - start, _CHUNK) // _LANES
        state = _lanes(array[start : start + lane * _LANES], state)
        start += lane * _LANES
    return _plain(array[start:].tobytes(), state) ^ _ONES


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


def _lanes(array: np.ndarray, state: int) -> int:
    """The state after `array`, whose size is a multiple of _LANES."""
    states = np.zeros(_LANES, dtype=np.uint32)
    states[0] = state
    columns = np.ascontiguousarray(array.reshape(_LANES, -1).T)
    for column in columns:
        states = _TABLE[(states ^ column) & np.uint32(0xFF)] ^ (states >> np.uint32(8))
    advance = _advance(len(columns))
    while states.size > 1:
        states = _apply(advance, states[0::2]) ^ states[1::2]
        advance = _apply(advance, advance)
    return int(states[0])


def _advance(count: int) -> np.ndarray:
    """The linear map of a state over `count` zero bytes, as the images [32] of the single bits."""
    result = np.uint32(1) << np.arange(32, dtype=np.uint32)
    power = _TABLE[result & np.uint32(0xFF)] ^ (result >> np.uint32(8))
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result


def _apply(images: np.ndarray, states: np.ndarray) -> np.ndarray:
    """A linear map, given as the images [32] of the single bits, applied to each of `states`."""
    result = np.zeros_like(states)
    for bit in range(32):
        result ^= ((states >> np.uint32(bit)) & np.uint32(1)) * images[bit]
    return result
