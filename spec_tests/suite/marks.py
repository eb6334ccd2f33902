"""What many spec tests share: parameters, each with the capability that it needs, and the refusal of an argument."""

from __future__ import annotations

import contextlib
import re
from typing import Iterable, Iterator

import pytest

from spec_tests.capabilities import needs_of
from spec_tests.questions import kinds
from spec_tests.questions.makers import LENGTHS, with_kinds


def needs(*capabilities: str) -> pytest.MarkDecorator:
    """The mark of a test that is for backends which declare all of these, and the kinds of network they speak of."""
    return pytest.mark.needs(*sorted(with_kinds(capabilities)))


each_dtype = pytest.mark.parametrize(
    "dtype", [pytest.param("float32", marks=needs("float32")), pytest.param("float64", marks=needs("float64"))]
)
each_activation = pytest.mark.parametrize(
    "activation", [pytest.param("tanh", marks=needs("tanh")), pytest.param("relu", marks=needs("relu"))]
)
_UNROLLINGS = [
    pytest.param("static", marks=needs("static_rnn")),
    pytest.param("dynamic", marks=needs("dynamic_rnn")),
]
each_unrolling = pytest.mark.parametrize("unrolling", _UNROLLINGS)
# Two steps can also be written out by hand.
each_way = pytest.mark.parametrize("way", [pytest.param("by hand", marks=needs("two_step")), *_UNROLLINGS])
each_lengths = pytest.mark.parametrize("lengths", [pytest.param(rows, id=name) for name, rows in LENGTHS.items()])
each_padding = pytest.mark.parametrize("padding", [float("nan"), 1e6], ids=["nan", "1e6"])
each_model = pytest.mark.parametrize(
    "form",
    [
        pytest.param("classifier", marks=needs("classifier", "tanh")),
        pytest.param("stacked", marks=needs("regressor", "relu")),
        pytest.param("wrapped", marks=needs("regressor", "relu")),
    ],
)


def each_of(names: Iterable[str], *capabilities: str) -> pytest.MarkDecorator:
    """A parameter `name`, of `kinds.NETWORKS`, each with all that its network needs."""
    marks = {name: needs(*needs_of(kinds.NETWORKS[name]), *capabilities) for name in names}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=mark) for name, mark in marks.items()])


each_network = each_of(kinds.NETWORKS)


def each_model_of(names: Iterable[str], *capabilities: str) -> pytest.MarkDecorator:
    """A parameter `name`, of `kinds.MODELS`, each with all that its model needs."""
    models = {name: kinds.MODELS[name] for name in names}
    marks = {name: needs(*needs_of(model), *capabilities) for name, model in models.items()}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=mark) for name, mark in marks.items()])


@contextlib.contextmanager
def refused(named: str) -> Iterator[None]:
    """Around a call with a wrong argument: it must raise a ValueError whose message the pattern `named` is found in."""
    try:
        yield
    except ValueError as error:
        said = str(error)
    else:
        raise AssertionError("a wrong argument must raise a ValueError that names %s, but nothing was raised" % named)
    if not re.search(named, said):
        raise AssertionError("a wrong argument's ValueError must name %s, but it says: %.200s" % (named, said))
