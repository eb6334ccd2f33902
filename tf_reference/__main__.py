"""The command line: python -m tf_reference."""

from __future__ import annotations

from typing import Any


def _backend(device: str, threads: int | None) -> Any:
    """The adapter; TensorFlow is imported only here, when a command runs."""
    from tf_reference import adapter

    return adapter.backend(device, threads)


def main() -> None:
    from unrolled.command_line import command_line

    group = command_line("tf_reference", "TensorFlow 1's graph code: the chapter's programs.", _backend)
    group(prog_name="python -m tf_reference")


if __name__ == "__main__":
    main()
