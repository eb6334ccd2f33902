"""Data sets in MNIST's format, downloaded on demand by torchvision.

torchvision is imported when `fetch` is called, and not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Our name -> torchvision's class, which is also the name of its folder.
DATASETS = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "mnist": "MNIST"}
_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
_ROWS = {True: 60_000, False: 10_000}  # by torchvision's `train`; all three data sets have MNIST's size
_SHAPE = (28, 28)


class DatasetError(Exception):
    """A data set could not be downloaded, or its files are broken. The message is one sentence or two."""


def fetch(name: str, folder: str | Path) -> Path:
    """Make FOLDER/<torchvision's name>/raw hold the four files of a data set, downloading what is missing.

    name: a key of DATASETS. Files that are there already (also as .gz, with the right checksum) need no network.
    Returns FOLDER/<torchvision's name>. Raises ValueError for an unknown name, DatasetError for anything else.
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(DATASETS)}, got {name!r}")
    try:
        import torchvision.datasets
    except ImportError as error:
        reason = f"downloading needs torchvision ({error}); pip install 'unrolled[fetch]'"
        raise DatasetError(reason) from None

    home = Path(folder) / DATASETS[name]
    if (home / "processed").exists():
        raise DatasetError(
            f"{home / 'processed'}: holds torchvision's old form of {name}, which is not read here; remove it, or name "
            "another folder"
        )
    for train in _ROWS:
        try:
            found = getattr(torchvision.datasets, DATASETS[name])(str(folder), train=train, download=True)
        except Exception as error:  # reading and downloading raise whatever they stumble on
            raise DatasetError(_explained(name, home, error)) from error
        _check(home, found, train)
    return home


def _explained(name: str, home: Path, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
    missing = [file for file in _FILES if not (home / "raw" / file).is_file()]
    if not missing:
        return f"{home / 'raw'}: its files are broken ({reason}); remove the folder and fetch {name} again"
    return (
        f"{name} could not be downloaded into {home / 'raw'} ({reason}); check the network and the folder, or put the "
        f"uncompressed {', '.join(missing)} there yourself"
    )


def _check(home: Path, found: Any, train: bool) -> None:
    images, labels = tuple(found.data.shape), tuple(found.targets.shape)
    rows = _ROWS[train]
    if images != (rows, *_SHAPE) or labels != (rows,):
        part = "train" if train else "t10k"
        raise DatasetError(
            f"{home / 'raw'}: the {part} files hold images {list(images)} and labels {list(labels)}, expected "
            f"{[rows, *_SHAPE]} and {[rows]}; remove the folder and fetch it again"
        )
