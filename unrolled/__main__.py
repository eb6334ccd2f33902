"""The command line: unrolled, or python -m unrolled. It has no options of its own: each command is a room's.

`unrolled train mnist` is `python -m torch_impl train mnist`, `unrolled compare` is `python -m spec_tests compare`, and
`unrolled tf_reference …` the TensorFlow side.
"""

from __future__ import annotations

import importlib
import platform
from typing import Any

import click
from click.shell_completion import get_completion_class

from unrolled.command_line.door import Door

__all__ = ["main"]

NAME = "unrolled"
ROOMS = ("torch_impl", "spec_tests")  # whose commands stand at the top
SHELLS = ("bash", "fish", "zsh")


def _group(room: str) -> click.Group:
    """What `python -m ROOM` opens; no framework is imported."""
    module: Any = importlib.import_module(room + ".__main__")
    return module.main if isinstance(module.main, click.Group) else module.make_group()


class _Rooms(Door):
    """The commands of the rooms, taken when they are asked for."""

    def _all(self) -> dict[str, click.Command]:
        if not getattr(self, "_taken", False):
            self._taken = True
            for room in ROOMS:
                self.commands.update(_group(room).commands)
            self.commands["tf_reference"] = _group("tf_reference")
        return dict(self.commands)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._all())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._all().get(cmd_name)


def _versions(ctx: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """What is installed, as pip knows it: nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    def found(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    if asked and not ctx.resilient_parsing:
        others = [(name, found(name)) for name in ("torch", "tensorflow", "numpy")]
        beside = ["Python " + platform.python_version(), *("%s %s" % each for each in others if each[1])]
        click.echo("%s %s (%s)" % (NAME, found(NAME) or "of a folder, not installed", ", ".join(beside)))
        ctx.exit()


@click.group(name=NAME, cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions, help="Print versions, and exit."
)
def main() -> None:
    """Recurrent networks in PyTorch, held to TensorFlow 1 by one shared test spec."""


@main.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what completes this command in SHELL.

    In bash: eval "$(unrolled completion bash)", in zsh the same, in fish: unrolled completion fish | source.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has each of SHELLS
    click.echo(kind(main, {}, NAME, "_UNROLLED_COMPLETE").source())


if __name__ == "__main__":
    main(prog_name="unrolled")
