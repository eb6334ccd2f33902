"""The click group of a whole command line."""

from __future__ import annotations

from typing import Any

import click

from unrolled.showing import shown

__all__ = ["Door"]


class Door(click.Group):
    """A group whose failures are told in one line, every name in it as it may be shown: see `unrolled.showing`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = shown(error.message)  # type: ignore[misc]  # each kind of failure says it its own way
            raise
