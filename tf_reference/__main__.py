"""The command line: python -m tf_reference."""

from __future__ import annotations

import sys
from typing import Any


def _backend(device: str, threads: int | None) -> Any:
    """The adapter; TensorFlow is imported only here, when a command runs."""
    from tf_reference import adapter

    return adapter.backend(device, threads)


def check_data() -> None:
    """Exit with status 2 and one sentence unless the package `data` is Unrolled's own: the name is a common one."""
    try:
        import data
    except ImportError as error:
        sys.exit(_refused(f"Unrolled's package `data` cannot be imported ({error}); install unrolled again"))
    if getattr(data, "DISTRIBUTION", None) != "unrolled":
        place = getattr(data, "__file__", None) or ", ".join(map(str, getattr(data, "__path__", [])))
        sys.exit(
            _refused(
                f"another package named `data`, at {place}, hides Unrolled's own; run from another folder, or take "
                "it off Python's path (from Python 3.11 on, python -P leaves the current folder out)"
            )
        )


def _refused(sentence: str) -> int:
    print(f"Error: {sentence}.", file=sys.stderr)
    return 2


def main() -> None:
    check_data()
    from data.doors import command_line

    group = command_line("tf_reference", "TensorFlow 1's graph code: the chapter's programs.", _backend)
    group(prog_name="python -m tf_reference")


if __name__ == "__main__":
    main()
