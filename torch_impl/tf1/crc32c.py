"""CRC-32C (RFC 3720, appendix B.4), the checksum of TensorFlow's files.

TensorFlow stores it masked: rotated right by 15 bits, plus 0xA282EAD8 (tensorflow/core/lib/hash/crc32c.h), so that the
checksum of data which holds checksums stays a good one.
"""

from __future__ import annotations

import google_crc32c

__all__ = ["crc32c", "mask", "unmask"]

_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF


def crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    """The CRC-32C of `data`, an unsigned 32-bit integer; `crc` is that of what comes before it, to go on from there."""
    return int(google_crc32c.extend(crc, bytes(data)))


def mask(crc: int) -> int:
    """A CRC as TensorFlow stores it."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def unmask(masked: int) -> int:
    """The CRC that `mask` made `masked` of."""
    rotated = (masked - _MASK_DELTA) & _ONES
    return ((rotated >> 17) | (rotated << 15)) & _ONES
