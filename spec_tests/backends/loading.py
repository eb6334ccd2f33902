"""Loading backends by name. Nothing of a framework is imported before its backend is asked for. Python 3.7 syntax.

A name is one of `SHIPPED`, or one that an installed package registers as an entry point in the group
`unrolled.backends`, or "package.module:factory"; with "@PYTHON" after it, the backend is served by that other
interpreter (see `remote`). The factory is called with device="cpu", or what was asked for; one without such a
parameter runs on the CPU only. A name that cannot be loaded is an error with its reason, never a skip.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from typing import Any, NamedTuple, Sequence

from spec_tests.backends import attributes
from spec_tests.backends.answers import Checked
from spec_tests.capabilities import check_capabilities
from spec_tests.contract import check_version


class Shipped(NamedTuple):
    """A backend that comes with this project: where it is, and what it needs (module -> what to install)."""

    path: str
    needs: dict[str, str]
    default: bool


SHIPPED: dict[str, Shipped] = {
    "torch_impl": Shipped("torch_impl.adapter:backend", {"torch": "torch"}, True),
    "tf_reference": Shipped("tf_reference.adapter:backend", {"tensorflow": "tensorflow", "tf_keras": "tf-keras"}, True),
    "oracle": Shipped("spec_tests.oracle.backend:backend", {}, False),
    "torch.nn": Shipped("spec_tests.field.torch_nn:backend", {"torch": "torch"}, False),
    "keras.tensorflow": Shipped(
        "spec_tests.field.keras3:on_tensorflow", {"keras": "keras", "tensorflow": "tensorflow"}, False
    ),
    "keras.jax": Shipped("spec_tests.field.keras3:on_jax", {"keras": "keras", "jax": "jax"}, False),
    "keras.torch": Shipped("spec_tests.field.keras3:on_torch", {"keras": "keras", "torch": "torch"}, False),
    "flax": Shipped("spec_tests.field.flax_linen:backend", {"flax": "flax", "jax": "jax"}, False),
    "jax": Shipped("spec_tests.examples.jax_backend:backend", {"jax": "jax"}, False),
    "numpy": Shipped("spec_tests.examples.numpy_backend:backend", {}, False),
    "onnxruntime": Shipped(
        "spec_tests.field.onnx_operators:backend", {"onnxruntime": "onnxruntime", "onnx": "onnx"}, False
    ),
}

# The methods that each capability promises; the rest of CAPABILITIES says which arguments they take.
_LOSSES = ("forward", "predict", "loss", "loss_gradients")
METHODS: dict[str, tuple[str, ...]] = {
    "two_step": ("two_step",),
    "static_rnn": ("static_rnn",),
    "dynamic_rnn": ("dynamic_rnn",),
    "gradients": ("rnn_gradients",),
    "in_top_k": ("in_top_k",),
    "initial_weights": ("initial_weights",),
    "classifier": _LOSSES,
    "regressor": _LOSSES,
    "tagger": _LOSSES,
    "speller": _LOSSES,
    "decoding": ("decode", "decode_gradients"),
    "training": ("train",),
}


GROUP = "unrolled.backends"  # entry points: NAME = "package.module:factory"
ENVIRONMENT = "UNROLLED_BACKENDS"  # environment variable: names, separated by commas


class BackendError(ValueError):
    """A backend that was asked for cannot be used; the message says which, and why."""


class Selection(NamedTuple):
    """The backends of a run, and the defaults left out of it, by name, with the reason."""

    backends: list[Any]
    left_out: dict[str, str]


def defaults() -> list[str]:
    """The shipped backends of a run that names none."""
    return [name for name in SHIPPED if SHIPPED[name].default]


def missing(name: str) -> str:
    """Why a shipped backend's framework is not there, as a sentence's end; empty when it is."""
    absent = [package for module, package in SHIPPED[name].needs.items() if importlib.util.find_spec(module) is None]
    return "%s not installed" % " and ".join(absent) if absent else ""


def asked_for(given: Sequence[str]) -> tuple[list[str], str]:
    """The names given or, when there is none, those in the environment; and where they come from ("" for neither)."""
    if given:
        return list(given), "--backend"
    names = os.environ.get(ENVIRONMENT, "")
    return ([name.strip() for name in names.split(",")], ENVIRONMENT) if names.strip() else ([], "")


def check_names(names: Sequence[str]) -> None:
    """Raises BackendError when one of them is empty, as after a comma too many, or is no backend's in this Python."""
    if not all(names):
        found = ", ".join(map(repr, names))
        raise BackendError("an empty name among the backends: found %s, expected a name in each place" % found)
    for name in names:
        served, at, python = name.partition("@")
        if at and not (served and python):
            raise BackendError("backend %r: expected NAME@PYTHON, a name and the path of an interpreter" % name)
        if not at:
            _module_and_factory(name)


def registered() -> dict[str, set[str]]:
    """What installed packages register under `GROUP`: name -> its factories, several only where two packages clash."""
    try:
        from importlib.metadata import entry_points
    except ImportError:  # Python 3.7
        return {}
    found: Any = entry_points()
    # Python 3.8 and 3.9 give a dict.
    found = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, [])
    factories: dict[str, set[str]] = {}
    for point in found:
        factories.setdefault(point.name, set()).add(point.value.partition("[")[0].strip())
    return factories


