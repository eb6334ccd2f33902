"""Files that several modules of tests read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

THREADS = torch.get_num_threads()


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Whatever number a test, or a fixture before it, asked for: on another one sums have another order."""
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints that files/make_tf1_zoo.py made in TensorFlow 1.15.5, and what each answered."""
    folder = tmp_path_factory.mktemp("recorded")
    with zipfile.ZipFile(Path(__file__).parent / "files" / "tf1_zoo.zip") as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same and more, made now by the TensorFlow 1.15.5 that UNROLLED_BACKENDS names."""
    from torch_impl.tests.test_checkpoints_live import FILES, tensorflow

    folder = tmp_path_factory.mktemp("zoo")
    tensorflow(FILES / "make_tf1_zoo.py", folder)
    return folder
