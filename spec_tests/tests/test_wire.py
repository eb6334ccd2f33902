"""Frames: everything that may travel arrives as it left, and nothing else gets through in either direction."""

import json
import math
import re
import tracemalloc
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spec_tests.backends import wire
from spec_tests.contract import CHANGED
from unrolled import models
from unrolled.models import Dense, Model
from unrolled.networks import LSTM, BasicRNN, Bidirectional, Dropout, KerasGRU, LayerNormLSTM, Layers
from unrolled.programs import MNIST, SERIES, SPELLER, Adam


def reader(stream):
    """What `wire.read` takes, over bytes."""
    stream = memoryview(stream)

    def read_into(buffer):
        nonlocal stream
        if len(stream) < len(buffer):
            raise EOFError
        buffer[:] = stream[: len(buffer)]
        stream = stream[len(buffer) :]

    return read_into


def travelled(value):
    return wire.read(reader(b"".join(wire.pack(1, {"value": value}))))["value"]


def same(one, other):
    """Equal in type, dtype, shape and every bit that a number has."""
    if isinstance(one, np.ndarray):
        return type(other) is np.ndarray and one.dtype == other.dtype and one.shape == other.shape and equal(one, other)
    if isinstance(one, np.generic):
        return type(one) is type(other) and equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return one == other


def equal(one, other):
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


ARRAYS = {
    "matrix": np.arange(12).reshape(3, 4),
    "zero-dimensional": np.array(3),
    "empty": np.zeros((0,)),
    "empty in the middle": np.zeros((3, 0, 2)),
    "every other": np.arange(24).reshape(4, 6)[::2, ::-3],
    "Fortran order": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
}


@pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_arrive_as_they_left(array, dtype):
    array = array.astype(dtype, order="K") if array.dtype != dtype else array
    found = travelled(array)
    assert same(array, found)
    assert found.flags.writeable and found.flags.c_contiguous


def test_big_endian_arrives_as_the_same_numbers():
    found = travelled(np.array([1.5, -2.0], ">f4"))
    assert found.dtype == np.dtype("<f4") and found.tolist() == [1.5, -2.0]


def test_an_array_already_in_order_is_not_copied():
    array = np.zeros(2**16, np.float32)
    assert np.shares_memory(np.frombuffer(wire.pack(1, {"value": array})[-1], np.float32), array)


SCALARS = [
    *[None, True, False, 0, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 0.1, 5e-324, 1e308],
    *[math.nan, math.inf, -math.inf, "", "ß∂😀", "\ud800", "a\x00b", "nan"],
    *[np.float32(0.1), np.float64(-0.0), np.int64(-5), np.bool_(True), np.uint8(255), np.float16(math.nan)],
]


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_scalars_keep_their_type_and_value(value):
    assert same(value, travelled(value))


PLAIN = [
    BasicRNN(3, "relu"),
    Bidirectional(BasicRNN(3), Layers((BasicRNN(4), BasicRNN(5, "relu")))),
    Layers((Dropout(LSTM(3, cell_clip=0.5), 0.9, variational=True), LayerNormLSTM(4, candidate_keep=0.5), KerasGRU(5))),
    Model("tagger", BasicRNN(2), 3, 4, embedding=5, hidden=(Dense(6, "elu"), Dense(7)), activation="relu"),
    *[MNIST.model, SERIES.model, SPELLER.model, Model("regressor", BasicRNN(2), 3, 4, "wrapped")],
    Adam(0.25, epsilon=1e-3),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_networks_models_and_adam_arrive_as_themselves(value):
    assert same([value], travelled([value])) and same({"a": (value,)}, travelled({"a": (value,)}))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_subnormal=False),
    st.text(max_size=5),
    hnp.arrays(st.sampled_from(sorted(wire.DTYPES)), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
        st.builds(Adam, inner, inner, inner),
        st.builds(BasicRNN, st.integers(1, 2**20), st.sampled_from(["tanh", "relu"])),
    ),
    max_leaves=8,
)


@given(VALUES)
def test_any_value_arrives_as_it_left(value):
    assert same(value, travelled(value))