def _module_and_factory(name: str) -> tuple[str, str]:
    """Where a name leads: a shipped backend, then a registered one, then the name itself."""
    others = {} if name in SHIPPED or ":" in name else registered()
    found = sorted(others.get(name, ()))
    if len(found) > 1:
        raise BackendError("backend %r is registered twice, as %s: name one of them" % (name, " and ".join(found)))
    path = SHIPPED[name].path if name in SHIPPED else (found or [name])[0]
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute):
        known = [*SHIPPED, *sorted(set(others) - set(SHIPPED))]
        raise BackendError(
            "unknown backend %r: expected one of %s, or package.module:factory, with @PYTHON after it for another "
            "interpreter" % (name, ", ".join(known))
        )
    return module_name, attribute


def module_of(name: str) -> str:
    """The module that a name leads to, NAME@PYTHON's too. Raises BackendError for a name that leads nowhere."""
    return _module_and_factory(name.partition("@")[0])[0]


def _import_from_here_too() -> None:
    """Let the current folder be imported from, as `python -m` does and the command `pytest` does not.

    Last, so that nothing that is installed changes its meaning.
    """
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _factory(name: str) -> Any:
    module_name, attribute = _module_and_factory(name)
    if name not in SHIPPED:
        _import_from_here_too()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise BackendError(
            "backend %r cannot be loaded: importing %s fails with %s: %s"
            % (name, module_name, type(error).__name__, error)
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise BackendError("backend %r cannot be loaded: %s has no callable %r" % (name, module_name, attribute))
    return factory


def _checked(name: str, backend: Any) -> Checked:
    """The backend, its answers checked. Raises BackendError unless it offers what the contract asks of every backend,
    and what it declares."""
    try:
        attributes.check(name, backend)
        check_version(backend)
        check_capabilities(backend)
    except ValueError as error:
        raise BackendError(str(error)) from error
    for capability, methods in METHODS.items():
        for method in methods if capability in backend.capabilities else ():
            if not callable(getattr(backend, method, None)):
                raise BackendError("backend %r declares %r but has no method %s" % (name, capability, method))
    return Checked(backend)


def load(name: str, device: str = "cpu") -> Checked:
    """The backend of that name on that device, its answers checked.

    Raises BackendError with the reason when it cannot be had.
    """
    if "@" in name:
        return _load_remote(name, device)
    factory = _factory(name)
    try:
        takes_device = "device" in inspect.signature(factory).parameters
    except ValueError:  # a factory without a signature, as some of compiled code
        takes_device = False
    if not takes_device and device != "cpu":
        raise BackendError("backend %r takes no device, so it cannot run on %r" % (name, device))
    try:
        backend = factory(device=device) if takes_device else factory()
    except Exception as error:
        raise BackendError(
            "backend %r cannot be made for device %r: %s: %s" % (name, device, type(error).__name__, error)
        ) from error
    return _checked(name, backend)


def _load_remote(name: str, device: str) -> Checked:
    """The backend of "NAME@PYTHON", in a worker process."""
    from spec_tests.backends import remote

    served, _, python = name.partition("@")
    package = SHIPPED[served].path.partition(".")[0] if served in SHIPPED else None
    try:
        backend = remote.RemoteBackend(served, python, device, package)
    except remote.WorkerError as error:
        raise BackendError("backend %r cannot be loaded: %s" % (name, error)) from error
    return _checked(name, backend)


def _tell_apart(backends: Sequence[Any]) -> None:
    """Give remote backends of one name, such as two of the same Python version, their interpreter as part of it."""
    names = [backend.name for backend in backends]
    for backend in backends:
        if names.count(backend.name) > 1 and hasattr(backend, "asked"):
            backend.name = backend.asked


def _defaults(device: str) -> Selection:
    backends: list[Any] = []
    left_out: dict[str, str] = {}
    for name in defaults():
        if missing(name):
            left_out[name] = missing(name)
            continue
        try:
            backends.append(load(name, device))
        except BackendError as error:
            if device == "cpu":
                raise
            left_out[name] = str(error)
    return Selection(backends, left_out)


def selection(given: Sequence[str], device: str = "cpu") -> Selection:
    """`select` of what was given or, when nothing was, of what the environment names; a BackendError says which."""
    names, source = asked_for(given)
    try:
        return select(names, device)
    except BackendError as error:
        raise BackendError("%s: %s" % (source, error) if source else str(error)) from error


def select(names: Sequence[str], device: str = "cpu") -> Selection:
    """The backends named, or, when none is, the shipped defaults whose framework is installed.

    A default that the CPU alone can run is left out on another device. Raises BackendError when a name is empty, when a
    backend cannot be loaded, when two have the same name, or when none is left.
    """
    check_names(names)
    backends, left_out = _defaults(device) if not names else ([load(n, device) for n in dict.fromkeys(names)], {})
    return together(backends, left_out)


def together(backends: list[Any], left_out: dict[str, str]) -> Selection:
    """Backends for one run. Raises BackendError when there is none, or when two have the same name."""
    if not backends:
        reasons = "".join("; %s: %s" % pair for pair in left_out.items())
        raise BackendError("no backend to test%s: name one with --backend or in %s" % (reasons, ENVIRONMENT))
    _tell_apart(backends)
    shared = {backend.name for backend in backends if sum(b.name == backend.name for b in backends) > 1}
    if shared:
        raise BackendError("several backends call themselves %s: give each its own name" % ", ".join(sorted(shared)))
    return Selection(backends, left_out)
