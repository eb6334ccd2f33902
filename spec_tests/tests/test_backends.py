"""Loading backends by name: every name that cannot be used is an error with its reason."""

import types

import numpy as np
import pytest

from spec_tests.backends import loading
from spec_tests.backends.answers import EXPECTED
from spec_tests.capabilities import CAPABILITIES, GROUPS, NETWORKS
from spec_tests.contract import CHANGED, Backend
from spec_tests.oracle.backend import OracleBackend


class NoDevice(OracleBackend):
    name = "no device"

    def __init__(self):
        super().__init__()


class Unknown(OracleBackend):
    capabilities = frozenset(["float32", "telepathy"])


class Nothing(OracleBackend):
    capabilities = frozenset()


class Promises(OracleBackend):
    in_top_k = None  # type: ignore[assignment]  # declared, but not there


class Explodes(OracleBackend):
    def __init__(self, device="cpu"):
        raise RuntimeError("out of paper")


class Older(OracleBackend):
    contract = 1


class OfVersion1(OracleBackend):
    """One that does not know of versions."""

    contract = property()  # raises AttributeError


def nameless():
    return types.SimpleNamespace(capabilities=frozenset(["float32"]), expected_failures={})


HERE = __name__
not_callable = 3


def test_a_shipped_name_and_a_path_give_the_same_backend():
    by_name, by_path = loading.load("oracle"), loading.load("spec_tests.oracle.backend:backend")
    assert by_name.name == by_path.name == "oracle"
    assert by_name.describe()["version"] == np.__version__


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_backend", "expected one of torch_impl, tf_reference, oracle, torch.nn, "),
        ("spec_tests.oracle.models", "expected one of"),
        (":backend", "expected one of"),
        ("no_such_package.adapter:backend", "No module named 'no_such_package'"),
        ("spec_tests.oracle.backend:no_such_factory", "no callable 'no_such_factory'"),
        (HERE + ":not_callable", "no callable"),
        (HERE + ":Unknown", "telepathy"),
        (HERE + ":Nothing", "no capability"),
        (HERE + ":Promises", "no method in_top_k"),
        (HERE + ":Explodes", "RuntimeError: out of paper"),
        (HERE + ":nameless", "lacks name, describe"),
        (HERE + ":Older", "backend 'oracle' has contract = 1; expected the attribute contract = 2: " + CHANGED),
        (HERE + ":OfVersion1", "backend 'oracle' does not say which version of the contract it keeps; expected the"),
    ],
)
def test_a_backend_that_cannot_be_used_is_an_error_with_the_reason(name, reason):
    with pytest.raises(loading.BackendError) as raised:
        loading.load(name)
    assert reason in str(raised.value)


def test_a_device_that_the_backend_does_not_take_is_an_error():
    assert loading.load(HERE + ":NoDevice").name == "no device"
    with pytest.raises(loading.BackendError, match="takes no device"):
        loading.load(HERE + ":NoDevice", "cuda")
    with pytest.raises(loading.BackendError, match="the oracle is NumPy"):
        loading.load("oracle", "cuda")


def test_selecting_twice_the_same_is_once_and_two_of_one_name_are_an_error():
    assert [backend.name for backend in loading.select(["oracle", "oracle"]).backends] == ["oracle"]
    with pytest.raises(loading.BackendError, match="several backends call themselves oracle"):
        loading.select(["oracle", "spec_tests.oracle.backend:backend"])


@pytest.mark.parametrize("names", [[""], ["oracle", ""]])
def test_an_empty_name_is_an_error_also_beside_others(names):
    with pytest.raises(loading.BackendError, match="an empty name among"):
        loading.select(names)


def _ships(monkeypatch, **needs):
    shipped = {name: loading.Shipped("spec_tests.oracle.backend:backend", need, True) for name, need in needs.items()}
    monkeypatch.setattr(loading, "SHIPPED", shipped)


def test_a_default_without_its_framework_is_left_out_with_the_reason(monkeypatch):
    _ships(monkeypatch, here={}, away={"no_such_framework": "its-package"})
    chosen = loading.select([])
    assert len(chosen.backends) == 1
    assert chosen.left_out == {"away": "its-package not installed"}


def test_no_framework_at_all_is_an_error_that_says_what_is_missing(monkeypatch):
    _ships(monkeypatch, away={"no_such_framework": "its-package"})
    with pytest.raises(loading.BackendError, match="no backend to test; away: its-package not installed"):
        loading.select([])


def test_a_default_that_is_broken_is_an_error_not_left_out(monkeypatch):
    monkeypatch.setattr(loading, "SHIPPED", {"broken": loading.Shipped(HERE + ":Explodes", {}, True)})
    with pytest.raises(loading.BackendError, match="out of paper"):
        loading.select([])


def test_a_default_for_the_cpu_alone_is_left_out_on_another_device(monkeypatch):
    monkeypatch.setattr(
        loading,
        "SHIPPED",
        {
            "anywhere": loading.Shipped(HERE + ":Anywhere", {}, True),
            "here": loading.Shipped("spec_tests.oracle.backend:backend", {}, True),
        },
    )
    chosen = loading.select([], "cuda")
    assert [backend.name for backend in chosen.backends] == ["anywhere"]
    assert "the oracle is NumPy" in chosen.left_out["here"]


class Anywhere(OracleBackend):
    name = "anywhere"

    def __init__(self, device="cpu"):
        super().__init__()


def test_every_capability_is_a_method_or_an_argument():
    """A capability with a method of its own must be in METHODS, or declaring it would promise nothing."""
    arguments = {*NETWORKS, *GROUPS["activations"], *GROUPS["precisions"], "lengths", "initial_state"}
    arguments |= {"embedding", "hidden", "mnist"}
    assert set(loading.METHODS) | arguments == set(CAPABILITIES)
    promised = {method for several in loading.METHODS.values() for method in several}
    assert promised == set(EXPECTED) == {name for name in vars(Backend) if name[0] != "_"} - {"describe"}