def nested(depth):
    return [] if depth == 0 else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([None]), "value: found dtype object"),
        ({"a": [np.array([1j])]}, r"value\['a'\]\[0\]: found dtype complex128"),
        (np.array(["a"]), "value: found dtype <U1"),
        (np.array([1], "M8[s]"), "value: found dtype datetime64"),
        (np.zeros(2, [("x", "<f4")]), "value: found dtype"),
        ((1, {2, 3}), r"value\[1\]: found a value of type set"),
        (b"bytes", "found a value of type bytes"),
        (2**63, "found an integer of 64 bits"),
        ({1: 2}, "found the key 1, expected strings"),
        (MNIST, "found a named tuple Program, expected Adam alone"),
        (date(2000, 1, 1), "found a value of type date"),
        (nested(40), "more than 32 deep"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_place(value, said):
    with pytest.raises(wire.UnsupportedValue, match=said):
        wire.pack(1, {"value": value})


def test_a_frame_above_the_limit_is_refused_before_it_is_sent():
    array = np.empty(2**28, np.uint8)  # never touched, so it takes no memory
    with pytest.raises(wire.UnsupportedValue, match="bytes of arrays, expected at most"):
        wire.pack(1, {"value": [array] * 17})


def frame(header, body=b"", header_size=None, body_size=None, magic=wire.MAGIC):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    sizes = (len(encoded) if header_size is None else header_size, len(body) if body_size is None else body_size)
    return wire.PREFIX.pack(magic, *sizes) + encoded + body


def with_arrays(arrays, body=b"", body_size=None):
    return frame({"id": 1, "arrays": arrays}, body, body_size=body_size)


def with_value(tree):
    return frame({"id": 1, "value": tree, "arrays": [["<f4", [1]]]}, bytes(4))


def layered(depth):
    return {"kind": "layers", "layers": [layered(depth - 1)]} if depth else {"kind": "basic_rnn", "units": 3}


BAD_FRAMES = {
    "other bytes": (b"Epoch 1: accuracy 0.9\n", "begins with b'Epoc', expected b'UNR2'"),
    "another version": (frame({}, magic=b"UNR3"), "begins with"),
    "version 1": (
        frame({}, magic=b"UNR1"),
        "of version 1 of the protocol (b'UNR1'), expected version 2 (b'UNR2'): from",
    ),
    "forged header length": (frame({}, header_size=2**32 - 1), "announces a header of 4294967295"),
    "forged body length": (frame({}, body_size=2**63), "a body of 9223372036854775808 bytes"),
    "no JSON": (frame(b"{]"), "not JSON"),
    "no UTF-8": (frame(b"\xff\xfe"), "not JSON"),
    "too deep for JSON": (frame(b"[" * 200000), "not JSON"),
    "no object": (frame([]), "expected an object"),
    "no arrays": (frame({"id": 1}), "arrays are None"),
    "no id": (frame({"arrays": []}), "id is None"),
    "an id of true": (frame({"arrays": [], "id": True}), "id is True"),
    "object dtype": (with_arrays([["|O", [1]]], bytes(8)), "announced as"),
    "string dtype": (with_arrays([["<U9", [1]]], bytes(36)), "announced as"),
    "dtype of structure": (with_arrays([[[["x", "<f4"]], [1]]], bytes(4)), "announced as"),
    "no shape": (with_arrays([["<f4"]], bytes(4)), "announced as"),
    "negative size": (with_arrays([["<f4", [-1, -1]]], bytes(4)), "shape is"),
    "fractional size": (with_arrays([["<f4", [1.0]]], bytes(4)), "shape is"),
    "size of true": (with_arrays([["<f4", [True]]], bytes(4)), "shape is"),
    "too many dimensions": (with_arrays([["<f4", [1] * 33]], bytes(4)), "shape is"),
    "forged shape": (with_arrays([["<f8", [2**31, 2**31]]], body_size=2**32), "above the limit"),
    "forged shape of nothing": (with_arrays([["<f8", [0, 2**32, 2**32]]]), "above the limit"),
    "forged total": (with_arrays([["|u1", [2**32]]] * 9, body_size=2**32), "arrays of 38654705664 bytes"),
    "body too short": (with_arrays([["<f4", [2]]], bytes(4)), "arrays of 8 bytes, and the frame a body of 4"),
    "body too long": (with_arrays([], bytes(4)), "arrays of 0 bytes"),
    "boolean of 2": (with_arrays([["|b1", [1]]], b"\x02"), "other than 0 and 1"),
    "array out of range": (with_value({"array": 1}), "array 1 of 1"),
    "array -1": (with_value({"array": -1}), "array -1 of 1"),
    "array of true": (with_value({"array": True}), "array True of 1"),
    "scalar with dimensions": (with_value({"scalar": 0}), "tag 'scalar'"),
    "unknown tag": (with_value({"pickle": "gASVAA=="}), "tag 'pickle'"),
    "no tag": (with_value({}), "0 keys"),
    "two tags": (with_value({"tuple": [], "dict": {}}), "2 keys"),
    "Adam without fields": (with_value({"Adam": []}), "tag 'Adam'"),
    "a cell of version 1": (with_value({"Cell": ["basic_rnn", 5, "tanh"]}), "tag 'Cell'"),
    "a network of no kind": (
        with_value({"network": {"units": 3}}),
        "a header's network cannot be had: network kind must",
    ),
    "a network of nothing": (with_value({"network": None}), "a header's network cannot be had: a network must be"),
    "a network with an array": (with_value({"network": {"kind": "basic_rnn", "units": {"array": 0}}}), "cannot be had"),
    "a network too deep": (with_value({"network": layered(9)}), "a header's network cannot be had: a network must be"),
    "a model without network": (
        with_value({"model": {"kind": "classifier"}}),
        "a header's model cannot be had: a model",
    ),
    "a model of too much": (with_value({"model": dict(models.to_plain(MNIST.model), a=1)}), "a model has no 'a'"),
    "tuple of a dict": (with_value({"tuple": {}}), "tag 'tuple'"),
    "bare NaN": (with_value(math.nan), "bare NaN"),
    "overflowing float": (frame(b'{"id":1,"arrays":[],"value":1e999}'), "expected a value of 64 bits"),
    "large integer": (with_value(2**64), "expected a value of 64 bits"),
    "values too deep": (with_value(nested(40)), "at most 32 deep"),
}


@pytest.mark.parametrize(("stream", "said"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_is_refused_before_memory_is_taken(stream, said):
    read_into = reader(stream)
    tracemalloc.start()
    try:
        with pytest.raises(wire.FrameError, match=re.escape(said)):
            wire.read(read_into)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kept", [0, 3, 15, 16, 40, -1])
def test_a_frame_cut_short_is_not_taken_for_a_whole_one(kept):
    stream = b"".join(wire.pack(1, {"value": np.arange(5)}))
    with pytest.raises(EOFError):
        wire.read(reader(stream[:kept]))


def test_version_1_is_told_what_changed_and_where_to_read_it():
    with pytest.raises(wire.FrameError) as caught:
        wire.read(reader(frame({}, magic=b"UNR1")))
    said = str(caught.value)
    assert CHANGED in said and "spec_tests/backends/PROTOCOL.md" in said and "\n" not in said
