"""PROTOCOL.md says what `wire` does."""

import json
from pathlib import Path

import numpy as np

from spec_tests.backends import wire
from unrolled.networks import BasicRNN
from unrolled.programs import MNIST, Adam

PROTOCOL = Path(wire.__file__).with_name("PROTOCOL.md")


def test_the_page_shows_what_is_sent():
    request, reply = (line.strip() for line in PROTOCOL.read_text("utf-8").splitlines() if line.startswith('    {"id"'))
    arguments = {
        "method": "in_top_k",
        "args": [np.zeros((1, 2), np.float32), np.zeros(1, np.int64)],
        "kwargs": {"k": 1},
    }
    for shown, fields, body in ((request, arguments, 16), (reply, {"result": np.array([True])}, 1)):
        (sent,) = wire.pack(7, fields)
        assert sent[:16] == wire.PREFIX.pack(b"UNR2", len(shown), body)
        assert sent[16:-body].decode() == shown


def test_the_page_shows_how_networks_models_and_adam_are_sent():
    text = PROTOCOL.read_text("utf-8")
    (sent,) = wire.pack(1, {"value": [BasicRNN(5), MNIST.model, Adam()]})
    network, model, adam = json.loads(sent[16:])["value"]
    assert "`%s`" % json.dumps(network) in text
    assert [list(network), list(model), list(adam)] == [["network"], ["model"], ["Adam"]]
    assert "`%s`" % '{"model": {"kind": "classifier", "network": {...}, "inputs": 28, ...}}' in text
    assert list(model["model"])[:3] == ["kind", "network", "inputs"] and model["model"]["inputs"] == 28
    assert '{"Adam": [%s]}' % ", ".join(Adam._fields) in text


def test_the_page_names_every_dtype_and_limit():
    text = PROTOCOL.read_text("utf-8")
    assert all("`%s`" % dtype in text for dtype in wire.DTYPES)
    for stated in ("16 MiB", "4 GiB", "65,536", "at most 32 dimensions", "at most 32 deep"):
        assert stated in text
    limits = (wire.HEADER_LIMIT, wire.BODY_LIMIT, wire.ARRAYS_LIMIT, wire.DIMENSIONS_LIMIT, wire.DEPTH_LIMIT)
    assert limits == (16 * 2**20, 4 * 2**30, 65_536, 32, 32)
