"""The small formats below a TensorFlow 1 checkpoint: CRC-32C, Snappy, varints, and the table file."""

from __future__ import annotations

import numpy as np
import pytest

from torch_impl.checkpoints import CheckpointError
from torch_impl.tf1 import protobuf, table
from torch_impl.tf1.crc32c import crc32c, mask, unmask
from torch_impl.tf1.snappy import decompress


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of CRC-32C
        (bytes(32), 0x8A9136AA),  # RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_published_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def test_crc32c_goes_on_from_what_came_before() -> None:
    data = bytes(range(256)) * 40
    assert crc32c(memoryview(data)[77:], crc32c(data[:77])) == crc32c(data)


@pytest.mark.parametrize("crc", [0, 1, 0xE3069283, 0xFFFFFFFF])
def test_masking_rotates_and_adds_and_is_undone(crc: int) -> None:
    rotated = int(f"{crc:032b}"[-15:] + f"{crc:032b}"[:-15], 2)
    assert mask(crc) == (rotated + 0xA282EAD8) % 2**32
    assert unmask(mask(crc)) == crc


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
def test_varints_are_read_as_they_are_written(value: int) -> None:
    assert protobuf.read_varint(b"x" + protobuf.varint(value) + b"y", 1) == (value, 1 + len(protobuf.varint(value)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80", "cut off"),
        (b"\xff" * 10 + b"\x01", "64 bits"),
        (b"\xff" * 9 + b"\x02", "64 bits"),
    ],
)
def test_a_varint_that_does_not_end_or_fit_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        protobuf.read_varint(data, 0)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\xff\xff\xff\xff\x0f", "field 1 is cut off"),
        (b"\x35\x01\x02", "field 6 is cut off"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x00\x01", "number 0"),
    ],
)
def test_a_malformed_message_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        list(protobuf.fields(message))


# Elements by hand from the format's description: a literal, then copies with an offset of 1, 2 and 4 bytes.
SNAPPY = [
    (b"\x00", b""),
    (b"\x03\x08abc", b"abc"),
    (b"\x07\x08abc" + bytes([0 << 5 | 0 << 2 | 1, 3]), b"abcabca"),  # copy 4 from 3 back: it overlaps itself
    (b"\x46\x08abc" + bytes([62 << 2 | 2, 1, 0]) + b"\x0cWXYZ", b"abc" + b"c" * 63 + b"WXYZ"),
    (b"\x06\x08abc" + bytes([2 << 2 | 3, 3, 0, 0, 0]), b"abcabc"),
    (b"\x46\xf0\x45" + bytes(range(70)), bytes(range(70))),  # a literal whose size is in the next byte
    (b"\xc4\x02\xf4\x43\x01" + b"z" * 324, b"z" * 324),  # and in the next two
]


@pytest.mark.parametrize(("compressed", "expected"), SNAPPY)
def test_snappy_streams_are_decompressed(compressed: bytes, expected: bytes) -> None:
    assert decompress(compressed) == expected


