"""The command line: python -m tf_reference."""

from __future__ import annotations

from typing import Any


def _backend(device: str, threads: int | None) -> Any:
    """The adapter; TensorFlow is imported only here, when a command runs."""
    from tf_reference import adapter

    return adapter.backend(device, threads)


def main() -> None:
    make_group()(prog_name="python -m tf_reference")


def make_group() -> Any:
    """All commands: a click.Group."""
    from unrolled.command_line import command_line

    return command_line("tf_reference", "TensorFlow 1's graph code: the chapter's programs.", _backend)


if __name__ == "__main__":
    main()
