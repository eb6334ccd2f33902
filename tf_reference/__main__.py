"""`python -m tf_reference`: the chapter's programs in TensorFlow 1, by the same command line as torch_impl's."""

from __future__ import annotations

import sys
from typing import Any

TITLE = "The recurrent-network chapter as TensorFlow 1 graph code, under TensorFlow 1.15 or 2.x."


def check_data() -> str | None:
    """What is wrong with the package `data`, a common name: None for Unrolled's own, else one sentence."""
    try:
        import data
    except ImportError as error:
        return f"the package `data` of unrolled cannot be imported ({error}): reinstall unrolled"
    if getattr(data, "DISTRIBUTION", None) == "unrolled":
        return None
    place = getattr(data, "__file__", None) or next(iter(getattr(data, "__path__", ["an unknown place"])))
    return f"another package named `data` is in the way of unrolled's: {place}; rename it, or run from another folder"


def make_backend(device: str, threads: int | None = None) -> Any:
    """The adapter; only here is TensorFlow imported."""
    from tf_reference.adapter import backend

    return backend(device, threads)


def main() -> int:
    wrong = check_data()
    if wrong is not None:
        print("tf_reference: " + wrong, file=sys.stderr)
        return 2
    from data.doors import command_line

    command_line("tf_reference", TITLE, make_backend)(prog_name="python -m tf_reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
