"""The command line: quick help, the fetch command, and a foreign package named `data`."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from click.testing import CliRunner

from torch_impl.__main__ import fetch_command
from torch_impl.datasets import DatasetError, fetch

ROOT = Path(__file__).resolve().parents[2]
RAW = Path("FashionMNIST", "raw")


def python(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_help_needs_no_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['torch_impl', '--help']\n"
        "try: runpy.run_module('torch_impl', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("fetch", "show", "train"))


def test_the_way_back_to_tensorflow_needs_no_torch() -> None:
    done = python("-c", "import torch_impl.tf1.back, sys; assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr


def idx(*shape: int) -> bytes:
    """An IDX file of uint8, compressed."""
    values = np.arange(np.prod(shape), dtype=np.uint8) % 10
    return gzip.compress(
        struct.pack(">4B", 0, 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + values.tobytes()
    )


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Fashion-MNIST's four files, of 6 and 3 images, that torchvision takes for the real ones."""
    files = {
        "train-images-idx3-ubyte.gz": idx(6, 28, 28),
        "train-labels-idx1-ubyte.gz": idx(6),
        "t10k-images-idx3-ubyte.gz": idx(3, 28, 28),
        "t10k-labels-idx1-ubyte.gz": idx(3),
    }
    (tmp_path / RAW).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / RAW / name).write_bytes(content)
    sums = [(name, hashlib.md5(content, usedforsecurity=False).hexdigest()) for name, content in files.items()]
    datasets = pytest.importorskip("torchvision.datasets", reason="downloading needs torchvision (the extra `fetch`)")
    monkeypatch.setattr(datasets.FashionMNIST, "resources", sums)
    monkeypatch.setattr("torch_impl.datasets._ROWS", {True: 6, False: 3})

    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    return tmp_path


def test_files_in_place_need_no_network(small: Path) -> None:
    assert fetch("fashion-mnist", small) == small / "FashionMNIST"
    assert (small / RAW / "t10k-labels-idx1-ubyte").read_bytes()[:4] == bytes([0, 0, 8, 1])


def test_fetch_prints_the_command_to_use_next(small: Path) -> None:
    done = CliRunner().invoke(fetch_command, ["fashion-mnist", str(small)])
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith(f"python -m torch_impl train mnist --data {small / 'FashionMNIST'}")


def test_without_network(small: Path) -> None:
    (small / RAW / "train-labels-idx1-ubyte.gz").unlink()
    done = CliRunner().invoke(fetch_command, ["fashion-mnist", str(small)])
    assert done.exit_code == 1
    message = done.output.splitlines()[-1]
    assert "fashion-mnist could not be downloaded" in message and "no network" in message
    assert "put the uncompressed train-labels-idx1-ubyte, " in message and str(small / RAW) in message


def test_a_download_with_the_wrong_checksum_is_not_used(small: Path) -> None:
    (small / RAW / "train-images-idx3-ubyte.gz").write_bytes(idx(6, 28, 27))
    with pytest.raises(DatasetError, match="could not be downloaded"):
        fetch("fashion-mnist", small)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "files are broken"),
        (b"not IDX at all", "files are broken"),
        (gzip.decompress(idx(6, 28, 28))[:-1], "files are broken"),
        (gzip.decompress(idx(5, 28, 28)), r"images \[5, 28, 28\] and labels \[6\], expected \[6, 28, 28\] and \[6\]"),
    ],
)
def test_broken_files(small: Path, content: bytes, words: str) -> None:
    fetch("fashion-mnist", small)
    (small / RAW / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DatasetError, match=words) as raised:
        fetch("fashion-mnist", small)
    assert str(small / RAW) in str(raised.value) and "\n" not in str(raised.value)


def test_torchvisions_old_form_is_refused(small: Path) -> None:
    (small / "FashionMNIST" / "processed").mkdir()
    with pytest.raises(DatasetError, match="old form"):
        fetch("fashion-mnist", small)


def test_an_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name must be one of fashion-mnist, kmnist, mnist, got 'cifar'"):
        fetch("cifar", tmp_path)
    assert CliRunner().invoke(fetch_command, ["cifar", str(tmp_path)]).exit_code == 2
