"""TensorFlow is imported only when a test needs it, and what needs it is skipped where it is not installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tf() -> Any:
    for module, package in (("tensorflow", "tensorflow"), ("tf_keras", "tf-keras")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{package} is not installed: pip install 'unrolled[tf]'")
    from tf_reference.tf1 import tf

    return tf


@pytest.fixture(scope="session")
def backend(tf: Any) -> Any:
    from tf_reference.adapter import backend

    return backend()
