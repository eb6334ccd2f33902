"""TensorFlow's table file, the container of a checkpoint's index: sorted keys with values, in checksummed blocks.

It is LevelDB's format (github.com/google/leveldb, doc/table_format.md; tensorflow/core/lib/io/format.h) with CRC-32C:

    block     entries, the uint32 positions of the entries whose key is stored whole ("restarts"), their uint32 count
    entry     varints: bytes shared with the key before, bytes of its own, bytes of the value; then key rest and value
    trailer   after every block: one byte of compression (0 none, 1 Snappy), the masked CRC of the block and that byte
    footer    the last 48 bytes: handles (varints: position, size) of metaindex and index block, zeros, the magic number
    index     a block with one entry per data block: a key not below any of the block's, and its handle

All fixed-width numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.tf1.crc32c import crc32c, mask
from torch_impl.tf1.protobuf import read_varint, varint
from torch_impl.tf1.snappy import decompress

__all__ = ["MAGIC", "build_table", "read_table"]

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5
_NONE, _SNAPPY = 0, 1

# TensorFlow's own writer (core/lib/io/table_options.h): with these a written index equals TensorFlow's byte for byte.
_BLOCK_SIZE = 262_144
_RESTART_INTERVAL = 16

# Far above any real index, and low enough that a forged one costs seconds and megabytes at most.
_MOST_ENTRIES = 100_000
_MOST_KEY_BYTES = 1 << 26
_MOST_BLOCK_BYTES = 1 << 25  # of all blocks together, uncompressed


def read_table(data: bytes) -> dict[bytes, bytes]:
    """Keys and values of a whole table file, in order, every checksum verified; raises CheckpointError."""
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        raise CheckpointError(
            "not the index of a TensorFlow checkpoint, or truncated: it does not end in the table format's magic number"
        )
    footer = data[-_FOOTER:-8]
    position, size, after = _handle(footer, 0)
    list(_entries(_block(data, position, size)))  # the metaindex is empty in a checkpoint, but its checksum counts too
    position, size, _ = _handle(footer, after)
    table: dict[bytes, bytes] = {}
    key_bytes = end = 0
    left = _MOST_BLOCK_BYTES
    last = None
    for _, handle in _entries(_block(data, position, size)):
        position, size, _ = _handle(handle, 0)
        # One after the other, as they are written: blocks within each other would hold the same bytes many times.
        if position < end:
            raise CheckpointError(f"altered: the block at {position} begins within the one before, which ends at {end}")
        end = position + size + _TRAILER
        before = len(table)
        block = _block(data, position, size, left)
        left -= len(block)
        for key, value in _entries(block):
            if last is not None and key <= last:
                raise CheckpointError(f"altered: the key {key!r:.80} is not in order")
            key_bytes += len(key)
            if len(table) >= _MOST_ENTRIES or key_bytes > _MOST_KEY_BYTES:
                raise CheckpointError(f"more than {_MOST_ENTRIES} entries, or {_MOST_KEY_BYTES} bytes of names")
            table[key] = value
            last = key
        # Without this, a forged index could name one large empty block any number of times.
        if len(table) == before:
            raise CheckpointError(f"altered: the block at {position} has no entries")
    return table


def _handle(data: bytes, start: int) -> tuple[int, int, int]:
    """Position and size of a block, and the position after the handle."""
    position, start = read_varint(data, start)
    size, start = read_varint(data, start)
    return position, size, start


def _block(data: bytes, position: int, size: int, most: int = _MOST_BLOCK_BYTES) -> bytes:
    """The contents of the block at `position`, checked and uncompressed: at most so many bytes."""
    end = position + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise CheckpointError(f"truncated or altered: a block of {size} bytes at {position} reaches past the end")
    stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    if mask(crc32c(data[position : end + 1])) != stored:
        raise CheckpointError(f"altered: the checksum of the block at {position} does not match; get the file again")
    contents, compression = data[position:end], data[end]
    if compression == _SNAPPY:
        return decompress(contents, most)
    if compression != _NONE:
        raise CheckpointError(f"the block at {position} has the unknown compression {compression}, expected 0 or 1")
    return contents


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block, in order."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise CheckpointError(f"altered: a block of {len(block)} bytes claims {restarts} restarts")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        own, position = read_varint(block, position)
        value_size, position = read_varint(block, position)
        if shared > len(key) or position + own + value_size > end:
            raise CheckpointError("altered: an entry reaches past its block")
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + value_size]
        position += value_size


class _BlockBuilder:
    """Entries packed into one block, every `interval`-th key whole."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.data = bytearray()
        self.restarts = [0]
        self.count = 0
        self.last = b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count and self.count % self.interval == 0:
            self.restarts.append(len(self.data))
        elif self.count:
            shared = _common(self.last, key)
        self.data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self.count += 1
        self.last = key

    def size(self) -> int:
        return len(self.data) + 4 * (len(self.restarts) + 1)

    def finish(self) -> bytes:
        numbers = [*self.restarts, len(self.restarts)]
        return bytes(self.data) + b"".join(number.to_bytes(4, "little") for number in numbers)


def build_table(items: Mapping[bytes, bytes], block_size: int = _BLOCK_SIZE) -> bytes:
    """The bytes of a table file with `items`, sorted by key, uncompressed: what TensorFlow itself would have written.

    block_size: bytes after which a block is finished.
    """
    output = bytearray()
    index = _BlockBuilder(1)
    block = _BlockBuilder(_RESTART_INTERVAL)
    pending = b""  # the handle of a finished block, until the next key is known
    for key in sorted(items):
        if pending:
            index.add(_separator(block.last, key), pending)
            block, pending = _BlockBuilder(_RESTART_INTERVAL), b""
        if block.count and len(key) + len(items[key]) >= 2 * block_size:
            index.add(_separator(block.last, key), _append(output, block.finish()))
            block = _BlockBuilder(_RESTART_INTERVAL)
        block.add(key, items[key])
        if block.size() >= block_size:
            pending = _append(output, block.finish())
    if block.count and not pending:
        pending = _append(output, block.finish())
    metaindex = _append(output, _BlockBuilder(_RESTART_INTERVAL).finish())
    if pending:
        index.add(_successor(block.last), pending)
    footer = metaindex + _append(output, index.finish())
    return bytes(output) + footer.ljust(_FOOTER - 8, b"\0") + MAGIC


def _append(output: bytearray, block: bytes) -> bytes:
    """Append a block and its trailer; returns its handle."""
    handle = varint(len(output)) + varint(len(block))
    checked = block + bytes([_NONE])
    output += checked + mask(crc32c(checked)).to_bytes(4, "little")
    return handle


def _common(first: bytes, second: bytes) -> int:
    """How many bytes the two share at their start."""
    count = 0
    while count < min(len(first), len(second)) and first[count] == second[count]:
        count += 1
    return count


def _separator(key: bytes, following: bytes) -> bytes:
    """A short key that is not below `key` and is below `following`."""
    same = _common(key, following)
    if same < min(len(key), len(following)) and key[same] + 1 < following[same]:
        return key[:same] + bytes([key[same] + 1])
    return key


def _successor(key: bytes) -> bytes:
    """A short key that is not below `key`."""
    for position, byte in enumerate(key):
        if byte != 0xFF:
            return key[:position] + bytes([byte + 1])
    return key
