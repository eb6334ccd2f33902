"""What the contract asks of every backend beside its methods. Python 3.7 syntax."""

from __future__ import annotations

from typing import Any, Callable, Mapping

__all__ = ["ATTRIBUTES", "check", "differences"]


def _is_text(found: Any) -> bool:
    return isinstance(found, str) and found.isprintable() and bool(found)


def _is_names(found: Any) -> bool:
    return isinstance(found, (set, frozenset, list, tuple)) and all(isinstance(each, str) for each in found)


def _is_told(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(each, str) for pair in found.items() for each in pair)


# What each must be, in words and as a test of it; `describe` is a method, and it is about what that returns.
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a text that can be printed", _is_text),
    "capabilities": ("a set of names", _is_names),
    "expected_failures": ("a dict, test function's name -> reason", _is_told),
    "describe": ("a dict of texts", _is_told),
}


def differences(backend: Any) -> dict[str, str]:
    """Test function's name -> what its framework does otherwise; empty where the backend tells none."""
    return dict(getattr(backend, "differences", {}))


def check(name: str, backend: Any) -> None:
    """Raise ValueError unless the backend has them all, each as it must be. name: what it was asked for by."""
    absent = [attribute for attribute in ATTRIBUTES if not hasattr(backend, attribute)]
    if absent:
        raise ValueError("backend %r lacks %s, which the contract asks of every backend" % (name, ", ".join(absent)))
    for attribute, (expected, fits) in ATTRIBUTES.items():
        try:
            found = backend.describe() if attribute == "describe" else getattr(backend, attribute)
            right = fits(found)
        except Exception as error:
            raise ValueError(
                "backend %r: its %s fails with %s: %s" % (name, attribute, type(error).__name__, error)
            ) from error
        if not right:
            raise ValueError("backend %r: its %s is %.60r, expected %s" % (name, attribute, found, expected))
    if not _is_told(getattr(backend, "differences", {})):
        expected = "a dict, test function's name -> a sentence"
        raise ValueError("backend %r: its differences is %.60r, expected %s" % (name, backend.differences, expected))
    if not backend.capabilities:
        raise ValueError("backend %r declares no capability, so nothing of it would be tested" % name)
