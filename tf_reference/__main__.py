"""The command line: python -m tf_reference."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any


def _backend(device: str, threads: int | None) -> Any:
    """The adapter; TensorFlow is imported only here, when a command runs."""
    from tf_reference import adapter

    return adapter.backend(device, threads)


_HINT = (
    "run from another folder, or take it off Python's path (from Python 3.11 on, python -P leaves the current "
    "folder out)"
)


def check_data() -> None:
    """Exit with status 2 and one sentence unless the package `data` is Unrolled's own: the name is a common one."""
    problem = ""
    try:
        import data
    except Exception as error:  # whatever another project's package does when it is imported out of place
        spec = importlib.util.find_spec("data")
        if spec is None:
            problem = "Unrolled's package `data` is not installed; install unrolled again"
        else:
            place = spec.origin or ", ".join(spec.submodule_search_locations or [])
            problem = f"the package `data` at {place} cannot be imported ({type(error).__name__}: {error}); {_HINT}"
    else:
        if getattr(data, "DISTRIBUTION", None) != "unrolled":
            place = getattr(data, "__file__", None) or ", ".join(map(str, getattr(data, "__path__", [])))
            problem = f"another package named `data`, at {place}, hides Unrolled's own; {_HINT}"
    if problem:
        print(f"Error: {problem}.", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    check_data()
    from data.doors import command_line

    group = command_line("tf_reference", "TensorFlow 1's graph code: the chapter's programs.", _backend)
    group(prog_name="python -m tf_reference")


if __name__ == "__main__":
    main()
