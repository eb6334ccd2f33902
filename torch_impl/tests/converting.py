"""What the tests of `convert` share."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from torch_impl.tf1.command import convert as command


def convert(*arguments: Any) -> Result:
    """`python -m torch_impl convert ARGUMENTS` in this process."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])