@pytest.mark.parametrize(
    ("compressed", "reason"),
    [
        (b"\x04\x08abc", "does not give the 4 bytes"),
        (b"\x02\x08abc", "does not give the 2 bytes"),
        (b"\xff\xff\xff\xff\x0f\x08abc", "no Snappy stream can"),
        (b"\x05\x10abc", "ends within a literal"),
        (b"\x07\x08abc\x01\x04", "before the start"),
        (b"\x07\x08abc\x01\x00", "before the start"),
        (b"\x07\x08abc\x02\x01", "ends within an element"),
    ],
)
def test_malformed_snappy_streams_are_refused(compressed: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        decompress(compressed)


def test_a_table_of_many_blocks_is_read_as_it_was_written() -> None:
    random = np.random.default_rng(0)
    items = {b"scope/%05d/kernel" % i: random.bytes(int(random.integers(0, 90))) for i in range(700)}
    items[b"scope/00099/large"] = random.bytes(5000)
    items[b"\xff\xff"] = b"no byte of the last key can be increased"
    data = table.build_table(items, block_size=512)
    assert len(data) > 512 * 40
    assert table.read_table(data) == dict(sorted(items.items()))
    assert table.read_table(table.build_table({})) == {}


def test_a_compressed_block_is_read() -> None:
    plain = table.build_table({b"": b"header", b"name": b"value"})
    block = plain[: plain.index(b"value") + 5 + 8]  # entries, one restart, their count
    literal = protobuf.varint(len(block)) + bytes([(len(block) - 1) << 2]) + block
    assert table.read_table(_table_of(literal, compression=1)) == {b"": b"header", b"name": b"value"}
    with pytest.raises(CheckpointError, match="unknown compression 2"):
        table.read_table(_table_of(literal, compression=2))


def _table_of(block: bytes, compression: int = 0, count: int = 1) -> bytes:
    """A table whose index names `block`, stored as it is, `count` times; every checksum is right."""

    def stored(contents: bytes, kind: int = 0) -> bytes:
        return contents + bytes([kind]) + mask(crc32c(contents + bytes([kind]))).to_bytes(4, "little")

    empty = b"\0\0\0\0\x01\0\0\0"
    handle = protobuf.varint(0) + protobuf.varint(len(block))
    entries = b"".join(b"\x00\x04" + protobuf.varint(len(handle)) + b"%04d" % i + handle for i in range(count))
    output = stored(block, compression)
    footer = protobuf.varint(len(output)) + protobuf.varint(len(empty))
    output += stored(empty)
    index = entries + b"\0\0\0\0\x01\0\0\0"
    footer += protobuf.varint(len(output)) + protobuf.varint(len(index))
    return output + stored(index) + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x00\x01\x01ab" + b"\x00\x01\x01ab" + b"\0\0\0\0\x01\0\0\0", "not in order"),
        (b"\x01\x01\x01ab" + b"\0\0\0\0\x01\0\0\0", "past its block"),
        (b"\x00\x01\xff\xff\xff\xff\x0fab" + b"\0\0\0\0\x01\0\0\0", "past its block"),
        (b"\x00\x01\x01ab" + b"\0\0\0\0\xff\xff\xff\xff", "restarts"),
        (b"ab", "restarts"),
        (b"\0\0\0\0\x01\0\0\0", "has no entries"),
    ],
)
def test_a_forged_block_with_a_right_checksum_is_refused(block: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        table.read_table(_table_of(block))


def test_compressed_blocks_are_bounded_by_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = protobuf.varint(1 << 20) + b"\0\0" + b"\xfe\1\0" * (1 << 14)  # a literal zero, then copies of 64 bytes
    with pytest.raises(CheckpointError, match="hold 1048576, expected at most 1000"):
        decompress(zeros, 1000)
    monkeypatch.setattr("torch_impl.tf1.snappy._MOST_ELEMENTS", 100)
    with pytest.raises(CheckpointError, match="more than 100 elements"):
        decompress(protobuf.varint(200) + b"\0\0" * 200)


def test_an_index_that_names_a_block_again_and_again_is_refused() -> None:
    block = b"\x00\x01\x01ab" + b"\0\0\0\0\x01\0\0\0"
    assert table.read_table(_table_of(block)) == {b"a": b"b"}
    with pytest.raises(CheckpointError, match="the block at 0 begins within the one before"):
        table.read_table(_table_of(block, count=1000))


def test_keys_that_grow_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three bytes of a block can repeat a key of any length: together they are limited."""
    monkeypatch.setattr(table, "_MOST_KEY_BYTES", 100_000)
    items = {b"k" * 3000 + b"%04d" % i: b"" for i in range(100)}
    with pytest.raises(CheckpointError, match="bytes of names"):
        table.read_table(table.build_table(items))
